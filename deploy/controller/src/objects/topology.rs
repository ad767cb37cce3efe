//! `gatewayTopology` of a ProxyConfig: what stands before a gateway.
//!
//! Whose word counts is not a part of it: that is a list of certified peers, in a TrafficPolicy's `clientAddress`.
//!
//! Source: `istio.mesh.v1alpha1.Topology` (IN-01, IN-03).

/// What stands before a gateway.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GatewayTopology {
    /// `numTrustedProxies`: at most 100; `None` where it is absent.
    pub trusted_proxies: Option<u32>,
    /// `proxyProtocol` is there: connections begin with a PROXY header.
    pub proxy_protocol: bool,
    /// `forwardClientCertDetails`.
    pub forward: ForwardClientCert,
}

/// `forwardClientCertDetails`: what becomes of `x-forwarded-client-cert`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum ForwardClientCert {
    /// `UNDEFINED`, or absent.
    #[default]
    Unsaid,
    /// `SANITIZE`: it is removed.
    Sanitize,
    /// `SANITIZE_SET`: it is removed, and the certified client's stands in its place.
    SanitizeSet,
    /// Any other: what a client says of itself would count. What is wrong with it; it is taken as `SANITIZE`.
    Refused(String),
}
