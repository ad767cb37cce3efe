//! Whose word counts for the address of a client.

use super::authorization::TextMatch;

/// Who may speak for others. Source: `ambit.waypoint.v1.ClientAddress`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClientAddress {
    /// Certified clients, `<trust domain>/ns/<namespace>/sa/<service account>`. From anybody else `x-forwarded-for` is removed and a
    /// PROXY header refused.
    pub trusted_peers: Vec<TextMatch>,
    /// Proxies before them that append to `x-forwarded-for`. Source: `gatewayTopology.numTrustedProxies`.
    pub trusted_proxies: u32,
    /// Whether their connections begin with a PROXY header.
    pub proxy_protocol: bool,
}
