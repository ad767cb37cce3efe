//! Which endpoint of a service takes a connection.
//!
//! In: a service, its endpoints, the client. Out: one of them and where it is. Never: favours one beyond its weight
//! within the best rank that has any.

use std::net::{IpAddr, SocketAddr};

use mesh::{
    Service, Workload,
    endpoints::{Rank, scale, weight},
    service::{HealthPolicy, IpFamilies, LoadBalancing},
};

use super::{
    Call, Chosen, Place, Refusal,
    lookup::{Family, allows},
};

/// How often an endpoint is drawn blindly before all of them are looked at. Where one in ten will do, one
/// connection in thirty comes to that.
const MAX_DRAWS: usize = 32;

impl<'a> Call<'a> {
    /// An endpoint of a service for the port that was dialled.
    pub(super) fn choose(
        &self,
        service: &Service,
        random: &mut dyn FnMut() -> u64,
    ) -> Result<Chosen<'a>, Refusal> {
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
    ) -> Result<Chosen<'a>, Refusal> {
        let key = service.key();
        let Some(endpoints) = self.snapshot.endpoints(&key) else {
            return Err(Refusal::NoHealthyUpstream { service: key });
        };
        let LoadBalancing {
            mode,
            health_policy: policy,
            routing_preference: _,
        } = service.load_balancing;
        let place = |workload: &Workload| {
            place(
                workload,
                service.ip_families,
                self.destination.ip(),
                target(workload)?,
            )
        };
        let near = |workload: &Workload| {
            if workload.network == self.source.network {
                place(workload)
            } else {
                None
            }
        };
        let mut widest = None;
        for rank in endpoints.ranks(self.source, mode) {
            if let Some(chosen) = pick(rank, policy, &near, random) {
                return Ok(chosen);
            }
            widest = Some(rank);
        }
        let far = widest.and_then(|rank| {
            rank.iter()
                .filter(|workload| weight(workload, policy) > 0)
                .find(|workload| {
                    workload.network != self.source.network && place(workload).is_some()
                })
        });
        Err(
            far.map_or(Refusal::NoHealthyUpstream { service: key }, |far| {
                other_network(far)
            }),
        )
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

/// Where a workload is reached: at an address of a family that the service allows, that of `dialled` where it has one;
/// by its name where it has no such address. Nowhere if it has neither.
fn place(workload: &Workload, families: IpFamilies, dialled: IpAddr, port: u16) -> Option<Place> {
    let mut ips = workload
        .ips
        .iter()
        .filter(|ip| allows(families, Family::of(**ip)));
    match ips.clone().next() {
        Some(first) => {
            let ip = ips
                .find(|ip| ip.is_ipv6() == dialled.is_ipv6())
                .unwrap_or(first);
            Some(Place::Address(SocketAddr::new(*ip, port)))
        }
        None if workload.hostname.is_empty() => None,
        None => Some(Place::Named { port, families }),
    }
}

/// One endpoint of those that `place` has a place for, each with the probability of its weight among them.
fn pick<'a>(
    rank: Rank<'a>,
    policy: HealthPolicy,
    place: &dyn Fn(&Workload) -> Option<Place>,
    random: &mut dyn FnMut() -> u64,
) -> Option<Chosen<'a>> {
    if rank.weight(policy) == 0 {
        return None;
    }
    for _ in 0..MAX_DRAWS {
        let workload = rank.draw(policy, random())?;
        if let Some(place) = place(workload) {
            return Some(Chosen { workload, place });
        }
    }
    let eligible = || {
        rank.iter()
            .map(|workload| (workload, weight(workload, policy)))
            .filter(|(_, weight)| *weight > 0)
            .filter_map(|(workload, weight)| Some((place(workload)?, workload, weight)))
    };
    let mut point = scale(random(), eligible().map(|(_, _, weight)| weight).sum())?;
    for (place, workload, weight) in eligible() {
        if point < weight {
            return Some(Chosen { workload, place });
        }
        point -= weight;
    }
    None
}
