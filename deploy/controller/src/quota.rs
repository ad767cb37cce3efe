//! How many refusals are logged: a stranger must not be able to fill a disk.

use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// Lines in one [`WINDOW`]; more say nothing new to a reader.
const MAX_LINES: u32 = 20;

/// What the lines are counted over.
const WINDOW: Duration = Duration::from_secs(1);

/// Lets a number of lines through in each window and counts the others.
#[derive(Debug, Default)]
pub(crate) struct Quota(Mutex<Used>);

#[derive(Debug, Default)]
struct Used {
    since: Option<Instant>,
    lines: u32,
    left_out: u64,
}

impl Quota {
    /// `Some` is a line to write, with how many were left out before it.
    pub(crate) fn take(&self, now: Instant) -> Option<u64> {
        let mut used = self.0.lock();
        let over = used
            .since
            .is_none_or(|since| now.saturating_duration_since(since) >= WINDOW);
        if over {
            used.since = Some(now);
            used.lines = 0;
        }
        if used.lines < MAX_LINES {
            used.lines += 1;
            Some(std::mem::take(&mut used.left_out))
        } else {
            used.left_out += 1;
            None
        }
    }
}

#[cfg(test)]
mod tests;
