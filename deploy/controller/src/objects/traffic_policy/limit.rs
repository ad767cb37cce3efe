//! `rateLimits` of a TrafficPolicy: how often requests may come.
//!
//! ```yaml
//! spec:
//!   targetRefs:
//!   - {kind: Service, name: reviews}   # or {group: gateway.networking.k8s.io, kind: Gateway, name: waypoint}: all that it serves
//!   rateLimits:
//!   - name: per-tenant
//!     matches:                         # as matches of an HTTPRoute; default: all requests
//!     - path: {type: PathPrefix, value: /api}
//!       method: POST
//!     routes: [shop.reviews.write]     # only requests that take one of these routes; default: all
//!     key:                             # each combination of values has tokens of its own; default: one for all
//!     - header: x-tenant
//!     - identity: true
//!     local:                           # counted by each replica of the waypoint
//!       requests: 100
//!       interval: 1m
//!       burst: 150                     # default: as many as `requests`
//!   - name: whole-mesh
//!     key: [{header: x-tenant, name: tenant}]
//!     global:                          # counted by a service for all replicas
//!       domain: shop
//!       service: ratelimit.infra.svc.cluster.local
//!       port: 8081
//!       timeout: 50ms                  # default 100ms
//!       failClosed: true               # default false: requests go on while nobody answers
//! ```
//!
//! # Which requests
//!
//! Those that meet one of `matches` **and** take one of `routes`. A route is called as the access log calls it (`%ROUTE_NAME%`):
//! `<namespace>.<name>.<rule>` for an HTTPRoute, the `name` of a VirtualService's rule, `default` without any. Requests are counted
//! after authentication and authorization: one that is refused there takes no token. Connections of which no request is read
//! are not counted.
//!
//! A request takes one token of each limit that it meets. It is refused if one of them has none; tokens that it has taken of others are
//! gone. Limits with `global` are asked last, and not at all where a local one refuses.
//!
//! # `key`
//!
//! What tells requests apart, in the order that it is told to the service of `global`:
//!
//! * `header: <name>`: its value; several values are one, joined by a comma.
//! * `claim: <name>`, or `claim: [<name>, <name>]` for one that is nested: of the token that a RequestAuthentication verified.
//! * `identity: true`: the client's certified principal, `<trust domain>/ns/<namespace>/sa/<service account>`.
//! * `clientAddress: true`: the address that a trusted proxy names (see [`super::client`]), else the peer's.
//! * `route: true`, `service: true`, `path: true`, `method: true`: what the request is for; the path is without query.
//! * `value: <text>`: the same for all, for the service of `global`.
//!
//! `name` is the key under which `global` tells it; the default is the header's name, the claim (parts joined by dots), or
//! `source_principal`, `remote_address`, `route`, `service`, `path`, `method`, `generic_key`.
//!
//! **A request that lacks one of them is not limited by this limit.** Where clients choose whether to send a header, put a
//! limit without a key beside it. A waypoint keeps tokens for 16,384 combinations per limit. Beyond that, combinations that are new share one
//! bucket until others have all of their tokens again.
//!
//! # `local`
//!
//! **Each replica of the waypoint counts by itself**: three replicas let through up to three times as much. All threads of a
//! replica share one bucket. It begins with `burst` tokens, gets `requests` of them at once with every `interval`, and never holds
//! more than `burst`. Each target of the policy has a bucket of its own, which all ports of a service share. A change of
//! the policy leaves the tokens of limits whose `name`, `key` and `local` stay.
//!
//! # `global`
//!
//! A service that speaks `envoy.service.ratelimit.v3.RateLimitService` over plain HTTP/2 inside of the mesh is asked, with one descriptor for
//! each limit; limits with the same `global` are asked about in one question. `service` is a hostname; a short name is a Service
//! of the policy's own namespace. While nobody answers in time requests go on, or with `failClosed` are answered 500 with
//! the flag `RLSE`.
//!
//! # What a client is told
//!
//! `status` (default 429; 400 to 599) with the flag `RL`. Of a local limit the body is `local_rate_limited`, and the header
//! `x-local-rate-limit: true` is there; of a global one `x-envoy-ratelimited: true`, and what the service says. `responseHeaders` (a list of `name`
//! and `value`) come with it. A client of gRPC gets `grpcStatus`: `UNAVAILABLE` (default) or `RESOURCE_EXHAUSTED`.
//!
//! `enabled` (per cent, default 100) is the share of requests that is looked at at all, `enforced` the share of those over the limit that
//! is refused: `enforced: 0` only counts.

use std::time::Duration;

use crate::objects::{Share, route::HttpMatch};

/// One of `rateLimits`. Defaults are filled in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RateLimit {
    /// `name`: an RFC 1123 label.
    pub name: String,
    /// `matches`: OR; none: all requests.
    pub matches: Vec<HttpMatch>,
    /// `routes`; none: all.
    pub routes: Vec<String>,
    /// `key`, in its order.
    pub keys: Vec<LimitKey>,
    /// `local` or `global`.
    pub kind: LimitKind,
    /// `status`: 429; 400 to 599.
    pub status: u16,
    /// `responseHeaders`: names in lower case, each once.
    pub response_headers: Vec<(String, String)>,
    /// `grpcStatus: RESOURCE_EXHAUSTED`.
    pub resource_exhausted: bool,
    /// `enabled`.
    pub enabled: Share,
    /// `enforced`.
    pub enforced: Share,
}

/// One of `key`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LimitKey {
    /// `name`, or its default; not empty.
    pub name: String,
    /// Where the value comes from.
    pub value: LimitValue,
}

/// Where the value of a key comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LimitValue {
    /// `header`, in lower case.
    Header(String),
    /// `claim`: the way into the claims; at least one name, none of them empty.
    Claim(Vec<String>),
    /// `identity`.
    Identity,
    /// `clientAddress`.
    ClientAddress,
    /// `route`.
    Route,
    /// `service`.
    Service,
    /// `path`.
    Path,
    /// `method`.
    Method,
    /// `value`; not empty.
    Value(String),
}

/// Who counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LimitKind {
    /// `local`.
    Local(TokenBucket),
    /// `global`.
    Global(GlobalLimit),
}

/// A token bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TokenBucket {
    /// `burst`; at least 1.
    pub max_tokens: u32,
    /// `requests`; at least 1.
    pub tokens_per_fill: u32,
    /// `interval`: 50 ms to 24 h.
    pub fill_interval: Duration,
}

/// `global`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GlobalLimit {
    /// `domain`; not empty.
    pub domain: String,
    /// `service`: a hostname as written, in lower case; short, or of any service.
    pub service: String,
    /// `port` of the service.
    pub port: u16,
    /// `timeout`: 100 ms; 1 ms to 10 s.
    pub timeout: Duration,
    /// `failClosed`.
    pub fail_closed: bool,
}
