//! How often requests may come, and whose word counts for the address of a client (RS-14, RS-15, IN-01, IN-03, EX-01).
//!
//! In: the TrafficPolicies and EnvoyFilters that are attached to a service or a Gateway, and what stands before the Gateway. Out:
//! `ambit.waypoint.v1.RateLimit`s and a `ClientAddress`. Never: half of a policy; PROXY headers of whom nobody named.

use std::{collections::BTreeSet, time::Duration};

use wire::proto::waypoint::{
    Backend, ClaimPath, ClientAddress as WireAddress, GlobalLimit as WireGlobal, Header,
    LimitKey as WireKey, RateLimit as WireLimit, TextMatch, TokenBucket as WireBucket,
    limit_key::Value, rate_limit::Kind, text_match,
};

use super::{Attached, winner};
use crate::{
    objects::{
        EnvoyFilter, GatewayTopology, Kind as ObjectKind, LocalRateLimit, Meta, TrafficPolicy,
        traffic_policy::{
            ClientAddress, RateLimit,
            limit::{GlobalLimit, LimitKey, LimitKind, LimitValue, TokenBucket},
        },
    },
    render::{
        routing::{micros, of_http_route},
        waypoint::Addresses,
    },
};

/// Tells a client that a waypoint's own count refused it. Source: RS-14.
const X_LOCAL_RATE_LIMIT: &str = "x-local-rate-limit";

/// Finds the service of a global limit of a policy of a namespace.
pub type Backends<'a> = dyn Fn(&GlobalLimit, &str) -> Backend + 'a;

/// A limit, and whose it is.
#[derive(Clone, Debug, PartialEq)]
pub struct Limit<'a> {
    /// The kind of the object that says it.
    pub kind: ObjectKind,
    /// The object.
    pub meta: &'a Meta,
    /// What waypoints are told.
    pub limit: WireLimit,
}

/// The limits of a target: those of the TrafficPolicy that counts, then those of all EnvoyFilters, the oldest first, each with a name of
/// its own.
#[must_use]
pub fn limits<'a>(
    target: Attached<'_>,
    policies: &[&'a TrafficPolicy],
    filters: &[&'a EnvoyFilter],
    backend: &Backends<'_>,
) -> Vec<Limit<'a>> {
    let policy = winner(target, policies, |it| !it.rate_limits.is_empty());
    let of_policy = policy
        .into_iter()
        .flat_map(|policy| limits_of_policy(policy, backend));
    let of_filters = in_force(target, policies, filters)
        .into_iter()
        .flat_map(limits_of_filter);
    let mut limits: Vec<_> = of_policy.chain(of_filters).collect();
    tell_apart(&mut limits);
    limits
}

/// The limits of a TrafficPolicy.
pub fn limits_of_policy<'a>(
    policy: &'a TrafficPolicy,
    backend: &Backends<'_>,
) -> impl Iterator<Item = Limit<'a>> {
    policy.rate_limits.iter().map(move |limit| Limit {
        kind: ObjectKind::TrafficPolicy,
        meta: &policy.meta,
        limit: of_policy(limit, &policy.meta, backend),
    })
}

/// The limits of an EnvoyFilter.
pub fn limits_of_filter(filter: &EnvoyFilter) -> impl Iterator<Item = Limit<'_>> {
    filter.limits().map(|limit| Limit {
        kind: ObjectKind::EnvoyFilter,
        meta: &filter.meta,
        limit: of_filter(limit, &filter.meta),
    })
}

/// Whose word counts for a target: that of the TrafficPolicy that counts. What it leaves out is as the target's `topology` says, if it
/// has one. An EnvoyFilter only adds that PROXY headers are to be expected from whom the policy names.
#[must_use]
pub fn client_address(
    target: Attached<'_>,
    policies: &[&TrafficPolicy],
    filters: &[&EnvoyFilter],
    topology: Option<Result<&GatewayTopology, &str>>,
) -> (Option<WireAddress>, Addresses) {
    let policy = winner(target, policies, |it| it.client_address.is_some());
    let Some(policy) = policy.and_then(|it| it.client_address.as_ref()) else {
        return (None, Addresses::OfPeers);
    };
    let ClientAddress {
        trusted_peers,
        trusted_proxies,
        proxy_protocol,
    } = policy;
    let nothing = GatewayTopology::default();
    let topology = match topology {
        None => &nothing,
        Some(Ok(topology)) => topology,
        Some(Err(_)) if trusted_proxies.is_some() && proxy_protocol.is_some() => &nothing,
        Some(Err(_)) => return (None, Addresses::Unknown),
    };
    let filters = in_force(target, policies, filters);
    let proxies = trusted_proxies.or(topology.trusted_proxies);
    let proxy_protocol = proxy_protocol.unwrap_or(topology.proxy_protocol);
    let address = WireAddress {
        trusted_peers: trusted_peers.iter().map(|it| peer(it)).collect(),
        trusted_proxies: proxies.unwrap_or_default(),
        proxy_protocol: proxy_protocol || filters.iter().any(|it| it.has_proxy_protocol()),
    };
    (Some(address), Addresses::OfListed)
}

