//! `v1` Service.

use std::{collections::HashMap, net::IpAddr};

use yaml::{
    Cursor, Error, Object, Position,
    scalar::{host, parse_number, port, word},
};

use super::{field, labels, name, pod::is_tcp, protocol};
use crate::objects::{
    IpFamily, IpFamilyPolicy, Meta, Selector, Service, ServicePort, ServiceType, TargetPort,
    TrafficDistribution,
};

/// The annotation that says what `spec.trafficDistribution` does not.
const DISTRIBUTION: &str = "networking.istio.io/traffic-distribution";
/// One of each family.
const MAX_FAMILIES: usize = 2;

const SPEC_FIELDS: &[&str] = &[
    "allocateLoadBalancerNodePorts",
    "clusterIP",
    "clusterIPs",
    "externalIPs",
    "externalName",
    "externalTrafficPolicy",
    "healthCheckNodePort",
    "internalTrafficPolicy",
    "ipFamilies",
    "ipFamilyPolicy",
    "loadBalancerClass",
    "loadBalancerIP",
    "loadBalancerSourceRanges",
    "ports",
    "publishNotReadyAddresses",
    "selector",
    "sessionAffinity",
    "sessionAffinityConfig",
    "trafficDistribution",
    "type",
];

const PORT_FIELDS: &[&str] = &[
    "appProtocol",
    "name",
    "nodePort",
    "port",
    "protocol",
    "targetPort",
];

const SPEC: &str = "a mapping with ports and selector";
const TARGET_PORT: &str = "a port from 1 to 65535, or the name of a container's port";

pub(super) fn service(at: &Cursor<'_>, meta: Meta) -> Result<Service, Error> {
    let object = at.object(
        "a Service",
        &["apiVersion", "kind", "metadata", "spec", "status"],
    )?;
    let mut service = Service {
        meta,
        ..Service::default()
    };
    object.required("spec", SPEC, |at| spec(at, &mut service))?;
    if service.distribution.is_none() {
        service.distribution = annotated(&service.meta, at)?;
    }
    object.nullable("status", |at| {
        at.object(
            "a mapping with loadBalancer",
            &["conditions", "loadBalancer"],
        )?
        .nullable("loadBalancer", |at| {
            let object = at.object("a mapping with ingress", &["ingress"])?;
            let ips = field::list(&object, "ingress", "a list of addresses", ingress)?;
            service.load_balancer_ips = ips.into_iter().flatten().collect();
            Ok(())
        })
    })?;
    Ok(service)
}

fn spec(at: &Cursor<'_>, service: &mut Service) -> Result<(), Error> {
    let object = at.object(SPEC, SPEC_FIELDS)?;
    if let Some(kind) = field::text(&object, "type", service_type)? {
        service.kind = kind;
    }
    addresses(&object, service)?;
    service.ports = ports(&object)?;
    let needs_ports = !service.headless && service.kind != ServiceType::ExternalName;
    // All of them may be UDP; then it is a service without ports that a mesh knows.
    let has_none = field::list(&object, "ports", "a list of ports", |_| Ok(()))?.is_empty();
    if needs_ports && has_none {
        return Err(object.missing("ports", "at least one port"));
    }
    service.selector = object
        .nullable("selector", labels::labels)?
        .filter(|labels| !labels.is_empty())
        .map(Selector);
    service.publish_not_ready = field::switch(&object, "publishNotReadyAddresses")?;
    let policies = [("Cluster", false), ("Local", true)];
    service.internal_local =
        field::text(&object, "internalTrafficPolicy", |at| word(at, &policies))?
            .unwrap_or_default();
    service.distribution = field::text(&object, "trafficDistribution", |at| {
        word(at, &DISTRIBUTIONS)
    })?;
    service.families = field::list(&object, "ipFamilies", "a list of IPv4 and IPv6", |at| {
        word(at, &[("IPv4", IpFamily::V4), ("IPv6", IpFamily::V6)])
    })?;
    let repeated = matches!(service.families.as_slice(), [first, second] if first == second);
    if repeated || service.families.len() > MAX_FAMILIES {
        return field::refuse(&object, "ipFamilies", "IPv4 and IPv6 at most once each");
    }
    service.family_policy = field::text(&object, "ipFamilyPolicy", family_policy)?;
    Ok(())
}

fn service_type(at: &Cursor<'_>) -> Result<ServiceType, Error> {
    word(
        at,
        &[
            ("ClusterIP", ServiceType::ClusterIp),
            ("NodePort", ServiceType::NodePort),
            ("LoadBalancer", ServiceType::LoadBalancer),
            ("ExternalName", ServiceType::ExternalName),
        ],
    )
}

fn family_policy(at: &Cursor<'_>) -> Result<IpFamilyPolicy, Error> {
    word(
        at,
        &[
            ("SingleStack", IpFamilyPolicy::Single),
            ("PreferDualStack", IpFamilyPolicy::PreferDual),
            ("RequireDualStack", IpFamilyPolicy::RequireDual),
        ],
    )
}

const DISTRIBUTIONS: [(&str, TrafficDistribution); 3] = [
    ("PreferClose", TrafficDistribution::Close),
    ("PreferSameZone", TrafficDistribution::SameZone),
    ("PreferSameNode", TrafficDistribution::SameNode),
];

/// What the annotation says. Istio knows no case there, and ignores what it does not know.
fn annotated(meta: &Meta, at: &Cursor<'_>) -> Result<Option<TrafficDistribution>, Error> {
    let Some(said) = meta
        .annotation(DISTRIBUTION)
        .filter(|said| !said.is_empty())
    else {
        return Ok(None);
    };
    let known = DISTRIBUTIONS
        .iter()
        .find(|(word, _)| word.eq_ignore_ascii_case(said))
        .map(|(_, distribution)| *distribution);
    if known.is_none() && !said.eq_ignore_ascii_case("Any") {
        at.field("metadata", |at| {
            at.field("annotations", |at| {
                at.field(DISTRIBUTION, |at| {
                    at.warn("not known, expected PreferClose or PreferSameZone or PreferSameNode or Any; ignored");
                    Ok(())
                })
            })
        })?;
    }
    Ok(known)
}

