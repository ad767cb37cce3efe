//! How often limits were asked, as a metric: `ambit_rate_limit_requests_total{limit,outcome}`.
//!
//! In: the counts of all limits, at each scrape. Out: samples. Never: a label that a client could make up: limits are called by the
//! configuration.

use std::{fmt, sync::Arc};

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric as _},
    metrics::{MetricType, counter::ConstCounter},
    registry::Registry,
};

use super::{Counts, Limits};

/// Adds the metric of the limits of this process.
pub fn register(registry: &mut Registry, limits: Arc<Limits>) {
    registry.register_collector(Box::new(Collected(limits)));
}

#[derive(Debug)]
struct Collected(Arc<Limits>);

impl Collector for Collected {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let all = self.0.counts();
        if all.is_empty() {
            return Ok(());
        }
        let mut family = encoder.encode_descriptor(
            "ambit_rate_limit_requests",
            "Requests that a rate limit was asked about, by what came of it",
            None,
            MetricType::Counter,
        )?;
        for counts in &all {
            for (outcome, count) in outcomes(counts) {
                let labels = [("limit", counts.name.as_str()), ("outcome", outcome)];
                let sample = family.encode_family(&labels)?;
                ConstCounter::new(count).encode(sample)?;
            }
        }
        Ok(())
    }
}

/// Each request once.
fn outcomes(counts: &Counts) -> [(&'static str, u64); 5] {
    [
        ("ok", counts.ok),
        ("refused", counts.enforced),
        // A share of `enforced`.
        ("over", counts.limited.saturating_sub(counts.enforced)),
        ("unanswered_passed", counts.failure_mode_allowed),
        (
            "unanswered_refused",
            counts.error.saturating_sub(counts.failure_mode_allowed),
        ),
    ]
}