/// The EnvoyFilters of a target, the oldest first. One that asks for PROXY headers where nobody says whose count is left out as a
/// whole.
fn in_force<'a>(
    target: Attached<'_>,
    policies: &[&TrafficPolicy],
    filters: &[&'a EnvoyFilter],
) -> Vec<&'a EnvoyFilter> {
    let has_peers = winner(target, policies, |it| it.client_address.is_some()).is_some();
    let is_in_force = |it: &&&EnvoyFilter| {
        target.is_among(&it.targets, &it.meta.namespace) && (has_peers || !it.has_proxy_protocol())
    };
    let mut filters: Vec<_> = filters.iter().filter(is_in_force).copied().collect();
    filters.sort_by_key(|it| (it.meta.created, it.meta.name.as_ref()));
    filters
}

/// A waypoint knows limits by name: two of one name would share their tokens. The first keeps its name; no other gets one that is written
/// somewhere.
fn tell_apart(limits: &mut [Limit<'_>]) {
    let written: BTreeSet<String> = limits.iter().map(|it| it.limit.name.clone()).collect();
    let mut taken: BTreeSet<String> = BTreeSet::new();
    for Limit { limit, .. } in limits {
        if taken.insert(limit.name.clone()) {
            continue;
        }
        let free = (2_u32..)
            .map(|count| format!("{}#{count}", limit.name))
            .find(|name| !written.contains(name) && !taken.contains(name));
        // One is free: there are more numbers than limits.
        if let Some(name) = free {
            taken.insert(name.clone());
            limit.name = name;
        }
    }
}

/// `<namespace>/<object>/<limit>`.
fn name(meta: &Meta, limit: &str) -> String {
    format!("{}/{}/{limit}", meta.namespace, meta.name)
}

fn of_policy(limit: &RateLimit, meta: &Meta, backend: &Backends<'_>) -> WireLimit {
    let mut response_headers = headers(&limit.response_headers);
    let kind = match &limit.kind {
        LimitKind::Local(local) => {
            let is_said = |(name, _): &(String, String)| name == X_LOCAL_RATE_LIMIT;
            if !limit.response_headers.iter().any(is_said) {
                response_headers.push(Header {
                    name: X_LOCAL_RATE_LIMIT.to_owned(),
                    value: "true".to_owned(),
                });
            }
            Kind::Local(bucket(local))
        }
        LimitKind::Global(global) => Kind::Global(WireGlobal {
            domain: global.domain.clone(),
            backend: Some(backend(global, &meta.namespace)),
            timeout_us: at_least_one(global.timeout),
            fail_closed: global.fail_closed,
        }),
    };
    WireLimit {
        name: name(meta, &limit.name),
        matches: limit.matches.iter().map(of_http_route).collect(),
        routes: limit.routes.clone(),
        keys: limit.keys.iter().map(key).collect(),
        kind: Some(kind),
        status: limit.status.into(),
        response_headers,
        enabled_ppm: limit.enabled.parts_per_million(),
        enforced_ppm: limit.enforced.parts_per_million(),
        resource_exhausted: limit.resource_exhausted,
    }
}

fn of_filter(limit: &LocalRateLimit, meta: &Meta) -> WireLimit {
    WireLimit {
        name: name(meta, &limit.stat_prefix),
        matches: Vec::new(),
        routes: Vec::new(),
        keys: Vec::new(),
        kind: Some(Kind::Local(bucket(&limit.bucket))),
        status: limit.status.into(),
        response_headers: headers(&limit.response_headers),
        enabled_ppm: limit.enabled.parts_per_million(),
        enforced_ppm: limit.enforced.parts_per_million(),
        resource_exhausted: limit.resource_exhausted,
    }
}

fn headers(headers: &[(String, String)]) -> Vec<Header> {
    let of = |(name, value): &(String, String)| Header {
        name: name.clone(),
        value: value.clone(),
    };
    headers.iter().map(of).collect()
}

fn bucket(it: &TokenBucket) -> WireBucket {
    WireBucket {
        max_tokens: it.max_tokens,
        tokens_per_fill: it.tokens_per_fill,
        fill_interval_us: at_least_one(it.fill_interval),
    }
}

/// Zero would be the default on the other side.
fn at_least_one(time: Duration) -> u64 {
    micros(time).max(1)
}

fn key(it: &LimitKey) -> WireKey {
    WireKey {
        name: it.name.clone(),
        value: Some(match &it.value {
            LimitValue::Header(name) => Value::Header(name.clone()),
            LimitValue::Claim(path) => Value::Claim(ClaimPath {
                claim: path.clone(),
            }),
            LimitValue::Identity => Value::Principal(true),
            LimitValue::ClientAddress => Value::RemoteAddress(true),
            LimitValue::Route => Value::Route(true),
            LimitValue::Service => Value::Service(true),
            LimitValue::Path => Value::Path(true),
            LimitValue::Method => Value::Method(true),
            LimitValue::Value(text) => Value::Constant(text.clone()),
        }),
    }
}

/// A principal, `x*` or `*x`.
fn peer(text: &str) -> TextMatch {
    let kind = if let Some(prefix) = text.strip_suffix('*') {
        text_match::Kind::Prefix(prefix.to_owned())
    } else if let Some(suffix) = text.strip_prefix('*') {
        text_match::Kind::Suffix(suffix.to_owned())
    } else {
        text_match::Kind::Exact(text.to_owned())
    };
    TextMatch { kind: Some(kind) }
}

#[cfg(test)]
mod tests;
