//! Tokens by value: one bucket for each combination.
//!
//! In: the values of one request. Out: whether their bucket had a token. Never: grows beyond its bound; gives anybody new tokens
//! by forgetting that theirs were used.
//!
//! A bucket that is full again is as one that was never used, so it may be forgotten. Where there is no room and none such,
//! requests with new values share one further bucket until the next fill: whoever makes up values without end, to be
//! forgotten or to fill the memory, gets what one client gets.
//!
//! Values are known by a hash with a secret of the process. Two that share one, which nobody can bring about on purpose,
//! would share a bucket.

use std::{
    collections::{HashMap, hash_map::RandomState},
    hash::BuildHasher as _,
    time::Duration,
};

use decision::limit::Bucket;
use mesh::access::limit::TokenBucket;
use parking_lot::Mutex;

use super::values::Value;

/// Locks of one limit. Reason: as many as workers that are likely at once.
pub(super) const SHARDS: usize = 16;
/// Buckets of one limit. Reason: a limit for each client of a large service, in about one megabyte.
pub(super) const MAX_KEYS: usize = 16 * 1024;
const MAX_SHARD: usize = MAX_KEYS / SHARDS;

/// The buckets of one limit.
#[derive(Debug)]
pub(super) struct Keyed {
    secret: RandomState,
    shards: [Mutex<Shard>; SHARDS],
    /// For whom there is no room.
    others: Bucket,
}

#[derive(Debug, Default)]
struct Shard {
    buckets: HashMap<u64, Bucket>,
    /// Up to then nothing more can have become full than at the last look.
    looked: Option<u128>,
}

impl Keyed {
    pub(super) fn new(spec: &TokenBucket, now: Duration) -> Self {
        Self {
            secret: RandomState::new(),
            shards: std::array::from_fn(|_| Mutex::default()),
            others: Bucket::full(spec, now),
        }
    }

    /// Takes a token of a combination of values. `false`: there is none.
    pub(super) fn take(&self, spec: &TokenBucket, values: &[Value<'_>], now: Duration) -> bool {
        self.take_hashed(spec, self.secret.hash_one(values), now)
    }

    fn take_hashed(&self, spec: &TokenBucket, key: u64, now: Duration) -> bool {
        // The map takes other bits for itself.
        let shard = usize::try_from(key >> 60).unwrap_or(0) % SHARDS;
        let Some(shard) = self.shards.get(shard) else {
            return self.others.take(spec, now);
        };
        let mut shard = shard.lock();
        if let Some(bucket) = shard.buckets.get(&key) {
            return bucket.take(spec, now);
        }
        if shard.buckets.len() >= MAX_SHARD && !shard.makes_room(spec, now) {
            drop(shard);
            return self.others.take(spec, now);
        }
        let bucket = Bucket::full(spec, now);
        let took = bucket.take(spec, now);
        shard.buckets.insert(key, bucket);
        took
    }

    /// Whether all buckets are as if they had never been used.
    pub(super) fn is_unused(&self, spec: &TokenBucket, now: Duration) -> bool {
        let is_unused = |shard: &Mutex<Shard>| {
            let shard = shard.lock();
            shard
                .buckets
                .values()
                .all(|bucket| bucket.is_full(spec, now))
        };
        self.others.is_full(spec, now) && self.shards.iter().all(is_unused)
    }
}

impl Shard {
    /// Forgets buckets that are full again. Looks once per fill only, as nothing becomes full between two.
    fn makes_room(&mut self, spec: &TokenBucket, now: Duration) -> bool {
        let fill = now.as_micros() / spec.fill_interval.as_micros().max(1);
        if self.looked.is_some_and(|looked| looked >= fill) {
            return false;
        }
        self.looked = Some(fill);
        self.buckets.retain(|_, bucket| !bucket.is_full(spec, now));
        self.buckets.len() < MAX_SHARD
    }
}

#[cfg(test)]
mod tests;
