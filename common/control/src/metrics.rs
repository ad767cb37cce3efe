//! What the parts of this process count about themselves, as metrics.
//!
//! In: the state of the xDS client and of the revocation lists, asked at each scrape. Out: samples.
//! Never: counts anything itself.

use std::{fmt, sync::Arc, time::UNIX_EPOCH};

use identity::CrlFile;
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric as _},
    metrics::{counter::ConstCounter, gauge::ConstGauge},
    registry::Registry,
};

use crate::xds::XdsStatus;

/// Adds the metrics of the xDS client. Names: Istio's ztunnel; `ambit_xds_age_seconds` is ours.
pub fn xds(registry: &mut Registry, status: XdsStatus) {
    registry.register_collector(Box::new(Xds(status)));
}

/// Adds the metrics of the revocation lists.
pub fn crl(registry: &mut Registry, file: Arc<CrlFile>) {
    registry.register_collector(Box::new(Crl(file)));
}

#[derive(Debug)]
struct Xds(XdsStatus);

impl Collector for Xds {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let state = self.0.state(net::clock::now());
        gauge(
            &mut encoder,
            "ambit_xds_age_seconds",
            "How long ago the control plane was last heard; 0 while it is connected",
            state.age_seconds,
        )?;
        let ends = &state.connection_terminations;
        let by_reason = [
            ("connection_error", ends.connection_error),
            ("error", ends.error),
            ("reconnect", ends.reconnect),
            ("complete", ends.complete),
        ];
        counters(
            &mut encoder,
            "istio_xds_connection_terminations",
            "How streams to the control plane ended",
            "reason",
            &by_reason,
        )?;
        let of = |count: fn(&crate::xds::TypeState) -> u64| {
            state
                .types
                .iter()
                .map(|it| (it.type_url.as_str(), count(it)))
                .collect::<Vec<_>>()
        };
        counters(
            &mut encoder,
            "istio_xds_message",
            "Messages of the control plane",
            "url",
            &of(|it| it.messages),
        )?;
        counters(
            &mut encoder,
            "istio_xds_message_bytes",
            "Their bytes",
            "url",
            &of(|it| it.message_bytes),
        )?;
        counters(
            &mut encoder,
            "ambit_xds_rejects",
            "Messages of which something was refused",
            "url",
            &of(|it| it.nacks),
        )
    }
}

#[derive(Debug)]
struct Crl(Arc<CrlFile>);

impl Collector for Crl {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let stats = self.0.stats();
        let loads = [("success", stats.loads), ("failure", stats.failures)];
        counters(
            &mut encoder,
            "istio_crl_reloads",
            "How often the revocation lists were read",
            "result",
            &loads,
        )?;
        counter(
            &mut encoder,
            "istio_crl_refused_handshakes",
            "Handshakes that were refused because of a list",
            stats.refused,
        )?;
        let counts = [
            ("istio_crl_lists", "Lists in use", stats.lists),
            (
                "istio_crl_revoked_certificates",
                "Certificates on them",
                stats.entries,
            ),
            (
                "istio_crl_overdue_lists",
                "Lists whose next update is overdue",
                stats.overdue,
            ),
        ];
        for (name, help, count) in counts {
            gauge(
                &mut encoder,
                name,
                help,
                u64::try_from(count).unwrap_or(u64::MAX),
            )?;
        }
        let loaded = stats
            .loaded_at
            .and_then(|at| at.duration_since(UNIX_EPOCH).ok());
        gauge(
            &mut encoder,
            "istio_crl_loaded_timestamp_seconds",
            "When the lists in use were read",
            loaded.map_or(0, |at| at.as_secs()),
        )
    }
}

fn gauge(encoder: &mut DescriptorEncoder<'_>, name: &str, help: &str, value: u64) -> fmt::Result {
    let metric = ConstGauge::new(i64::try_from(value).unwrap_or(i64::MAX));
    metric.encode(encoder.encode_descriptor(name, help, None, metric.metric_type())?)
}

fn counter(encoder: &mut DescriptorEncoder<'_>, name: &str, help: &str, value: u64) -> fmt::Result {
    let metric = ConstCounter::new(value);
    metric.encode(encoder.encode_descriptor(name, help, None, metric.metric_type())?)
}

fn counters(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    label: &str,
    values: &[(&str, u64)],
) -> fmt::Result {
    let mut family = encoder.encode_descriptor(
        name,
        help,
        None,
        prometheus_client::metrics::MetricType::Counter,
    )?;
    for (text, value) in values {
        let metric = ConstCounter::new(*value);
        metric.encode(family.encode_family(&[(label, *text)])?)?;
    }
    Ok(())
}
