//! `networking.istio.io/v1 DestinationRule`.
//!
//! A block of a traffic policy overrides the whole block of the same name that is more general, so an absent block and an
//! empty one differ: the former is `None`.

mod balancer;
mod outlier;
mod pool;

pub use balancer::{
    Algorithm, ConsistentHash, Cookie, Distribute, Failover, HashKey, HashTable, LoadBalancer,
    LocalityBalancing, Warmup,
};
pub use outlier::{OutlierDetection, RetryBudget};
pub use pool::{ConnectionPool, H2Upgrade, Http2Keepalive, HttpPool, TcpKeepalive, TcpPool};

use std::collections::BTreeMap;

use super::{ExportTo, Labels, Meta, Selector};

/// How endpoints of a host are used.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DestinationRule {
    /// `metadata`.
    pub meta: Meta,
    /// `spec.host`, in lower case: a short name, a name, or `*.` and a name.
    pub host: String,
    /// `spec.exportTo`.
    pub export_to: ExportTo,
    /// `spec.workloadSelector.matchLabels`: whose traffic it is for; a waypoint's own labels are compared.
    pub selector: Option<Selector>,
    /// `spec.trafficPolicy`; nothing is set where it is absent.
    pub policy: TrafficPolicy,
    /// `spec.subsets`, each name once.
    pub subsets: Vec<Subset>,
}

/// One of `spec.subsets`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Subset {
    /// `name`.
    pub name: String,
    /// `labels`, all of which an endpoint must have; empty is all endpoints.
    pub labels: Labels,
    /// `trafficPolicy`; nothing is set where it is absent.
    pub policy: TrafficPolicy,
}

/// `trafficPolicy`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TrafficPolicy {
    /// The blocks for every port.
    pub any_port: PortPolicy,
    /// `portLevelSettings`, by `port.number`.
    pub ports: BTreeMap<u16, PortPolicy>,
    /// `retryBudget`.
    pub retry_budget: Option<RetryBudget>,
    /// `proxyProtocol`.
    pub proxy_protocol: Option<ProxyProtocol>,
    /// `tunnel`.
    pub tunnel: Option<Tunnel>,
}

/// The blocks that a port can have of its own.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PortPolicy {
    /// `loadBalancer`.
    pub load_balancer: Option<LoadBalancer>,
    /// `connectionPool`.
    pub connection_pool: Option<ConnectionPool>,
    /// `outlierDetection`.
    pub outlier_detection: Option<OutlierDetection>,
    /// `tls`.
    pub tls: Option<ClientTls>,
}

/// `tls`: how connections to endpoints are secured beside the mesh's own way. Texts are empty where they are absent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClientTls {
    /// `mode`.
    pub mode: ClientTlsMode,
    /// `sni`.
    pub sni: String,
    /// `subjectAltNames`.
    pub subject_alt_names: Vec<String>,
    /// `credentialName`.
    pub credential_name: String,
    /// `clientCertificate`.
    pub client_certificate: String,
    /// `privateKey`.
    pub private_key: String,
    /// `caCertificates`.
    pub ca_certificates: String,
    /// `caCrl`.
    pub ca_crl: String,
    /// `insecureSkipVerify`.
    pub insecure_skip_verify: bool,
}

/// `tls.mode`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are the documentation")]
pub enum ClientTlsMode {
    #[default]
    Disable,
    Simple,
    Mutual,
    IstioMutual,
}

/// `proxyProtocol.version`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are the documentation")]
pub enum ProxyProtocol {
    #[default]
    V1,
    V2,
}

/// `tunnel`: an HTTP proxy that connections go through.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tunnel {
    /// `protocol`: `CONNECT` or `POST`.
    pub protocol: String,
    /// `targetHost`.
    pub host: String,
    /// `targetPort`.
    pub port: u16,
}
