//! Shows HTTP metrics and the statistics of clusters to the encoder.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use prometheus_client::{collector::Collector, encoding::DescriptorEncoder, metrics::MetricType};

use super::{
    RequestProtocol,
    histogram::Histogram,
    labels::{Ended, Running},
    outcomes::{Cell, Requests},
    series::Shared,
};
use crate::{
    event::{Direction, Security},
    metrics::{collector::count, labels::Labels, series::Series},
};

/// The collector of layer 7.
#[derive(Debug)]
pub(super) struct Collected(pub(super) Arc<Shared>);

/// A name, its help, and where the counters of an outcome keep it.
type Distribution = (&'static str, &'static str, fn(&Cell) -> &Histogram);

const DISTRIBUTIONS: [Distribution; 3] = [
    (
        "istio_request_duration_milliseconds",
        "How long requests took, in milliseconds",
        |cell| &cell.duration,
    ),
    (
        "istio_request_bytes",
        "Sizes of the bodies of requests, in bytes",
        |cell| &cell.request_bytes,
    ),
    (
        "istio_response_bytes",
        "Sizes of the bodies of responses, in bytes",
        |cell| &cell.response_bytes,
    ),
];

/// The name without `_total`, its help, and where a label set keeps it.
type Messages = (&'static str, &'static str, fn(&Requests) -> &AtomicU64);

const MESSAGES: [Messages; 2] = [
    (
        "istio_request_messages",
        "Messages of gRPC from clients",
        |requests| &requests.request_messages,
    ),
    (
        "istio_response_messages",
        "Messages of gRPC to clients",
        |requests| &requests.response_messages,
    ),
];

impl Collector for Collected {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let all = self.0.store.all();
        let rest = Labels::overflow(Direction::Through, Security::Unknown, RequestProtocol::Http);
        let rest = Ended {
            labels: &rest,
            outcome: None,
        };
        let ended = |metric: &mut dyn FnMut(Ended<'_>, &Cell) -> fmt::Result| {
            for series in &all {
                each(series, metric)?;
            }
            let cell = &self.0.budget.rest;
            if cell.duration.count() == 0 {
                return Ok(());
            }
            metric(rest, cell)
        };

        let mut metric =
            encoder.encode_descriptor("istio_requests", "Requests", None, MetricType::Counter)?;
        ended(&mut |labels, cell| count(&mut metric, &labels, cell.duration.count()))?;
        for (name, help, histogram) in DISTRIBUTIONS {
            let mut metric = encoder.encode_descriptor(name, help, None, MetricType::Histogram)?;
            ended(&mut |labels, cell| histogram(cell).encode(&mut metric, &labels))?;
        }
        for (name, help, counter) in MESSAGES {
            let mut metric = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
            for series in &all {
                match series.labels.protocol {
                    RequestProtocol::Grpc => {
                        let value = counter(&series.counters).load(Relaxed);
                        count(&mut metric, &Running(&series.labels), value)?;
                    }
                    RequestProtocol::Http | RequestProtocol::Tcp => {}
                }
            }
        }
        self.0.authorization.encode(&mut encoder)?;
        self.0.external.encode(&mut encoder)?;
        self.0.tokens.encode(&mut encoder)?;
        self.0.clusters.encode(&mut encoder)
    }
}

fn each(
    series: &Series<Requests>,
    metric: &mut dyn FnMut(Ended<'_>, &Cell) -> fmt::Result,
) -> fmt::Result {
    for (outcome, cell) in series.counters.outcomes() {
        // A place that was taken a moment ago, by a request that has not counted yet.
        if cell.duration.count() > 0 {
            let labels = Ended {
                labels: &series.labels,
                outcome: Some(outcome),
            };
            metric(labels, cell)?;
        }
    }
    Ok(())
}
