//! How often requests may come, and whose word counts for the address of a client (RS-14, RS-15, IN-01, IN-03, EX-01).
//!
//! In: the TrafficPolicies and EnvoyFilters that are attached to a service or a Gateway. Out: `ambit.waypoint.v1.RateLimit`s and a
//! `ClientAddress`. Never: half of a policy; PROXY headers of whom nobody named.

use std::{collections::BTreeMap, time::Duration};

use wire::proto::waypoint::{
    Backend, ClaimPath, ClientAddress as WireAddress, GlobalLimit as WireGlobal, Header,
    LimitKey as WireKey, RateLimit as WireLimit, TextMatch, TokenBucket as WireBucket,
    limit_key::Value, rate_limit::Kind, text_match,
};

use super::{Attached, winner};
use crate::{
    objects::{
        EnvoyFilter, LocalRateLimit, Meta, TrafficPolicy,
        traffic_policy::{
            ClientAddress, RateLimit,
            limit::{GlobalLimit, LimitKey, LimitKind, LimitValue, TokenBucket},
        },
    },
    render::routing::{micros, of_http_route},
};

/// Tells a client that a waypoint's own count refused it. Source: RS-14.
const X_LOCAL_RATE_LIMIT: &str = "x-local-rate-limit";

/// The limits of a target: those of the TrafficPolicy that counts, then those of all EnvoyFilters, the oldest first. `backend` finds
/// the service of a global limit of a policy of a namespace.
#[must_use]
pub fn limits(
    target: Attached<'_>,
    policies: &[&TrafficPolicy],
    filters: &[&EnvoyFilter],
    backend: &dyn Fn(&GlobalLimit, &str) -> Backend,
) -> Vec<WireLimit> {
    let policy = winner(target, policies, |it| !it.rate_limits.is_empty());
    let of_policy = policy.into_iter().flat_map(|policy| {
        let meta = &policy.meta;
        let limits = policy.rate_limits.iter();
        limits.map(move |limit| of_policy(limit, meta, backend))
    });
    let of_filters = in_force(target, policies, filters)
        .into_iter()
        .flat_map(|filter| filter.limits().map(|limit| of_filter(limit, &filter.meta)));
    let mut limits: Vec<_> = of_policy.chain(of_filters).collect();
    tell_apart(&mut limits);
    limits
}

/// Whose word counts for a target: that of the TrafficPolicy that counts. An EnvoyFilter only adds that PROXY headers are to be
/// expected from whom the policy names.
#[must_use]
pub fn client_address(
    target: Attached<'_>,
    policies: &[&TrafficPolicy],
    filters: &[&EnvoyFilter],
) -> Option<WireAddress> {
    let policy = winner(target, policies, |it| it.client_address.is_some())?;
    let ClientAddress {
        trusted_peers,
        trusted_proxies,
        proxy_protocol,
    } = policy.client_address.as_ref()?;
    let filters = in_force(target, policies, filters);
    Some(WireAddress {
        trusted_peers: trusted_peers.iter().map(|it| peer(it)).collect(),
        trusted_proxies: *trusted_proxies,
        proxy_protocol: *proxy_protocol || filters.iter().any(|it| it.has_proxy_protocol()),
    })
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

/// A waypoint knows limits by name: two of one name would share their tokens.
fn tell_apart(limits: &mut [WireLimit]) {
    let mut seen: BTreeMap<String, u32> = BTreeMap::new();
    for limit in limits {
        let count = seen.entry(limit.name.clone()).or_default();
        *count += 1;
        if *count > 1 {
            limit.name = format!("{}#{count}", limit.name);
        }
    }
}

/// `<namespace>/<object>/<limit>`.
fn name(meta: &Meta, limit: &str) -> String {
    format!("{}/{}/{limit}", meta.namespace, meta.name)
}

fn of_policy(
    limit: &RateLimit,
    meta: &Meta,
    backend: &dyn Fn(&GlobalLimit, &str) -> Backend,
) -> WireLimit {
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
