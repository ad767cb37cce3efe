//! Limits that the operating system sets for the process.

use std::io;

use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// Lets the process open as many files as it may: a proxy needs two per connection, and the usual first limit of
/// 1,024 would be reached by 500 of them. Answers the limit that is in force.
///
/// # Errors
/// When the kernel refuses, which it may only do above the hard limit.
pub fn raise_open_files() -> io::Result<u64> {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    if soft < hard {
        setrlimit(Resource::RLIMIT_NOFILE, hard, hard)?;
    }
    Ok(hard)
}
