//! Where a request leads: always to the pod that it arrived at, or nowhere.
//!
//! In: what was asked for. Out: the pod's own address and the application's port.
//! Never: another pod's address, whatever was asked for.

use std::{
    net::{IpAddr, SocketAddr},
    num::NonZeroU16,
    sync::Arc,
};

use mesh::{
    Service, ServiceKey, Snapshot, SpiffeId, Workload,
    service::{GatewayAddress, GatewayDestination},
    workload::ApplicationProtocol,
};

use super::{Arrival, Authority, ProxyHeader, Refusal, canonical, canonical_ip, owns};

/// Where a request leads.
pub(super) struct Target {
    /// The pod's own address and the application's port: what policies see.
    pub(super) address: SocketAddr,
    /// What was asked for, as an address: the authority's, or the service's for a hostname.
    asked: SocketAddr,
    /// The service that was asked for, where one was.
    pub(super) service: Option<Arc<Service>>,
}

impl Target {
    pub(super) fn plain(address: SocketAddr) -> Self {
        Self {
            address,
            asked: address,
            service: None,
        }
    }

    pub(super) fn resolve(
        snapshot: &Snapshot,
        workload: &Workload,
        local: IpAddr,
        authority: Authority<'_>,
    ) -> Result<Self, Refusal> {
        match authority {
            Authority::Address(asked) => {
                let asked = canonical(asked);
                let address = SocketAddr::new(local, asked.port());
                if asked.ip() == local {
                    return Ok(Self::plain(address));
                }
                let service =
                    snapshot.service_by_vip(&workload.network, asked.ip(), &workload.namespace);
                let fronts_service = service.is_some_and(|service| {
                    let mut waypoints = service.waypoints();
                    waypoints.any(|waypoint| fronts(snapshot, workload, Some(waypoint)))
                });
                let behind = snapshot.workload_by_address(&workload.network, asked.ip());
                let fronts_workload =
                    behind.is_some_and(|other| fronts(snapshot, workload, other.waypoint.as_ref()));
                // Even then the connection goes to this pod and nowhere else.
                if fronts_service || fronts_workload || workload.application_tunnel.is_some() {
                    return Ok(Self {
                        address,
                        asked,
                        service: service.cloned(),
                    });
                }
                Err(Refusal::IpMismatch {
                    expected: local,
                    asked: asked.ip(),
                })
            }
            Authority::Hostname { hostname, port } => {
                let name = hostname.to_ascii_lowercase();
                let services = snapshot.services_by_hostname(&name);
                let own = services
                    .iter()
                    .find(|service| workload.services.contains_key(&service.key()));
                let Some(service) = own else {
                    return Err(Refusal::UnknownHostname {
                        hostname: hostname.to_owned(),
                    });
                };
                let Some(target) = target_port(workload, service, port) else {
                    return Err(Refusal::NoPort {
                        service: service.key(),
                        port,
                    });
                };
                let vip = service
                    .vips
                    .iter()
                    .find(|vip| vip.network == workload.network && vip.prefix_length.is_none());
                Ok(Self {
                    address: SocketAddr::new(local, target),
                    asked: SocketAddr::new(vip.map_or(local, |vip| vip.ip), port),
                    service: Some(Arc::clone(service)),
                })
            }
        }
    }

    /// Where to connect to, and what to send before the bytes.
    pub(super) fn deliver(
        &self,
        workload: &Workload,
        peer: SocketAddr,
        identity: Option<&SpiffeId>,
        arrival: Arrival<'_>,
    ) -> (SocketAddr, Option<ProxyHeader>) {
        let tunnel = match arrival {
            Arrival::Tunnel { .. } => workload.application_tunnel,
            Arrival::Plaintext => None,
        };
        let Some(tunnel) = tunnel else {
            return (self.address, None);
        };
        let port = tunnel.port.map_or(self.address.port(), NonZeroU16::get);
        let destination = SocketAddr::new(self.address.ip(), port);
        let proxy = match tunnel.protocol {
            ApplicationProtocol::None => None,
            ApplicationProtocol::Proxy => Some(ProxyHeader {
                source: peer,
                destination: self.asked,
                identity: identity.cloned(),
            }),
        };
        (destination, proxy)
    }
}

/// The endpoint's own word on a port goes before the service's.
pub(super) fn target_port(workload: &Workload, service: &Service, port: u16) -> Option<u16> {
    let own = workload
        .services
        .get(&service.key())
        .and_then(|ports| ports.target(port));
    own.or_else(|| service.ports.target(port))
        .and_then(NonZeroU16::new)
        .map(NonZeroU16::get)
}

/// Whether a waypoint is this workload, by an address of its own or of a service that it is an endpoint of.
fn fronts(snapshot: &Snapshot, workload: &Workload, waypoint: Option<&GatewayAddress>) -> bool {
    let serves = |key: &ServiceKey| workload.services.contains_key(key);
    match waypoint.map(|waypoint| &waypoint.destination) {
        None => false,
        Some(GatewayDestination::Service(key)) => serves(key),
        Some(GatewayDestination::Address(address)) => {
            let own =
                address.network == workload.network && owns(workload, canonical_ip(address.ip));
            let service =
                || snapshot.service_by_vip(&address.network, address.ip, &workload.namespace);
            own || service().is_some_and(|service| serves(&service.key()))
        }
    }
}
