//! Objects as manifests would write them.

use std::{net::IpAddr, sync::Arc};

use crate::objects::{
    Address, AllowedNamespaces, AppProtocol, ContainerPort, Endpoint, EndpointSlice, EntryPort,
    Gateway, Labels, Listener, Meta, Namespace, Node, Object, Pod, Selector, Service, ServiceEntry,
    ServicePort, SliceEndpoint, SlicePort, TargetPort, WorkloadEntry,
};

pub(crate) fn labels<const N: usize>(pairs: [(&str, &str); N]) -> Labels {
    let pairs = pairs.into_iter();
    pairs
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

pub(crate) fn selector<const N: usize>(pairs: [(&str, &str); N]) -> Option<Selector> {
    Some(Selector(labels(pairs)))
}

pub(crate) fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

pub(crate) fn meta(namespace: &str, name: &str) -> Meta {
    Meta {
        name: name.into(),
        namespace: namespace.into(),
        ..Meta::default()
    }
}

pub(crate) fn namespace<const N: usize>(name: &str, pairs: [(&str, &str); N]) -> Object {
    let meta = Meta {
        labels: labels(pairs),
        ..meta("", name)
    };
    Object::Namespace(Arc::new(Namespace { meta }))
}

pub(crate) fn node<const N: usize>(name: &str, pairs: [(&str, &str); N]) -> Object {
    let meta = Meta {
        labels: labels(pairs),
        ..meta("", name)
    };
    Object::Node(Arc::new(Node { meta }))
}

pub(crate) fn pod<const N: usize>(
    namespace: &str,
    name: &str,
    address: &str,
    pairs: [(&str, &str); N],
) -> Pod {
    Pod {
        meta: Meta {
            labels: labels(pairs),
            ..meta(namespace, name)
        },
        node: "node-1".into(),
        ips: vec![ip(address)],
        ..Pod::default()
    }
}

pub(crate) fn container_port(name: &str, port: u16) -> ContainerPort {
    ContainerPort {
        name: name.to_owned(),
        port,
        tcp: true,
    }
}

pub(crate) fn port(name: &str, port: u16, target: TargetPort) -> ServicePort {
    ServicePort {
        name: name.to_owned(),
        port,
        target,
        protocol: AppProtocol::Http11,
    }
}

/// Port 80 to 8080 of the pods that are labelled `app: <name>`.
pub(crate) fn service(namespace: &str, name: &str, address: &str) -> Service {
    Service {
        meta: meta(namespace, name),
        cluster_ips: vec![ip(address)],
        ports: vec![port("http", 80, TargetPort::Number(8080))],
        selector: selector([("app", name)]),
        ..Service::default()
    }
}

pub(crate) fn slice(namespace: &str, name: &str, service: &str) -> EndpointSlice {
    EndpointSlice {
        meta: Meta {
            labels: labels([("kubernetes.io/service-name", service)]),
            ..meta(namespace, name)
        },
        endpoints: Vec::new(),
        ports: vec![SlicePort {
            name: "http".to_owned(),
            port: 8080,
        }],
    }
}

pub(crate) fn slice_endpoint(address: &str, pod: Option<(&str, &str)>) -> SliceEndpoint {
    SliceEndpoint {
        addresses: vec![ip(address)],
        ready: true,
        terminating: false,
        pod: pod.map(|(namespace, name)| (namespace.into(), name.into())),
        node: "node-1".into(),
    }
}

pub(crate) fn endpoint<const N: usize>(address: &str, pairs: [(&str, &str); N]) -> Endpoint {
    Endpoint {
        address: Some(match address.parse() {
            Ok(address) => Address::Ip(address),
            Err(_) => Address::Host(address.to_owned()),
        }),
        labels: labels(pairs),
        ..Endpoint::default()
    }
}

pub(crate) fn workload_entry(namespace: &str, name: &str, endpoint: Endpoint) -> WorkloadEntry {
    WorkloadEntry {
        meta: Meta {
            labels: endpoint.labels.clone(),
            ..meta(namespace, name)
        },
        endpoint,
    }
}

pub(crate) fn service_entry(namespace: &str, name: &str, hosts: &[&str]) -> ServiceEntry {
    ServiceEntry {
        meta: meta(namespace, name),
        hosts: hosts.iter().map(|&it| it.to_owned()).collect(),
        ports: vec![EntryPort {
            number: 443,
            name: "tls".to_owned(),
            target: None,
            protocol: AppProtocol::Tls,
        }],
        ..ServiceEntry::default()
    }
}

pub(crate) fn waypoint(namespace: &str, name: &str) -> Gateway {
    Gateway {
        meta: meta(namespace, name),
        class: "istio-waypoint".to_owned(),
        listeners: vec![Listener {
            name: "mesh".to_owned(),
            port: 15008,
            protocol: "HBONE".to_owned(),
            allowed: AllowedNamespaces::Same,
        }],
        ..Gateway::default()
    }
}
