//! Where a connection of a local pod goes.
//!
//! In: a snapshot, the source pod, the original destination, a random source. Out: a [`Plan`], a name that must be
//! resolved before there is one ([`Lookup`]), or a [`Refusal`].
//! Never: awaits, opens a socket, reads the clock.
//!
//! In this order: a call to ourselves; a service's VIP, through its waypoint or to one of its endpoints; a
//! workload's address, through its waypoint or directly; anything else as it is. What comes from a waypoint or
//! a gateway never enters a waypoint again.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use mesh::{
    San, Service, Snapshot, Workload,
    service::{IpFamilies, LoadBalancingMode},
    workload::Tunnel,
};

mod endpoint;
mod lookup;
mod refusal;
mod waypoint;

pub use lookup::{Family, Lookup};
pub use refusal::Refusal;

/// Where a workload's ztunnel, or the workload itself, ends HBONE. Source: Istio's ztunnel, inbound port.
pub const HBONE_PORT: u16 = 15008;

/// The ports on which we listen within a pod: outbound, inbound plaintext, inbound HBONE, SOCKS5.
pub const OWN_PORTS: [u16; 4] = [15001, 15006, HBONE_PORT, 15080];

/// What is known of a connection before it is planned.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    /// The pod that opened it.
    pub source: &'a Arc<Workload>,
    /// The original destination.
    pub destination: SocketAddr,
}

/// What is decided of a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Planned {
    /// Everything.
    Ready(Plan),
    /// Who it goes to, by a name that must be resolved first.
    Lookup(Lookup),
}

/// What to do with a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Plan {
    /// Plain TCP to where the client wanted to go: nobody that we know.
    Passthrough {
        /// Where to connect to.
        destination: SocketAddr,
        /// The service in passthrough mode that owns the address, if one does.
        service: Option<Arc<Service>>,
    },
    /// Plain TCP to a workload that speaks no HBONE.
    Plain {
        /// Where to connect to.
        destination: SocketAddr,
        /// Who is there.
        workload: Arc<Workload>,
        /// The service that the client dialled.
        service: Option<Arc<Service>>,
    },
    /// A stream of an HBONE tunnel.
    Hbone {
        /// Where the tunnel goes.
        peer: SocketAddr,
        /// What the CONNECT request asks for.
        authority: SocketAddr,
        /// The URI SANs of which the peer must present one. **Shape:** sorted, without duplicates, never empty.
        expected: Vec<San>,
        /// What the peer is to the connection.
        via: Via,
        /// The tunnel's peer.
        workload: Arc<Workload>,
        /// The service that the client dialled.
        service: Option<Arc<Service>>,
    },
}

impl Plan {
    /// Who the first hop is, if known.
    #[must_use]
    pub fn workload(&self) -> Option<&Arc<Workload>> {
        match self {
            Self::Passthrough { .. } => None,
            Self::Plain { workload, .. } | Self::Hbone { workload, .. } => Some(workload),
        }
    }

    /// The service that the client dialled, if it dialled one.
    #[must_use]
    pub fn service(&self) -> Option<&Arc<Service>> {
        match self {
            Self::Passthrough { service, .. }
            | Self::Plain { service, .. }
            | Self::Hbone { service, .. } => service.as_ref(),
        }
    }
}

/// What the far end of a tunnel is to the connection in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Via {
    /// Its destination.
    Endpoint,
    /// A waypoint on the way.
    Waypoint,
}

/// Plans one connection.
///
/// `random` yields numbers that are uniform over all of `u64`; the same ones lead to the same plan.
///
/// # Errors
/// Where the connection must not or cannot be made; see [`Refusal`].
pub fn plan(
    snapshot: &Snapshot,
    facts: &Facts<'_>,
    random: &mut dyn FnMut() -> u64,
) -> Result<Planned, Refusal> {
    let destination = SocketAddr::new(
        facts.destination.ip().to_canonical(),
        facts.destination.port(),
    );
    let call = Call {
        snapshot,
        source: facts.source,
        destination,
    };
    let ip = destination.ip();
    // What stays within the pod is captured only by a client that dials our own ports; anything else that comes
    // here all the same goes on as it would have gone without us.
    if stays_within(call.source, ip) {
        return if is_self_call(call.source, destination) {
            Err(Refusal::SelfCall)
        } else {
            Ok(Planned::Ready(Plan::Passthrough {
                destination,
                service: None,
            }))
        };
    }
    if let Some(service) = snapshot.service_by_vip(&call.source.network, ip, &call.source.namespace)
    {
        return call.to_service(service, random);
    }
    if let Some(workload) = snapshot.workload_by_address(&call.source.network, ip) {
        return call.to_workload(workload, None, random);
    }
    Ok(Planned::Ready(Plan::Passthrough {
        destination,
        service: None,
    }))
}

