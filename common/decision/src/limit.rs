//! How many requests may come: one token bucket.
//!
//! In: what a bucket holds, and the time since its limit began. Out: whether there was a token. Never: reads a clock,
//! waits, or admits more than were there at the beginning and have come since.
//!
//! Source: Envoy's `envoy.type.v3.TokenBucket`: it begins full, `tokens_per_fill` come at once with every `fill_interval`, and
//! what does not fit is lost. (Envoy itself lets tokens trickle in between; the sums over whole intervals are the same.)
//!
//! **Shape:** one word per bucket, so that any number of threads may take at once: the lower half of the number of the fill
//! that it was last brought up to above, tokens below.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use mesh::access::limit::TokenBucket;

/// Tokens that are left. All its methods are told the time since one and the same moment.
#[derive(Debug)]
pub struct Bucket(AtomicU64);

/// What a bucket holds, as of one fill.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Level {
    fill: u32,
    tokens: u32,
}

impl Bucket {
    /// A full one.
    #[must_use]
    pub fn full(spec: &TokenBucket, now: Duration) -> Self {
        let level = Level {
            fill: fill(spec, now),
            tokens: spec.max_tokens,
        };
        Self(AtomicU64::new(level.pack()))
    }

    /// Takes one token. `false`: there is none, and nothing was taken.
    #[must_use]
    pub fn take(&self, spec: &TokenBucket, now: Duration) -> bool {
        let fill = fill(spec, now);
        let took = |packed| {
            let level = Level::unpack(packed).at(spec, fill);
            let tokens = level.tokens.checked_sub(1)?;
            Some(Level { tokens, ..level }.pack())
        };
        // Nothing else is published by it, and the word is complete in itself.
        self.0
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, took)
            .is_ok()
    }

    /// How many are left.
    #[must_use]
    pub fn left(&self, spec: &TokenBucket, now: Duration) -> u32 {
        let level = Level::unpack(self.0.load(Ordering::Relaxed));
        level.at(spec, fill(spec, now)).tokens
    }

    /// Whether it is as one that was never used, so that nothing is lost with it.
    #[must_use]
    pub fn is_full(&self, spec: &TokenBucket, now: Duration) -> bool {
        self.left(spec, now) >= spec.max_tokens
    }
}

impl Level {
    /// The same after what has come since. A fill that lies behind is that of a thread which read its clock earlier: nothing has
    /// come since.
    fn at(self, spec: &TokenBucket, fill: u32) -> Self {
        let fills = fill.wrapping_sub(self.fill);
        if fills == 0 || fills > u32::MAX / 2 {
            return self;
        }
        let come = u64::from(fills) * u64::from(spec.tokens_per_fill);
        let tokens = come.saturating_add(u64::from(self.tokens));
        let tokens = tokens.min(u64::from(spec.max_tokens));
        Self {
            fill,
            tokens: u32::try_from(tokens).unwrap_or(spec.max_tokens),
        }
    }

    fn pack(self) -> u64 {
        u64::from(self.fill) << 32 | u64::from(self.tokens)
    }

    fn unpack(packed: u64) -> Self {
        let half = |value: u64| u32::try_from(value & u64::from(u32::MAX)).unwrap_or(u32::MAX);
        Self {
            fill: half(packed >> 32),
            tokens: half(packed),
        }
    }
}

/// How many fills there were, in the lower 32 bits: at the shortest interval they come around after six years.
fn fill(spec: &TokenBucket, now: Duration) -> u32 {
    let interval = spec.fill_interval.as_micros().max(1);
    let fills = (now.as_micros() / interval) & u128::from(u32::MAX);
    u32::try_from(fills).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests;
