//! Resources as people read them: JSON with proto3's names, addresses as text and enums by name.
//!
//! In: a resource. Out: JSON; fields that hold their default are left out. Never: fails: what cannot be read is shown
//! as what it is.

mod policy;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use serde_json::{Map, Value, json};
use wire::proto::workload::{
    self, Address, AppProtocol, ApplicationTunnel, Extension, GatewayAddress, IpFamilies,
    LoadBalancing, Locality, NetworkAddress, NetworkMode, Port, TunnelProtocol, WorkloadStatus,
    WorkloadType, address, application_tunnel, gateway_address, load_balancing, service,
};

pub use policy::authorization;

use crate::output::Resource;

/// Any resource.
#[must_use]
pub fn resource(resource: &Resource) -> Value {
    match resource {
        Resource::Workload(it) => workload(it),
        Resource::Service(it) => service(it),
        Resource::Authorization(it) => authorization(it),
        // What only waypoints are told is shown as the code knows it.
        Resource::RouteTable(it, _) => format!("{it:?}").into(),
        Resource::BackendPolicy(it) => format!("{it:?}").into(),
        Resource::Settings(it, _) => format!("{it:?}").into(),
    }
}

/// A workload or a service.
#[must_use]
pub fn address(address: &Address) -> Value {
    match &address.r#type {
        Some(address::Type::Workload(it)) => workload(it),
        Some(address::Type::Service(it)) => service(it),
        None => Value::Null,
    }
}

/// A workload.
#[must_use]
pub fn workload(workload: &workload::Workload) -> Value {
    let tunnel = TunnelProtocol::try_from(workload.tunnel_protocol).map(|it| it.as_str_name());
    let kind = WorkloadType::try_from(workload.workload_type).map(|it| it.as_str_name());
    let status = WorkloadStatus::try_from(workload.status).map(|it| it.as_str_name());
    let mode = NetworkMode::try_from(workload.network_mode).map(|it| it.as_str_name());
    let services = workload
        .services
        .iter()
        .map(|(name, ports)| (name.clone(), list(&ports.ports, port)))
        .collect();
    Fields::default()
        .text("uid", &workload.uid)
        .text("name", &workload.name)
        .text("namespace", &workload.namespace)
        .list("addresses", &workload.addresses, |it| ip(it).into())
        .text("hostname", &workload.hostname)
        .text("network", &workload.network)
        .always("tunnelProtocol", name(tunnel, workload.tunnel_protocol))
        .flag("nativeTunnel", workload.native_tunnel)
        .text("trustDomain", &workload.trust_domain)
        .text("serviceAccount", &workload.service_account)
        .object("waypoint", workload.waypoint.as_ref().map(gateway))
        .object(
            "networkGateway",
            workload.network_gateway.as_ref().map(gateway),
        )
        .text("node", &workload.node)
        .text("canonicalName", &workload.canonical_name)
        .text("canonicalRevision", &workload.canonical_revision)
        .always("workloadType", name(kind, workload.workload_type))
        .text("workloadName", &workload.workload_name)
        .object(
            "applicationTunnel",
            workload.application_tunnel.map(tunnelled),
        )
        .map("services", services)
        .list(
            "authorizationPolicies",
            &workload.authorization_policies,
            |it| json!(it),
        )
        .always("status", name(status, workload.status))
        .text("clusterId", &workload.cluster_id)
        .object("locality", workload.locality.as_ref().map(locality))
        .named("networkMode", mode, workload.network_mode)
        .list("extensions", &workload.extensions, extension)
        .object("capacity", workload.capacity.map(Value::from))
        .done()
}

/// A service.
#[must_use]
pub fn service(service: &workload::Service) -> Value {
    let families = IpFamilies::try_from(service.ip_families).map(|it| it.as_str_name());
    let visibility = service::Visibility::try_from(service.visibility).map(|it| it.as_str_name());
    Fields::default()
        .text("name", &service.name)
        .text("namespace", &service.namespace)
        .text("hostname", &service.hostname)
        .list("addresses", &service.addresses, |it| {
            network_address(it).into()
        })
        .list("ports", &service.ports, port)
        .list("subjectAltNames", &service.subject_alt_names, |it| {
            json!(it)
        })
        .object("waypoint", service.waypoint.as_ref().map(gateway))
        .list("weightedWaypoints", &service.weighted_waypoints, |it| {
            Fields::default()
                .object("destination", it.destination.as_ref().map(gateway))
                .always("weight", it.weight.into())
                .done()
        })
        .object(
            "loadBalancing",
            service.load_balancing.as_ref().map(balancing),
        )
        .named("ipFamilies", families, service.ip_families)
        .flag("canonical", service.canonical)
        .flag("ingressUseWaypoint", service.ingress_use_waypoint)
        .named("visibility", visibility, service.visibility)
        .list("extensions", &service.extensions, extension)
        .done()
}

