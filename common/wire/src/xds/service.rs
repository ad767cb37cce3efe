//! `istio.workload.Service`.

use std::net::IpAddr;

use mesh::{
    Service,
    service::{
        AppProtocol, GatewayAddress, HealthPolicy, IpFamilies, LoadBalancing, LoadBalancingMode,
        NetworkAddress, Scope, Visibility,
    },
};

use super::{
    error::{Fault, each},
    field, gateway,
    names::Names,
};
use crate::proto::workload as proto;

/// Reads a service.
///
/// `extensions` and `ingress_use_waypoint` are for other readers.
pub(super) fn read(read: proto::Service, names: &mut Names) -> Result<Service, Fault> {
    let namespace = field::required_segment("namespace", &read.namespace)?;
    if read.hostname.is_empty() {
        return Err(Fault::missing("hostname", "a fully qualified hostname"));
    }
    let hostname = field::hostname("hostname", &read.hostname)?;
    let weighted = weighted_waypoints(&read.weighted_waypoints, names)?;
    let waypoint = gateway::optional("waypoint", read.waypoint.as_ref(), names)?;
    Ok(Service {
        name: field::label("name", &read.name)?.into(),
        namespace: names.namespaces.share(namespace),
        hostname: names.hostnames.share(&hostname),
        vips: vips(&read.addresses, names)?,
        ports: gateway::ports(&read.ports)?,
        protocols: protocols(&read.ports),
        subject_alt_names: each("subject_alt_names", &read.subject_alt_names, |text| {
            Ok(names.labels.share(field::name("", text)?))
        })?,
        // Where no share counts, one of them still does: nobody gets around the policies of a waypoint.
        waypoint: waypoint.or_else(|| first_without_share(&weighted)),
        weighted_waypoints: weighted,
        load_balancing: load_balancing(read.load_balancing.as_ref()),
        ip_families: match proto::IpFamilies::try_from(read.ip_families) {
            Ok(proto::IpFamilies::Automatic) | Err(_) => IpFamilies::Automatic,
            Ok(proto::IpFamilies::Ipv4Only) => IpFamilies::Ipv4Only,
            Ok(proto::IpFamilies::Ipv6Only) => IpFamilies::Ipv6Only,
            Ok(proto::IpFamilies::Dual) => IpFamilies::Dual,
        },
        canonical: read.canonical,
        // A service that is hidden from its clients is reached around its waypoint: what is not known is public.
        visibility: match proto::service::Visibility::try_from(read.visibility) {
            Ok(proto::service::Visibility::Public) | Err(_) => Visibility::Public,
            Ok(proto::service::Visibility::Namespace) => Visibility::Namespace,
        },
    })
}

/// Each address once, without the unspecified ones that stand for "headless".
fn vips(read: &[proto::NetworkAddress], names: &mut Names) -> Result<Vec<NetworkAddress>, Fault> {
    let mut vips: Vec<NetworkAddress> = Vec::with_capacity(read.len());
    for vip in each("addresses", read, |address| {
        gateway::network_address(address, names)
    })? {
        let headless = vip.prefix_length.is_none() && IpAddr::is_unspecified(&vip.ip);
        if !headless && !vips.contains(&vip) {
            vips.push(vip);
        }
    }
    Ok(vips)
}

/// What ports speak, where that was declared. A protocol of a later version is detected.
fn protocols(read: &[proto::Port]) -> Vec<(u16, AppProtocol)> {
    let declared = read.iter().filter_map(|port| {
        let protocol = match proto::AppProtocol::try_from(port.app_protocol) {
            Ok(proto::AppProtocol::Http11) => AppProtocol::Http11,
            Ok(proto::AppProtocol::Http2) => AppProtocol::Http2,
            Ok(proto::AppProtocol::Grpc) => AppProtocol::Grpc,
            Ok(proto::AppProtocol::Tcp) => AppProtocol::Tcp,
            Ok(proto::AppProtocol::Tls) => AppProtocol::Tls,
            Ok(proto::AppProtocol::Unknown) | Err(_) => return None,
        };
        Some((u16::try_from(port.service_port).ok()?, protocol))
    });
    let mut declared: Vec<_> = declared.collect();
    declared.sort_by_key(|(port, _)| *port);
    declared.dedup_by_key(|(port, _)| *port);
    declared
}

/// The waypoints that share its connections, each with its share.
fn weighted_waypoints(
    read: &[proto::WeightedWaypoint],
    names: &mut Names,
) -> Result<Vec<(GatewayAddress, u32)>, Fault> {
    each("weighted_waypoints", read, |read| {
        let destination = read
            .destination
            .as_ref()
            .ok_or_else(|| Fault::missing("destination", "a hostname or an address"))?;
        let waypoint =
            gateway::gateway(destination, names).map_err(|fault| fault.within("destination"))?;
        Ok((waypoint, read.weight))
    })
}

/// The first of waypoints that all have no share.
fn first_without_share(weighted: &[(GatewayAddress, u32)]) -> Option<GatewayAddress> {
    let (first, _) = weighted.first()?;
    let none = weighted.iter().all(|(_, share)| *share == 0);
    none.then(|| first.clone())
}

/// Preferences and modes of a later version play no part: they would only narrow the choice.
fn load_balancing(read: Option<&proto::LoadBalancing>) -> LoadBalancing {
    use proto::load_balancing as wire;
    let Some(read) = read else {
        return LoadBalancing::default();
    };
    let scope = |number: &i32| match wire::Scope::try_from(*number) {
        Ok(wire::Scope::UnspecifiedScope) | Err(_) => None,
        Ok(wire::Scope::Region) => Some(Scope::Region),
        Ok(wire::Scope::Zone) => Some(Scope::Zone),
        Ok(wire::Scope::Subzone) => Some(Scope::Subzone),
        Ok(wire::Scope::Node) => Some(Scope::Node),
        Ok(wire::Scope::Cluster) => Some(Scope::Cluster),
        Ok(wire::Scope::Network) => Some(Scope::Network),
    };
    LoadBalancing {
        routing_preference: read.routing_preference.iter().filter_map(scope).collect(),
        mode: match wire::Mode::try_from(read.mode) {
            Ok(wire::Mode::UnspecifiedMode) | Err(_) => LoadBalancingMode::Unspecified,
            Ok(wire::Mode::Strict) => LoadBalancingMode::Strict,
            Ok(wire::Mode::Failover) => LoadBalancingMode::Failover,
            Ok(wire::Mode::Passthrough) => LoadBalancingMode::Passthrough,
        },
        health_policy: match wire::HealthPolicy::try_from(read.health_policy) {
            Ok(wire::HealthPolicy::OnlyHealthy) | Err(_) => HealthPolicy::OnlyHealthy,
            Ok(wire::HealthPolicy::AllowAll) => HealthPolicy::AllowAll,
        },
    }
}
