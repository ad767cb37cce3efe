//! Few numbers out of many.

/// The smallest value that at least `per_hundred` of a hundred do not exceed (nearest rank); `None` without values.
pub(crate) fn percentile(values: &[f64], per_hundred: usize) -> Option<f64> {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    let rank = (values.len() * per_hundred.min(100)).div_ceil(100);
    values.get(rank.max(1) - 1).copied()
}

#[cfg(test)]
mod tests;
