//! `ambit.dev/v1alpha1 TrafficPolicy`: what Istio's API has no words for. It is Ambit's own, and public.
//!
//! # What it is
//!
//! A TrafficPolicy is attached to Services, ServiceEntries or waypoint Gateways of its own namespace, by name, as Gateway API attaches
//! policies (GEP-713, "direct policy"). It takes effect at the waypoint of these services; without a waypoint it has none.
//! It stands beside a DestinationRule and takes nothing away from it: an endpoint is used where both call it healthy.
//!
//! ```yaml
//! apiVersion: ambit.dev/v1alpha1
//! kind: TrafficPolicy
//! metadata: {name: reviews, namespace: shop}
//! spec:
//!   targetRefs:
//!   - {kind: Service, name: reviews}          # group: networking.istio.io, kind: ServiceEntry for the other
//!   healthCheck:
//!     protocol: http                          # http (default), grpc, tcp
//!     path: /healthz                          # http: the path that is asked for; default /
//!     host: reviews.shop                      # http: the authority; default: the service's hostname
//!     expectedStatuses: [200, "300-399"]      # http: which answers are good; default 200
//!     port: 8081                              # the endpoint's port; default: that which requests go to
//!     interval: 5s                            # default 10s
//!     timeout: 500ms                          # default 1s
//!     unhealthyThreshold: 2                   # default 3
//!     healthyThreshold: 1                     # default 2
//! ```
//!
//! # `healthCheck`
//!
//! The waypoint asks every endpoint once in `interval`, whether or not there are requests: **active** checks, which find an
//! endpoint that answers badly before a request does, and one that has recovered without a request being spent on it.
//!
//! * `http`: a `GET` of `path`. Good is a status among `expectedStatuses`, in time.
//! * `grpc`: `grpc.health.v1.Health/Check` for `service` (empty: the server as a whole). Good is `SERVING`.
//! * `tcp`: good is a connection.
//!
//! After `unhealthyThreshold` bad answers in a row an endpoint gets no more requests, after `healthyThreshold` good ones it gets
//! them again. Endpoints that a waypoint finds at a backend's first use count as healthy until they are asked; one that comes later
//! waits for its first good answer, as in Envoy. Where all are unhealthy, requests are answered 503 with the flag `UH`, unless `minHealthPercent` of a DestinationRule's
//! `outlierDetection` says that all are to be used then.
//!
//! Only for Services and ServiceEntries: a Gateway has no endpoints to ask.
//!
//! # `rateLimits`
//!
//! How often requests may come: see [`limit`].
//!
//! # `clientAddress`
//!
//! Whose word counts for the address of a client: see [`client`].
//!
//! # Rules
//!
//! * A field that is not known refuses the whole object, everywhere in `spec`: half a policy is not what was asked for. So does
//!   a field that `protocol` has no use for.
//! * Of several policies for one target that set the same block, the oldest counts, then the first by name. The others
//!   carry the condition `Accepted: False` with the reason `Conflicted`. A block is one of `healthCheck`, `rateLimits` (all of them
//!   together) and `clientAddress`.
//! * What a Gateway's policy says holds beside what a service's says: a request is counted by the limits of both. Of `clientAddress` the
//!   service's takes the place of the Gateway's.

pub mod client;
pub mod limit;

use std::time::Duration;

use super::{Meta, TargetRef};

pub use client::ClientAddress;
pub use limit::RateLimit;

/// What is done for services beyond Istio's API.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TrafficPolicy {
    /// `metadata`.
    pub meta: Meta,
    /// `spec.targetRefs`: 1 to 16, each once; a Service, a ServiceEntry of `networking.istio.io`, or a Gateway of
    /// `gateway.networking.k8s.io`.
    pub targets: Vec<TargetRef>,
    /// `spec.healthCheck`; never with a Gateway among `targets`.
    pub health_check: Option<HealthCheck>,
    /// `spec.rateLimits`: each name once. Empty: the policy says nothing of limits.
    pub rate_limits: Vec<RateLimit>,
    /// `spec.clientAddress`.
    pub client_address: Option<ClientAddress>,
}

impl TrafficPolicy {
    /// Its limits that a service counts.
    pub fn global_limits(&self) -> impl Iterator<Item = &limit::GlobalLimit> {
        self.rate_limits.iter().filter_map(|it| match &it.kind {
            limit::LimitKind::Global(global) => Some(global),
            limit::LimitKind::Local(_) => None,
        })
    }
}

/// `healthCheck`. Defaults are filled in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HealthCheck {
    /// `protocol`, and the fields that go with it.
    pub probe: Probe,
    /// `port` of the endpoint; `None` is that which requests go to.
    pub port: Option<u16>,
    /// `interval` from one question to the next: 10 s; 100 ms to 1 h.
    pub interval: Duration,
    /// `timeout` of an answer: 1 s; 1 ms up to `interval`. Where only `interval` is given, and shorter, it is that.
    pub timeout: Duration,
    /// `unhealthyThreshold`: 3; 1 to 100.
    pub unhealthy_threshold: u32,
    /// `healthyThreshold`: 2; 1 to 100.
    pub healthy_threshold: u32,
}

/// `protocol`: what is asked, and what is a good answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Probe {
    /// `http`.
    Http {
        /// `path`: `/`; with a query, where it has one.
        path: String,
        /// `host`; `None` is the service's hostname.
        host: Option<String>,
        /// `expectedStatuses`: 200; in order, without overlaps.
        expected: Vec<StatusRange>,
    },
    /// `grpc`.
    Grpc {
        /// `service`; empty is the server as a whole.
        service: String,
    },
    /// `tcp`.
    Tcp,
}

/// One of `expectedStatuses`: `200`, or `200-299`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StatusRange {
    /// The first that is good; at least 100.
    pub first: u16,
    /// The last that is good; not before the first, at most 599.
    pub last: u16,
}
