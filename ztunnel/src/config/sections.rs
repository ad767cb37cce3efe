//! The parts of the configuration, one per component. How each is read: [`super::read`].

use std::{
    collections::BTreeMap, net::SocketAddr, num::NonZeroU32, ops::RangeInclusive, path::PathBuf,
    time::Duration,
};

use grpc::Endpoint;
use ipnet::IpNet;
use mesh::{ClusterId, Namespace, Network, NodeName, TrustDomain};
use net::socket::Options;

/// Where this ztunnel runs.
#[derive(Clone, Debug)]
pub struct Node {
    /// `NODE_NAME`; empty where it was not given.
    pub name: NodeName,
    /// `CLUSTER_ID`.
    pub cluster: ClusterId,
    /// `NETWORK`; empty is the one without a name.
    pub network: Network,
}

/// How pods and their connections come to ztunnel.
#[derive(Clone, Debug)]
pub struct Capture {
    /// `CAPTURE`.
    pub mode: CaptureMode,
    /// `INPOD_UDS`.
    pub socket: PathBuf,
    /// `IPV6_ENABLED`.
    pub ipv6: bool,
    /// `DNS_CAPTURE`: whether DNS is captured where ztunnel captures.
    pub dns: bool,
    /// `PACKET_MARK`.
    pub mark: NonZeroU32,
    /// `CGROUP_PATH`: where the hooks of eBPF are attached; the root of the tree of cgroups if none.
    pub cgroup: Option<PathBuf>,
    /// `PIN_PATH`: where what outlives ztunnel is pinned.
    pub pins: PathBuf,
    /// What passes by.
    pub exclusions: Exclusions,
}

/// Who captures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CaptureMode {
    /// A CNI agent, with rules that it writes before it hands the pod over.
    Agent,
    /// ztunnel, with rules.
    Iptables,
    /// ztunnel, with programs in the kernel.
    Ebpf,
    /// ztunnel: with programs in the kernel where a trial of them succeeds, else with rules.
    Auto,
}

/// What a pod's capture leaves alone, where ztunnel captures. It is the same for all pods, until annotations arrive with them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Exclusions {
    /// `EXCLUDE_INBOUND_PORTS`: ports of the pod that are reached directly.
    pub inbound_ports: Vec<RangeInclusive<u16>>,
    /// `EXCLUDE_OUTBOUND_PORTS`: ports that the pod reaches directly.
    pub outbound_ports: Vec<RangeInclusive<u16>>,
    /// `EXCLUDE_OUTBOUND_IP_RANGES`: addresses that the pod reaches directly.
    pub outbound_ranges: Vec<IpNet>,
}

/// What the data path is given.
#[derive(Clone, Debug)]
pub struct Proxy {
    /// `PACKET_MARK`, `KEEPALIVE_*`, `USER_TIMEOUT_ENABLED`.
    pub socket: Options,
    /// `LOCALHOST_APP_TUNNEL`.
    pub localhost_app_tunnel: bool,
    /// `SAME_NODE`.
    pub same_node: SameNode,
    /// `ENABLE_RESPONSE_BAGGAGE`.
    pub response_baggage: bool,
}

/// How two pods of this node are connected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SameNode {
    /// In this process, where they may be: see [`neighbour`](crate::neighbour).
    Join,
    /// As pods of two nodes are.
    Hbone,
}

/// Tunnels and their pool.
#[derive(Clone, Debug)]
pub struct Hbone {
    /// `HTTP2_STREAM_WINDOW_SIZE`.
    pub window_stream_bytes: u32,
    /// `HTTP2_CONNECTION_WINDOW_SIZE`.
    pub window_connection_bytes: u32,
    /// `HTTP2_FRAME_SIZE`.
    pub max_frame_bytes: u32,
    /// `POOL_MAX_STREAMS_PER_CONNECTION`.
    pub max_streams_per_connection: NonZeroU32,
    /// `POOL_UNUSED_RELEASE_TIMEOUT`.
    pub timeout_unused: Duration,
}

