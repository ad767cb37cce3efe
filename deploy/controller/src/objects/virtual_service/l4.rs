//! `spec.tls[]` and `spec.tcp[]`.

use std::collections::BTreeSet;

use ipnet::IpNet;

use super::{super::Labels, Destination};

/// `tls[]`: connections whose TLS is not ended here, by the name that they ask for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsRoute {
    /// `match`: OR; at least one, each with `sni_hosts`.
    pub matches: Vec<L4Match>,
    /// `route`: at least one.
    pub destinations: Vec<WeightedDestination>,
}

/// `tcp[]`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TcpRoute {
    /// `match`: OR; empty matches everything. `sni_hosts` are empty.
    pub matches: Vec<L4Match>,
    /// `route`: at least one.
    pub destinations: Vec<WeightedDestination>,
}

/// `match[]`: the AND of its fields, each absent where it is empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct L4Match {
    /// `sniHosts`, in lower case: names, `*.` and one, or `*`.
    pub sni_hosts: BTreeSet<String>,
    /// `destinationSubnets`.
    pub destination_subnets: BTreeSet<IpNet>,
    /// `port`: that of the service.
    pub port: Option<u16>,
    /// `sourceLabels`. A waypoint drops it (WPT-10).
    pub source_labels: Labels,
    /// `sourceNamespace`; may be empty. A waypoint drops it (WPT-10).
    pub source_namespace: String,
    /// `sourceSubnet`.
    pub source_subnet: Option<IpNet>,
    /// `gateways`; empty is those of the VirtualService.
    pub gateways: Vec<String>,
}

/// One of `route[]`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WeightedDestination {
    /// `destination`.
    pub destination: Destination,
    /// `weight`, relative to the others'; 100 where it is the only one.
    pub weight: u32,
}