/// `clusterIP`, `clusterIPs`, `externalIPs` and `externalName`.
fn addresses(object: &Object<'_>, service: &mut Service) -> Result<(), Error> {
    let first = field::text(object, "clusterIP", cluster_ip)?;
    let all = field::list(object, "clusterIPs", "a list of addresses", cluster_ip)?;
    let differs = first.is_some() && !all.is_empty() && all.first().copied() != first;
    let all = if all.is_empty() {
        first.into_iter().collect()
    } else {
        all
    };
    service.headless = all.first() == Some(&ClusterIp::None);
    service.cluster_ips = all.iter().filter_map(ClusterIp::ip).collect();
    let mixed = service.headless && all.len() > 1 || all.iter().skip(1).any(|ip| ip.ip().is_none());
    let same_family =
        matches!(service.cluster_ips.as_slice(), [a, b] if a.is_ipv4() == b.is_ipv4());
    if mixed || same_family || all.len() > MAX_FAMILIES {
        return field::refuse(
            object,
            "clusterIPs",
            "None alone, or at most one address of each family",
        );
    }
    if differs {
        return field::refuse(object, "clusterIP", "the first of clusterIPs");
    }
    service.external_ips = field::list(object, "externalIPs", "a list of addresses", host)?;
    let external = service.kind == ServiceType::ExternalName;
    if let Some(name) = field::text(object, "externalName", |at| {
        // Without effect on other types, and then nobody checks it.
        if external {
            name::hostname(at)
        } else {
            Ok(String::new())
        }
    })? {
        service.external_name = name;
    } else if external {
        return Err(object.missing("externalName", "a hostname, for the type ExternalName"));
    }
    if external && !service.cluster_ips.is_empty() {
        let expected = "no address for the type ExternalName";
        let named = if first.is_some() {
            "clusterIP"
        } else {
            "clusterIPs"
        };
        return field::refuse(object, named, expected);
    }
    Ok(())
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ClusterIp {
    None,
    Ip(IpAddr),
}

impl ClusterIp {
    fn ip(&self) -> Option<IpAddr> {
        match self {
            Self::None => None,
            Self::Ip(ip) => Some(*ip),
        }
    }
}

fn cluster_ip(at: &Cursor<'_>) -> Result<ClusterIp, Error> {
    if at.text("None or an IP address")? == "None" {
        Ok(ClusterIp::None)
    } else {
        host(at).map(ClusterIp::Ip)
    }
}

fn ports(object: &Object<'_>) -> Result<Vec<ServicePort>, Error> {
    let count = field::list(object, "ports", "a list of ports", |_| Ok(()))?.len();
    let mut first_by_name: HashMap<String, Position> = HashMap::new();
    let mut first_by_number: HashMap<(u16, String), Position> = HashMap::new();
    let ports = field::list(object, "ports", "a list of ports", |at| {
        let fields = at.object("a port with port and name", PORT_FIELDS)?;
        let (port, transport) = service_port(&fields, count > 1)?;
        if let Some(first) = first_by_name.insert(port.name.clone(), at.position()) {
            return Err(at.duplicate(&port.name, first, "each name of a port once"));
        }
        let number = (port.port, transport.clone());
        if let Some(first) = first_by_number.insert(number, at.position()) {
            let found = format!("{}/{transport}", port.port);
            return Err(at.duplicate(&found, first, "each port once"));
        }
        Ok((transport == "TCP").then_some(port))
    })?;
    Ok(ports.into_iter().flatten().collect())
}

/// The port, and what carries it.
fn service_port(object: &Object<'_>, named: bool) -> Result<(ServicePort, String), Error> {
    let transport = field::text(object, "protocol", |at| {
        is_tcp(at)?;
        at.text("TCP").map(str::to_owned)
    })?
    .unwrap_or_else(|| "TCP".to_owned());
    let name = field::text(object, "name", |at| name::label(at).map(str::to_owned))?;
    if named && name.is_none() {
        return Err(object.missing("name", "a name, where there are several ports"));
    }
    let name = name.unwrap_or_default();
    let port = object
        .required("port", "a port from 1 to 65535", port)?
        .get();
    let app_protocol = field::text(object, "appProtocol", |at| {
        at.text("a protocol").map(str::to_owned)
    })?;
    let target = field::text(object, "targetPort", target_port)?.unwrap_or(TargetPort::Same);
    let target = if target == TargetPort::Number(port) {
        TargetPort::Same
    } else {
        target
    };
    let port = ServicePort {
        protocol: protocol::of_port(app_protocol.as_deref(), &name, port),
        name,
        port,
        target,
    };
    Ok((port, transport))
}

fn target_port(at: &Cursor<'_>) -> Result<TargetPort, Error> {
    let text = at.text(TARGET_PORT)?;
    match parse_number::<u16>(text) {
        // As Kubernetes has it.
        Some(0) => Ok(TargetPort::Same),
        Some(number) => Ok(TargetPort::Number(number)),
        None if name::is_port_name(text) => Ok(TargetPort::Name(text.to_owned())),
        None => Err(at.unexpected(TARGET_PORT)),
    }
}

fn ingress(at: &Cursor<'_>) -> Result<Option<IpAddr>, Error> {
    let object = at.object(
        "an address with ip or hostname",
        &["hostname", "ip", "ipMode", "ports"],
    )?;
    field::text(&object, "ip", host)
}
