//! The metrics of a DNS proxy, and of names that are resolved for connections, as handles.

use std::{collections::HashSet, sync::Arc};

use mesh::{Hostname, Workload};
use parking_lot::Mutex;
use prometheus_client::{
    metrics::{counter::Counter, family::Family, histogram::Histogram},
    registry::Registry,
};

use super::labels::Resolved;

/// How many label sets of resolved names there are at most, beside the one in which those count that find no room.
const MAX_RESOLVED: usize = 1000;

/// Upper bounds of the buckets of upstream durations. Units: seconds. Source: Istio's agent.
const BUCKETS: [f64; 6] = [0.0005, 0.001, 0.01, 0.1, 1.0, 5.0];

/// What a DNS proxy counts. Cheap to clone; all clones count in the same place.
#[derive(Clone, Debug)]
pub struct Dns {
    /// Questions received: `istio_dns_requests_total`.
    pub requests: Counter,
    /// Questions passed on: `istio_dns_upstream_requests_total`.
    pub upstream_requests: Counter,
    /// Questions passed on that got no answer: `istio_dns_upstream_failures_total`.
    pub upstream_failures: Counter,
    /// How long answers to them took: `istio_dns_upstream_request_duration_seconds`.
    pub upstream_request_duration: Histogram,
    on_demand: Family<Resolved, Counter>,
    /// The label sets of `on_demand`.
    resolved: Arc<Mutex<HashSet<Resolved>>>,
}

impl Dns {
    pub(crate) fn register(registry: &mut Registry) -> Self {
        let dns = Self {
            requests: Counter::default(),
            upstream_requests: Counter::default(),
            upstream_failures: Counter::default(),
            upstream_request_duration: Histogram::new(BUCKETS),
            on_demand: Family::default(),
            resolved: Arc::default(),
        };
        registry.register(
            "istio_dns_requests",
            "DNS questions received",
            dns.requests.clone(),
        );
        registry.register(
            "istio_dns_upstream_requests",
            "DNS questions passed on",
            dns.upstream_requests.clone(),
        );
        registry.register(
            "istio_dns_upstream_failures",
            "DNS questions passed on that got no answer",
            dns.upstream_failures.clone(),
        );
        registry.register(
            "istio_dns_upstream_request_duration_seconds",
            "Seconds until the answer to a DNS question passed on",
            dns.upstream_request_duration.clone(),
        );
        registry.register(
            "istio_on_demand_dns",
            "Connections for which a name was resolved",
            dns.on_demand.clone(),
        );
        dns
    }

    /// Counts a connection of `source` to somebody who is known by name only: `istio_on_demand_dns_total`.
    pub fn resolved(&self, source: &Workload, hostname: &Hostname) {
        let labels = Resolved::of(source, hostname);
        let mut known = self.resolved.lock();
        let fits = known.contains(&labels) || known.len() < MAX_RESOLVED;
        let labels = if fits { labels } else { Resolved::overflow() };
        known.insert(labels.clone());
        drop(known);
        self.on_demand.get_or_create(&labels).inc();
    }
}

#[cfg(test)]
mod tests;
