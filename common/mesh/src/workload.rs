//! A workload: one pod, WorkloadEntry or other endpoint with an identity.

use std::{collections::HashMap, net::IpAddr, num::NonZeroU16};

use crate::{
    authorization::PolicyKey,
    name::{
        ClusterId, Hostname, Name, Namespace, Network, NodeName, ServiceAccount, TrustDomain, Uid,
    },
    service::{GatewayAddress, PortMap, ServiceKey},
    spiffe::SpiffeId,
};

/// One workload. Source: `istio.workload.Workload`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Workload {
    /// Unique in the mesh; what deltas name it by.
    pub uid: Uid,
    /// The pod's name, or what stands for it.
    pub name: Name,
    /// Its namespace.
    pub namespace: Namespace,
    /// Its service account.
    pub service_account: ServiceAccount,
    /// Who vouches for its identity.
    pub trust_domain: TrustDomain,
    /// The network that its addresses belong to.
    pub network: Network,
    /// Its addresses, at most one meaning each: no two workloads of a network share one unless host-networked.
    pub ips: Vec<IpAddr>,
    /// A name to resolve instead of addresses (ServiceEntry with DNS resolution); empty for none.
    pub hostname: Hostname,
    /// How a peer reaches it.
    pub tunnel: Tunnel,
    /// Whether the workload itself ends HBONE (waypoints and gateways), so that no ztunnel stands before it.
    pub native_tunnel: bool,
    /// What its ztunnel speaks to it once the tunnel has ended, if not the plain target port.
    pub application_tunnel: Option<ApplicationTunnel>,
    /// Whether it shares its node's network namespace.
    pub network_mode: NetworkMode,
    /// The node that it runs on.
    pub node: NodeName,
    /// `service.istio.io/canonical-name` or what stands for it.
    pub canonical_name: Name,
    /// `service.istio.io/canonical-revision` or what stands for it.
    pub canonical_revision: Name,
    /// The name of what owns it, for example of its Deployment.
    pub workload_name: Name,
    /// The kind of what owns it.
    pub workload_type: WorkloadType,
    /// The cluster that it runs in.
    pub cluster: ClusterId,
    /// Where it runs.
    pub locality: Locality,
    /// Whether it is to be given new connections.
    pub health: Health,
    /// Its share of a service's connections, relative to the others. Units: none. 0 means never chosen.
    pub capacity: u32,
    /// The waypoint that stands before the workload itself.
    pub waypoint: Option<GatewayAddress>,
    /// The gateway through which its network is reached from others.
    pub network_gateway: Option<GatewayAddress>,
    /// Policies that select it by labels, beside those of its namespace and of the whole mesh.
    pub authorization_policies: Vec<PolicyKey>,
    /// The services that it is an endpoint of, each with the ports that it serves.
    pub services: HashMap<ServiceKey, PortMap>,
    /// The subsets of services that it belongs to, sorted. **Shape:** known to waypoints only, empty elsewhere.
    /// Source: the extension `ambit.waypoint.v1.Subsets`.
    pub subsets: Vec<(ServiceKey, Name)>,
}

impl Workload {
    /// Whether it belongs to a subset of a service; every endpoint belongs to the one without a name.
    #[must_use]
    pub fn is_in_subset(&self, service: &ServiceKey, subset: &Name) -> bool {
        subset.is_empty()
            || self
                .subsets
                .binary_search_by(|(of, name)| (of, name).cmp(&(service, subset)))
                .is_ok()
    }

    /// The identity that the workload's certificate carries.
    #[must_use]
    pub fn identity(&self) -> SpiffeId {
        SpiffeId::new(
            self.trust_domain.clone(),
            self.namespace.clone(),
            self.service_account.clone(),
        )
    }
}

impl Default for Workload {
    /// A workload without name or address, healthy, of capacity 1 and trust domain `cluster.local`.
    fn default() -> Self {
        Self {
            uid: Uid::default(),
            name: Name::default(),
            namespace: Namespace::default(),
            service_account: "default".into(),
            trust_domain: "cluster.local".into(),
            network: Network::default(),
            ips: Vec::new(),
            hostname: Hostname::default(),
            tunnel: Tunnel::None,
            native_tunnel: false,
            application_tunnel: None,
            network_mode: NetworkMode::Standard,
            node: NodeName::default(),
            canonical_name: Name::default(),
            canonical_revision: Name::default(),
            workload_name: Name::default(),
            workload_type: WorkloadType::Deployment,
            cluster: "Kubernetes".into(),
            locality: Locality::default(),
            health: Health::Healthy,
            capacity: 1,
            waypoint: None,
            network_gateway: None,
            authorization_policies: Vec::new(),
            services: HashMap::new(),
            subsets: Vec::new(),
        }
    }
}

/// How peers reach a workload.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Tunnel {
    /// Plain TCP: it is not in the mesh.
    None,
    /// HBONE on port 15008 of its address.
    Hbone,
}

/// What a workload's own ztunnel speaks to it. Source: `Workload.application_tunnel`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ApplicationTunnel {
    /// What precedes the bytes.
    pub protocol: ApplicationProtocol,
    /// Where the workload listens for it; `None` keeps the target port.
    pub port: Option<NonZeroU16>,
}

/// What precedes the bytes on an application tunnel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ApplicationProtocol {
    /// Nothing.
    None,
    /// A PROXY protocol version 2 header.
    Proxy,
}

/// Whether a workload has a network namespace of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum NetworkMode {
    /// It has.
    Standard,
    /// It shares its node's: it can never be captured, nor found by address alone.
    HostNetwork,
}

/// Whether a workload is to be given new connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Health {
    /// It is.
    Healthy,
    /// It is not, unless the service's health policy allows all.
    Unhealthy,
}

/// The kind of object that owns a workload, as baggage words it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum WorkloadType {
    /// A Deployment, ReplicaSet or what looks like one.
    Deployment,
    /// A CronJob.
    CronJob,
    /// A pod without owner.
    Pod,
    /// A Job.
    Job,
}

/// Where a workload runs; empty parts are unknown.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Locality {
    /// `topology.kubernetes.io/region`.
    pub region: Name,
    /// `topology.kubernetes.io/zone`.
    pub zone: Name,
    /// `topology.istio.io/subzone`.
    pub subzone: Name,
}
