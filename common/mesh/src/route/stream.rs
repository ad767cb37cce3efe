//! Routes of connections whose requests are not looked at.

use std::net::IpAddr;

use ipnet::IpNet;

use super::{forward::WeightedBackend, text::HostMatch};
use crate::name::Name;

/// A route by server name. Source: VirtualService `tls[]`, TLSRoute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsRoute {
    /// What the access log calls it; may be empty.
    pub name: Name,
    /// **Shape:** any of them; none: no server name is asked for.
    pub server_names: Vec<HostMatch>,
    /// **Shape:** as in [`super::Forward`].
    pub backends: Vec<WeightedBackend>,
}

impl TlsRoute {
    /// Whether it is for a server name, in lower case. A client that says none is like one that says an empty one.
    #[must_use]
    pub fn matches(&self, server_name: Option<&str>) -> bool {
        let name = server_name.unwrap_or_default();
        self.server_names.is_empty() || self.server_names.iter().any(|wanted| wanted.matches(name))
    }
}

/// A route of TCP. Source: VirtualService `tcp[]`, TCPRoute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TcpRoute {
    /// What the access log calls it; may be empty.
    pub name: Name,
    /// The destination is in any of them; none: it may be anything.
    pub destination_subnets: Vec<IpNet>,
    /// The client is in it. `None`: it may be anybody.
    pub source_subnet: Option<IpNet>,
    /// **Shape:** as in [`super::Forward`].
    pub backends: Vec<WeightedBackend>,
}

impl TcpRoute {
    /// Whether it is for a connection. Addresses are canonical: IPv4 in the clothes of IPv6 is IPv4.
    #[must_use]
    pub fn matches(&self, source: IpAddr, destination: Option<IpAddr>) -> bool {
        let to = |subnet: &IpNet| destination.is_some_and(|ip| subnet.contains(&ip));
        (self.destination_subnets.is_empty() || self.destination_subnets.iter().any(to))
            && self
                .source_subnet
                .is_none_or(|subnet| subnet.contains(&source))
    }
}
