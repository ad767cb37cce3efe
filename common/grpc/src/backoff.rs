//! How long to wait before the next try.

use std::time::Duration;

/// Waits that grow with each failure: the first, then each `factor` times the one before, never beyond `max`,
/// and each spread by `jitter`, so that many clients do not come back in step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Backoff {
    first: Duration,
    factor: f64,
    max: Duration,
    jitter: f64,
    /// Tries since the last success.
    failures: u32,
}

impl Backoff {
    /// Nothing has failed yet.
    ///
    /// **Units**: `factor` is at least 1 (less counts as 1); `jitter` is the part of a wait by which it may
    /// be shorter or longer, from 0 to 1: with 0.2 a wait of 10 s is one of 8 s to 12 s, but never above `max`.
    #[must_use]
    pub fn new(first: Duration, factor: f64, max: Duration, jitter: f64) -> Self {
        Self {
            first,
            // `f64::max` and `clamp` would let NaN through in one direction; these comparisons do not.
            factor: if factor > 1.0 { factor } else { 1.0 },
            max,
            jitter: if jitter > 0.0 { jitter.min(1.0) } else { 0.0 },
            failures: 0,
        }
    }

    /// The wait after one more failure.
    #[expect(
        clippy::should_implement_trait,
        reason = "an iterator may end, and the waits do not"
    )]
    pub fn next(&mut self) -> Duration {
        self.next_with(fastrand::f64())
    }

    /// The same with the caller's randomness, `0.0..1.0`.
    pub fn next_with(&mut self, random: f64) -> Duration {
        let max = self.max.as_secs_f64();
        let power = i32::try_from(self.failures).unwrap_or(i32::MAX);
        // Infinite after enough failures, and then `max`; a first wait of nothing stays nothing.
        let first = self.first.as_secs_f64();
        let wait = if first > 0.0 {
            (first * self.factor.powi(power)).min(max)
        } else {
            0.0
        };
        let spread = 1.0 + self.jitter * (2.0 * random.clamp(0.0, 1.0) - 1.0);
        self.failures = self.failures.saturating_add(1);
        Duration::try_from_secs_f64(wait * spread)
            .unwrap_or(self.max)
            .min(self.max)
    }

    /// It worked: the next failure is a first one again.
    pub fn reset(&mut self) {
        self.failures = 0;
    }
}

#[cfg(test)]
mod tests;
