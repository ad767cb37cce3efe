//! What a process holds. Source: proc(5), `VmRSS`, `RssAnon`, `VmHWM`.

use std::fs;

use anyhow::{Context as _, Result};

/// What a process holds. Units: bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Held {
    /// Of it without the pages of files.
    pub(crate) anonymous: u64,
    /// The most that was ever resident.
    pub(crate) highest: u64,
}

/// What a process holds now; `self` is this one.
///
/// # Errors
///
/// When it is not there, or not Linux's.
pub(crate) fn held(process: &str) -> Result<Held> {
    let path = format!("/proc/{process}/status");
    let text = fs::read_to_string(&path).with_context(|| format!("read {path}"))?;
    let of = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name));
        let number = line.and_then(|line| line.trim().strip_suffix(" kB"));
        let number = number.with_context(|| format!("no {name} in {path}"))?;
        anyhow::Ok(number.parse::<u64>()? * 1024)
    };
    Ok(Held {
        anonymous: of("RssAnon:")?,
        highest: of("VmHWM:")?,
    })
}
