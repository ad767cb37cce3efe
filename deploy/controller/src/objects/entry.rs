//! Istio's WorkloadEntry and ServiceEntry.

use std::{collections::BTreeMap, net::IpAddr, sync::Arc};

use ipnet::IpNet;

use super::{AppProtocol, Labels, Meta, Selector};

/// `networking.istio.io/v1 WorkloadEntry`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct WorkloadEntry {
    /// `metadata`.
    pub meta: Meta,
    /// `spec`.
    pub endpoint: Endpoint,
}

/// A `WorkloadEntry.spec`, also as an item of `ServiceEntry.spec.endpoints`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Endpoint {
    /// `address`.
    pub address: Option<Address>,
    /// `ports`: a port's name to the target.
    pub ports: BTreeMap<String, u16>,
    /// `labels`; those of the object's metadata are added by the reader, these win.
    pub labels: Labels,
    /// `network`.
    pub network: String,
    /// `locality`: `region/zone/subzone`.
    pub locality: String,
    /// `weight`.
    pub weight: Option<u32>,
    /// `serviceAccount`; may be empty.
    pub service_account: Arc<str>,
}

/// `address` of an endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// An address.
    Ip(IpAddr),
    /// A name to be resolved.
    Host(String),
}

/// `networking.istio.io/v1 ServiceEntry`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ServiceEntry {
    /// `metadata`.
    pub meta: Meta,
    /// `spec.hosts`, lower case; at least one.
    pub hosts: Vec<String>,
    /// `spec.addresses`; a single address is a range of full length.
    pub addresses: Vec<IpNet>,
    /// `status.addresses[].value`: what was allocated, per host (an empty host stands for all).
    pub allocated: Vec<(String, IpAddr)>,
    /// `spec.ports`, without UDP.
    pub ports: Vec<EntryPort>,
    /// `spec.location`.
    pub location: Location,
    /// `spec.resolution`.
    pub resolution: Resolution,
    /// `spec.endpoints`.
    pub endpoints: Vec<Endpoint>,
    /// `spec.workloadSelector.labels`.
    pub selector: Option<Selector>,
    /// `spec.subjectAltNames`.
    pub subject_alt_names: Vec<String>,
}

/// `spec.ports[]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EntryPort {
    /// `number`.
    pub number: u16,
    /// `name`.
    pub name: String,
    /// `targetPort`; `None` is `number`.
    pub target: Option<u16>,
    /// `protocol`.
    pub protocol: AppProtocol,
}

/// `spec.location`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Location {
    /// `MESH_EXTERNAL`.
    #[default]
    External,
    /// `MESH_INTERNAL`.
    Internal,
}

/// `spec.resolution`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are the documentation")]
pub enum Resolution {
    #[default]
    None,
    Static,
    Dns,
    DnsRoundRobin,
    DynamicDns,
}
