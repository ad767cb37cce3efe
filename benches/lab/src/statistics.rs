//! Few numbers out of many: medians and ranges over blocks, percentiles over samples.

use serde::Serialize;

/// The middle and the ends of a figure over its blocks.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(crate) struct Spread {
    /// The middle value; of an even number of values the mean of the middle two.
    pub(crate) median: f64,
    /// The smallest.
    pub(crate) min: f64,
    /// The largest.
    pub(crate) max: f64,
}

impl Spread {
    /// The spread of some values; `None` when there is none, or one is no number.
    pub(crate) fn of(values: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut values: Vec<f64> = values.into_iter().collect();
        if values.iter().any(|value| !value.is_finite()) {
            return None;
        }
        values.sort_by(f64::total_cmp);
        let (&min, &max) = (values.first()?, values.last()?);
        let (low, high) = (values[(values.len() - 1) / 2], values[values.len() / 2]);
        Some(Self {
            median: f64::midpoint(low, high),
            min,
            max,
        })
    }

    /// One subject over another: the median is the ratio of the medians, the ends are those of the
    /// ratios block by block, which share their minute. `None` without a pair or when a divisor is 0.
    pub(crate) fn of_ratios(over: &[f64], under: &[f64]) -> Option<Self> {
        let pairs = Self::of(over.iter().zip(under).map(|(over, under)| over / under))?;
        let median =
            Self::of(over.iter().copied())?.median / Self::of(under.iter().copied())?.median;
        median.is_finite().then_some(Self { median, ..pairs })
    }

    /// What one subject adds to a base over what another adds, of medians and of blocks as in [`Spread::of_ratios`]. `None`
    /// when the other adds nothing: there is no share of that.
    pub(crate) fn of_added(over: &[f64], under: &[f64], base: &[f64]) -> Option<Self> {
        let added = |values: &[f64]| -> Vec<f64> {
            let pairs = values.iter().zip(base);
            pairs.map(|(value, base)| value - base).collect()
        };
        let median = |values: &[f64]| Some(Self::of(values.iter().copied())?.median);
        let (over_base, under_base) = (
            median(over)? - median(base)?,
            median(under)? - median(base)?,
        );
        let pairs = Self::of_ratios(&added(over), &added(under))?;
        (under_base > 0.0).then_some(Self {
            median: over_base / under_base,
            ..pairs
        })
    }
}

/// The smallest sample that at least `per_thousand` of a thousand samples do not exceed (nearest rank);
/// `None` without samples. Sorts the samples partly.
pub(crate) fn percentile(samples: &mut [u32], per_thousand: usize) -> Option<u32> {
    let rank = (samples.len() * per_thousand.min(1000)).div_ceil(1000);
    let index = rank.max(1) - 1;
    (index < samples.len()).then(|| *samples.select_nth_unstable(index).1)
}

#[cfg(test)]
mod tests;
