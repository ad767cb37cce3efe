//! How often requests may come.

use std::time::Duration;

use crate::{
    name::Name,
    route::{Backend, HttpMatch},
};

/// One limit. A request that it applies to takes one token. Source: TrafficPolicy `rateLimits`, EnvoyFilter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RateLimit {
    /// For statistics and logs.
    pub name: Name,
    /// None: all requests.
    pub matches: Vec<HttpMatch>,
    /// Names of routes. None: all.
    pub routes: Vec<Name>,
    /// What tells requests apart. A request that lacks one of them is not limited.
    pub keys: Vec<LimitKey>,
    /// Who counts.
    pub kind: LimitKind,
    /// What a refused request is answered with.
    pub status: u16,
    /// Added to that answer.
    pub response_headers: Vec<(Name, Name)>,
    /// The share of requests that is looked at. Units: parts per million.
    pub enabled_ppm: u32,
    /// The share of those over the limit that is refused. Units: parts per million.
    pub enforced_ppm: u32,
    /// gRPC: RESOURCE_EXHAUSTED (8) in the place of UNAVAILABLE (14).
    pub resource_exhausted: bool,
}

/// One thing that tells requests apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LimitKey {
    /// The descriptor's key for the global service.
    pub name: Name,
    /// Its value.
    pub value: LimitValue,
}

/// Where a key's value comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LimitValue {
    /// A header, by its name in lower case.
    Header(Name),
    /// A claim of the verified token, by the way into it.
    Claim(Vec<Name>),
    /// The certified client.
    Principal,
    /// The client that a trusted proxy names, else the peer.
    RemoteAddress,
    /// The rule that the request meets.
    Route,
    /// The same for all.
    Constant(Name),
    /// The service that was asked for.
    Service,
    /// The normalised path without query.
    Path,
    /// The method.
    Method,
}

/// Who counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LimitKind {
    /// This waypoint.
    Local(TokenBucket),
    /// A service for all.
    Global(GlobalLimit),
}

/// Source: Envoy's token bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TokenBucket {
    /// At most so many; also at the beginning. At least 1.
    pub max_tokens: u32,
    /// So many come at once. At least 1.
    pub tokens_per_fill: u32,
    /// Every so often. At least 50 ms.
    pub fill_interval: Duration,
}

/// A service that counts for all. Source: `envoy.service.ratelimit.v3`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GlobalLimit {
    /// Whose limits.
    pub domain: Name,
    /// Who answers.
    pub backend: Backend,
    /// For the answer.
    pub timeout: Duration,
    /// Whether a request is refused while nobody answers.
    pub fail_closed: bool,
}
