//! When a certificate is asked for next, and in which order.
//!
//! In: the wall time, what happened last, randomness. Out: times. Never: a clock, a task.

use std::time::{Duration, SystemTime};

/// The wait after the first failure; it doubles with each further one. Source: Istio ztunnel.
const FIRST_BACK_OFF: Duration = Duration::from_secs(1);

/// The longest wait, spread included. Source: Istio ztunnel.
pub(super) const MAX_BACK_OFF: Duration = Duration::from_secs(150);

/// Who is served first when not all can be. Source: Istio ztunnel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Priority {
    /// A connection waits.
    RealTime,
    /// A pod arrived, or has no valid certificate.
    Warmup,
    /// A renewal.
    Background,
}

/// What is to happen to one identity.
#[derive(Debug)]
pub(super) struct Plan {
    /// Pods that have it.
    pub(super) holders: usize,
    /// When the authority is asked next.
    pub(super) due: SystemTime,
    /// How urgent that is.
    pub(super) priority: Priority,
    /// Whether it is being asked.
    pub(super) in_flight: bool,
    /// How often in a row it failed.
    pub(super) failures: u32,
}

impl Plan {
    pub(super) fn new(now: SystemTime) -> Self {
        Self {
            holders: 0,
            due: now,
            priority: Priority::Warmup,
            in_flight: false,
            failures: 0,
        }
    }

    /// The place in the queue of those that are due, if this is one of them.
    pub(super) fn due_at(&self, now: SystemTime) -> Option<(Priority, SystemTime)> {
        (!self.in_flight && self.wait(now).is_zero()).then_some((self.priority, self.due))
    }

    /// How long it will not be due; `None` while it is being asked for.
    pub(super) fn wait_at(&self, now: SystemTime) -> Option<Duration> {
        (!self.in_flight).then(|| self.wait(now))
    }

    /// Whether a failure was a moment ago.
    pub(super) fn is_backing_off(&self, now: SystemTime) -> bool {
        !self.in_flight && self.failures > 0 && !self.wait(now).is_zero()
    }

    fn wait(&self, now: SystemTime) -> Duration {
        let wait = self.due.duration_since(now).unwrap_or_default();
        // A clock that was set back must not stretch a back-off.
        if self.failures > 0 && wait > MAX_BACK_OFF {
            Duration::ZERO
        } else {
            wait
        }
    }
}

/// The wait after `failures` failures in a row: 1 s, doubled each time, +-20 %, at most [`MAX_BACK_OFF`].
///
/// `random` is in `0.0..1.0`.
pub(super) fn back_off(failures: u32, random: f64) -> Duration {
    let doubled = FIRST_BACK_OFF.saturating_mul(
        1u32.checked_shl(failures.saturating_sub(1))
            .unwrap_or(u32::MAX),
    );
    doubled
        .min(MAX_BACK_OFF)
        .mul_f64(0.8 + 0.4 * random.clamp(0.0, 1.0))
        .min(MAX_BACK_OFF)
}

#[cfg(test)]
mod tests;
