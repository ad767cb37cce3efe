//! `v1/Service`.

use std::net::IpAddr;

use super::{Meta, Selector};

/// A service.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Service {
    /// `metadata`.
    pub meta: Meta,
    /// `spec.type`.
    pub kind: ServiceType,
    /// `spec.clusterIPs`, or else `spec.clusterIP`; empty for `None` (headless) and where there is none yet.
    pub cluster_ips: Vec<IpAddr>,
    /// `spec.clusterIP` is `None`.
    pub headless: bool,
    /// `spec.externalIPs`.
    pub external_ips: Vec<IpAddr>,
    /// `spec.externalName`.
    pub external_name: String,
    /// `spec.ports`, TCP only.
    pub ports: Vec<ServicePort>,
    /// `spec.selector`; `None` where there is none, and then only EndpointSlices give it endpoints.
    pub selector: Option<Selector>,
    /// `spec.publishNotReadyAddresses`.
    pub publish_not_ready: bool,
    /// `spec.internalTrafficPolicy` is `Local`.
    pub internal_local: bool,
    /// `spec.trafficDistribution`.
    pub distribution: Option<TrafficDistribution>,
    /// `spec.ipFamilies`.
    pub families: Vec<IpFamily>,
    /// `spec.ipFamilyPolicy`.
    pub family_policy: Option<IpFamilyPolicy>,
    /// `status.loadBalancer.ingress[].ip`.
    pub load_balancer_ips: Vec<IpAddr>,
}

/// `spec.type`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are the documentation")]
pub enum ServiceType {
    #[default]
    ClusterIp,
    NodePort,
    LoadBalancer,
    ExternalName,
}

/// `spec.ports[]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServicePort {
    /// `name`; may be empty where it is the only one.
    pub name: String,
    /// `port`.
    pub port: u16,
    /// `targetPort`.
    pub target: TargetPort,
    /// `appProtocol`, or what the name's prefix says.
    pub protocol: AppProtocol,
}

/// `targetPort`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TargetPort {
    /// The service's own.
    Same,
    /// A number.
    Number(u16),
    /// The name of a container's port.
    Name(String),
}

/// What is spoken on a port. Source: RT-01; `istio.workload.AppProtocol`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the names are the documentation")]
pub enum AppProtocol {
    #[default]
    Unknown,
    Http11,
    Http2,
    Grpc,
    Tcp,
    Tls,
}

/// `spec.trafficDistribution` (`PreferClose`...) or the annotation `networking.istio.io/traffic-distribution`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are the documentation")]
pub enum TrafficDistribution {
    Close,
    SameZone,
    SameNode,
}

/// `spec.ipFamilies[]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are the documentation")]
pub enum IpFamily {
    V4,
    V6,
}

/// `spec.ipFamilyPolicy`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are the documentation")]
pub enum IpFamilyPolicy {
    Single,
    PreferDual,
    RequireDual,
}
