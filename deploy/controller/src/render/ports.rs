//! Which ports of which services a workload serves.

use std::{collections::BTreeMap, net::IpAddr};

use wire::proto::workload::{self, Port, PortList};

use super::mesh::Mesh;
use crate::objects::{
    AppProtocol, ContainerPort, EndpointSlice, Pod, Service, ServiceEntry, SliceEndpoint,
    TargetPort,
};

/// How a workload comes to serve a service.
#[derive(Clone, Debug)]
pub enum Member<'a> {
    /// The Service's selector selects it.
    Selected(&'a Service),
    /// EndpointSlices of the Service list it: these, in the order of their names, each with the endpoint.
    Listed(&'a Service, Vec<(&'a EndpointSlice, &'a SliceEndpoint)>),
    /// The ServiceEntry selects or contains it; it stands for these hosts.
    Entry(&'a ServiceEntry, Vec<&'a str>),
}

/// Where a workload's own port names lead.
#[derive(Clone, Copy, Debug)]
pub enum Names<'a> {
    /// `containers[].ports` of a pod.
    Containers(&'a [ContainerPort]),
    /// `ports` of a WorkloadEntry, or of an endpoint of a ServiceEntry.
    Endpoint(&'a BTreeMap<String, u16>),
}

impl Names<'_> {
    fn port(self, name: &str) -> Option<u16> {
        match self {
            Self::Containers(ports) => ports
                .iter()
                .find(|port| port.tcp && !name.is_empty() && port.name == name)
                .map(|port| port.port),
            Self::Endpoint(ports) => ports.get(name).copied(),
        }
    }
}

impl Member<'_> {
    /// Adds the service to what a workload serves.
    ///
    /// A port whose target the workload does not have is left out. A healthy pod that a slice lists as not ready
    /// does not serve that service, unless the service wants unready endpoints; an unhealthy one says so itself.
    pub fn serve(
        &self,
        names: Names<'_>,
        healthy: bool,
        mesh: &Mesh<'_>,
        services: &mut BTreeMap<String, PortList>,
    ) {
        match self {
            Self::Selected(service) => {
                let ports = service.ports.iter().filter_map(|port| {
                    let target = match &port.target {
                        TargetPort::Same => port.port,
                        TargetPort::Number(number) => *number,
                        TargetPort::Name(name) => names.port(name)?,
                    };
                    Some(self::port(port.port, target, port.protocol))
                });
                insert(services, key(service, mesh), ports);
            }
            Self::Listed(service, slices) => {
                let eligible = slices.iter().filter(|(_, endpoint)| {
                    !healthy || service.publish_not_ready || is_ready(endpoint)
                });
                let mut seen = false;
                let mut found: BTreeMap<u16, Port> = BTreeMap::new();
                for (slice, _) in eligible {
                    seen = true;
                    for port in listed(service, slice) {
                        // Two slices that list it differ only while one replaces the other: the first stays.
                        let service_port = u16::try_from(port.service_port).unwrap_or_default();
                        found.entry(service_port).or_insert(port);
                    }
                }
                if seen {
                    insert(services, key(service, mesh), found.into_values());
                }
            }
            Self::Entry(entry, hosts) => {
                for host in hosts {
                    let ports = entry.ports.iter().map(|port| {
                        let named = names.port(&port.name);
                        let target = match names {
                            Names::Containers(_) => port.target.or(named),
                            Names::Endpoint(_) => named.or(port.target),
                        };
                        self::port(port.number, target.unwrap_or(port.number), port.protocol)
                    });
                    insert(services, format!("{}/{host}", entry.meta.namespace), ports);
                }
            }
        }
    }
}

/// The ports of a service as the endpoints of a slice serve them: matched by name.
pub(crate) fn listed<'a>(
    service: &'a Service,
    slice: &'a EndpointSlice,
) -> impl Iterator<Item = Port> + use<'a> {
    service.ports.iter().filter_map(|port| {
        let target = slice.ports.iter().find(|it| it.name == port.name)?;
        Some(self::port(port.port, target.port, port.protocol))
    })
}

/// Whether a slice says that an endpoint takes new connections.
pub(crate) fn is_ready(endpoint: &SliceEndpoint) -> bool {
    endpoint.ready && !endpoint.terminating
}

/// Whether an endpoint of a slice is that pod: by its reference, or by an address that only the pod has.
pub(crate) fn is_pod(endpoint: &SliceEndpoint, pod: &Pod, addresses: &[IpAddr]) -> bool {
    match &endpoint.pod {
        Some((namespace, name)) => *namespace == pod.meta.namespace && *name == pod.meta.name,
        None => !pod.host_network && endpoint.addresses.iter().any(|it| addresses.contains(it)),
    }
}

/// `<namespace>/<hostname>`.
pub(crate) fn key(service: &Service, mesh: &Mesh<'_>) -> String {
    let meta = &service.meta;
    format!(
        "{}/{}",
        meta.namespace,
        mesh.hostname(&meta.namespace, &meta.name)
    )
}

pub(crate) fn port(service: u16, target: u16, protocol: AppProtocol) -> Port {
    Port {
        service_port: service.into(),
        target_port: target.into(),
        app_protocol: app_protocol(protocol).into(),
    }
}

fn app_protocol(protocol: AppProtocol) -> workload::AppProtocol {
    match protocol {
        AppProtocol::Unknown => workload::AppProtocol::Unknown,
        AppProtocol::Http11 => workload::AppProtocol::Http11,
        AppProtocol::Http2 => workload::AppProtocol::Http2,
        AppProtocol::Grpc => workload::AppProtocol::Grpc,
        AppProtocol::Tcp => workload::AppProtocol::Tcp,
        AppProtocol::Tls => workload::AppProtocol::Tls,
    }
}

fn insert(
    services: &mut BTreeMap<String, PortList>,
    name: String,
    ports: impl Iterator<Item = Port>,
) {
    services.insert(
        name,
        PortList {
            ports: ports.collect(),
        },
    );
}
