//! All limits of the process, and how their tokens outlive a change of configuration.
//!
//! In: limits, by the address at which a snapshot has them. Out: what is kept of each. Never: waits where a limit was asked for
//! before; gives new tokens to a limit that a new configuration has not changed.
//!
//! A limit is the same as before if it has the same place (the service, or the waypoint itself), the same name, keys and
//! bucket. What matches, shares and answers may change without a new beginning.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Weak},
    time::{Duration, Instant},
};

use arc_swap::ArcSwap;
use mesh::{Name, ServiceKey, access::RateLimit, pmap::PersistentMap};
use parking_lot::Mutex;

use super::counted::{Counted, Counts};

/// What a limit belongs to; `None`: the waypoint.
pub(super) type Scope<'a> = Option<&'a ServiceKey>;

/// How many there may be before the dead are looked for at all.
const FEW: usize = 64;
/// Limits that are no more, and whose tokens are kept all the same until they would be back. Reason: a configuration that changes all
/// names without end is to be paid for by memory at most so much.
const MAX_GONE: usize = 64 * 1024;

/// The tokens of all limits, shared by all workers.
pub struct Limits {
    began: Instant,
    /// By address of a limit, which its weak reference keeps from being used again. Replaced as a whole by whoever holds `kept`.
    by_address: ArcSwap<PersistentMap<usize, Known>>,
    kept: Mutex<Kept>,
}

#[derive(Clone, Debug)]
struct Known {
    limit: Weak<RateLimit>,
    counted: Arc<Counted>,
}

#[derive(Debug, Default)]
struct Kept {
    by_name: HashMap<(Option<ServiceKey>, Name), Vec<Entry>>,
    /// How many there were after the last search for dead ones.
    alive: usize,
}

#[derive(Debug)]
struct Entry {
    counted: Arc<Counted>,
    /// Where snapshots have it.
    holders: Vec<Weak<RateLimit>>,
}

impl Limits {
    /// None is known yet.
    #[must_use]
    pub fn new() -> Self {
        Self {
            began: net::clock::now(),
            by_address: ArcSwap::default(),
            kept: Mutex::default(),
        }
    }

    /// The time, as buckets are told it.
    pub(super) fn now(&self) -> Duration {
        net::clock::now().saturating_duration_since(self.began)
    }

    /// What is kept of a limit.
    pub(super) fn of(&self, scope: Scope<'_>, limit: &Arc<RateLimit>) -> Arc<Counted> {
        let address = Arc::as_ptr(limit).addr();
        if let Some(known) = self.by_address.load().get(&address) {
            return Arc::clone(&known.counted);
        }
        let now = self.now();
        let mut kept = self.kept.lock();
        let mut by_address = PersistentMap::clone(&self.by_address.load());
        if let Some(known) = by_address.get(&address) {
            return Arc::clone(&known.counted);
        }
        // Twice as many as lived: each search is paid for by as many limits that are new.
        if by_address.len() > 2 * kept.alive.max(FEW) {
            forget_dead(&mut by_address);
            kept.forget_dead(now);
            kept.alive = by_address.len();
        }
        let counted = kept.counted(scope, limit, now);
        let known = Known {
            limit: Arc::downgrade(limit),
            counted: Arc::clone(&counted),
        };
        by_address.insert(address, known);
        self.by_address.store(Arc::new(by_address));
        counted
    }

    /// How often each limit was asked, in order of names; those of one name together.
    #[must_use]
    pub fn counts(&self) -> Vec<Counts> {
        let kept = self.kept.lock();
        let mut all: Vec<Counts> = Vec::new();
        for ((_, name), entries) in &kept.by_name {
            all.extend(entries.iter().map(|entry| entry.counted.counts(name)));
        }
        drop(kept);
        all.sort_by(|a, b| (&a.name, a.is_global).cmp(&(&b.name, b.is_global)));
        all.dedup_by(|later, first| {
            let same = (&first.name, first.is_global) == (&later.name, later.is_global);
            if same {
                first.ok += later.ok;
                first.limited += later.limited;
                first.enforced += later.enforced;
                first.error += later.error;
                first.failure_mode_allowed += later.failure_mode_allowed;
            }
            same
        });
        all
    }
}

fn forget_dead(by_address: &mut PersistentMap<usize, Known>) {
    let is_dead =
        |(address, known): (&usize, &Known)| (known.limit.strong_count() == 0).then_some(*address);
    let dead: Vec<usize> = by_address.iter().filter_map(is_dead).collect();
    for address in dead {
        by_address.remove(&address);
    }
}

impl Kept {
    /// That of the limit that it was before, or a new one.
    fn counted(&mut self, scope: Scope<'_>, limit: &Arc<RateLimit>, now: Duration) -> Arc<Counted> {
        let key = (scope.cloned(), limit.name.clone());
        let entries = self.by_name.entry(key).or_default();
        let holder = Arc::downgrade(limit);
        if let Some(entry) = entries.iter_mut().find(|it| it.counted.is_of(limit)) {
            entry.holders.retain(|it| it.strong_count() > 0);
            entry.holders.push(holder);
            return Arc::clone(&entry.counted);
        }
        let counted = Arc::new(Counted::new(limit, now));
        entries.push(Entry {
            counted: Arc::clone(&counted),
            holders: vec![holder],
        });
        counted
    }

    /// Forgets what no snapshot has, once its tokens are back.
    fn forget_dead(&mut self, now: Duration) {
        let mut gone = 0_usize;
        self.by_name.retain(|_, entries| {
            entries.retain(|entry| {
                if entry.holders.iter().any(|it| it.strong_count() > 0) {
                    return true;
                }
                gone += 1;
                gone <= MAX_GONE && !entry.counted.is_unused(now)
            });
            !entries.is_empty()
        });
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Limits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.counts()).finish()
    }
}

#[cfg(test)]
mod tests;
