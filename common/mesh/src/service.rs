//! A service: a hostname and virtual addresses in front of workloads.

use std::{collections::BTreeMap, fmt, net::IpAddr, num::NonZeroU16};

use crate::name::{Hostname, Name, Namespace, Network};

/// What deltas and endpoints name a service by, written `<namespace>/<hostname>`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ServiceKey {
    /// The namespace of the object that declares it.
    pub namespace: Namespace,
    /// Its fully qualified hostname.
    pub hostname: Hostname,
}

impl ServiceKey {
    /// Names a service.
    #[must_use]
    pub fn new(namespace: impl Into<Namespace>, hostname: impl Into<Hostname>) -> Self {
        Self {
            namespace: namespace.into(),
            hostname: hostname.into(),
        }
    }
}

impl fmt::Display for ServiceKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.hostname)
    }
}

/// One service. Source: `istio.workload.Service`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    /// The object's name.
    pub name: Name,
    /// The namespace of the object that declares it.
    pub namespace: Namespace,
    /// Its fully qualified hostname.
    pub hostname: Hostname,
    /// Its virtual addresses; none for a headless service.
    pub vips: Vec<NetworkAddress>,
    /// Its ports and the target port of each, where an endpoint does not say otherwise.
    pub ports: PortMap,
    /// What its ports speak, where that was declared. **Shape:** by service port, sorted, each port once.
    pub protocols: Vec<(u16, AppProtocol)>,
    /// URI SANs that its endpoints may present beside their own identity.
    pub subject_alt_names: Vec<Name>,
    /// The waypoint that stands before it, unless there are weighted ones.
    pub waypoint: Option<GatewayAddress>,
    /// Waypoints that share its connections in the place of `waypoint`, and the share of each relative to the others.
    /// **Shape:** in the order of the source; one of weight 0 is given no connection. Where all are, `waypoint` counts.
    /// Source: `istio.workload.Service.weighted_waypoints`.
    pub weighted_waypoints: Vec<(GatewayAddress, u32)>,
    /// How an endpoint is chosen.
    pub load_balancing: LoadBalancing,
    /// The families that it is dialled by.
    pub ip_families: IpFamilies,
    /// Whether it wins over other services of the same hostname.
    pub canonical: bool,
    /// Who may see it.
    pub visibility: Visibility,
}

impl Service {
    /// What deltas and endpoints name it by.
    #[must_use]
    pub fn key(&self) -> ServiceKey {
        ServiceKey {
            namespace: self.namespace.clone(),
            hostname: self.hostname.clone(),
        }
    }

    /// What a port speaks; [`AppProtocol::Unknown`] where nobody declared it.
    #[must_use]
    pub fn protocol(&self, service_port: u16) -> AppProtocol {
        let found = self
            .protocols
            .binary_search_by_key(&service_port, |(port, _)| *port);
        found
            .ok()
            .and_then(|at| self.protocols.get(at))
            .map_or(AppProtocol::Unknown, |(_, protocol)| *protocol)
    }

    /// All waypoints that stand before it, in no order that means anything.
    pub fn waypoints(&self) -> impl Iterator<Item = &GatewayAddress> {
        let weighted = self.weighted_waypoints.iter().map(|(waypoint, _)| waypoint);
        self.waypoint.iter().chain(weighted)
    }
}

impl Default for Service {
    /// A service without name or address, with the defaults of every option.
    fn default() -> Self {
        Self {
            name: Name::default(),
            namespace: Namespace::default(),
            hostname: Hostname::default(),
            vips: Vec::new(),
            ports: PortMap::default(),
            protocols: Vec::new(),
            subject_alt_names: Vec::new(),
            waypoint: None,
            weighted_waypoints: Vec::new(),
            load_balancing: LoadBalancing::default(),
            ip_families: IpFamilies::Automatic,
            canonical: false,
            visibility: Visibility::Public,
        }
    }
}

/// Ports of a service. **Shape:** service port to target port; `None` means that the target is the service port.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PortMap(pub BTreeMap<u16, Option<NonZeroU16>>);

impl PortMap {
    /// The target of `service_port`, or `None` where the service has no such port.
    #[must_use]
    pub fn target(&self, service_port: u16) -> Option<u16> {
        self.0
            .get(&service_port)
            .map(|target| target.map_or(service_port, NonZeroU16::get))
    }
}

/// What a port of a service speaks. Source: `istio.workload.AppProtocol`, from `appProtocol` or the port's name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum AppProtocol {
    /// Nobody declared it: it is detected.
    #[default]
    Unknown,
    /// HTTP/1.1.
    Http11,
    /// HTTP/2 in plain text.
    Http2,
    /// gRPC, which is HTTP/2.
    Grpc,
    /// Bytes.
    Tcp,
    /// TLS that is not ours to end.
    Tls,
}

/// An address within a network.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct NetworkAddress {
    /// The network; empty is the one without a name.
    pub network: Network,
    /// The address.
    pub ip: IpAddr,
    /// A prefix length where the VIP is a whole range. Units: bits.
    pub prefix_length: Option<u8>,
}

/// Where a waypoint or an east-west gateway is reached.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct GatewayAddress {
    /// Its address or hostname.
    pub destination: GatewayDestination,
    /// The port on which it ends HBONE; 15008 by default.
    pub hbone_port: u16,
}

/// How a gateway is named.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum GatewayDestination {
    /// By an address.
    Address(NetworkAddress),
    /// By a service of the mesh.
    Service(ServiceKey),
}

impl fmt::Display for GatewayDestination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => write!(f, "{}/{}", address.network, address.ip),
            Self::Service(key) => key.fmt(f),
        }
    }
}

/// How an endpoint is chosen. Source: `istio.workload.LoadBalancing`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LoadBalancing {
    /// What an endpoint should share with the client, most important first.
    pub routing_preference: Vec<Scope>,
    /// What that means for a choice.
    pub mode: LoadBalancingMode,
    /// Which endpoints are eligible at all.
    pub health_policy: HealthPolicy,
}

/// Something that a client and an endpoint may share.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the names are the documentation")]
pub enum Scope {
    Region,
    Zone,
    Subzone,
    Node,
    Cluster,
    Network,
}

/// What a routing preference means. An endpoint shares a scope where its value there is the client's, also where
/// both are empty; only leading scopes count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum LoadBalancingMode {
    /// Scopes play no part.
    #[default]
    Unspecified,
    /// Only endpoints that share all scopes are chosen.
    Strict,
    /// Of the eligible endpoints, those that share the most leading scopes are chosen.
    Failover,
    /// The original destination is kept.
    Passthrough,
}

/// Which endpoints are eligible.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum HealthPolicy {
    /// Healthy ones.
    #[default]
    OnlyHealthy,
    /// All (`publishNotReadyAddresses`).
    AllowAll,
}

/// The families that a service is dialled by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the names are the documentation")]
pub enum IpFamilies {
    #[default]
    Automatic,
    Ipv4Only,
    Ipv6Only,
    Dual,
}

/// Who may see a service.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Visibility {
    /// Everyone.
    #[default]
    Public,
    /// Its own namespace.
    Namespace,
}
