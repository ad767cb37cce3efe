//! Which connection or request counts in which series, and how long a series stays.
//!
//! In: between whom it is. Out: a [`Lease`] on its series.
//! Never: encodes, or lets a scrape hold up a connection: a scrape copies references under a shared lock.
//!
//! **Shape:** two maps. `cache` leads from facts (addresses of workloads, identities) to a series, so that a
//! connection like an earlier one neither builds nor hashes labels. `series` leads from labels to the series.
//! A series stays while a connection or a cached fact leads to it, and [`GRACE`] longer, so that scrapers see
//! its last value. Facts leave with their workloads ([`Store::forget`], or when a newer version replaced them).

use std::{
    cmp::Ordering,
    collections::{HashMap, HashSet},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use mesh::Uid;
use parking_lot::RwLock;

use super::{
    facts::{Key, Known, Parties},
    labels::Labels,
    series::{ByLabels, Counters, Lease, Series, Tcp},
};

/// How many kinds of connection are remembered. A node of 250 pods with 30 peers each has 7,500.
pub(crate) const MAX_CACHED: usize = 8192;

/// How many label sets there are at most, beside the overflow series (one per direction and security) in
/// which connections count that find no room. One takes about a kilobyte, and four times that in a scrape.
pub(crate) const MAX_SERIES: usize = 10_000;

/// How long a series that nothing leads to any more is still shown: several scrapes, also of a slow scraper.
pub(crate) const GRACE: Duration = Duration::from_secs(600);

/// How often a full store looks for room. It costs a walk over all series under the exclusive lock.
const SEARCH_INTERVAL: Duration = Duration::from_secs(1);

/// All series of a process.
#[derive(Debug)]
pub(crate) struct Store<C: Counters> {
    began: Instant,
    limits: Limits,
    common: C::Common,
    state: RwLock<State<C>>,
    evicted: AtomicU64,
}

/// The bounds of a store.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub(crate) cached: usize,
    pub(crate) series: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            cached: MAX_CACHED,
            series: MAX_SERIES,
        }
    }
}

#[derive(Debug)]
struct State<C> {
    cache: HashMap<Key, Entry<C>>,
    series: HashSet<ByLabels<C>>,
    searched: Option<u64>,
}

/// Where cached facts lead.
#[derive(Debug)]
struct Entry<C> {
    series: Arc<Series<C>>,
    used: AtomicU64,
}

impl<C> Entry<C> {
    fn new(series: &Arc<Series<C>>, used: u64) -> Self {
        series.entries.fetch_add(1, Relaxed);
        Self {
            series: Arc::clone(series),
            used: AtomicU64::new(used),
        }
    }
}

impl<C> Drop for Entry<C> {
    fn drop(&mut self) {
        self.series.entries.fetch_sub(1, Relaxed);
    }
}

impl Store<Tcp> {
    /// The store of connections.
    pub(crate) fn new(began: Instant, limits: Limits) -> Self {
        Self::counting(began, limits, ())
    }
}

impl<C: Counters> Store<C> {
    /// An empty store; `began` is when the process began.
    pub(crate) fn counting(began: Instant, limits: Limits, common: C::Common) -> Self {
        Self {
            began,
            limits,
            common,
            state: RwLock::new(State {
                cache: HashMap::new(),
                series: HashSet::new(),
                searched: None,
            }),
            evicted: AtomicU64::new(0),
        }
    }

