//! Whose word counts for whom a connection to a workload is: the waypoints that the configuration puts before it.
//!
//! In: a snapshot, a workload. Out: whether a peer [`may_speak`]; [`Speakers`], that is identities and the ports for which each may. Never: an
//! identity from where a connection comes from; somebody who merely says that it is a waypoint; an address that several claim, unless it is
//! clear whose it is.
//!
//! | named by | stands for | ports |
//! |---|---|---|
//! | the workload | the pods behind the address or hostname | all |
//! | a service that the workload is an endpoint of | the same | those that the service leads to |
//!
//! Whoever may write a WorkloadEntry or a ServiceEntry anywhere can claim any address with it. So an address is first that of the
//! service whose own it is (not one whose range holds it), if that is a Service of Kubernetes or one of the workload's namespace; and then a
//! pod's. Pods of other networks are left out: nothing of theirs comes here but by way of a gateway.

use std::sync::Arc;

use mesh::{
    Service, Snapshot, SpiffeId, Workload,
    service::{GatewayAddress, GatewayDestination, NetworkAddress},
};

use super::{canonical_ip, target::target_port};

/// Whose word counts. **Shape:** sorted, each once; equal where nothing has changed that matters.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Speakers(Vec<(SpiffeId, Ports)>);

/// The workload's ports for which a waypoint may speak.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Ports {
    All,
    /// **Shape:** sorted.
    Of(Vec<u16>),
}

impl Speakers {
    /// The waypoints before a workload.
    #[must_use]
    pub fn of(snapshot: &Snapshot, workload: &Workload) -> Self {
        let mut speakers = Vec::new();
        for (waypoint, scope) in named(snapshot, workload) {
            let ports = scope.map_or(Ports::All, |service| Ports::Of(ports(workload, service)));
            let waypoints = pods(snapshot, workload, waypoint);
            speakers.extend(waypoints.map(|pod| (pod.identity(), ports.clone())));
        }
        speakers.sort_unstable();
        speakers.dedup();
        Self(speakers)
    }
}

/// Whether a peer's word counts for connections to one of the workload's ports.
///
/// **Cost:** nothing is kept: whoever has a certificate of the mesh may have it asked for every tunnel.
#[must_use]
pub fn may_speak(snapshot: &Snapshot, workload: &Workload, peer: &SpiffeId, port: u16) -> bool {
    let is_peer = |pod: &Workload| {
        pod.service_account == peer.service_account
            && pod.namespace == peer.namespace
            && pod.trust_domain == peer.trust_domain
    };
    named(snapshot, workload)
        .filter(|(_, scope)| scope.is_none_or(|service| leads_to(workload, service, port)))
        .any(|(waypoint, _)| pods(snapshot, workload, waypoint).any(|pod| is_peer(pod)))
}

/// What names waypoints before a workload, with the service that does; `None`: the workload itself.
fn named<'s>(
    snapshot: &'s Snapshot,
    workload: &'s Workload,
) -> impl Iterator<Item = (&'s GatewayAddress, Option<&'s Service>)> {
    let of_services = workload
        .services
        .keys()
        .filter_map(|key| snapshot.service(key))
        .flat_map(|service| service.waypoints().map(move |it| (it, Some(&**service))));
    let own = workload.waypoint.as_ref().map(|it| (it, None));
    own.into_iter().chain(of_services)
}

/// The workload's ports that a service leads to.
fn ports(workload: &Workload, service: &Service) -> Vec<u16> {
    let mut ports: Vec<u16> = targets(workload, service).collect();
    ports.sort_unstable();
    ports.dedup();
    ports
}

/// Whether a service leads to one of the workload's ports.
fn leads_to(workload: &Workload, service: &Service, port: u16) -> bool {
    targets(workload, service).any(|target| target == port)
}

/// The same port may come more than once.
fn targets<'s>(workload: &'s Workload, service: &'s Service) -> impl Iterator<Item = u16> + 's {
    let own = workload.services.get(&service.key());
    // A port may be named by the endpoint alone, as the service may know a named target by no number.
    let named = own.into_iter().flat_map(|ports| ports.0.keys());
    let all = service.ports.0.keys().chain(named);
    all.filter_map(move |port| target_port(workload, service, *port))
}

/// The waypoint's pods: those that what names it leads to.
fn pods<'s>(
    snapshot: &'s Snapshot,
    workload: &'s Workload,
    waypoint: &GatewayAddress,
) -> impl Iterator<Item = &'s Arc<Workload>> {
    let (pod, service) = match &waypoint.destination {
        GatewayDestination::Service(key) => (None, snapshot.service(key)),
        GatewayDestination::Address(address) => {
            let service = owner(snapshot, workload, address);
            let pod = || {
                let ip = canonical_ip(address.ip);
                snapshot.workload_by_address(&address.network, ip)
            };
            (service.is_none().then(pod).flatten(), service)
        }
    };
    let endpoints = service.and_then(|service| snapshot.endpoints(&service.key()));
    let endpoints = endpoints.into_iter().flat_map(|endpoints| endpoints.iter());
    // Ready or not: one that is leaving still carries what it has.
    pod.into_iter()
        .chain(endpoints)
        // Uids of pods are `<cluster>//Pod/<namespace>/<name>`. Anything else may claim an address, or be an endpoint, of whatever
        // service account whoever writes it likes.
        .filter(|pod| pod.uid.contains("//Pod/") && pod.network == workload.network)
}

/// The service that an address is of, as the workload's namespace sees it.
fn owner<'s>(
    snapshot: &'s Snapshot,
    workload: &Workload,
    address: &NetworkAddress,
) -> Option<&'s Arc<Service>> {
    let ip = canonical_ip(address.ip);
    let service = snapshot.service_by_vip(&address.network, ip, &workload.namespace)?;
    let is_believed = service.canonical || service.namespace == workload.namespace;
    let is_own = service.vips.iter().any(|vip| {
        vip.network == address.network
            && canonical_ip(vip.ip) == ip
            && vip
                .prefix_length
                .is_none_or(|length| length == if ip.is_ipv4() { 32 } else { 128 })
    });
    (is_believed && is_own).then_some(service)
}