/// Certificates.
#[derive(Clone, Debug)]
pub struct Identity {
    /// Who signs.
    pub authority: Authority,
    /// `TRUST_DOMAIN`.
    pub trust_domain: TrustDomain,
    /// `SECRET_TTL`.
    pub ttl: Duration,
    /// `CRL_PATH`.
    pub crl: Option<PathBuf>,
}

/// Who signs workload certificates.
#[derive(Clone, Debug)]
pub enum Authority {
    /// A key in a file.
    Files {
        /// `FILE_CA_CERT`.
        certificate: PathBuf,
        /// `FILE_CA_KEY`.
        key: PathBuf,
    },
    /// `CA_ADDRESS` and what goes with it.
    Remote(Endpoint),
}

/// Where the mesh's configuration comes from.
#[derive(Clone, Debug)]
pub struct Control {
    /// `XDS_ADDRESS`, `LOCAL_XDS_PATH` or `LOCAL_XDS`.
    pub source: Source,
}

/// A source of configuration.
#[derive(Clone, Debug)]
pub enum Source {
    /// A file that is re-read when it changes.
    File(PathBuf),
    /// The YAML itself.
    Inline(String),
    /// `XDS_ADDRESS` and what goes with it.
    Xds(Box<Xds>),
}

/// An xDS server, and what it is told of this proxy.
#[derive(Clone, Debug)]
pub struct Xds {
    /// `XDS_ADDRESS`, `XDS_ROOT_CA`, `ALT_XDS_HOSTNAME`, `AUTH_TOKEN`, `XDS_HEADER_*`.
    pub endpoint: Endpoint,
    /// `XDS_ON_DEMAND`.
    pub on_demand: bool,
    /// `POD_NAME`.
    pub pod: String,
    /// `POD_NAMESPACE`.
    pub namespace: String,
    /// `INSTANCE_IP`.
    pub ip: String,
    /// Of `ISTIO_METAJSON_*`.
    pub metadata: BTreeMap<String, String>,
}

/// Authorization.
#[derive(Clone, Copy, Debug)]
pub struct Policy {
    /// `AMBIENT_ENABLE_DRY_RUN_AUTHORIZATION_POLICY`.
    pub dry_run: bool,
    /// `AUTHZ_POLICY_INFO_LOGGING`.
    pub info_logging: bool,
}

/// Logs and the endpoints of operators.
#[derive(Clone, Debug)]
pub struct Telemetry {
    /// `RUST_LOG`; the filter's own parser judges it.
    pub filter: String,
    /// `LOG_FORMAT`.
    pub format: LogFormat,
    /// `ADMIN_ADDR`: where `/config_dump` and `/logging` are.
    pub admin: SocketAddr,
    /// `STATS_ADDR`: where `/metrics` is.
    pub metrics: SocketAddr,
    /// `READINESS_ADDR`: where `/healthz/ready` is.
    pub readiness: SocketAddr,
}

/// How a log line looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// For machines.
    Json,
}

/// The DNS proxy.
#[derive(Clone, Debug)]
pub struct Dns {
    /// `DNS_PROXY_ADDR`.
    pub listen: DnsListen,
    /// Whether somebody has set it: else capture in the kernel chooses a free port in each pod.
    pub is_listen_set: bool,
    /// `CLUSTER_DOMAIN`, lower case, without dots at its ends.
    pub domain: String,
    /// `PREFERED_SERVICE_NAMESPACE`.
    pub preferred_namespace: Option<Namespace>,
    /// `IPV6_ENABLED`: whether IPv6 addresses are answered.
    pub ipv6: bool,
    /// `PACKET_MARK`.
    pub mark: NonZeroU32,
}

/// Where DNS is served in each pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DnsListen {
    /// On 127.0.0.1, and on ::1 where the pod has it.
    Localhost {
        /// The port.
        port: u16,
    },
    /// On one address.
    Address(SocketAddr),
}

/// The end of the process.
#[derive(Clone, Copy, Debug)]
pub struct Drain {
    /// How long open connections may last.
    pub deadline: Duration,
}
