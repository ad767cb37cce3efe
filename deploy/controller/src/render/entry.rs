//! WorkloadEntries, and the endpoints of ServiceEntries, to workloads.
//!
//! In: an object and what the index found for it. Out: workloads. Never: looks for other objects.

use std::{collections::BTreeMap, net::IpAddr};

use wire::proto::workload::{
    GatewayAddress, Locality, NetworkMode, TunnelProtocol, Workload, WorkloadType,
};

use super::{
    mesh::{Mesh, octets, uid},
    ports::{Member, Names},
    workload::{NETWORK, canonical, declared, status},
};
use crate::objects::{
    Address, Endpoint, Labels, Location, Meta, Resolution, ServiceEntry, WorkloadEntry,
};

/// The annotation that says that HBONE is ended for the workload.
const REDIRECTION: &str = "ambient.istio.io/redirection";

/// What the index found for an endpoint.
#[derive(Debug, Default)]
pub struct Facts<'a> {
    /// The services that it serves.
    pub members: Vec<Member<'a>>,
    /// The policies that it lists, `<namespace>/<name>`, in order.
    pub policies: Vec<String>,
    /// The waypoint before the workload itself.
    pub waypoint: Option<GatewayAddress>,
}

/// A WorkloadEntry as proxies know it; `None` without an address.
#[must_use]
pub fn workload_entry(
    entry: &WorkloadEntry,
    facts: Facts<'_>,
    mesh: &Mesh<'_>,
) -> Option<Workload> {
    let address = entry.endpoint.address.as_ref()?;
    let meta = &entry.meta;
    let mut workload = endpoint(meta, &entry.endpoint, address, facts, mesh);
    workload.uid = uid::workload_entry(mesh, &meta.namespace, &meta.name);
    (workload.tunnel_protocol, workload.native_tunnel) = tunnel(meta, [&entry.endpoint.labels]);
    Some(workload)
}

/// An endpoint of a ServiceEntry as proxies know it; `None` without an address. `repeated` counts the endpoints
/// before it that have the same address, so that each has a name of its own.
#[must_use]
pub fn inline(
    entry: &ServiceEntry,
    inline: &Endpoint,
    repeated: usize,
    facts: Facts<'_>,
    mesh: &Mesh<'_>,
) -> Option<Workload> {
    let address = inline.address.as_ref()?;
    let meta = &entry.meta;
    let mut workload = endpoint(meta, inline, address, facts, mesh);
    let mut suffix = text(address);
    if repeated > 0 {
        suffix = format!("{suffix}/{repeated}");
    }
    workload.uid = uid::service_entry(mesh, &meta.namespace, &meta.name, &suffix);
    // Nothing outside of the mesh speaks HBONE (EG-03).
    if entry.location == Location::Internal {
        (workload.tunnel_protocol, workload.native_tunnel) =
            tunnel(meta, [&inline.labels, &meta.labels]);
    }
    Some(workload)
}

/// Whether a ServiceEntry's hosts are themselves the endpoints: resolved by DNS, with none given.
#[must_use]
pub fn is_implicit(entry: &ServiceEntry) -> bool {
    match entry.resolution {
        Resolution::Dns | Resolution::DnsRoundRobin => {
            entry.endpoints.is_empty() && entry.selector.is_none()
        }
        Resolution::None | Resolution::Static | Resolution::DynamicDns => false,
    }
}

/// A host of a ServiceEntry as its own endpoint; `None` for a wildcard, which cannot be resolved.
#[must_use]
pub fn implicit(entry: &ServiceEntry, host: &str, mesh: &Mesh<'_>) -> Option<Workload> {
    if host.starts_with('*') {
        return None;
    }
    let meta = &entry.meta;
    let facts = Facts {
        members: vec![Member::Entry(entry, vec![host])],
        ..Facts::default()
    };
    let address = Address::Host(host.to_owned());
    let mut workload = endpoint(meta, &Endpoint::default(), &address, facts, mesh);
    workload.uid = uid::service_entry(mesh, &meta.namespace, &meta.name, host);
    Some(workload)
}

/// All but the uid and the tunnel.
fn endpoint(
    meta: &Meta,
    endpoint: &Endpoint,
    address: &Address,
    facts: Facts<'_>,
    mesh: &Mesh<'_>,
) -> Workload {
    let (addresses, hostname) = match address {
        Address::Ip(address) => (vec![octets(*address)], String::new()),
        Address::Host(host) => (Vec::new(), host.clone()),
    };
    let network = match endpoint.network.as_str() {
        "" => endpoint
            .labels
            .get(NETWORK)
            .map_or(mesh.network, String::as_str),
        network => network,
    };
    let name = meta.name.to_string();
    let (canonical_name, canonical_revision) = canonical([&endpoint.labels, &meta.labels], &name);
    let mut services = BTreeMap::new();
    for member in &facts.members {
        member.serve(Names::Endpoint(&endpoint.ports), true, mesh, &mut services);
    }
    Workload {
        uid: String::new(),
        name: name.clone(),
        namespace: meta.namespace.to_string(),
        addresses,
        hostname,
        network: network.to_owned(),
        tunnel_protocol: TunnelProtocol::None.into(),
        trust_domain: mesh.trust_domain(),
        service_account: endpoint.service_account.to_string(),
        waypoint: facts.waypoint,
        network_gateway: None,
        node: String::new(),
        canonical_name,
        canonical_revision,
        // As Istio shows what has no controller of its own.
        workload_type: WorkloadType::Pod.into(),
        workload_name: name,
        native_tunnel: false,
        application_tunnel: None,
        services,
        authorization_policies: facts.policies,
        status: status(true).into(),
        cluster_id: mesh.cluster.to_owned(),
        locality: locality(&endpoint.locality),
        network_mode: NetworkMode::Standard.into(),
        extensions: Vec::new(),
        capacity: endpoint.weight.filter(|weight| *weight > 0),
    }
}

/// What labels and annotations say of HBONE (MC-05).
fn tunnel<const N: usize>(meta: &Meta, labels: [&Labels; N]) -> (i32, bool) {
    let mut said = None;
    for labels in labels {
        match declared(labels) {
            Some((TunnelProtocol::Hbone, native)) => {
                return (TunnelProtocol::Hbone.into(), native);
            }
            other => said = said.or(other),
        }
    }
    if meta.annotation(REDIRECTION) == Some("enabled") {
        return (TunnelProtocol::Hbone.into(), false);
    }
    let (protocol, native) = said.unwrap_or((TunnelProtocol::None, false));
    (protocol.into(), native)
}

/// `region/zone/subzone`, each of which may be left out from the end.
fn locality(text: &str) -> Option<Locality> {
    let mut parts = text.splitn(3, '/').map(str::to_owned);
    let locality = Locality {
        region: parts.next().unwrap_or_default(),
        zone: parts.next().unwrap_or_default(),
        subzone: parts.next().unwrap_or_default(),
    };
    (locality != Locality::default()).then_some(locality)
}

fn text(address: &Address) -> String {
    match address {
        Address::Ip(address) => IpAddr::to_string(address),
        Address::Host(host) => host.clone(),
    }
}
