//! One endpoint out of those that are alike.
//!
//! `LEAST_REQUEST` draws two by weight and takes the one with fewer requests for its weight. With equal weights that is
//! Envoy's own; with unequal ones Envoy keeps a schedule by `weight / (active + 1)` for each worker, which this
//! matches in the share that everyone gets and beats in looking at the load at the moment of the choice.
//! `ROUND_ROBIN` walks a schedule that was written down once. `RANDOM` draws by weight, where Envoy ignores weights.

use std::{
    cmp::Ordering,
    sync::atomic::{AtomicU64, Ordering as Memory},
};

use mesh::{backend::HashTable, endpoints::scale};

use super::View;
use crate::hash::{Place, maglev::Maglev, ring::Ring};

/// How often another endpoint is drawn because one is still warming up, or was tried. Reason: with one that has a tenth
/// of its share among ten, one in 10^8 choices would go on; after it, what was drawn last is taken, or what was not tried.
const MAX_DRAWS: u32 = 8;
/// How long a schedule of turns may be. Reason: shares are then true to 1 in 16,384, and it takes 64 KiB at most,
/// beside one turn for each endpoint.
const MAX_SCHEDULE: u64 = 16_384;

/// Endpoints that are alike, and how one is chosen.
#[derive(Debug)]
pub(super) struct Pool {
    /// **Shape:** indices of the balancer's endpoints.
    hosts: Box<[usize]>,
    method: Method,
}

/// How one is chosen. Results are positions in the pool.
#[derive(Debug)]
pub(super) enum Method {
    Least(Draw),
    Random(Draw),
    Turns { schedule: Schedule, turn: AtomicU64 },
    Ring(Ring),
    Maglev(Maglev),
}

/// What a choice depends on.
pub(super) struct Choice<'a, V> {
    pub(super) view: &'a V,
    pub(super) warms: bool,
    /// Always there where endpoints are chosen by it.
    pub(super) hash: Option<u64>,
    pub(super) tried: &'a [usize],
}

impl Method {
    pub(super) fn least(weights: &[u64]) -> Self {
        Self::Least(Draw::new(weights))
    }

    pub(super) fn drawn(weights: &[u64]) -> Self {
        Self::Random(Draw::new(weights))
    }

    pub(super) fn turns(weights: &[u64], start: u64) -> Self {
        Self::Turns {
            schedule: Schedule::new(weights),
            turn: AtomicU64::new(start),
        }
    }

    pub(super) fn hashed(places: &[Place<'_>], table: HashTable) -> Self {
        match table {
            HashTable::Ring { minimum_size } => Self::Ring(Ring::new(places, minimum_size)),
            HashTable::Maglev { table_size } => Self::Maglev(Maglev::new(places, table_size)),
        }
    }
}

impl Pool {
    pub(super) fn new(hosts: Vec<usize>, method: Method) -> Self {
        Self {
            hosts: hosts.into(),
            method,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.hosts.len()
    }

    pub(super) fn pick<V: View>(
        &self,
        choice: &Choice<'_, V>,
        random: &mut impl FnMut() -> u64,
    ) -> Option<usize> {
        if let [only] = &*self.hosts {
            return Some(*only);
        }
        let mut last = None;
        for attempt in 0..MAX_DRAWS {
            let host = self.once(choice, attempt, random)?;
            if !choice.tried.contains(&host) {
                return Some(host);
            }
            last = Some(host);
        }
        // So few are left that drawing does not find them.
        self.untried(choice.tried, random()).or(last)
    }

    /// The first that was not tried, from a random one on.
    fn untried(&self, tried: &[usize], random: u64) -> Option<usize> {
        let start = below(random, self.hosts.len())?;
        let (before, after) = self.hosts.split_at_checked(start)?;
        let mut all = after.iter().chain(before);
        all.find(|host| !tried.contains(host)).copied()
    }

    fn once<V: View>(
        &self,
        choice: &Choice<'_, V>,
        attempt: u32,
        random: &mut impl FnMut() -> u64,
    ) -> Option<usize> {
        let hash = choice.hash.unwrap_or(0);
        let position = match &self.method {
            Method::Ring(ring) => ring.find(hash, u64::from(attempt))?,
            Method::Maglev(maglev) => maglev.find(hash, u64::from(attempt))?,
            Method::Random(draw) => draw.one(random())?,
            Method::Turns { schedule, turn } => {
                let next = || schedule.at(turn.fetch_add(1, Memory::Relaxed));
                return self.warm(choice, random, |_| next());
            }
            Method::Least(draw) => {
                let one = self.warm(choice, random, |random| draw.one(random()))?;
                let other = self.warm(choice, random, |random| draw.one(random()))?;
                return Some(self.less(choice.view, draw, one, other));
            }
        };
        self.hosts.get(position).copied()
    }

    /// One that `draw` yields, each with the probability of its warmth.
    fn warm<V: View, R: FnMut() -> u64>(
        &self,
        choice: &Choice<'_, V>,
        random: &mut R,
        draw: impl Fn(&mut R) -> Option<usize>,
    ) -> Option<usize> {
        let mut draws = 0;
        loop {
            let host = *self.hosts.get(draw(random)?)?;
            draws += 1;
            if !choice.warms || draws == MAX_DRAWS {
                return Some(host);
            }
            let warmth = choice.view.warmth(host);
            if warmth >= 1.0 || fraction(random()) < warmth {
                return Some(host);
            }
        }
    }

    /// The one with fewer requests for its weight; the first where both have as many.
    fn less(&self, view: &impl View, draw: &Draw, one: usize, other: usize) -> usize {
        if one == other {
            return one;
        }
        let load = |host: usize, against: usize| {
            u128::from(view.active(host)) * u128::from(draw.weight(&self.hosts, against))
        };
        match load(one, other).cmp(&load(other, one)) {
            Ordering::Less | Ordering::Equal => one,
            Ordering::Greater => other,
        }
    }
}

/// Draws positions by weight.
#[derive(Debug)]
pub(super) enum Draw {
    /// So many of equal weight.
    Even(usize),
    /// **Shape:** `hosts` of the pool are sorted, so a host's position is found by its index.
    Weighted(Weighted),
}

impl Draw {
    fn new(weights: &[u64]) -> Self {
        match weights.first() {
            Some(first) if weights.iter().any(|weight| weight != first) => {
                Self::Weighted(Weighted::new(weights.iter().copied()))
            }
            Some(_) | None => Self::Even(weights.len()),
        }
    }

