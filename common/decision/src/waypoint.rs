//! What a client may ask a waypoint for.
//!
//! In: a snapshot, who the waypoint is, and [`Facts`] of one CONNECT. Out: [`Accepted`], or a [`Refusal`].
//! Never: takes an identity from an address or a header; leads to anything that this waypoint does not stand before.
//!
//! Order: the client's trust domain; the waypoint itself; a service by VIP or hostname; a workload by address. A
//! ztunnel sends only what the mesh says is to go through this waypoint, so whatever else is asked for is a mistake or an attempt
//! to go around somebody's policy.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use mesh::{
    Namespace, Network, Service, ServiceKey, Snapshot, SpiffeId, TrustDomain, Workload,
    service::{GatewayAddress, GatewayDestination, NetworkAddress, Visibility},
};

mod refusal;

pub use refusal::{Refusal, Status};

use crate::inbound::{Authority, OWN_PORTS};

/// Who a waypoint is.
#[derive(Clone, Copy, Debug)]
pub struct Own<'a> {
    /// The address of this replica.
    pub ip: IpAddr,
    /// The network of that address, and of those that clients name.
    pub network: &'a Network,
    /// Whose clients may come.
    pub trust_domain: &'a TrustDomain,
    /// The service in front of all replicas: what services and workloads name as their waypoint.
    pub service: &'a ServiceKey,
}

/// What a waypoint stands before. Source: `istio.io/waypoint-for`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Serves {
    /// Services.
    pub services: bool,
    /// Workloads by their own addresses.
    pub workloads: bool,
}

/// What is known of a CONNECT.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    /// What the waypoint stands before.
    pub serves: Serves,
    /// The other end of the tunnel's TCP connection. `None` where it is another network's gateway, which says nothing of the
    /// client.
    pub peer: Option<IpAddr>,
    /// Who the client is by its certificate.
    pub identity: &'a SpiffeId,
    /// What it asks for.
    pub authority: Authority<'a>,
}

/// What a connection leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// A port of a service.
    Service {
        /// The service.
        service: Arc<Service>,
        /// Its port.
        port: u16,
    },
    /// A port of a workload, asked for by the workload's own address.
    Workload {
        /// The workload.
        workload: Arc<Workload>,
        /// The address that was asked for.
        address: IpAddr,
        /// Its port.
        port: u16,
    },
}

impl Target {
    /// The port that was asked for.
    #[must_use]
    pub fn port(&self) -> u16 {
        match self {
            Self::Service { port, .. } | Self::Workload { port, .. } => *port,
        }
    }

    /// The service that was asked for, if one was.
    #[must_use]
    pub fn service(&self) -> Option<&Arc<Service>> {
        match self {
            Self::Service { service, .. } => Some(service),
            Self::Workload { .. } => None,
        }
    }
}

/// A CONNECT that may go on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// What it leads to.
    pub target: Target,
    /// Where the client thinks it is connected to. `None` for a hostname of a service without an address.
    pub destination: Option<SocketAddr>,
    /// The client's workload, where the one of its address has the certified identity. For telemetry alone.
    pub source: Option<Arc<Workload>>,
}

/// Decides on a CONNECT.
///
/// # Errors
/// [`Refusal`] says why not, and how that is answered.
pub fn accept(snapshot: &Snapshot, own: &Own<'_>, facts: &Facts<'_>) -> Result<Accepted, Refusal> {
    // The handshake has checked it already; a mistake there must not be enough.
    if facts.identity.trust_domain != *own.trust_domain {
        return Err(Refusal::TrustDomain {
            peer: facts.identity.trust_domain.clone(),
            expected: own.trust_domain.clone(),
        });
    }
    let call = Call {
        snapshot,
        own,
        serves: facts.serves,
        client: &facts.identity.namespace,
    };
    let (target, destination) = match facts.authority {
        Authority::Address(address) => {
            let address = SocketAddr::new(address.ip().to_canonical(), address.port());
            (call.address(address)?, Some(address))
        }
        Authority::Hostname { hostname, port } => call.hostname(hostname, port)?,
    };
    Ok(Accepted {
        target,
        destination,
        source: facts
            .peer
            .and_then(|peer| source(snapshot, own.network, peer, facts.identity)),
    })
}

/// Decides again on a target that was accepted before: whether the waypoint still stands before it.
///
/// # Errors
/// [`Refusal`] says why not.
pub fn readmit(
    snapshot: &Snapshot,
    own: &Own<'_>,
    serves: Serves,
    client: &Namespace,
    target: &Target,
) -> Result<(), Refusal> {
    let call = Call {
        snapshot,
        own,
        serves,
        client,
    };
    match target {
        Target::Service { service, port } => {
            let key = service.key();
            let Some(service) = snapshot.service(&key) else {
                return Err(Refusal::UnknownHostname {
                    hostname: key.hostname.to_string(),
                });
            };
            call.service(service, *port)?;
        }
        Target::Workload {
            workload,
            address,
            port,
        } => match call.workload(SocketAddr::new(*address, *port))? {
            Target::Workload { workload: now, .. } if now.uid == workload.uid => {}
            // The address has passed on to somebody else.
            Target::Workload { .. } | Target::Service { .. } => {
                return Err(Refusal::UnknownAddress { ip: *address });
            }
        },
    }
    Ok(())
}

