//! The metrics of a DNS proxy, as handles.

use prometheus_client::{
    metrics::{counter::Counter, histogram::Histogram},
    registry::Registry,
};

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
}

impl Dns {
    pub(crate) fn register(registry: &mut Registry) -> Self {
        let dns = Self {
            requests: Counter::default(),
            upstream_requests: Counter::default(),
            upstream_failures: Counter::default(),
            upstream_request_duration: Histogram::new(BUCKETS),
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
        dns
    }
}
