//! `networking.istio.io/v1alpha3 EnvoyFilter`: two shapes of it, which are in use because Istio has no other words for them.
//!
//! 1. A **local rate limit**: `HTTP_FILTER`, inserted, `envoy.filters.http.local_ratelimit` with a `LocalRateLimit`, typed or as a
//!    `TypedStruct`. It comes to one limit of the waypoint, one bucket per replica. It is counted after authentication and
//!    authorization, wherever among the filters it would stand.
//! 2. The **PROXY protocol**: `LISTENER`, `MERGE`, with the listener filter `envoy.filters.listener.proxy_protocol`. It comes to `proxyProtocol: true` of
//!    a TrafficPolicy's `clientAddress` for the same Gateway, which has to say whose headers count: without one it is
//!    not in force, as it would let every pod name any address.
//!
//! There is no Envoy here, so nothing else has a meaning. Any other field, patch or target refuses the whole object, by name: it is
//! never applied in part. New policies are better written as a TrafficPolicy.

use super::{Meta, Share, TargetRef, traffic_policy::limit::TokenBucket};

/// Patches with a meaning.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EnvoyFilter {
    /// `metadata`.
    pub meta: Meta,
    /// `spec.targetRefs`: 1 to 16 Gateways of `gateway.networking.k8s.io`, each once.
    pub targets: Vec<TargetRef>,
    /// `spec.configPatches`; at least one.
    pub patches: Vec<Patch>,
}

/// One of `configPatches`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Patch {
    /// The first shape.
    LocalRateLimit(LocalRateLimit),
    /// The second.
    ProxyProtocol,
}

/// `envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocalRateLimit {
    /// `stat_prefix`; not empty.
    pub stat_prefix: String,
    /// `token_bucket`.
    pub bucket: TokenBucket,
    /// `status.code`: 429; 400 to 599.
    pub status: u16,
    /// `filter_enabled`: none where it is absent. Source: Envoy.
    pub enabled: Share,
    /// `filter_enforced`: as `enabled`.
    pub enforced: Share,
    /// `response_headers_to_add`: names in lower case.
    pub response_headers: Vec<(String, String)>,
    /// `rate_limited_as_resource_exhausted`.
    pub resource_exhausted: bool,
}

impl EnvoyFilter {
    /// Its limits, in their order.
    pub fn limits(&self) -> impl Iterator<Item = &LocalRateLimit> {
        self.patches.iter().filter_map(|patch| match patch {
            Patch::LocalRateLimit(limit) => Some(limit),
            Patch::ProxyProtocol => None,
        })
    }

    /// Whether it asks for PROXY headers.
    #[must_use]
    pub fn has_proxy_protocol(&self) -> bool {
        self.patches.contains(&Patch::ProxyProtocol)
    }
}
