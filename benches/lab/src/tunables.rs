//! glibc's tunables, the same for the generator and for every subject.
//!
//! Source: on Zen 3 and 4 glibc 2.36 copies blocks above 2 KiB by `rep movsb`, which collapses at
//! unlucky alignments; the threshold switches that off. It is read before `main`, so this program
//! starts itself again with it.

use std::os::unix::process::CommandExt as _;
use std::process::Command;

use anyhow::{Context as _, Result};

/// The variable.
pub(crate) const NAME: &str = "GLIBC_TUNABLES";

/// The setting that all measured programs run with.
const SETTING: &str = "glibc.cpu.x86_rep_movsb_threshold=2000000000";

/// Returns when this process runs with the setting; otherwise replaces the process by one that does.
///
/// # Errors
///
/// When the program cannot be started again.
pub(crate) fn ensure() -> Result<()> {
    let Some(value) = extended(&current()) else {
        return Ok(());
    };
    let program = std::env::current_exe().context("this program's path")?;
    let error = Command::new(program)
        .args(std::env::args_os().skip(1))
        .env(NAME, value)
        .exec();
    Err(error).context("start again with GLIBC_TUNABLES")
}

/// The value that this process runs with.
pub(crate) fn current() -> String {
    std::env::var(NAME).unwrap_or_default()
}

/// `value` with the setting added, `None` when it decides the threshold already.
fn extended(value: &str) -> Option<String> {
    if value.contains("glibc.cpu.x86_rep_movsb_threshold=") {
        return None;
    }
    Some(if value.is_empty() {
        SETTING.to_owned()
    } else {
        format!("{value}:{SETTING}")
    })
}

#[cfg(test)]
mod tests;