    fn one(&self, random: u64) -> Option<usize> {
        match self {
            Self::Even(count) => below(random, *count),
            Self::Weighted(weighted) => weighted.draw(random),
        }
    }

    fn weight(&self, hosts: &[usize], host: usize) -> u64 {
        match self {
            Self::Even(_) => 1,
            Self::Weighted(weighted) => hosts
                .binary_search(&host)
                .map_or(0, |position| weighted.weight(position)),
        }
    }
}

/// Draws positions by weight in O(log n).
#[derive(Debug)]
pub(super) struct Weighted {
    /// The sum of weights up to and with each position.
    sums: Box<[u64]>,
}

impl Weighted {
    pub(super) fn new(weights: impl Iterator<Item = u64>) -> Self {
        let mut sum: u64 = 0;
        let add = |weight| {
            sum = sum.saturating_add(weight);
            sum
        };
        Self {
            sums: weights.map(add).collect(),
        }
    }

    pub(super) fn draw(&self, random: u64) -> Option<usize> {
        let at = scale(random, *self.sums.last()?)?;
        Some(self.sums.partition_point(|sum| *sum <= at))
    }

    fn weight(&self, position: usize) -> u64 {
        let sum = |position: usize| self.sums.get(position).copied().unwrap_or(0);
        let before = position.checked_sub(1).map_or(0, sum);
        sum(position).saturating_sub(before)
    }
}

/// Turns by weight, as even as can be.
#[derive(Debug)]
pub(super) enum Schedule {
    /// So many of equal weight.
    Even(usize),
    /// Positions.
    Written(Box<[u32]>),
}

impl Schedule {
    /// Everyone's turns stand in the middle of equal parts of the whole: with weights 3 and 1, at 1/6, 3/6, 5/6 and at 1/2.
    fn new(weights: &[u64]) -> Self {
        let Some(first) = weights.first() else {
            return Self::Even(0);
        };
        if weights.iter().all(|weight| weight == first) {
            return Self::Even(weights.len());
        }
        let common = weights
            .iter()
            .copied()
            .fold(0, greatest_common_divisor)
            .max(1);
        let sum: u64 = weights.iter().map(|weight| weight / common).sum();
        let mut turns = Vec::new();
        for (position, weight) in (0_u32..).zip(weights) {
            let exact = weight / common;
            let count = if sum <= MAX_SCHEDULE {
                exact
            } else {
                let scaled = u128::from(exact) * u128::from(MAX_SCHEDULE) / u128::from(sum);
                u64::try_from(scaled).unwrap_or(MAX_SCHEDULE).max(1)
            };
            turns.extend((0..count).map(|number| (2 * number + 1, count, position)));
        }
        // number / count, compared without a fraction: neither is more than 2 * MAX_SCHEDULE.
        turns.sort_unstable_by(|(a, of_a, one), (b, of_b, other)| {
            (a * of_b).cmp(&(b * of_a)).then(one.cmp(other))
        });
        Self::Written(turns.into_iter().map(|(_, _, position)| position).collect())
    }

    fn at(&self, turn: u64) -> Option<usize> {
        let length = match self {
            Self::Even(count) => *count,
            Self::Written(turns) => turns.len(),
        };
        let turn = usize::try_from(turn.checked_rem(u64::try_from(length).ok()?)?).ok()?;
        match self {
            Self::Even(_) => Some(turn),
            Self::Written(turns) => turns
                .get(turn)
                .and_then(|position| usize::try_from(*position).ok()),
        }
    }
}

fn greatest_common_divisor(mut a: u64, mut b: u64) -> u64 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}

/// Brings a uniform number below a count.
fn below(random: u64, count: usize) -> Option<usize> {
    usize::try_from(scale(random, u64::try_from(count).ok()?)?).ok()
}

/// Brings a uniform number between 0 and 1, by its first 53 bits.
fn fraction(random: u64) -> f64 {
    (random >> 11) as f64 / (1_u64 << 53) as f64
}

#[cfg(test)]
mod tests;
