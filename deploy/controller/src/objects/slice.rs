//! `discovery.k8s.io/v1 EndpointSlice`.

use std::{net::IpAddr, sync::Arc};

use super::Meta;

/// Endpoints of a service. A service of which any slice exists gets its endpoints from slices alone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EndpointSlice {
    /// `metadata`; the label `kubernetes.io/service-name` names the service.
    pub meta: Meta,
    /// `endpoints`.
    pub endpoints: Vec<SliceEndpoint>,
    /// `ports`, TCP only.
    pub ports: Vec<SlicePort>,
}

/// `endpoints[]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SliceEndpoint {
    /// `addresses`.
    pub addresses: Vec<IpAddr>,
    /// `conditions.ready`; true where it is absent.
    pub ready: bool,
    /// `conditions.terminating`.
    pub terminating: bool,
    /// `targetRef`, where it is a Pod: its namespace and name.
    pub pod: Option<(Arc<str>, Arc<str>)>,
    /// `nodeName`.
    pub node: Arc<str>,
}

/// `ports[]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SlicePort {
    /// `name`: that of the service's port.
    pub name: String,
    /// `port`: the target.
    pub port: u16,
}