/// Whether an address is the pod's own.
fn stays_within(source: &Workload, ip: IpAddr) -> bool {
    ip.is_loopback() || ip.is_unspecified() || source.ips.contains(&ip)
}

/// Whether somebody would listen there who is ourselves.
fn is_self_call(source: &Workload, address: SocketAddr) -> bool {
    stays_within(source, address.ip()) && OWN_PORTS.contains(&address.port())
}

/// One connection and the mesh that it is planned in.
struct Call<'a> {
    snapshot: &'a Snapshot,
    source: &'a Arc<Workload>,
    /// Without IPv4 addresses in IPv6 form.
    destination: SocketAddr,
}

impl Call<'_> {
    fn to_service(
        &self,
        service: &Arc<Service>,
        random: &mut dyn FnMut() -> u64,
    ) -> Result<Planned, Refusal> {
        if let Some(waypoint) = self.waypoint_of(service, random) {
            return self.to_waypoint(waypoint, Some(service), random);
        }
        match service.load_balancing.mode {
            LoadBalancingMode::Passthrough => {
                let ip = self.destination.ip();
                match self.snapshot.workload_by_address(&self.source.network, ip) {
                    Some(workload) => self.to_workload(workload, Some(service), random),
                    None => Ok(Planned::Ready(Plan::Passthrough {
                        destination: self.destination,
                        service: Some(Arc::clone(service)),
                    })),
                }
            }
            LoadBalancingMode::Unspecified
            | LoadBalancingMode::Strict
            | LoadBalancingMode::Failover => {
                let chosen = self.choose(service, random)?;
                Ok(self.go(Via::Endpoint, chosen, Some(service)))
            }
        }
    }

    /// The destination is a workload's own address.
    fn to_workload(
        &self,
        workload: &Arc<Workload>,
        service: Option<&Arc<Service>>,
        random: &mut dyn FnMut() -> u64,
    ) -> Result<Planned, Refusal> {
        if let Some(waypoint) = &workload.waypoint
            && self.enters(waypoint)
        {
            return self.to_waypoint(waypoint, service, random);
        }
        let chosen = Chosen {
            workload,
            place: Place::Address(self.destination),
        };
        Ok(self.go(Via::Endpoint, chosen, service))
    }

    /// To the workload that was chosen.
    fn go(&self, via: Via, chosen: Chosen<'_>, service: Option<&Arc<Service>>) -> Planned {
        let hop = Hop {
            via,
            dialled: self.destination,
            workload: Arc::clone(chosen.workload),
            service: service.cloned(),
        };
        match chosen.place {
            Place::Address(address) => Planned::Ready(hop.at(address)),
            Place::Named { port, families } => Planned::Lookup(Lookup {
                hop,
                source: Arc::clone(self.source),
                families,
                port,
            }),
        }
    }
}

/// Who was chosen, and where it is.
struct Chosen<'a> {
    workload: &'a Arc<Workload>,
    place: Place,
}

/// Where a workload is.
#[derive(Clone, Copy)]
enum Place {
    /// At an address of its own.
    Address(SocketAddr),
    /// At a port of whatever its hostname leads to.
    Named { port: u16, families: IpFamilies },
}

/// The next hop of a connection but for its address: a workload of our own network, without anyone between.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Hop {
    via: Via,
    dialled: SocketAddr,
    workload: Arc<Workload>,
    service: Option<Arc<Service>>,
}

impl Hop {
    fn at(self, address: SocketAddr) -> Plan {
        let Self {
            via,
            dialled,
            workload,
            service,
        } = self;
        match (via, workload.tunnel) {
            (Via::Waypoint, _) => Plan::Hbone {
                peer: address,
                authority: dialled,
                expected: vec![San::from(&workload.identity())],
                via,
                workload,
                service,
            },
            (Via::Endpoint, Tunnel::Hbone) => Plan::Hbone {
                peer: SocketAddr::new(address.ip(), HBONE_PORT),
                authority: address,
                expected: expected(&workload, service.as_deref()),
                via,
                workload,
                service,
            },
            (Via::Endpoint, Tunnel::None) => Plan::Plain {
                destination: address,
                workload,
                service,
            },
        }
    }
}

/// Who may answer for a workload: itself, and whoever the service says.
fn expected(workload: &Workload, service: Option<&Service>) -> Vec<San> {
    let mut expected = vec![San::from(&workload.identity())];
    if let Some(service) = service {
        expected.extend(
            service
                .subject_alt_names
                .iter()
                .map(|name| San::from(name.as_str())),
        );
    }
    expected.sort_unstable();
    expected.dedup();
    expected
}

#[cfg(test)]
mod tests;
