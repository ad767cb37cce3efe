//! Which endpoint a request is given to.
//!
//! In: the endpoints with weight, place and health, a policy; for every request a hash, what was tried and random
//! numbers. Out: an index into the endpoints. Never: a connection, a clock; counts of requests are asked for by [`View`].
//!
//! A [`Balancer`] is built when endpoints, their health or the policy change, so that a choice looks at no more than a
//! few endpoints: O(1), or O(log n) by weight or on a ring. As Envoy, it chooses a priority first (see [`load`]), then
//! a locality where those have shares, then an endpoint (see `pool`). Where too few are well, all count as well ("panic").
//!
//! Checked against Envoy's `source/extensions/load_balancing_policies/common/load_balancer_impl.cc`. Of `LEAST_REQUEST`
//! with unequal weights only the aim is Envoy's: see `pool`.

use std::{collections::BTreeMap, sync::Arc};

use mesh::backend::{HashTable, LoadBalancer, Simple, TrafficPolicy};

use crate::hash::Place as HashPlace;

pub mod load;
mod pool;
pub mod warm;

use load::Load;
use pool::{Method, Pool, Weighted};

/// One endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Host {
    /// What consistent hashing knows it by. For Envoy's keys: its address and port, as in `10.0.0.1:8080`. Behind an
    /// internal listener Envoy knows it as `envoy://<listener>/<endpoint id>` instead.
    pub key: Arc<str>,
    /// Its share relative to the others. 0: it is never chosen, and counts for nothing.
    pub weight: u32,
    /// Where it stands; `None`: it is never chosen, and counts for nothing.
    pub place: Option<Place>,
}

/// Where an endpoint stands; see [`crate::locality`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Place {
    /// 0 is the best. Those behind it are taken as far as it cannot bear the load.
    pub priority: usize,
    /// An index into the shares of localities; of no meaning where those are none.
    pub locality: usize,
}

/// What is asked of a balancer beside the endpoints.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    /// How an endpoint is chosen.
    pub load_balancer: LoadBalancer,
    /// Where a smaller share of endpoints is well, all count as well. Units: per cent; 0 is never.
    pub panic_percent: u8,
    /// The share of each locality relative to the others. None: localities play no part.
    pub locality_shares: Vec<u32>,
}

impl Policy {
    /// What a policy of the mesh comes to; `locality_shares` are those of [`crate::locality::arrange`].
    #[must_use]
    pub fn new(policy: &TrafficPolicy, locality_shares: Vec<u32>) -> Self {
        let outlier = policy.outlier.as_ref();
        Self {
            load_balancer: policy.load_balancer.clone(),
            panic_percent: outlier.map_or(0, |outlier| outlier.min_health_percent),
            locality_shares,
        }
    }
}

/// What a choice asks about endpoints, by index.
pub trait View {
    /// How many requests it has now.
    fn active(&self, host: usize) -> u64;

    /// Which share of its weight it is given, from more than 0 to 1; see [`warm::share`]. It is asked only where
    /// the policy warms up.
    fn warmth(&self, host: usize) -> f64 {
        let _ = host;
        1.0
    }
}

/// One request, as far as it matters to the choice.
#[derive(Clone, Copy, Debug, Default)]
pub struct Ask<'a> {
    /// The hash of its key; `None`: it has none.
    pub hash: Option<u64>,
    /// The endpoints that were tried, in this order. One that is not among them is preferred.
    pub tried: &'a [usize],
    /// Whether priorities that were tried are left out where others can bear the load, after every second try.
    /// Source: Envoy's `previous_priorities` with `update_frequency: 2`, which is VirtualService `retryRemoteLocalities`.
    pub other_priorities: bool,
    /// The endpoint that the client itself dialled, for `PASSTHROUGH`.
    pub original: Option<usize>,
}

/// Chooses among endpoints whose health does not change while it lives.
#[derive(Debug)]
pub struct Balancer {
    hosts: Arc<[Host]>,
    policy: Arc<Policy>,
    load: Load,
    /// The priorities that endpoints have, sorted.
    priorities: Box<[usize]>,
    /// **Shape:** one for each of `priorities`.
    levels: Box<[Level]>,
}

/// The endpoints of one priority.
#[derive(Debug)]
enum Level {
    /// All alike.
    Whole(Pool),
    /// By locality, each with its part of the load.
    Localities {
        shares: Weighted,
        pools: Box<[Pool]>,
    },
}

