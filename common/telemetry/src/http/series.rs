//! Which request counts in which series.
//!
//! In: between whom requests are, once per pair and service. Out: a [`RequestSeries`] that counts each of them without
//! a lock or a hash.
//! Never: decides how long a series stays; that is the store's, which connections have as well.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Instant,
};

use prometheus_client::registry::Registry;

use super::{
    Parties, Record,
    authorization::Authorization,
    clusters::{ClusterStats, Clusters},
    collector::Collected,
    external::External,
    outcomes::{Budget, MAX_ALL_OUTCOMES, Outcome, Requests},
    tokens::Tokens,
};
use crate::metrics::{
    series::Lease,
    store::{Limits, MAX_CACHED, Store},
};

/// How many label sets of requests there are at most, beside those in which the rest is counted. One takes about a
/// kilobyte, and each way in which its requests end half a kilobyte more.
pub(crate) const MAX_SERIES: usize = 2_000;

/// Where requests are counted. Cheap to clone; all clones count in the same place.
#[derive(Clone, Debug)]
pub struct Http(Arc<Shared>);

#[derive(Debug)]
pub(super) struct Shared {
    pub(super) store: Store<Requests>,
    pub(super) budget: Arc<Budget>,
    pub(super) clusters: Clusters,
    pub(super) authorization: Authorization,
    pub(super) external: External,
    pub(super) tokens: Tokens,
    /// How often workloads have left, so that handles that are kept notice.
    departures: AtomicU64,
}

impl Http {
    pub(crate) fn new(began: Instant) -> Self {
        let limits = Limits {
            cached: MAX_CACHED,
            series: MAX_SERIES,
        };
        Self::with_limits(began, limits, MAX_ALL_OUTCOMES)
    }

    pub(crate) fn with_limits(began: Instant, limits: Limits, outcomes: u64) -> Self {
        let budget = Arc::new(Budget::new(outcomes));
        Self(Arc::new(Shared {
            store: Store::counting(began, limits, Arc::clone(&budget)),
            budget,
            clusters: Clusters::default(),
            authorization: Authorization::default(),
            external: External::default(),
            tokens: Tokens::default(),
            departures: AtomicU64::new(0),
        }))
    }

    pub(crate) fn register(&self, registry: &mut Registry) {
        registry.register_collector(Box::new(Collected(Arc::clone(&self.0))));
    }

    /// The series of requests between `parties`: a shared lock and a hash of a few addresses where it is known, so
    /// not for every request (see [`SeriesCache`](super::SeriesCache)).
    #[must_use]
    pub fn series(&self, parties: &Parties<'_>, now: Instant) -> RequestSeries {
        RequestSeries(Arc::new(Held {
            lease: self.0.store.lease(*parties, now),
            http: Arc::clone(&self.0),
        }))
    }

    /// The statistics of a backend, for example `inbound-vip|80|http|reviews.default.svc.cluster.local;`. Whoever asks
    /// for a name that is in use gets the same ones, so a new configuration goes on counting.
    #[must_use]
    pub fn cluster(&self, name: &str) -> Arc<ClusterStats> {
        self.0.clusters.of(name)
    }

    /// What policies have said.
    #[must_use]
    pub fn authorization(&self) -> &Authorization {
        &self.0.authorization
    }

    /// What external authorizers have said.
    #[must_use]
    pub fn external(&self) -> &External {
        &self.0.external
    }

    /// What became of tokens.
    #[must_use]
    pub fn tokens(&self) -> &Tokens {
        &self.0.tokens
    }

    pub(crate) fn forget_workloads(&self, is_gone: impl Fn(&mesh::Uid) -> bool) {
        self.0.store.forget(is_gone);
        self.0.departures.fetch_add(1, Relaxed);
    }

    pub(crate) fn expire(&self, now: Instant) {
        self.0.store.expire(now);
    }

    pub(crate) fn evicted(&self) -> u64 {
        self.0.store.evicted()
    }

    pub(super) fn departures(&self) -> u64 {
        self.0.departures.load(Relaxed)
    }

    #[cfg(test)]
    pub(super) fn shown(&self) -> usize {
        self.0.store.all().len()
    }
}

/// The series in which all requests between the same parties count. While it lives, the series is shown. A clone
/// counts a reference of its own cache's, so that workers do not meet in it.
#[derive(Clone, Debug)]
pub struct RequestSeries(Arc<Held>);

#[derive(Debug)]
struct Held {
    lease: Lease<Requests>,
    http: Arc<Shared>,
}

impl RequestSeries {
    /// Counts a request that has ended, by the record that its log line is made of. Six atomic additions.
    pub fn ended(&self, record: &Record<'_>) {
        let Held { lease, http } = &*self.0;
        lease.counters().cell(Outcome::of(record)).count(record);
        http.store.touch_coarsely(lease, record.times.ended);
    }

    /// Counts messages of gRPC from the client, while the call runs.
    pub fn add_request_messages(&self, messages: u64) {
        self.0
            .lease
            .counters()
            .request_messages
            .fetch_add(messages, Relaxed);
    }

    /// Counts messages of gRPC to the client, while the call runs.
    pub fn add_response_messages(&self, messages: u64) {
        self.0
            .lease
            .counters()
            .response_messages
            .fetch_add(messages, Relaxed);
    }

    #[cfg(test)]
    pub(super) fn is_same(&self, other: &Self) -> bool {
        std::ptr::eq(self.0.lease.series(), other.0.lease.series())
    }
}

#[cfg(test)]
mod tests;
