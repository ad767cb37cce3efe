//! The way through a waypoint.
//!
//! In: what names a waypoint. Out: a tunnel to one of its pods. Never: sends what left a waypoint into one again.

use std::{net::SocketAddr, sync::Arc};

use mesh::{
    Service, Workload,
    endpoints::scale,
    service::{GatewayAddress, GatewayDestination},
};

use super::{Call, Chosen, Place, Planned, Refusal, Via, endpoint::other_network};

impl Call<'_> {
    /// The waypoint that the source goes through to a service; where several share its connections, one by weight. A
    /// pod of any of them goes through none.
    pub(super) fn waypoint_of<'a>(
        &self,
        service: &'a Service,
        random: &mut dyn FnMut() -> u64,
    ) -> Option<&'a GatewayAddress> {
        if !service.waypoints().all(|waypoint| self.enters(waypoint)) {
            return None;
        }
        let weighted = &service.weighted_waypoints;
        if weighted.is_empty() {
            return service.waypoint.as_ref();
        }
        let total = weighted.iter().map(|(_, weight)| u64::from(*weight)).sum();
        let Some(mut point) = scale(random(), total) else {
            // Weights that say nothing are no way around the waypoints.
            return service.waypoints().next();
        };
        for (waypoint, weight) in weighted {
            let weight = u64::from(*weight);
            if point < weight {
                return Some(waypoint);
            }
            point -= weight;
        }
        service.waypoints().next()
    }

    /// Whether the source goes through a waypoint: not if it is one itself, or another gateway.
    pub(super) fn enters(&self, waypoint: &GatewayAddress) -> bool {
        !self.source.native_tunnel && !self.is_pod_of(waypoint)
    }

    /// Whether the source is a pod of this very waypoint.
    fn is_pod_of(&self, waypoint: &GatewayAddress) -> bool {
        match &waypoint.destination {
            GatewayDestination::Service(key) => self.source.services.contains_key(key),
            GatewayDestination::Address(address) => {
                let own =
                    address.network == self.source.network && self.source.ips.contains(&address.ip);
                own || self
                    .snapshot
                    .service_by_vip(&address.network, address.ip, &self.source.namespace)
                    .is_some_and(|service| self.source.services.contains_key(&service.key()))
            }
        }
    }

    /// A tunnel to a pod of the waypoint, which is asked for what the client dialled.
    pub(super) fn to_waypoint(
        &self,
        waypoint: &GatewayAddress,
        service: Option<&Arc<Service>>,
        random: &mut dyn FnMut() -> u64,
    ) -> Result<Planned, Refusal> {
        let pod = self.waypoint_pod(waypoint, random)?;
        Ok(self.go(Via::Waypoint, pod, service))
    }

    fn waypoint_pod(
        &self,
        waypoint: &GatewayAddress,
        random: &mut dyn FnMut() -> u64,
    ) -> Result<Chosen<'_>, Refusal> {
        let port = waypoint.hbone_port;
        let unknown = || Refusal::UnknownWaypoint {
            waypoint: waypoint.destination.clone(),
        };
        let service = match &waypoint.destination {
            GatewayDestination::Service(key) => self.snapshot.service(key),
            GatewayDestination::Address(address) => {
                if let Some(workload) = self
                    .snapshot
                    .workload_by_address(&address.network, address.ip)
                {
                    return if workload.network == self.source.network {
                        let place = Place::Address(SocketAddr::new(address.ip, port));
                        Ok(Chosen { workload, place })
                    } else {
                        Err(other_network(workload))
                    };
                }
                self.snapshot
                    .service_by_vip(&address.network, address.ip, &self.source.namespace)
            }
        };
        let service = service.ok_or_else(unknown)?;
        let key = service.key();
        // A waypoint's service need not list its HBONE port: the port is where the waypoint ends HBONE.
        let target = |pod: &Workload| {
            let mapped = pod.services.get(&key).and_then(|ports| ports.target(port));
            Some(
                mapped
                    .or_else(|| service.ports.target(port))
                    .unwrap_or(port),
            )
        };
        self.choose_by(service, &target, random)
    }
}
