//! Which endpoint of a service takes a connection.
//!
//! In: a service and its endpoints. Out: one of them and its address. Never: favours one beyond its weight.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use mesh::{
    Endpoints, Service, Workload,
    endpoints::{scale, weight},
    service::{HealthPolicy, IpFamilies},
};

use super::{Call, Refusal};

/// How often an endpoint is drawn blindly before all of them are looked at. Where one in ten will do, one
/// connection in thirty comes to that.
const MAX_DRAWS: usize = 32;

impl<'a> Call<'a> {
    /// An endpoint of a service for the port that was dialled.
    pub(super) fn choose(
        &self,
        service: &Service,
        random: &mut dyn FnMut() -> u64,
    ) -> Result<(&'a Arc<Workload>, SocketAddr), Refusal> {
        let key = service.key();
        let port = self.destination.port();
        if !service.ports.0.contains_key(&port) {
            return Err(Refusal::UnknownPort { service: key, port });
        }
        let target = |workload: &Workload| {
            let named = workload
                .services
                .get(&key)
                .and_then(|ports| ports.target(port));
            // Without a number of its own in the service, the port has a name, which an endpoint may not have.
            named.or_else(|| {
                service
                    .ports
                    .0
                    .get(&port)
                    .copied()
                    .flatten()
                    .map(Into::into)
            })
        };
        self.choose_by(service, &target, random)
    }

    /// An endpoint of a service; `target` tells the port on which one serves, if it does.
    pub(super) fn choose_by(
        &self,
        service: &Service,
        target: &dyn Fn(&Workload) -> Option<u16>,
        random: &mut dyn FnMut() -> u64,
    ) -> Result<(&'a Arc<Workload>, SocketAddr), Refusal> {
        let key = service.key();
        let Some(endpoints) = self.snapshot.endpoints(&key) else {
            return Err(Refusal::NoHealthyUpstream { service: key });
        };
        let policy = service.load_balancing.health_policy;
        let address = |workload: &Workload| {
            let ip = pick_ip(workload, service.ip_families, self.destination.ip())?;
            Some(SocketAddr::new(ip, target(workload)?))
        };
        let near = |workload: &Workload| {
            if workload.network == self.source.network {
                address(workload)
            } else {
                None
            }
        };
        // All eligible endpoints are of one rank. A routing preference would make ranks here, best one first.
        if let Some(chosen) = pick(endpoints, policy, &near, random) {
            return Ok(chosen);
        }
        let eligible = || {
            endpoints
                .iter()
                .filter(|workload| weight(workload, policy) > 0)
        };
        if let Some(far) = eligible()
            .find(|workload| workload.network != self.source.network && address(workload).is_some())
        {
            return Err(other_network(far));
        }
        match eligible().find(|workload| workload.ips.is_empty() && !workload.hostname.is_empty()) {
            Some(named) => Err(Refusal::Unresolved {
                service: key,
                workload: named.uid.clone(),
                hostname: named.hostname.clone(),
            }),
            None => Err(Refusal::NoHealthyUpstream { service: key }),
        }
    }
}

/// Why a workload of another network is not reached.
pub(super) fn other_network(workload: &Workload) -> Refusal {
    let (uid, network) = (workload.uid.clone(), workload.network.clone());
    match &workload.network_gateway {
        Some(gateway) => Refusal::OtherNetwork {
            workload: uid,
            network,
            gateway: gateway.clone(),
        },
        None => Refusal::NoGatewayAddress {
            workload: uid,
            network,
        },
    }
}

/// The address by which a workload is reached: of a family that the service allows, that of `dialled` where it has one.
fn pick_ip(workload: &Workload, families: IpFamilies, dialled: IpAddr) -> Option<IpAddr> {
    let allowed = |ip: &&IpAddr| match families {
        IpFamilies::Automatic | IpFamilies::Dual => true,
        IpFamilies::Ipv4Only => ip.is_ipv4(),
        IpFamilies::Ipv6Only => ip.is_ipv6(),
    };
    let mut ips = workload.ips.iter().filter(allowed);
    let first = ips.clone().next()?;
    Some(
        *ips.find(|ip| ip.is_ipv6() == dialled.is_ipv6())
            .unwrap_or(first),
    )
}

/// One endpoint of those that `address` has an address for, each with the probability of its weight among them.
fn pick<'a>(
    endpoints: &'a Endpoints,
    policy: HealthPolicy,
    address: &dyn Fn(&Workload) -> Option<SocketAddr>,
    random: &mut dyn FnMut() -> u64,
) -> Option<(&'a Arc<Workload>, SocketAddr)> {
    for _ in 0..MAX_DRAWS.min(endpoints.len()) {
        let workload = endpoints.draw(policy, random())?;
        if let Some(address) = address(workload) {
            return Some((workload, address));
        }
    }
    let eligible = || {
        endpoints
            .iter()
            .map(|workload| (workload, weight(workload, policy)))
            .filter(|(_, weight)| *weight > 0)
            .filter_map(|(workload, weight)| Some((workload, weight, address(workload)?)))
    };
    let mut point = scale(random(), eligible().map(|(_, weight, _)| weight).sum())?;
    for (workload, weight, address) in eligible() {
        if point < weight {
            return Some((workload, address));
        }
        point -= weight;
    }
    None
}
