//! How much may be under way at once: the limits of a backend's connection pool.
//!
//! In: a limit, one that wants in. Out: a permit that counts while it lives, or [`Overflow`]. Never: waits.
//!
//! The counts belong to all workers. A limit may be missed by as many as come in the same instant on other threads,
//! in the strict direction only: two that race for the last place may both be turned away.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
};

/// Which limit was reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Limit {
    /// `max_connections`.
    Connections,
    /// `max_pending_requests`.
    Pending,
    /// `max_requests`.
    Requests,
    /// `max_retries`, or the retry budget.
    Retries,
}

/// A limit was reached. Flag `UO`; 503 with `x-envoy-overloaded: true`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("too many {limit}: the limit is {max}")]
pub struct Overflow {
    /// Which.
    pub limit: Limit,
    /// How high it is.
    pub max: u32,
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Connections => "connections",
            Self::Pending => "pending requests",
            Self::Requests => "requests",
            Self::Retries => "retries",
        })
    }
}

/// What is under way in one backend.
#[derive(Debug, Default)]
pub struct Breakers {
    connections: AtomicU32,
    pending: AtomicU32,
    requests: AtomicU32,
    retries: AtomicU32,
}

impl Breakers {
    fn counter(&self, limit: Limit) -> &AtomicU32 {
        match limit {
            Limit::Connections => &self.connections,
            Limit::Pending => &self.pending,
            Limit::Requests => &self.requests,
            Limit::Retries => &self.retries,
        }
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self, limit: Limit) -> u32 {
        self.counter(limit).load(Ordering::Relaxed)
    }

    /// Takes a place if there are fewer than `max`; `None` is no limit.
    ///
    /// # Errors
    /// When there are not.
    pub fn take(self: &Arc<Self>, limit: Limit, max: Option<u32>) -> Result<Place, Overflow> {
        let before = self.counter(limit).fetch_add(1, Ordering::Relaxed);
        // From here on it is given back in any case.
        let place = Place {
            breakers: Arc::clone(self),
            limit,
        };
        match max {
            Some(max) if before >= max => Err(Overflow { limit, max }),
            Some(_) | None => Ok(place),
        }
    }
}

/// One place in a count. It is given back when this is dropped.
#[derive(Debug)]
pub struct Place {
    breakers: Arc<Breakers>,
    limit: Limit,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.breakers
            .counter(self.limit)
            .fetch_sub(1, Ordering::Relaxed);
    }
}

/// One request is under way. Keep it until its response has ended.
#[derive(Debug)]
pub struct RequestPermit {
    pub(super) _place: Place,
}

/// One retry is under way. Keep it until that try has ended.
#[derive(Debug)]
pub struct RetryPermit {
    pub(super) _place: Place,
}

#[cfg(test)]
mod tests;
