//! How many retries there may be at once.
//!
//! In: a policy, requests as they begin, and the time since anything fixed. Out: a limit.
//! Never: counts what is under way, which the caller must do for its own limits.
//!
//! As Envoy's retry budget (RS-03): a share of the requests that are under way, or of those of the last interval.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use mesh::backend::{RetryBudget, TrafficPolicy};

/// How many parts an interval has; the oldest is forgotten when a new one begins. Source: Envoy.
const SLOTS: u8 = 10;

/// What bounds the retries of one backend.
#[derive(Debug)]
pub struct Budget(Kind);

#[derive(Debug)]
enum Kind {
    /// So many, whatever the requests.
    Fixed(u64),
    /// A share of the requests that are under way.
    Share(Share),
    /// A share of the requests that began in the last interval.
    Recent(Share, Window),
}

#[derive(Clone, Copy, Debug)]
struct Share {
    ppm: u64,
    minimum: u64,
}

impl Budget {
    /// The budget of a policy: its `retry_budget`, else `pool.max_retries`, else none.
    #[must_use]
    pub fn new(policy: &TrafficPolicy) -> Self {
        Self(match &policy.retry_budget {
            None => Kind::Fixed(policy.pool.max_retries.map_or(u64::MAX, u64::from)),
            Some(RetryBudget {
                share_ppm,
                min_concurrency,
                interval,
            }) => {
                let share = Share {
                    ppm: u64::from(*share_ppm),
                    minimum: u64::from(*min_concurrency),
                };
                match interval {
                    None => Kind::Share(share),
                    Some(interval) => Kind::Recent(share, Window::new(*interval)),
                }
            }
        })
    }

    /// Takes note of a request that begins, not of a retry. `now` is the time since anything fixed.
    pub fn begin(&self, now: Duration) {
        match &self.0 {
            Kind::Fixed(_) | Kind::Share(_) => {}
            Kind::Recent(_, window) => window.count(now),
        }
    }

    /// Whether another retry may begin. `retries` and `requests` are under way, the latter with those that wait;
    /// `now` is the time since the same as before.
    #[must_use]
    pub fn allows(&self, retries: u64, requests: u64, now: Duration) -> bool {
        retries < self.limit(requests, now)
    }

    /// How many retries there may be at once.
    #[must_use]
    pub fn limit(&self, requests: u64, now: Duration) -> u64 {
        match &self.0 {
            Kind::Fixed(limit) => *limit,
            Kind::Share(share) => share.of(requests),
            Kind::Recent(share, window) => share.of(window.sum(now)),
        }
    }
}

impl Share {
    fn of(self, requests: u64) -> u64 {
        let part = u128::from(requests) * u128::from(self.ppm) / 1_000_000;
        u64::try_from(part).unwrap_or(u64::MAX).max(self.minimum)
    }
}

/// Counts of the last parts of an interval.
#[derive(Debug)]
struct Window {
    /// Units: microseconds. Not 0.
    slot_length: u64,
    /// **Shape:** by number of the part modulo [`SLOTS`]; the lower half of the part's number above, a count below.
    slots: [AtomicU64; SLOTS as usize],
}

impl Window {
    fn new(interval: Duration) -> Self {
        Self {
            slot_length: (micros(interval) / u64::from(SLOTS)).max(1),
            slots: Default::default(),
        }
    }

    fn count(&self, now: Duration) {
        let part = self.part(now);
        let at = usize::try_from(part % u64::from(SLOTS)).unwrap_or(0);
        let Some(slot) = self.slots.get(at) else {
            return;
        };
        // A slot that holds an older part begins anew. The count stops before it would run into the part's number.
        let counted = |value: u64| {
            let count = if value >> 32 == lower(part) {
                lower(value).saturating_add(1).min(u64::from(u32::MAX))
            } else {
                1
            };
            Some(lower(part) << 32 | count)
        };
        let updated = slot.fetch_update(Ordering::Relaxed, Ordering::Relaxed, counted);
        debug_assert!(updated.is_ok(), "there is always a next value");
    }

    fn sum(&self, now: Duration) -> u64 {
        let part = self.part(now);
        let is_recent = |number: u64| lower(part.wrapping_sub(number)) < u64::from(SLOTS);
        let values = self.slots.iter().map(|slot| slot.load(Ordering::Relaxed));
        let recent = values.filter(|value| is_recent(value >> 32));
        recent.map(lower).sum()
    }

    fn part(&self, now: Duration) -> u64 {
        micros(now) / self.slot_length
    }
}

fn lower(value: u64) -> u64 {
    value & u64::from(u32::MAX)
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
