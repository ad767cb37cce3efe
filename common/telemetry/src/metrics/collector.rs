//! Shows the series of connections, and what was lost, to the encoder.

use std::{
    fmt,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeLabelSet, MetricEncoder, NoLabelSet},
    metrics::MetricType,
};

use super::{
    series::{Series, Tcp},
    store::Store,
};
use crate::{
    event::Flag,
    http::Http,
    logging::{Scope, queue::Queue},
};

/// The collector of [`Store`] and of the log's losses.
#[derive(Debug)]
pub(crate) struct Connections {
    pub(crate) store: Arc<Store<Tcp>>,
    pub(crate) http: Arc<OnceLock<Http>>,
    pub(crate) queue: Arc<Queue>,
}

/// The name without `_total`, the help and where a series keeps it.
type Plain = (&'static str, &'static str, fn(&Tcp) -> &AtomicU64);

const PLAIN: [Plain; 3] = [
    (
        "istio_tcp_connections_opened",
        "TCP connections opened",
        |tcp| &tcp.opened,
    ),
    (
        "istio_tcp_received_bytes",
        "Bytes received from the initiators of TCP connections",
        |tcp| &tcp.received,
    ),
    (
        "istio_tcp_sent_bytes",
        "Bytes sent to the initiators of TCP connections",
        |tcp| &tcp.sent,
    ),
];

impl Collector for Connections {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let all = self.store.all();
        for (name, help, counter) in PLAIN {
            let mut metric = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
            // A series of connections that were all refused early has never been opened.
            let opened = |series: &&Arc<Series<Tcp>>| series.counters.opened.load(Relaxed) > 0;
            for series in all.iter().filter(opened) {
                count(
                    &mut metric,
                    &series.labels.with(Flag::None),
                    counter(&series.counters).load(Relaxed),
                )?;
            }
        }
        let mut metric = encoder.encode_descriptor(
            "istio_tcp_connections_closed",
            "TCP connections closed",
            None,
            MetricType::Counter,
        )?;
        by_flag(&mut metric, &all, |tcp| &tcp.closed)?;
        let help = "TCP connections that failed or were refused";
        let mut metric = encoder.encode_descriptor(
            "istio_tcp_connections_failed",
            help,
            None,
            MetricType::Counter,
        )?;
        by_flag(&mut metric, &all, |tcp| &tcp.failed)?;

        let evicted = self.store.evicted() + self.http.get().map_or(0, Http::evicted);
        let help = "Series given up for want of room, with their counts";
        let mut metric =
            encoder.encode_descriptor("ambit_series_evicted", help, None, MetricType::Counter)?;
        metric.encode_counter::<NoLabelSet, u64, f64>(&evicted, None)?;
        let help = "Log lines lost because they were written faster than they could be taken";
        let mut metric = encoder.encode_descriptor(
            "ambit_log_lines_dropped",
            help,
            None,
            MetricType::Counter,
        )?;
        for scope in Scope::ALL {
            count(
                &mut metric,
                &[("scope", scope.as_str())],
                self.queue.dropped(scope),
            )?;
        }
        Ok(())
    }
}

fn by_flag(
    metric: &mut MetricEncoder<'_>,
    all: &[Arc<Series<Tcp>>],
    counters: fn(&Tcp) -> &super::series::ByFlag,
) -> fmt::Result {
    for series in all {
        for (flag, counter) in Flag::ALL.iter().zip(counters(&series.counters)) {
            let value = counter.load(Relaxed);
            if value > 0 {
                count(metric, &series.labels.with(*flag), value)?;
            }
        }
    }
    Ok(())
}

pub(crate) fn count(
    metric: &mut MetricEncoder<'_>,
    labels: &impl EncodeLabelSet,
    value: u64,
) -> fmt::Result {
    metric
        .encode_family(labels)?
        .encode_counter::<NoLabelSet, u64, f64>(&value, None)
}