impl Balancer {
    /// Builds a balancer. `available` tells which endpoints are well; `start` is random and is where taking turns begins,
    /// so that not every proxy begins with the same endpoint.
    #[must_use]
    pub fn new(
        hosts: Arc<[Host]>,
        policy: Arc<Policy>,
        available: impl Fn(usize) -> bool,
        start: u64,
    ) -> Self {
        let mut by_priority: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for (index, host) in hosts.iter().enumerate() {
            if let Some(place) = host.place
                && host.weight > 0
            {
                by_priority.entry(place.priority).or_default().push(index);
            }
        }
        // Priorities that nobody has are no priorities: there is nothing in them that could bear a load.
        let (priorities, by_priority): (Vec<usize>, Vec<Vec<usize>>) =
            by_priority.into_iter().unzip();
        let counts = by_priority.iter().map(|all| load::Count {
            all: all.len(),
            available: all.iter().filter(|host| available(**host)).count(),
        });
        let load = Load::new(counts.collect(), policy.panic_percent);
        let build = Build {
            hosts: &hosts,
            policy: &policy,
            available: &available,
            start,
        };
        let levels = by_priority.iter().enumerate();
        let levels = levels.map(|(priority, all)| build.level(all, load.is_panic(priority)));
        Self {
            levels: levels.collect(),
            priorities: priorities.into(),
            load,
            hosts: Arc::clone(&hosts),
            policy: Arc::clone(&policy),
        }
    }

    /// The same with another health of endpoints.
    #[must_use]
    pub fn with_available(&self, available: impl Fn(usize) -> bool, start: u64) -> Self {
        let (hosts, policy) = (Arc::clone(&self.hosts), Arc::clone(&self.policy));
        Self::new(hosts, policy, available, start)
    }

    /// The endpoints, in the order of their indices.
    #[must_use]
    pub fn hosts(&self) -> &Arc<[Host]> {
        &self.hosts
    }

    /// What was asked for.
    #[must_use]
    pub fn policy(&self) -> &Arc<Policy> {
        &self.policy
    }

    /// How requests spread over the priorities that endpoints have.
    #[must_use]
    pub fn load(&self) -> &Load {
        &self.load
    }

    /// The index of an endpoint; `None` where none may be chosen.
    ///
    /// `random` yields numbers that are uniform over all of `u64`.
    #[must_use]
    pub fn pick(
        &self,
        view: &impl View,
        ask: &Ask<'_>,
        random: &mut impl FnMut() -> u64,
    ) -> Option<usize> {
        let balancer = &self.policy.load_balancer;
        if balancer.hash.is_none()
            && balancer.simple == Simple::Passthrough
            && let Some(original) = ask.original
            && original < self.hosts.len()
        {
            return Some(original);
        }
        // A request without a key is given to anyone. Its one number chooses priority and endpoint, as a hash does.
        let hash = match (&balancer.hash, ask.hash) {
            (Some(_), Some(hash)) => Some(hash),
            (Some(_), None) => Some(random()),
            (None, _) => None,
        };
        let level = self.level(ask, hash, random)?;
        let pool = match level {
            Level::Whole(pool) => pool,
            Level::Localities { shares, pools } => pools.get(shares.draw(random())?)?,
        };
        pool.pick(
            &pool::Choice {
                view,
                warms: balancer.warmup.is_some(),
                hash,
                tried: ask.tried,
            },
            random,
        )
    }

    fn level_of(&self, host: usize) -> Option<usize> {
        let place = self.hosts.get(host)?.place?;
        self.priorities.binary_search(&place.priority).ok()
    }

    fn level(
        &self,
        ask: &Ask<'_>,
        hash: Option<u64>,
        random: &mut impl FnMut() -> u64,
    ) -> Option<&Level> {
        if let [only] = &*self.levels {
            return Some(only);
        }
        let at = hash.unwrap_or_else(random);
        // After every second try, those of all tries so far are left out.
        let counted = ask.tried.len() - ask.tried.len() % 2;
        let priority = match ask.tried.get(..counted) {
            Some(tried) if ask.other_priorities && !tried.is_empty() => {
                let left_out = |level| tried.iter().any(|host| self.level_of(*host) == Some(level));
                self.load.without(left_out).priority(at)
            }
            Some(_) | None => self.load.priority(at),
        };
        self.levels.get(priority)
    }
}

