//! Waiting for a condition with a deadline, instead of sleeping and hoping.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

/// The first pause between two attempts; doubled up to [`PAUSE_MAX`].
const PAUSE_MIN: Duration = Duration::from_millis(1);

/// The longest pause between two attempts: short against a human's patience, long against a poll's cost.
const PAUSE_MAX: Duration = Duration::from_millis(40);

/// Calls `attempt` until it yields a value, at most for `deadline`.
///
/// # Errors
///
/// The last attempt's error, under a line that says `what` was awaited and how long.
pub fn eventually<T>(
    what: &str,
    deadline: Duration,
    mut attempt: impl FnMut() -> Result<T>,
) -> Result<T> {
    let start = Instant::now();
    let mut pause = PAUSE_MIN;
    loop {
        match attempt() {
            Ok(value) => return Ok(value),
            Err(error) if start.elapsed() >= deadline => {
                return Err(error).with_context(|| format!("{what}: not within {deadline:?}"));
            }
            Err(_) => {}
        }
        thread::sleep(pause);
        pause = (pause * 2).min(PAUSE_MAX);
    }
}

/// Calls `holds` until it is true, at most for `deadline`.
///
/// # Errors
///
/// When it never became true; the text says `what` was awaited and how long.
pub fn until(what: &str, deadline: Duration, mut holds: impl FnMut() -> bool) -> Result<()> {
    eventually(what, deadline, || {
        if holds() {
            Ok(())
        } else {
            bail!("still not so")
        }
    })
}
