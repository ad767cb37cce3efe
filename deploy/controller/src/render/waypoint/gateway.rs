//! Gateways as waypoints: class, traffic, address, and the Service before their pods.

use std::sync::Arc;

use wire::proto::workload::{
    ApplicationTunnel, GatewayAddress, NamespacedHostname, application_tunnel::Protocol,
    gateway_address::Destination,
};

use crate::{
    objects::{
        AllowedNamespaces, AppProtocol, Gateway, GatewayAddressValue, GatewayClass, Labels,
        Listener, Meta, Selector, Service, ServicePort, TargetPort, TrafficDistribution,
    },
    render::mesh::Mesh,
};

/// The label of a gateway's pods that names it.
pub const GATEWAY_NAME: &str = "gateway.networking.k8s.io/gateway-name";
/// The class of Istio's own waypoints.
pub const ISTIO_CLASS: &str = "istio-waypoint";
const WAYPOINT_FOR: &str = "istio.io/waypoint-for";
const INBOUND_BINDING: &str = "ambient.istio.io/waypoint-inbound-binding";
const NAME_OVERRIDE: &str = "gateway.istio.io/name-override";
const SERVICE_ACCOUNT: &str = "gateway.istio.io/service-account";

/// The protocol of the listener that takes tunnels.
const HBONE: &str = "HBONE";
/// Where waypoints take tunnels.
const HBONE_PORT: u16 = 15008;

/// A Gateway and its class.
#[derive(Clone, Copy, Debug)]
pub struct Found<'a> {
    /// The Gateway.
    pub gateway: &'a Gateway,
    /// The object that its class names, if it is there.
    pub class: Option<&'a GatewayClass>,
}

/// What a Gateway is to the mesh.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// A waypoint that the mesh runs.
    Waypoint,
    /// A gateway between networks that the mesh runs.
    EastWest,
    /// Something else.
    Other,
}

/// The traffic that a waypoint takes. Source: WPT-04.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Traffic {
    /// What is addressed to services.
    Service,
    /// What is addressed to workloads.
    Workload,
    /// Both.
    All,
    /// Nothing.
    None,
}

impl Traffic {
    /// As the label spells it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Service => "service",
            Self::Workload => "workload",
            Self::All => "all",
            Self::None => "none",
        }
    }

    /// Whether a waypoint that takes this takes all that is `asked`.
    #[must_use]
    pub fn includes(self, asked: Self) -> bool {
        self == asked || self == Self::All
    }
}

/// A usable waypoint.
#[derive(Clone, Debug)]
pub struct Waypoint<'a> {
    /// The namespace of its Gateway.
    pub namespace: &'a str,
    /// The name of its Gateway.
    pub name: &'a str,
    /// Where it takes tunnels.
    pub address: GatewayAddress,
    /// What it takes.
    pub traffic: Traffic,
    /// Whose it takes.
    pub allowed: &'a AllowedNamespaces,
}

/// What a pod is to the gateway that it is a part of.
#[derive(Clone, Debug, PartialEq)]
pub struct Instance {
    /// The mesh runs the gateway; it ends HBONE itself, unless there is a binding.
    pub managed: bool,
    /// How its ztunnel hands it connections instead. Source: WPT-08, HB-09.
    pub binding: Option<ApplicationTunnel>,
}

/// What a Gateway is to the mesh: by the name of its class, or by the controller of the class.
#[must_use]
pub fn class(found: Found<'_>) -> Class {
    class_of(&found.gateway.class, found.class)
}

/// What Gateways of a class are to the mesh; `object` is the class, if it is there.
#[must_use]
pub fn class_of(name: &str, object: Option<&GatewayClass>) -> Class {
    match name {
        ISTIO_CLASS | "ambit-waypoint" => Class::Waypoint,
        "istio-east-west" => Class::EastWest,
        _other => match object.map(|it| it.controller.as_str()) {
            Some("istio.io/mesh-controller") => Class::Waypoint,
            Some("istio.io/eastwest-controller") => Class::EastWest,
            Some(_) | None => Class::Other,
        },
    }
}

/// What the pods of a Gateway are.
#[must_use]
pub fn instance(found: Found<'_>) -> Instance {
    let managed = match class(found) {
        Class::Waypoint | Class::EastWest => true,
        Class::Other => false,
    };
    let binding = of_gateway_or_class(found, |meta| meta.annotation(INBOUND_BINDING));
    Instance {
        managed,
        binding: binding.and_then(inbound_binding),
    }
}

