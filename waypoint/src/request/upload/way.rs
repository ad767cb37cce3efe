//! For how long a request's body was on its way.
//!
//! In: each read of it. Out: a time. Never: counts time in which nobody reads; see [`super::Upload::on_its_way`].

use std::time::Duration;

use tokio::time::Instant;

/// A watch that runs from read to read.
#[derive(Debug, Default)]
pub(super) struct Way {
    total: Duration,
    /// When this attempt read last; `None`: it has not.
    last: Option<Instant>,
    /// There was nothing to read then.
    is_awaited: bool,
}

impl Way {
    /// Somebody reads, and there is nothing yet if `is_awaited`.
    pub(super) fn read(&mut self, is_awaited: bool, now: Instant) {
        if let Some(last) = self.last.replace(now) {
            self.total += now.saturating_duration_since(last);
        }
        self.is_awaited = is_awaited;
    }

    /// Nobody reads any more.
    pub(super) fn rest(&mut self, now: Instant) {
        self.total = self.time(now);
        self.last = None;
        self.is_awaited = false;
    }

    /// So far.
    pub(super) fn time(&self, now: Instant) -> Duration {
        match self.last {
            Some(last) if self.is_awaited => self.total + now.saturating_duration_since(last),
            Some(_) | None => self.total,
        }
    }
}