fn port(port: &Port) -> Value {
    let protocol = AppProtocol::try_from(port.app_protocol).map(|it| it.as_str_name());
    Fields::default()
        .number("servicePort", port.service_port)
        .number("targetPort", port.target_port)
        .named("appProtocol", protocol, port.app_protocol)
        .done()
}

fn gateway(gateway: &GatewayAddress) -> Value {
    let destination = match &gateway.destination {
        Some(gateway_address::Destination::Hostname(it)) => {
            format!("{}/{}", it.namespace, it.hostname)
        }
        Some(gateway_address::Destination::Address(it)) => network_address(it),
        None => String::new(),
    };
    Fields::default()
        .text("destination", &destination)
        .number("hboneMtlsPort", gateway.hbone_mtls_port)
        .done()
}

fn balancing(balancing: &LoadBalancing) -> Value {
    let mode = load_balancing::Mode::try_from(balancing.mode).map(|it| it.as_str_name());
    let health = load_balancing::HealthPolicy::try_from(balancing.health_policy);
    Fields::default()
        .list(
            "routingPreference",
            &balancing.routing_preference,
            |scope| {
                let known = load_balancing::Scope::try_from(*scope).map(|it| it.as_str_name());
                name(known, *scope)
            },
        )
        .named("mode", mode, balancing.mode)
        .named(
            "healthPolicy",
            health.map(|it| it.as_str_name()),
            balancing.health_policy,
        )
        .done()
}

fn tunnelled(tunnel: ApplicationTunnel) -> Value {
    let protocol =
        application_tunnel::Protocol::try_from(tunnel.protocol).map(|it| it.as_str_name());
    Fields::default()
        .always("protocol", name(protocol, tunnel.protocol))
        .number("port", tunnel.port)
        .done()
}

fn locality(locality: &Locality) -> Value {
    Fields::default()
        .text("region", &locality.region)
        .text("zone", &locality.zone)
        .text("subzone", &locality.subzone)
        .done()
}

fn extension(extension: &Extension) -> Value {
    let config = extension.config.as_ref();
    Fields::default()
        .text("name", &extension.name)
        .text("type", config.map_or("", |it| it.type_url.as_str()))
        .done()
}

/// `<network>/<address>`, with the length of a range.
fn network_address(address: &NetworkAddress) -> String {
    let ip = ip(&address.address);
    match address.length {
        Some(length) => format!("{}/{ip}/{length}", address.network),
        None => format!("{}/{ip}", address.network),
    }
}

fn ip(octets: &[u8]) -> String {
    let address = match octets.len() {
        4 => <[u8; 4]>::try_from(octets).map(|it| IpAddr::V4(Ipv4Addr::from(it))),
        _ => <[u8; 16]>::try_from(octets).map(|it| IpAddr::V6(Ipv6Addr::from(it))),
    };
    address.map_or_else(|_| format!("{octets:02x?}"), |address| address.to_string())
}

/// An enum's name, or the number that has none.
fn name<E>(known: Result<&'static str, E>, number: i32) -> Value {
    known.map_or_else(|_| number.into(), Value::from)
}

fn list<T>(items: &[T], show: impl Fn(&T) -> Value) -> Value {
    Value::Array(items.iter().map(show).collect())
}

/// The fields of a JSON object that do not hold their default.
#[derive(Default)]
struct Fields(Map<String, Value>);

impl Fields {
    fn always(mut self, name: &str, value: Value) -> Self {
        self.0.insert(name.to_owned(), value);
        self
    }

    fn text(self, name: &str, value: &str) -> Self {
        if value.is_empty() {
            return self;
        }
        self.always(name, value.into())
    }

    fn number(self, name: &str, value: u32) -> Self {
        if value == 0 {
            return self;
        }
        self.always(name, value.into())
    }

    fn flag(self, name: &str, value: bool) -> Self {
        if !value {
            return self;
        }
        self.always(name, true.into())
    }

    fn named<E>(self, field: &str, known: Result<&'static str, E>, number: i32) -> Self {
        if number == 0 {
            return self;
        }
        self.always(field, name(known, number))
    }

    fn object(self, name: &str, value: Option<Value>) -> Self {
        match value {
            Some(value) => self.always(name, value),
            None => self,
        }
    }

    fn map(self, name: &str, values: Map<String, Value>) -> Self {
        if values.is_empty() {
            return self;
        }
        self.always(name, Value::Object(values))
    }

    fn list<T>(self, name: &str, items: &[T], show: impl Fn(&T) -> Value) -> Self {
        if items.is_empty() {
            return self;
        }
        self.always(name, list(items, show))
    }

    fn done(self) -> Value {
        Value::Object(self.0)
    }
}

#[cfg(test)]
mod tests;