/// The Gateway as a waypoint; `None` while it has no address.
#[must_use]
pub fn waypoint<'a>(found: Found<'a>, mesh: &Mesh<'_>) -> Option<Waypoint<'a>> {
    let gateway = found.gateway;
    let meta = &gateway.meta;
    let listener = hbone_listener(gateway);
    let destination = match class(found) {
        Class::Waypoint => hostname(meta, mesh.hostname(&meta.namespace, service_name(gateway))),
        Class::EastWest | Class::Other => given_address(gateway, mesh)?,
    };
    let traffic = match of_gateway_or_class(found, |meta| meta.label(WAYPOINT_FOR)) {
        None | Some("service") => Traffic::Service,
        Some("workload") => Traffic::Workload,
        Some("all") => Traffic::All,
        // Also for what nobody knows.
        Some(_) => Traffic::None,
    };
    Some(Waypoint {
        namespace: &meta.namespace,
        name: &meta.name,
        address: GatewayAddress {
            hbone_mtls_port: listener.map_or(HBONE_PORT, |it| it.port).into(),
            destination: Some(destination),
        },
        traffic,
        allowed: listener.map_or(&AllowedNamespaces::Same, |it| &it.allowed),
    })
}

/// The name of the Service before a Gateway's pods.
#[must_use]
pub fn service_name(gateway: &Gateway) -> &str {
    let meta = &gateway.meta;
    meta.annotation(NAME_OVERRIDE).unwrap_or(&meta.name)
}

/// The service account of a Gateway's pods.
#[must_use]
pub fn account(gateway: &Gateway) -> &str {
    let given = gateway.meta.annotation(SERVICE_ACCOUNT);
    given.unwrap_or_else(|| service_name(gateway))
}

/// The Service that a waypoint has where none is given: no address of its own, and all pods of the waypoint.
#[must_use]
pub fn service(found: Found<'_>) -> Option<Service> {
    match class(found) {
        Class::Waypoint => {}
        Class::EastWest | Class::Other => return None,
    }
    let gateway = found.gateway;
    let name = gateway.meta.name.to_string();
    let labels = Labels::from([(GATEWAY_NAME.to_owned(), name)]);
    let listener = hbone_listener(gateway);
    Some(Service {
        meta: Meta {
            name: service_name(gateway).into(),
            namespace: Arc::clone(&gateway.meta.namespace),
            labels: labels.clone(),
            created: gateway.meta.created,
            ..Meta::default()
        },
        headless: true,
        ports: vec![ServicePort {
            name: listener.map_or_else(|| "mesh".to_owned(), |it| it.name.clone()),
            port: listener.map_or(HBONE_PORT, |it| it.port),
            target: TargetPort::Same,
            protocol: AppProtocol::Unknown,
        }],
        selector: Some(Selector(labels)),
        // As Istio annotates what it makes (WPT-01).
        distribution: Some(TrafficDistribution::Close),
        ..Service::default()
    })
}

fn hbone_listener(gateway: &Gateway) -> Option<&Listener> {
    let listeners = &gateway.listeners;
    listeners
        .iter()
        .find(|it| it.protocol.eq_ignore_ascii_case(HBONE))
        .or_else(|| listeners.iter().find(|it| it.port == HBONE_PORT))
}

fn of_gateway_or_class<'a>(
    found: Found<'a>,
    read: impl Fn(&'a Meta) -> Option<&'a str>,
) -> Option<&'a str> {
    read(&found.gateway.meta).or_else(|| read(&found.class?.meta))
}

/// `PROXY`, `NONE`, each with `/<port>` or without. Anything else is no binding.
fn inbound_binding(text: &str) -> Option<ApplicationTunnel> {
    let (protocol, port) = match text.split_once('/') {
        Some((protocol, port)) => (protocol, port.parse::<u16>().ok()?),
        None => (text, 0),
    };
    let protocol = match protocol {
        "PROXY" => Protocol::Proxy,
        "NONE" => Protocol::None,
        _other => return None,
    };
    Some(ApplicationTunnel {
        protocol: protocol.into(),
        port: port.into(),
    })
}

/// The address that status or people give; a name rather than a number, since services are known by name.
fn given_address(gateway: &Gateway, mesh: &Mesh<'_>) -> Option<Destination> {
    let given = [&gateway.status_addresses, &gateway.addresses];
    let given = given.into_iter().find(|it| !it.is_empty())?;
    let name = given.iter().find_map(|it| match it {
        GatewayAddressValue::Hostname(name) => Some(hostname(&gateway.meta, name.clone())),
        GatewayAddressValue::Ip(_) => None,
    });
    name.or_else(|| {
        given.iter().find_map(|it| match it {
            GatewayAddressValue::Ip(address) => Some(Destination::Address(mesh.address(*address))),
            GatewayAddressValue::Hostname(_) => None,
        })
    })
}

fn hostname(meta: &Meta, hostname: String) -> Destination {
    Destination::Hostname(NamespacedHostname {
        namespace: meta.namespace.to_string(),
        hostname,
    })
}
