//! Which endpoints are near: the place of each among priorities and localities.
//!
//! In: a policy, what the service prefers, the proxy's own workload and the endpoints. Out: places for
//! [`crate::balance`]. Never: health, which the balancer weighs.
//!
//! Source: Istio's `applyLocalityWeights`, `applyLocalityFailover` and `applyFailoverPriorities` for what a
//! DestinationRule says, and the routing preference of a service (LB-03) where it says nothing.

use mesh::{
    Workload,
    backend::{Failover, LocalityPattern, LocalityPolicy, PriorityKey, TrafficPolicy, locality},
    service::{LoadBalancing, LoadBalancingMode, Scope},
    workload::Locality,
};

use crate::balance::Place;

/// Where endpoints stand.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Layout {
    /// In the order of the endpoints; `None`: it is never chosen. Priorities that are there have no gaps.
    pub places: Vec<Option<Place>>,
    /// The share of each locality; none: localities play no part.
    pub locality_shares: Vec<u32>,
}

/// Places endpoints.
///
/// `own` is the proxy's own workload. Failover by locality needs a policy that notices when an endpoint is not well
/// (outlier detection or a health check), as in Istio: without one, load would never come back from a far endpoint.
#[must_use]
pub fn arrange(
    policy: &TrafficPolicy,
    service: &LoadBalancing,
    own: &Workload,
    endpoints: &[&Workload],
) -> Layout {
    let Some(locality) = &policy.locality else {
        return preferred(service, own, endpoints);
    };
    let mut shares = locality.distribute.iter();
    if let Some(share) = shares.find(|share| share.from.matches(&own.locality)) {
        return distribute(&share.to, endpoints);
    }
    let notices = policy.outlier.is_some() || policy.health_check.is_some();
    if !locality.distribute.is_empty() || !notices {
        return prioritize(endpoints, |_| Some(0));
    }
    prioritize(endpoints, |endpoint| {
        Some(distance(locality, own, endpoint))
    })
}

/// By the service's own preference.
fn preferred(service: &LoadBalancing, own: &Workload, endpoints: &[&Workload]) -> Layout {
    let scopes = &service.routing_preference;
    let missing = |endpoint: &Workload| scopes.len() - leading(scopes, own, endpoint);
    match service.mode {
        LoadBalancingMode::Unspecified | LoadBalancingMode::Passthrough => {
            prioritize(endpoints, |_| Some(0))
        }
        LoadBalancingMode::Strict => {
            prioritize(endpoints, |endpoint| (missing(endpoint) == 0).then_some(0))
        }
        LoadBalancingMode::Failover => prioritize(endpoints, |endpoint| Some(missing(endpoint))),
    }
}

/// How many scopes in a row an endpoint shares.
fn leading(scopes: &[Scope], own: &Workload, endpoint: &Workload) -> usize {
    let shares =
        |scope: &&Scope| locality::topology(**scope, own) == locality::topology(**scope, endpoint);
    scopes.iter().take_while(shares).count()
}

/// How far an endpoint is; 0 is nearest.
fn distance(policy: &LocalityPolicy, own: &Workload, endpoint: &Workload) -> usize {
    if policy.failover_priority.is_empty() {
        by_region(&policy.failover, &own.locality, &endpoint.locality)
    } else {
        by_keys(&policy.failover_priority, own, endpoint)
    }
}

/// As many as there are from the first that the endpoint does not have.
fn by_keys(keys: &[PriorityKey], own: &Workload, endpoint: &Workload) -> usize {
    let has = |key: &&PriorityKey| key.matches(own, endpoint);
    keys.len() - keys.iter().take_while(has).count()
}

/// The same subzone, zone, region; then the region that takes over, then the others.
fn by_region(failover: &[Failover], own: &Locality, endpoint: &Locality) -> usize {
    if own.region != endpoint.region {
        let mut named = failover.iter();
        return match named.find(|failover| failover.from == own.region) {
            Some(failover) if failover.to != endpoint.region => 4,
            Some(_) | None => 3,
        };
    }
    if own.zone != endpoint.zone {
        2
    } else if own.subzone != endpoint.subzone {
        1
    } else {
        0
    }
}

/// By rank, without gaps; `None` is left out.
fn prioritize(endpoints: &[&Workload], rank: impl Fn(&Workload) -> Option<usize>) -> Layout {
    let ranks: Vec<Option<usize>> = endpoints.iter().map(|endpoint| rank(endpoint)).collect();
    let mut known: Vec<usize> = ranks.iter().copied().flatten().collect();
    known.sort_unstable();
    known.dedup();
    let place = |rank: Option<usize>| {
        let priority = known.binary_search(&rank?).ok()?;
        Some(Place {
            priority,
            locality: 0,
        })
    };
    Layout {
        places: ranks.into_iter().map(place).collect(),
        locality_shares: Vec::new(),
    }
}

/// By shares of localities. One that several patterns match belongs to the first; a pattern that matches several
/// divides its share among them by the weight of their endpoints.
fn distribute(to: &[(LocalityPattern, u32)], endpoints: &[&Workload]) -> Layout {
    let mut localities: Vec<(&Locality, u64)> = Vec::new();
    let mut indices = Vec::with_capacity(endpoints.len());
    for endpoint in endpoints {
        let weight = u64::from(endpoint.capacity);
        let known = |(locality, _): &(&Locality, u64)| **locality == endpoint.locality;
        let index = localities.iter().position(known).unwrap_or_else(|| {
            localities.push((&endpoint.locality, 0));
            localities.len() - 1
        });
        if let Some((_, sum)) = localities.get_mut(index) {
            *sum += weight;
        }
        indices.push(index);
    }
    let pattern_of =
        |locality: &Locality| to.iter().position(|(pattern, _)| pattern.matches(locality));
    let patterns: Vec<Option<usize>> = localities
        .iter()
        .map(|(locality, _)| pattern_of(locality))
        .collect();
    let sum_of = |pattern: usize| -> u64 {
        let all = localities.iter().zip(&patterns);
        let of_pattern = all.filter(|(_, of)| **of == Some(pattern));
        of_pattern.map(|((_, weight), _)| weight).sum()
    };
    let share_of = |((_, weight), pattern): (&(&Locality, u64), &Option<usize>)| {
        let found = pattern.and_then(|pattern| Some((to.get(pattern)?, sum_of(pattern))));
        let Some(((_, share), sum)) = found else {
            return 0;
        };
        // Rounded up, so that a small locality is not forgotten.
        let part = (weight * u64::from(*share)).div_ceil(sum.max(1));
        u32::try_from(part).unwrap_or(u32::MAX)
    };
    let locality_shares: Vec<u32> = localities.iter().zip(&patterns).map(share_of).collect();
    let place = |locality: usize| {
        let has_share = locality_shares
            .get(locality)
            .is_some_and(|share| *share > 0);
        has_share.then_some(Place {
            priority: 0,
            locality,
        })
    };
    Layout {
        places: indices.into_iter().map(place).collect(),
        locality_shares,
    }
}

#[cfg(test)]
mod tests;