/// What levels are built from.
struct Build<'a, F> {
    hosts: &'a [Host],
    policy: &'a Policy,
    available: &'a F,
    start: u64,
}

impl<F: Fn(usize) -> bool> Build<'_, F> {
    fn level(&self, all: &[usize], panic: bool) -> Level {
        let shares = &self.policy.locality_shares;
        if let Some(hash) = &self.policy.load_balancer.hash {
            let (hosts, fractions) = if shares.is_empty() {
                let hosts = self.eligible(all, panic);
                let fractions = self.fractions(&hosts, 1.0);
                (hosts, fractions)
            } else {
                self.by_share(all, panic)
            };
            return Level::Whole(self.hashed(hosts, &fractions, hash.table));
        }
        // In panic, load goes where endpoints are, not where it was to go.
        if shares.is_empty() || panic {
            return Level::Whole(self.pool(self.eligible(all, panic)));
        }
        let groups: Vec<Vec<usize>> = (0..shares.len())
            .map(|locality| self.of_locality(all, locality))
            .collect();
        let pools: Vec<Pool> = groups
            .iter()
            .map(|group| self.pool(self.eligible(group, false)))
            .collect();
        let weights = groups.iter().zip(&pools).zip(shares);
        let weights = weights
            .map(|((group, pool), share)| load::locality_weight(*share, pool.len(), group.len()));
        Level::Localities {
            shares: Weighted::new(weights),
            pools: pools.into(),
        }
    }

    fn of_locality(&self, all: &[usize], locality: usize) -> Vec<usize> {
        let is_there = |host: &&usize| {
            let place = self.hosts.get(**host).and_then(|host| host.place);
            place.is_some_and(|place| place.locality == locality)
        };
        all.iter().filter(is_there).copied().collect()
    }

    fn eligible(&self, all: &[usize], panic: bool) -> Vec<usize> {
        let well = |host: &&usize| panic || (self.available)(**host);
        all.iter().filter(well).copied().collect()
    }

    fn weight(&self, host: usize) -> u64 {
        self.hosts
            .get(host)
            .map_or(0, |host| u64::from(host.weight))
    }

    fn pool(&self, hosts: Vec<usize>) -> Pool {
        let weights: Vec<u64> = hosts.iter().map(|host| self.weight(*host)).collect();
        let method = match self.policy.load_balancer.simple {
            Simple::LeastRequest | Simple::Passthrough => Method::least(&weights),
            Simple::RoundRobin => Method::turns(&weights, self.start),
            Simple::Random => Method::drawn(&weights),
        };
        Pool::new(hosts, method)
    }

    /// The share of each of them in `whole`.
    fn fractions(&self, hosts: &[usize], whole: f64) -> Vec<f64> {
        let sum: u64 = hosts.iter().map(|host| self.weight(*host)).sum();
        let fraction = |host: &usize| float(self.weight(*host)) * whole / float(sum);
        hosts.iter().map(fraction).collect()
    }

    /// Those that are well with their share of their locality's share. That of a locality without any is nobody's.
    fn by_share(&self, all: &[usize], panic: bool) -> (Vec<usize>, Vec<f64>) {
        let shares = &self.policy.locality_shares;
        let sum: u64 = shares.iter().map(|share| u64::from(*share)).sum();
        let (mut hosts, mut fractions) = (Vec::new(), Vec::new());
        for (locality, share) in shares.iter().enumerate().filter(|(_, share)| **share > 0) {
            let group = self.eligible(&self.of_locality(all, locality), panic);
            let whole = f64::from(*share) / float(sum);
            fractions.extend(self.fractions(&group, whole));
            hosts.extend(group);
        }
        (hosts, fractions)
    }

    fn hashed(&self, hosts: Vec<usize>, fractions: &[f64], table: HashTable) -> Pool {
        let of_host = |(host, share): (&usize, &f64)| HashPlace {
            key: self.hosts.get(*host).map_or("", |host| &host.key),
            share: *share,
        };
        let places: Vec<HashPlace<'_>> = hosts.iter().zip(fractions).map(of_host).collect();
        let method = Method::hashed(&places, table);
        Pool::new(hosts, method)
    }
}

/// Sums of weights stay far below 2^53, so nothing is lost.
fn float(weight: u64) -> f64 {
    weight as f64
}

#[cfg(test)]
mod tests;
