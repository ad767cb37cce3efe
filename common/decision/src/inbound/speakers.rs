//! Whose word counts for whom a connection to a workload is: the waypoints that the configuration puts before it.
//!
//! In: a snapshot, a workload. Out: [`Speakers`], that is identities and the ports for which each may speak. Never: an identity from where
//! a connection comes from; somebody who merely says that it is a waypoint; an address that several claim, unless it is clear whose it is.
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
        let mut add = |waypoint: &GatewayAddress, ports: &Ports| {
            let identities = identities(snapshot, workload, waypoint);
            speakers.extend(identities.map(|identity| (identity, ports.clone())));
        };
        if let Some(waypoint) = &workload.waypoint {
            add(waypoint, &Ports::All);
        }
        let services = workload.services.keys();
        for service in services.filter_map(|key| snapshot.service(key)) {
            if service.waypoints().next().is_none() {
                continue;
            }
            let ports = Ports::Of(ports(workload, service));
            service
                .waypoints()
                .for_each(|waypoint| add(waypoint, &ports));
        }
        speakers.sort_unstable();
        speakers.dedup();
        Self(speakers)
    }

    /// Whether a peer's word counts for connections to one of the workload's ports.
    #[must_use]
    pub fn may_speak(&self, peer: &SpiffeId, port: u16) -> bool {
        self.0
            .iter()
            .filter(|(identity, _)| identity == peer)
            .any(|(_, ports)| match ports {
                Ports::All => true,
                Ports::Of(ports) => ports.binary_search(&port).is_ok(),
            })
    }
}

/// The workload's ports that a service leads to.
fn ports(workload: &Workload, service: &Service) -> Vec<u16> {
    let own = workload.services.get(&service.key());
    // A port may be named by the endpoint alone, as the service may know a named target by no number.
    let named = own.into_iter().flat_map(|ports| ports.0.keys());
    let mut ports: Vec<u16> = service
        .ports
        .0
        .keys()
        .chain(named)
        .filter_map(|port| target_port(workload, service, *port))
        .collect();
    ports.sort_unstable();
    ports.dedup();
    ports
}

/// Who a waypoint is: the pods that what names it leads to.
fn identities(
    snapshot: &Snapshot,
    workload: &Workload,
    waypoint: &GatewayAddress,
) -> impl Iterator<Item = SpiffeId> {
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
        .map(|pod| pod.identity())
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