    /// The series in which what is between `parties` counts, in use until the lease is dropped.
    pub(crate) fn lease<'a>(&self, parties: impl Into<Parties<'a>>, now: Instant) -> Lease<C> {
        self.lease_for(&parties.into(), now)
    }

    fn lease_for(&self, parties: &Parties<'_>, now: Instant) -> Lease<C> {
        let now = self.clock(now);
        let known: &dyn Known = parties;
        {
            let state = self.state.read();
            if let Some(entry) = state.cache.get(known) {
                entry.used.store(now, Relaxed);
                entry.series.used.store(now, Relaxed);
                return Lease::new(&entry.series);
            }
        }
        let labels = Labels::of(*parties);
        let mut state = self.state.write();
        // Another worker may have been faster.
        if let Some(entry) = state.cache.get(known) {
            return Lease::new(&entry.series);
        }
        let Some(series) = self.series(&mut state, labels, now) else {
            let Parties {
                direction,
                security,
                protocol,
                ..
            } = *parties;
            let overflow = Labels::overflow(direction, security, protocol);
            return Lease::new(&state.insert(overflow, &self.common));
        };
        series.used.store(now, Relaxed);
        self.make_room_in_cache(&mut state);
        state
            .cache
            .insert(Key::of(parties), Entry::new(&series, now));
        Lease::new(&series)
    }

    /// Notes that a series was used, when its connection ends.
    pub(crate) fn touch(&self, lease: &Lease<C>, now: Instant) {
        lease.series().used.fetch_max(self.clock(now), Relaxed);
    }

    /// As [`touch`](Self::touch), for what ends thousands of times a second: a second more or less is alike.
    pub(crate) fn touch_coarsely(&self, lease: &Lease<C>, now: Instant) {
        let now = self.clock(now);
        let used = &lease.series().used;
        if now.saturating_sub(used.load(Relaxed)) >= millis(Duration::from_secs(1)) {
            used.fetch_max(now, Relaxed);
        }
    }

    /// Drops what was remembered about workloads that left. Their series stay while connections are open,
    /// and [`GRACE`] longer.
    pub(crate) fn forget(&self, is_gone: impl Fn(&Uid) -> bool) {
        // The walk compares every key; only what it finds is removed under the exclusive lock.
        let found = self
            .state
            .read()
            .cache
            .keys()
            .any(|key| key.names(&is_gone));
        if found {
            self.state
                .write()
                .cache
                .retain(|key, _| !key.names(&is_gone));
        }
    }

    /// Removes series that nothing leads to any more, and facts of replaced versions.
    pub(crate) fn expire(&self, now: Instant) {
        let now = self.clock(now);
        let grace = millis(GRACE);
        let is_over = |series: &Series<C>| {
            !series.is_leased()
                && series.entries.load(Relaxed) == 0
                && now.saturating_sub(series.used.load(Relaxed)) > grace
        };
        let found = {
            let state = self.state.read();
            state.cache.keys().any(|key| !key.is_current())
                || state.series.iter().any(|found| is_over(&found.0))
        };
        if found {
            let mut state = self.state.write();
            state.cache.retain(|key, _| key.is_current());
            state.series.retain(|found| !is_over(&found.0));
        }
    }

    /// All series, in no order.
    pub(crate) fn all(&self) -> Vec<Arc<Series<C>>> {
        self.state
            .read()
            .series
            .iter()
            .map(|found| Arc::clone(&found.0))
            .collect()
    }

    /// How many series were given up for want of room, with their counts.
    pub(crate) fn evicted(&self) -> u64 {
        self.evicted.load(Relaxed)
    }

    /// Finds or makes the series of `labels`; `None` if there is no room.
    fn series(&self, state: &mut State<C>, labels: Labels, now: u64) -> Option<Arc<Series<C>>> {
        if let Some(found) = state.series.get(&labels) {
            return Some(Arc::clone(&found.0));
        }
        if state.series.len() >= self.limits.series && !self.make_room_in_series(state, now) {
            return None;
        }
        Some(state.insert(labels, &self.common))
    }

    fn make_room_in_cache(&self, state: &mut State<C>) {
        if state.cache.len() < self.limits.cached {
            return;
        }
        state.cache.retain(|key, _| key.is_current());
        let keep = self.limits.cached / 4 * 3;
        if state.cache.len() <= keep {
            return;
        }
        let surplus = state.cache.len() - keep;
        let mut used: Vec<u64> = state
            .cache
            .values()
            .map(|entry| entry.used.load(Relaxed))
            .collect();
        let (older, &mut newest_gone, _) = used.select_nth_unstable(surplus - 1);
        // Of those that were last used in the same moment as the newest to go, only as many as must.
        let mut ties = 1 + older.iter().filter(|used| **used == newest_gone).count();
        state.cache.retain(
            |_, entry| match entry.used.load(Relaxed).cmp(&newest_gone) {
                Ordering::Less => false,
                Ordering::Equal if ties > 0 => {
                    ties -= 1;
                    false
                }
                Ordering::Equal | Ordering::Greater => true,
            },
        );
    }

    /// Gives up the least recently used quarter of the series that no connection holds.
    fn make_room_in_series(&self, state: &mut State<C>, now: u64) -> bool {
        let interval = millis(SEARCH_INTERVAL);
        if state
            .searched
            .is_some_and(|searched| now.saturating_sub(searched) < interval)
        {
            return false;
        }
        // One search a second at most: opening stays cheap while every series has open connections.
        state.searched = Some(now);
        let mut idle: Vec<(u64, &ByLabels<C>)> = state
            .series
            .iter()
            .filter(|found| !found.0.is_leased())
            .map(|found| (found.0.used.load(Relaxed), found))
            .collect();
        if idle.is_empty() {
            return false;
        }
        let surplus = (self.limits.series / 4).clamp(1, idle.len());
        idle.sort_unstable_by_key(|(used, _)| *used);
        let gone: HashSet<usize> = idle
            .iter()
            .take(surplus)
            .map(|(_, found)| Arc::as_ptr(&found.0).addr())
            .collect();
        let is_gone = |series: &Arc<Series<C>>| gone.contains(&Arc::as_ptr(series).addr());
        state.cache.retain(|_, entry| !is_gone(&entry.series));
        state.series.retain(|found| !is_gone(&found.0));
        self.evicted.fetch_add(gone.len() as u64, Relaxed);
        true
    }

    fn clock(&self, now: Instant) -> u64 {
        millis(now.saturating_duration_since(self.began))
    }
}

impl<C: Counters> State<C> {
    fn insert(&mut self, labels: Labels, common: &C::Common) -> Arc<Series<C>> {
        if let Some(found) = self.series.get(&labels) {
            return Arc::clone(&found.0);
        }
        let series = Arc::new(Series::new(labels, C::new(common)));
        self.series.insert(ByLabels(Arc::clone(&series)));
        series
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
