//! Histograms with Envoy's buckets.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use prometheus_client::encoding::{EncodeLabelSet, MetricEncoder, NoLabelSet};

/// The upper bounds of all histograms, inclusive; one more bucket holds what is above them.
///
/// **Source:** Envoy's default buckets, which Istio keeps for durations (milliseconds) and for sizes (bytes).
pub(crate) const BOUNDS: [f64; 19] = [
    0.5,
    1.0,
    5.0,
    10.0,
    25.0,
    50.0,
    100.0,
    250.0,
    500.0,
    1_000.0,
    2_500.0,
    5_000.0,
    10_000.0,
    30_000.0,
    60_000.0,
    300_000.0,
    600_000.0,
    1_800_000.0,
    3_600_000.0,
];

/// The bounds in thousandths, so that observing compares whole numbers.
const BOUNDS_MILLI: [u64; BOUNDS.len()] = [
    500,
    1_000,
    5_000,
    10_000,
    25_000,
    50_000,
    100_000,
    250_000,
    500_000,
    1_000_000,
    2_500_000,
    5_000_000,
    10_000_000,
    30_000_000,
    60_000_000,
    300_000_000,
    600_000_000,
    1_800_000_000,
    3_600_000_000,
];

/// A histogram whose observations are in thousandths of the unit that it shows: microseconds for milliseconds.
#[derive(Debug)]
pub(crate) struct Histogram {
    buckets: [AtomicU64; BOUNDS.len() + 1],
    sum_milli: AtomicU64,
}

impl Histogram {
    pub(crate) const fn new() -> Self {
        Self {
            buckets: [const { AtomicU64::new(0) }; BOUNDS.len() + 1],
            sum_milli: AtomicU64::new(0),
        }
    }

    /// Counts one observation.
    pub(crate) fn observe_milli(&self, value: u64) {
        let place = BOUNDS_MILLI.partition_point(|bound| *bound < value);
        if let Some(bucket) = self.buckets.get(place) {
            bucket.fetch_add(1, Relaxed);
        }
        self.sum_milli.fetch_add(value, Relaxed);
    }

    /// How many observations there were.
    pub(crate) fn count(&self) -> u64 {
        self.buckets.iter().map(|bucket| bucket.load(Relaxed)).sum()
    }

    /// Encodes it under `labels`. Buckets and count agree; the sum may be a moment older or newer.
    pub(crate) fn encode(
        &self,
        metric: &mut MetricEncoder<'_>,
        labels: &impl EncodeLabelSet,
    ) -> std::fmt::Result {
        let bounds = BOUNDS.into_iter().chain([f64::INFINITY]);
        let mut buckets = [(0.0, 0); BOUNDS.len() + 1];
        for ((place, bound), bucket) in buckets.iter_mut().zip(bounds).zip(&self.buckets) {
            *place = (bound, bucket.load(Relaxed));
        }
        let count = buckets.iter().map(|(_, count)| count).sum();
        metric
            .encode_family(labels)?
            .encode_histogram::<NoLabelSet>(self.sum(), count, &buckets, None)
    }

    #[expect(
        clippy::cast_precision_loss,
        reason = "a sum above 2^53 thousandths loses what is below a thousandth of a millionth of it"
    )]
    fn sum(&self) -> f64 {
        self.sum_milli.load(Relaxed) as f64 / 1000.0
    }
}
