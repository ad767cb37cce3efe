//! What is kept of one limit.
//!
//! In: a limit as it was delivered. Out: its tokens, and how often it was asked. Never: what the next configuration could
//! make wrong: whoever asks brings the limit as it is now.

use std::{
    sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    time::Duration,
};

use decision::limit::Bucket;
use mesh::{
    Name,
    access::{
        RateLimit,
        limit::{LimitKey, LimitKind, TokenBucket},
    },
};

use super::{keyed::Keyed, values::Value};

/// The tokens and the counts of one limit.
#[derive(Debug)]
pub(super) struct Counted {
    /// What makes it the same limit as before, beside its name.
    kind: LimitKind,
    keys: Vec<LimitKey>,
    tokens: Tokens,
    counts: Counters,
    /// Nobody answered the last time.
    is_down: AtomicBool,
}

#[derive(Debug)]
enum Tokens {
    /// For all requests.
    One(Bucket),
    /// For each combination of values.
    Keyed(Box<Keyed>),
    /// Somebody else counts them.
    Elsewhere,
}

/// Source: the statistics of Envoy's two filters.
#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) ok: AtomicU64,
    pub(super) limited: AtomicU64,
    pub(super) enforced: AtomicU64,
    pub(super) error: AtomicU64,
    pub(super) failure_mode_allowed: AtomicU64,
}

/// How often a limit was asked, and what came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counts {
    /// The limit.
    pub name: Name,
    /// Whether a service counts for it.
    pub is_global: bool,
    /// Requests below the limit.
    pub ok: u64,
    /// Requests over it.
    pub limited: u64,
    /// Those of them that were refused.
    pub enforced: u64,
    /// Requests about which nobody answered.
    pub error: u64,
    /// Those of them that went on.
    pub failure_mode_allowed: u64,
}

impl Counted {
    pub(super) fn new(limit: &RateLimit, now: Duration) -> Self {
        Self {
            kind: limit.kind.clone(),
            keys: limit.keys.clone(),
            tokens: match &limit.kind {
                LimitKind::Local(bucket) if limit.keys.is_empty() => {
                    Tokens::One(Bucket::full(bucket, now))
                }
                LimitKind::Local(bucket) => Tokens::Keyed(Box::new(Keyed::new(bucket, now))),
                LimitKind::Global(_) => Tokens::Elsewhere,
            },
            counts: Counters::default(),
            is_down: AtomicBool::new(false),
        }
    }

    /// Whether tokens of a limit are these.
    pub(super) fn is_of(&self, limit: &RateLimit) -> bool {
        self.kind == limit.kind && self.keys == limit.keys
    }

    /// Takes a token. `false`: there is none.
    pub(super) fn take(&self, spec: &TokenBucket, values: &[Value<'_>], now: Duration) -> bool {
        match &self.tokens {
            Tokens::One(bucket) => bucket.take(spec, now),
            Tokens::Keyed(keyed) => keyed.take(spec, values, now),
            Tokens::Elsewhere => true,
        }
    }

    /// Whether nothing would be lost with it but counts.
    pub(super) fn is_unused(&self, now: Duration) -> bool {
        let LimitKind::Local(spec) = &self.kind else {
            return true;
        };
        match &self.tokens {
            Tokens::One(bucket) => bucket.is_full(spec, now),
            Tokens::Keyed(keyed) => keyed.is_unused(spec, now),
            Tokens::Elsewhere => true,
        }
    }

    pub(super) fn count(&self, which: impl FnOnce(&Counters) -> &AtomicU64) {
        which(&self.counts).fetch_add(1, Relaxed);
    }

    /// Takes note that nobody answers. Out: whether that is new.
    pub(super) fn goes_down(&self) -> bool {
        !self.is_down.swap(true, Relaxed)
    }

    /// Takes note of an answer. Out: whether there was none the last time.
    pub(super) fn comes_back(&self) -> bool {
        // Most of the time nothing is written.
        self.is_down.load(Relaxed) && self.is_down.swap(false, Relaxed)
    }

    pub(super) fn counts(&self, name: &Name) -> Counts {
        let of = |count: &AtomicU64| count.load(Relaxed);
        Counts {
            name: name.clone(),
            is_global: matches!(self.kind, LimitKind::Global(_)),
            ok: of(&self.counts.ok),
            limited: of(&self.counts.limited),
            enforced: of(&self.counts.enforced),
            error: of(&self.counts.error),
            failure_mode_allowed: of(&self.counts.failure_mode_allowed),
        }
    }
}
