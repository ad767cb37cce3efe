//! `clientAddress` of a TrafficPolicy: whose word counts for the address of a client.
//!
//! ```yaml
//! spec:
//!   targetRefs:
//!   - {group: gateway.networking.k8s.io, kind: Gateway, name: waypoint}     # or a Service, a ServiceEntry
//!   clientAddress:
//!     trustedPeers:                    # certified clients of the mesh that stand before others
//!     - cluster.local/ns/ingress/sa/haproxy
//!     - cluster.local/ns/edge/*
//!     numTrustedProxies: 1             # default: the Gateway's gatewayTopology, else 0
//!     proxyProtocol: true              # default: the same, else false
//! ```
//!
//! A load balancer or gateway within the mesh connects for others. What it says of them counts **only if its certified
//! identity is among `trustedPeers`**; `x-forwarded-for` from anybody else is removed, so that no pod can claim an address.
//!
//! * `trustedPeers`: principals `<trust domain>/ns/<namespace>/sa/<service account>`; `x*` and `*x` are how one begins and how one ends.
//!   `*` alone is refused: it would be everybody.
//! * `numTrustedProxies`: proxies before them that append to `x-forwarded-for`. The client is that many from the right, counted after
//!   the peer's own word. Source: `gatewayTopology.numTrustedProxies`.
//! * `proxyProtocol`: their connections begin with a PROXY header, v1 or v2. Then it is required of them, and one from
//!   anybody else is refused.
//!
//! What a policy for a Gateway does not say of the last two is as the Gateway's `gatewayTopology` says; a policy for a service says all of it
//! itself.
//!
//! The address that comes of it is `remote.ip` in policies (`remoteIpBlocks`), `x-envoy-external-address` for applications and
//! `clientAddress` among the keys of a limit.

/// `clientAddress`. What is absent is not filled in: a Gateway may say it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClientAddress {
    /// `trustedPeers`, as written: `x`, `x*` or `*x`, never `*`; at least one.
    pub trusted_peers: Vec<String>,
    /// `numTrustedProxies`: at most 100; `None` where it is absent.
    pub trusted_proxies: Option<u32>,
    /// `proxyProtocol`; `None` where it is absent.
    pub proxy_protocol: Option<bool>,
}
