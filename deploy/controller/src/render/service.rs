//! Services, and the hosts of ServiceEntries, to `istio.workload.Service`.
//!
//! In: an object, its namespace and its waypoints. Out: the resource, or `None` where proxies do not know it. Never:
//! looks for other objects.

use ipnet::IpNet;
use wire::proto::workload::{
    self, IpFamilies, LoadBalancing, NetworkAddress, Port,
    load_balancing::{HealthPolicy, Mode, Scope},
    service::Visibility,
};

use super::{
    mesh::{Mesh, octets},
    ports::port,
    waypoint::{Binding, References},
};
use crate::objects::{
    IpFamily, Meta, Namespace, Resolution, Service, ServiceEntry, ServiceType, TargetPort,
    TrafficDistribution,
};

const DISTRIBUTION: &str = "networking.istio.io/traffic-distribution";

/// A Service as proxies know it; `None` for an ExternalName, which DNS alone answers (LB-11).
///
/// Its addresses are its cluster IPs: traffic to external and load balancer addresses stays the node's.
#[must_use]
pub fn service(
    service: &Service,
    namespace: Option<&Namespace>,
    binding: &Binding,
    mesh: &Mesh<'_>,
) -> Option<workload::Service> {
    if service.kind == ServiceType::ExternalName {
        return None;
    }
    let addresses = if service.headless {
        Vec::new()
    } else {
        service
            .cluster_ips
            .iter()
            .map(|it| mesh.address(*it))
            .collect()
    };
    let mut load_balancing = if service.internal_local {
        Some(preference(Mode::Strict, &[Scope::Node]))
    } else {
        service
            .distribution
            .or_else(|| distribution(&namespace?.meta))
            .map(distributed)
    };
    if service.publish_not_ready {
        load_balancing.get_or_insert_default().health_policy = HealthPolicy::AllowAll.into();
    }
    let ports = service.ports.iter().map(|it| {
        let target = match it.target {
            TargetPort::Same => it.port,
            TargetPort::Number(number) => number,
            // Each workload says where it leads.
            TargetPort::Name(_) => 0,
        };
        port(it.port, target, it.protocol)
    });
    let hostname = mesh.hostname(&service.meta.namespace, &service.meta.name);
    let rendered = workload::Service {
        load_balancing,
        ip_families: families(&service.families).into(),
        canonical: true,
        ..base(&service.meta, hostname, addresses, ports.collect(), binding)
    };
    Some(rendered)
}

/// One host of a ServiceEntry as proxies know it.
#[must_use]
pub fn entry(
    entry: &ServiceEntry,
    host: &str,
    namespace: Option<&Namespace>,
    binding: &Binding,
    mesh: &Mesh<'_>,
) -> workload::Service {
    let mut addresses: Vec<_> = entry.addresses.iter().map(|it| range(it, mesh)).collect();
    let wants_allocated =
        addresses.is_empty() && entry.resolution != Resolution::None && !host.starts_with('*');
    if wants_allocated {
        let of_host = |it: &&(String, _)| it.0.is_empty() || it.0 == host;
        let allocated = entry.allocated.iter().filter(of_host);
        addresses = allocated.map(|(_, it)| mesh.address(*it)).collect();
    }
    let load_balancing = if entry.resolution == Resolution::None {
        Some(preference(Mode::Passthrough, &[]))
    } else {
        distribution(&entry.meta)
            .or_else(|| distribution(&namespace?.meta))
            .map(distributed)
    };
    let ports = entry
        .ports
        .iter()
        .map(|it| port(it.number, it.target.unwrap_or(it.number), it.protocol));
    let visibility = if mesh.has_private_entries(&entry.meta.namespace, namespace) {
        Visibility::Namespace
    } else {
        Visibility::Public
    };
    workload::Service {
        subject_alt_names: entry.subject_alt_names.clone(),
        load_balancing,
        visibility: visibility.into(),
        ..base(
            &entry.meta,
            host.to_owned(),
            addresses,
            ports.collect(),
            binding,
        )
    }
}

fn base(
    meta: &Meta,
    hostname: String,
    addresses: Vec<NetworkAddress>,
    ports: Vec<Port>,
    binding: &Binding,
) -> workload::Service {
    let References {
        waypoint,
        weighted,
        ingress,
    } = binding.references();
    workload::Service {
        name: meta.name.to_string(),
        namespace: meta.namespace.to_string(),
        hostname,
        addresses,
        ports,
        subject_alt_names: Vec::new(),
        waypoint,
        load_balancing: None,
        ip_families: IpFamilies::Automatic.into(),
        extensions: Vec::new(),
        canonical: false,
        ingress_use_waypoint: ingress,
        weighted_waypoints: weighted,
        visibility: Visibility::Public.into(),
    }
}

/// A range that is one address has no length.
fn range(range: &IpNet, mesh: &Mesh<'_>) -> NetworkAddress {
    let is_one = range.prefix_len() == range.max_prefix_len();
    NetworkAddress {
        network: mesh.network.to_owned(),
        address: octets(range.network()),
        length: (!is_one).then(|| range.prefix_len().into()),
    }
}

fn families(families: &[IpFamily]) -> IpFamilies {
    match families {
        [] => IpFamilies::Automatic,
        [IpFamily::V4] => IpFamilies::Ipv4Only,
        [IpFamily::V6] => IpFamilies::Ipv6Only,
        [..] => IpFamilies::Dual,
    }
}

/// What the annotation says; `None` for what it does not know. Of a Service, it has been read with the Service.
fn distribution(meta: &Meta) -> Option<TrafficDistribution> {
    let value = meta.annotation(DISTRIBUTION)?;
    let known = [
        ("PreferClose", TrafficDistribution::Close),
        ("PreferSameZone", TrafficDistribution::SameZone),
        ("PreferSameNode", TrafficDistribution::SameNode),
    ];
    known
        .iter()
        .find(|(name, _)| name.eq_ignore_ascii_case(value))
        .map(|(_, distribution)| *distribution)
}

/// Source: LB-03.
fn distributed(distribution: TrafficDistribution) -> LoadBalancing {
    let scopes: &[Scope] = match distribution {
        TrafficDistribution::Close | TrafficDistribution::SameZone => {
            &[Scope::Network, Scope::Region, Scope::Zone]
        }
        TrafficDistribution::SameNode => &[
            Scope::Network,
            Scope::Region,
            Scope::Zone,
            Scope::Subzone,
            Scope::Node,
        ],
    };
    preference(Mode::Failover, scopes)
}

fn preference(mode: Mode, scopes: &[Scope]) -> LoadBalancing {
    LoadBalancing {
        routing_preference: scopes.iter().map(|scope| (*scope).into()).collect(),
        mode: mode.into(),
        health_policy: HealthPolicy::OnlyHealthy.into(),
    }
}