/// The client's workload: an address that belongs to somebody else is not believed.
fn source(
    snapshot: &Snapshot,
    network: &Network,
    ip: IpAddr,
    identity: &SpiffeId,
) -> Option<Arc<Workload>> {
    let found = snapshot.workload_by_address(network, ip.to_canonical())?;
    (found.identity() == *identity).then(|| Arc::clone(found))
}

/// The service that a hostname means to a namespace: as for an address that several services own, that of the namespace itself,
/// then the canonical one, then the first.
#[must_use]
pub fn service_by_hostname<'s>(
    snapshot: &'s Snapshot,
    hostname: &str,
    namespace: &Namespace,
) -> Option<&'s Arc<Service>> {
    let services = snapshot.services_by_hostname(&hostname.to_ascii_lowercase());
    let visible = services.iter().filter(|it| may_see(it, namespace));
    visible.min_by_key(|service| {
        let own = service.namespace == *namespace;
        (!own, !service.canonical, service.namespace.clone())
    })
}

fn may_see(service: &Service, namespace: &Namespace) -> bool {
    match service.visibility {
        Visibility::Public => true,
        Visibility::Namespace => service.namespace == *namespace,
    }
}

/// One CONNECT and the mesh that it came into.
struct Call<'a> {
    snapshot: &'a Snapshot,
    own: &'a Own<'a>,
    serves: Serves,
    client: &'a Namespace,
}

impl Call<'_> {
    fn address(&self, address: SocketAddr) -> Result<Target, Refusal> {
        let ip = address.ip();
        if ip == self.own.ip.to_canonical() {
            return Err(Refusal::Itself);
        }
        // The same service that the client's ztunnel has found there.
        if let Some(service) = self
            .snapshot
            .service_by_vip(self.own.network, ip, self.client)
        {
            return self.service(service, address.port());
        }
        self.workload(address)
    }

    fn hostname(&self, hostname: &str, port: u16) -> Result<(Target, Option<SocketAddr>), Refusal> {
        let Some(service) = service_by_hostname(self.snapshot, hostname, self.client) else {
            return Err(Refusal::UnknownHostname {
                hostname: hostname.to_owned(),
            });
        };
        let target = self.service(service, port)?;
        let vip = service
            .vips
            .iter()
            .find(|vip| vip.network == *self.own.network && vip.prefix_length.is_none());
        Ok((target, vip.map(|vip| SocketAddr::new(vip.ip, port))))
    }

    fn service(&self, service: &Arc<Service>, port: u16) -> Result<Target, Refusal> {
        let key = service.key();
        if key == *self.own.service {
            return Err(Refusal::Itself);
        }
        if !may_see(service, self.client) {
            return Err(Refusal::UnknownHostname {
                hostname: key.hostname.to_string(),
            });
        }
        if !self.serves.services || !service.waypoints().any(|waypoint| self.is_us(waypoint)) {
            return Err(Refusal::UnservedService { service: key });
        }
        if service.ports.target(port).is_none() {
            return Err(Refusal::NoPort { service: key, port });
        }
        Ok(Target::Service {
            service: Arc::clone(service),
            port,
        })
    }

    fn workload(&self, address: SocketAddr) -> Result<Target, Refusal> {
        let ip = address.ip();
        let Some(workload) = self.snapshot.workload_by_address(self.own.network, ip) else {
            return Err(Refusal::UnknownAddress { ip });
        };
        // Another replica of ours, or of anybody who ends HBONE: nothing that a waypoint stands before.
        if workload.services.contains_key(self.own.service) {
            return Err(Refusal::Itself);
        }
        let is_us = |waypoint: &GatewayAddress| self.is_us(waypoint);
        if !self.serves.workloads || !workload.waypoint.as_ref().is_some_and(is_us) {
            return Err(Refusal::UnservedWorkload {
                uid: workload.uid.clone(),
            });
        }
        // What listens there is the workload's ztunnel, to which no application's connection leads.
        if OWN_PORTS.contains(&address.port()) {
            return Err(Refusal::OwnPort {
                port: address.port(),
            });
        }
        Ok(Target::Workload {
            workload: Arc::clone(workload),
            address: ip,
            port: address.port(),
        })
    }

    /// Whether somebody's waypoint is this one: by its service, by an address of that, or by this replica's own address.
    fn is_us(&self, waypoint: &GatewayAddress) -> bool {
        match &waypoint.destination {
            GatewayDestination::Service(key) => key == self.own.service,
            GatewayDestination::Address(address) => {
                let same = |other: &NetworkAddress| {
                    other.network == address.network
                        && other.ip.to_canonical() == address.ip.to_canonical()
                        && other.prefix_length.is_none()
                };
                let replica = address.network == *self.own.network
                    && address.ip.to_canonical() == self.own.ip.to_canonical();
                replica
                    || self
                        .snapshot
                        .service(self.own.service)
                        .is_some_and(|own| own.vips.iter().any(same))
            }
        }
    }
}

#[cfg(test)]
mod tests;
