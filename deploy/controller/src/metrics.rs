//! The controller's metrics, under the names that Istio's control plane uses (MT-10).

use std::sync::atomic::AtomicU64;

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::Registry,
};

/// Labels of pushes and rejects. **Shape**: the type URL's last part, as Istio shortens it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct TypeLabel {
    /// For example `istio.workload.Address`.
    pub r#type: &'static str,
}

/// Labels of configuration events.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct EventLabel {
    /// The kind of the object.
    pub r#type: &'static str,
    /// `put` or `delete`.
    pub event: &'static str,
}

/// Handles; clones share.
#[derive(Clone, Debug)]
pub struct Metrics {
    /// Streams that are open.
    pub xds: Gauge,
    /// Responses that were sent.
    pub pushes: Family<TypeLabel, Counter>,
    /// Responses that were refused.
    pub rejects: Family<TypeLabel, Counter>,
    /// Seconds from the publication of a change to its acknowledgement by a proxy.
    pub convergence: Histogram,
    /// Objects that came, changed or went.
    pub events: Family<EventLabel, Counter>,
    /// Signing requests.
    pub csr: Counter,
    /// Those that were signed.
    pub issued: Counter,
    /// Signing requests whose caller was not believed.
    pub authentication_failures: Counter,
    /// Bytes of resources that were sent.
    pub bytes: Counter<u64, AtomicU64>,
}

impl Metrics {
    /// Handles that are registered in `registry`.
    #[must_use]
    pub fn new(registry: &mut Registry) -> Self {
        let metrics = Self {
            xds: Gauge::default(),
            pushes: Family::default(),
            rejects: Family::default(),
            convergence: Histogram::new([0.001, 0.01, 0.1, 0.5, 1.0, 3.0, 5.0, 10.0, 30.0]),
            events: Family::default(),
            csr: Counter::default(),
            issued: Counter::default(),
            authentication_failures: Counter::default(),
            bytes: Counter::default(),
        };
        registry.register(
            "pilot_xds",
            "Proxies that are connected by xDS",
            metrics.xds.clone(),
        );
        registry.register(
            "pilot_xds_pushes",
            "xDS responses by type",
            metrics.pushes.clone(),
        );
        registry.register(
            "pilot_total_xds_rejects",
            "xDS responses that proxies refused",
            metrics.rejects.clone(),
        );
        registry.register(
            "pilot_proxy_convergence_time",
            "Seconds from a change to its acknowledgement by a proxy",
            metrics.convergence.clone(),
        );
        registry.register(
            "pilot_k8s_cfg_events",
            "Objects that came, changed or went",
            metrics.events.clone(),
        );
        registry.register(
            "citadel_server_csr_count",
            "Certificate signing requests",
            metrics.csr.clone(),
        );
        registry.register(
            "citadel_server_success_cert_issuance_count",
            "Certificates that were signed",
            metrics.issued.clone(),
        );
        registry.register(
            "citadel_server_authentication_failure_count",
            "Signing requests whose caller was not believed",
            metrics.authentication_failures.clone(),
        );
        registry.register(
            "ambit_xds_sent_bytes",
            "Bytes of resources sent by xDS",
            metrics.bytes.clone(),
        );
        metrics
    }
}
