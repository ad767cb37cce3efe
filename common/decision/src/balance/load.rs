//! How requests spread over priorities.
//!
//! As Envoy: a priority can bear 1.4 times the share of its endpoints that are well, so that up to two in seven may be
//! missing before the next one is touched. Where all together cannot bear everything, each bears more in proportion,
//! and a priority where too few are well takes all of its endpoints ("panic"). Where all are in panic, requests spread
//! by the number of endpoints.

/// How much more than its share an endpoint can bear. Source: Envoy's default `overprovisioning_factor`. Units: per cent.
const OVERPROVISIONING: u64 = 140;

/// The endpoints of one priority.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// How many there are.
    pub all: usize,
    /// How many of them are well.
    pub available: usize,
}

/// The part of all requests that each priority is given.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Load {
    counts: Vec<Count>,
    /// Units: per cent, 100 together.
    percent: Vec<u64>,
    panic: Vec<bool>,
}

impl Load {
    /// Spreads requests over priorities, the best first.
    #[must_use]
    pub fn new(counts: Vec<Count>, panic_percent: u8) -> Self {
        let mut load = Self {
            panic: vec![false; counts.len()],
            percent: spread(&counts, |_| false),
            counts,
        };
        let total = total_health(&load.counts);
        let threshold = u64::from(panic_percent.min(100));
        if threshold == 0 || total >= 100 {
            return load;
        }
        for (panic, count) in load.panic.iter_mut().zip(&load.counts) {
            // In panic if available / all is less than the threshold; a priority without endpoints is.
            let (available, all) = (wide(count.available), wide(count.all));
            *panic = all == 0 || available * 100 < threshold * all;
        }
        if load.panic.iter().all(|panic| *panic) {
            load.percent = by_number(&load.counts);
        }
        load
    }

    /// The priority that a uniform number, or a hash, falls into.
    #[must_use]
    pub fn priority(&self, hash: u64) -> usize {
        priority(&self.percent, hash)
    }

    /// Whether all endpoints of a priority count as well.
    #[must_use]
    pub fn is_panic(&self, priority: usize) -> bool {
        self.panic.get(priority).copied().unwrap_or(false)
    }

    /// Whether that holds of any priority.
    #[must_use]
    pub fn has_panic(&self) -> bool {
        self.panic.contains(&true)
    }

    /// The part of each priority. Units: per cent, 100 together.
    #[must_use]
    pub fn percent(&self) -> &[u64] {
        &self.percent
    }

    /// The same without some priorities, unless nothing would be left that can bear anything.
    pub(super) fn without(&self, left_out: impl Fn(usize) -> bool) -> Remaining {
        let rest = spread(&self.counts, left_out);
        Remaining(if rest.iter().sum::<u64>() == 100 {
            rest
        } else {
            self.percent.clone()
        })
    }
}

/// The parts of priorities, some of which were left out.
pub(super) struct Remaining(Vec<u64>);

impl Remaining {
    pub(super) fn priority(&self, hash: u64) -> usize {
        priority(&self.0, hash)
    }
}

/// The weight of a locality, as far as its endpoints can bear it.
pub(super) fn locality_weight(share: u32, available: usize, all: usize) -> u64 {
    // In millionths, so that a share of 1 may lose a part of itself.
    const UNIT: u64 = 1_000_000;
    let all = wide(all);
    let bears = wide(available) * OVERPROVISIONING * (UNIT / 100);
    let bears = bears.checked_div(all).unwrap_or(0).min(UNIT);
    u64::from(share) * bears
}

fn priority(percent: &[u64], hash: u64) -> usize {
    let at = hash % 100 + 1;
    let mut sum = 0;
    let reaches = |part: &u64| {
        sum += part;
        at <= sum
    };
    percent.iter().position(reaches).unwrap_or(0)
}

/// What a priority can bear. Units: per cent of everything.
fn health(count: Count) -> u64 {
    let bears = OVERPROVISIONING * wide(count.available);
    bears.checked_div(wide(count.all)).unwrap_or(0).min(100)
}

fn total_health(counts: &[Count]) -> u64 {
    let total: u64 = counts.iter().map(|count| health(*count)).sum();
    total.min(100)
}

/// By what priorities can bear; everything to the first where none can bear anything.
fn spread(counts: &[Count], left_out: impl Fn(usize) -> bool) -> Vec<u64> {
    let counted = |(priority, count): (usize, &Count)| {
        if left_out(priority) {
            Count::default()
        } else {
            *count
        }
    };
    let counts: Vec<Count> = counts.iter().enumerate().map(counted).collect();
    let total = total_health(&counts);
    if total == 0 {
        return everything_to_the_first(counts.len());
    }
    let mut left = 100;
    let part = |count: &Count| {
        let part = (health(*count) * 100 / total).min(left);
        left -= part;
        part
    };
    let mut percent: Vec<u64> = counts.iter().map(part).collect();
    // What rounding left over goes to the first that can bear something.
    let first = counts.iter().position(|count| health(*count) > 0);
    if let Some(part) = first.and_then(|first| percent.get_mut(first)) {
        *part += left;
    }
    percent
}

/// By how many endpoints there are, well or not.
fn by_number(counts: &[Count]) -> Vec<u64> {
    let total: u64 = counts.iter().map(|count| wide(count.all)).sum();
    if total == 0 {
        return everything_to_the_first(counts.len());
    }
    let part = |count: &Count| 100 * wide(count.all) / total;
    let mut percent: Vec<u64> = counts.iter().map(part).collect();
    let left = 100 - percent.iter().sum::<u64>();
    let first = counts.iter().position(|count| count.all > 0);
    if let Some(part) = first.and_then(|first| percent.get_mut(first)) {
        *part += left;
    }
    percent
}

fn everything_to_the_first(priorities: usize) -> Vec<u64> {
    let mut percent = vec![0; priorities];
    if let Some(first) = percent.first_mut() {
        *first = 100;
    }
    percent
}

fn wide(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
