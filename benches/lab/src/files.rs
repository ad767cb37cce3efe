//! How many files this process and what it starts may have open.

use anyhow::Result;
use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// What a process has open besides connections: listeners, logs, namespaces, what watches them.
const SPARE: u64 = 400;

/// Raises the limit to `wish` if it is lower and the kernel lets us (root may do so, unless `CAP_SYS_RESOURCE` was taken from it).
///
/// # Errors
///
/// When the limit cannot even be read.
pub(crate) fn raise(wish: u64) -> Result<()> {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    if soft < wish && setrlimit(Resource::RLIMIT_NOFILE, wish, hard.max(wish)).is_err() {
        setrlimit(Resource::RLIMIT_NOFILE, hard, hard)?;
    }
    Ok(())
}

/// How many connections a process can have that needs so many files for each.
///
/// # Errors
///
/// When the limit cannot be read.
pub(crate) fn room(files_each: u64) -> Result<usize> {
    let (limit, _) = getrlimit(Resource::RLIMIT_NOFILE)?;
    Ok(usize::try_from(limit.saturating_sub(SPARE) / files_each)?)
}
