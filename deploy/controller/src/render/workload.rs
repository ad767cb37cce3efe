//! Pods to workloads.
//!
//! In: a pod and what the index found for it. Out: the workload, or `None` where it is not one. Never: looks for
//! other objects.

mod identity;
mod tunnel;

use std::{collections::BTreeMap, net::IpAddr};

use wire::proto::workload::{GatewayAddress, Locality, NetworkMode, Workload, WorkloadStatus};

use super::{
    mesh::{Mesh, octets, uid},
    ports::{Member, Names},
    waypoint::Instance,
};
use crate::objects::{Meta, Namespace, Node, Phase, Pod};

pub(crate) use identity::canonical;
pub(crate) use tunnel::declared;

/// The label that names a network.
pub(crate) const NETWORK: &str = "topology.istio.io/network";

/// What the index found for a pod.
#[derive(Debug, Default)]
pub struct Facts<'a> {
    /// Those of the pod's addresses that are its own; see [`claim`].
    pub addresses: Vec<IpAddr>,
    /// The pod's namespace, where there is an object for it.
    pub namespace: Option<&'a Namespace>,
    /// The node that it runs on, where there is an object for it.
    pub node: Option<&'a Node>,
    /// The services that it serves.
    pub members: Vec<Member<'a>>,
    /// The policies that it lists, `<namespace>/<name>`, in order.
    pub policies: Vec<String>,
    /// The gateway that the pod is a part of.
    pub instance: Option<Instance>,
    /// The waypoint before the pod itself.
    pub waypoint: Option<GatewayAddress>,
}

/// Whether a pod has (or may soon have) a network namespace in which something runs.
#[must_use]
pub fn is_alive(pod: &Pod) -> bool {
    match pod.phase {
        Phase::Pending | Phase::Running => !pod.ips.is_empty(),
        Phase::Succeeded | Phase::Failed | Phase::Unknown => false,
    }
}

/// The order of pods that claim one address (outside of host networking, where sharing is no conflict): the greatest
/// has it. One that runs, then one that is not about to go, then the newer; names decide between equals.
#[must_use]
pub fn claim(pod: &Pod) -> impl Ord + use<'_> {
    (
        pod.phase == Phase::Running,
        !pod.meta.terminating,
        pod.meta.created,
        &pod.meta.name,
        &pod.meta.namespace,
    )
}

/// A pod as proxies know it. `None` for a pod that does not run (yet), and for one all of whose addresses are
/// another pod's by now.
#[must_use]
pub fn pod(pod: &Pod, facts: Facts<'_>, mesh: &Mesh<'_>) -> Option<Workload> {
    if !is_alive(pod) || facts.addresses.is_empty() {
        return None;
    }
    let healthy = pod.ready && !pod.meta.terminating;
    let (tunnel_protocol, native_tunnel) =
        tunnel::of_pod(pod, facts.namespace, facts.instance.as_ref());
    let (owner, workload_type) = identity::owner(pod);
    let (canonical_name, canonical_revision) = canonical([&pod.meta.labels], &owner);
    let mut services = BTreeMap::new();
    for member in &facts.members {
        member.serve(Names::Containers(&pod.ports), healthy, mesh, &mut services);
    }
    Some(Workload {
        uid: uid::pod(mesh, &pod.meta.namespace, &pod.meta.name),
        name: pod.meta.name.to_string(),
        namespace: pod.meta.namespace.to_string(),
        addresses: facts.addresses.iter().copied().map(octets).collect(),
        hostname: String::new(),
        network: pod.meta.label(NETWORK).unwrap_or(mesh.network).to_owned(),
        tunnel_protocol: tunnel_protocol.into(),
        trust_domain: mesh.trust_domain(),
        service_account: pod.service_account.to_string(),
        waypoint: facts.waypoint,
        network_gateway: None,
        node: pod.node.to_string(),
        canonical_name,
        canonical_revision,
        workload_type: workload_type.into(),
        workload_name: owner,
        native_tunnel,
        application_tunnel: facts.instance.and_then(|it| it.binding),
        services,
        authorization_policies: facts.policies,
        status: status(healthy).into(),
        cluster_id: mesh.cluster.to_owned(),
        locality: facts.node.and_then(|node| locality(&node.meta)),
        network_mode: if pod.host_network {
            NetworkMode::HostNetwork
        } else {
            NetworkMode::Standard
        }
        .into(),
        extensions: Vec::new(),
        capacity: None,
    })
}

pub(crate) fn status(healthy: bool) -> WorkloadStatus {
    if healthy {
        WorkloadStatus::Healthy
    } else {
        WorkloadStatus::Unhealthy
    }
}

/// Where a node stands. Source: `topology.kubernetes.io` labels, and Istio's for the subzone.
pub(crate) fn locality(node: &Meta) -> Option<Locality> {
    let label = |name| node.label(name).unwrap_or_default().to_owned();
    let locality = Locality {
        region: label("topology.kubernetes.io/region"),
        zone: label("topology.kubernetes.io/zone"),
        subzone: label("topology.istio.io/subzone"),
    };
    (locality != Locality::default()).then_some(locality)
}
