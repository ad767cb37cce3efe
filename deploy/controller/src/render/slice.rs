//! Endpoints of EndpointSlices that are no pods, to workloads.
//!
//! In: an endpoint, its slice and Service. Out: workloads, one for each address. Never: looks for other objects.

use std::{collections::BTreeMap, net::IpAddr};

use wire::proto::workload::{NetworkMode, PortList, TunnelProtocol, Workload, WorkloadType};

use super::{
    mesh::{Mesh, octets, uid},
    ports::{is_ready, key, listed},
    workload::{locality, status},
};
use crate::objects::{EndpointSlice, Node, Service, SliceEndpoint};

/// An address of an endpoint that is no pod, as proxies know it: reached as it is, without an identity.
#[must_use]
pub fn address(
    address: IpAddr,
    endpoint: &SliceEndpoint,
    slice: &EndpointSlice,
    service: &Service,
    node: Option<&Node>,
    mesh: &Mesh<'_>,
) -> Workload {
    let meta = &slice.meta;
    let ports = listed(service, slice).collect();
    Workload {
        uid: uid::slice(mesh, &meta.namespace, &meta.name, &address.to_string()),
        name: meta.name.to_string(),
        namespace: meta.namespace.to_string(),
        addresses: vec![octets(address)],
        hostname: String::new(),
        network: mesh.network.to_owned(),
        tunnel_protocol: TunnelProtocol::None.into(),
        trust_domain: mesh.trust_domain(),
        service_account: String::new(),
        waypoint: None,
        network_gateway: None,
        node: endpoint.node.to_string(),
        canonical_name: service.meta.name.to_string(),
        canonical_revision: "latest".to_owned(),
        workload_type: WorkloadType::Pod.into(),
        workload_name: meta.name.to_string(),
        native_tunnel: false,
        application_tunnel: None,
        services: BTreeMap::from([(key(service, mesh), PortList { ports })]),
        authorization_policies: Vec::new(),
        status: status(is_ready(endpoint)).into(),
        cluster_id: mesh.cluster.to_owned(),
        locality: node.and_then(|node| locality(&node.meta)),
        network_mode: NetworkMode::Standard.into(),
        extensions: Vec::new(),
        capacity: None,
    }
}
