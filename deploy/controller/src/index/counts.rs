//! How many there are of something, and which numbers have changed.

use std::{
    collections::{BTreeSet, HashMap},
    hash::Hash,
};

/// Counts by key.
#[derive(Debug)]
pub(super) struct Counts<K> {
    counts: HashMap<K, Count>,
    touched: BTreeSet<K>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Count {
    now: u32,
    told: u32,
}

impl<K> Default for Counts<K> {
    fn default() -> Self {
        Self {
            counts: HashMap::new(),
            touched: BTreeSet::new(),
        }
    }
}

impl<K: Clone + Ord + Hash> Counts<K> {
    pub(super) fn add(&mut self, key: K) {
        let count = self.counts.entry(key.clone()).or_default();
        count.now = count.now.saturating_add(1);
        self.touched.insert(key);
    }

    pub(super) fn subtract(&mut self, key: K) {
        let count = self.counts.entry(key.clone()).or_default();
        count.now = count.now.saturating_sub(1);
        self.touched.insert(key);
    }

    /// The numbers that differ from those of the last call, in the order of their keys.
    pub(super) fn changes(&mut self) -> Vec<(K, u32)> {
        let mut changes = Vec::new();
        for key in std::mem::take(&mut self.touched) {
            let Some(count) = self.counts.get_mut(&key) else {
                continue;
            };
            let now = count.now;
            let differs = count.told != now;
            count.told = now;
            if now == 0 {
                self.counts.remove(&key);
            }
            if differs {
                changes.push((key, now));
            }
        }
        changes
    }
}
