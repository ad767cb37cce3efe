//! What serves services: slices, WorkloadEntries, endpoints of ServiceEntries.

use std::sync::Arc;

use super::{
    golden::check,
    sample::{
        container_port, endpoint, namespace, node, pod, port, selector, service, service_entry,
        slice, slice_endpoint, workload_entry,
    },
};
use crate::objects::{
    Location, MutualTls, Object, PeerAuthentication, Pod, Resolution, SlicePort, TargetPort,
};

fn object(pod: Pod) -> Object {
    Object::Pod(Arc::new(pod))
}

#[test]
fn slices_take_the_place_of_selectors() {
    let mut web = service("shop", "web", "10.96.0.1");
    web.ports.push(port("grpc", 81, TargetPort::Same));
    let mut first = slice("shop", "web-1", "web");
    first.endpoints = vec![
        slice_endpoint("10.0.0.1", Some(("shop", "listed"))),
        slice_endpoint("10.0.0.9", Some(("shop", "unknown"))),
        slice_endpoint("172.16.0.1", None),
        slice_endpoint("10.0.0.2", None),
    ];
    let mut unready = slice_endpoint("172.16.0.2", None);
    unready.ready = false;
    let mut unready_pod = slice_endpoint("10.0.0.3", Some(("shop", "unready")));
    unready_pod.ready = false;
    let mut second = slice("shop", "web-2", "web");
    second.endpoints = vec![unready, unready_pod];
    second.ports = vec![SlicePort {
        name: "grpc".to_owned(),
        port: 9081,
    }];
    let mut publishing = service("shop", "all", "10.96.0.2");
    publishing.publish_not_ready = true;
    let mut third = slice("shop", "all-1", "all");
    let mut endpoint = slice_endpoint("10.0.0.3", Some(("shop", "unready")));
    endpoint.ready = false;
    third.endpoints = vec![endpoint];
    let mut of_nothing = slice("shop", "nothing-1", "nothing");
    of_nothing.endpoints = vec![slice_endpoint("172.16.0.3", None)];
    check(
        "slices",
        vec![
            node("node-1", [("topology.kubernetes.io/zone", "z1")]),
            Object::Service(Arc::new(web)),
            Object::Service(Arc::new(publishing)),
            Object::EndpointSlice(Arc::new(first)),
            Object::EndpointSlice(Arc::new(second)),
            Object::EndpointSlice(Arc::new(third)),
            Object::EndpointSlice(Arc::new(of_nothing)),
            object(pod("shop", "listed", "10.0.0.1", [])),
            object(pod("shop", "by-address", "10.0.0.2", [])),
            object(pod("shop", "unready", "10.0.0.3", [])),
            object(pod("shop", "selected-only", "10.0.0.4", [("app", "web")])),
        ],
    );
}

#[test]
fn workload_entries_serve_services_and_service_entries() {
    let mut vm = endpoint(
        "192.0.2.10",
        [
            ("app", "web"),
            ("networking.istio.io/tunnel", "http"),
            ("version", "v1"),
        ],
    );
    vm.ports = [("http".to_owned(), 8443), ("tls".to_owned(), 9443)].into();
    vm.locality = "r1/z1".to_owned();
    vm.network = "vms".to_owned();
    vm.weight = Some(3);
    vm.service_account = "vm".into();
    let named = endpoint("vm.example.com", [("app", "web")]);
    let mut web = service("shop", "web", "10.96.0.1");
    web.ports
        .push(port("named", 82, TargetPort::Name("http".to_owned())));
    web.ports
        .push(port("missing", 83, TargetPort::Name("missing".to_owned())));
    let mut entry = service_entry("shop", "entry", &["web.example.com"]);
    entry.selector = selector([("app", "web")]);
    entry.location = Location::Internal;
    let mut backend = pod("shop", "backend", "10.0.0.1", [("app", "web")]);
    backend.ports = vec![container_port("tls", 7443)];
    let strict = PeerAuthentication {
        meta: super::sample::meta("shop", "web"),
        selector: selector([("app", "web")]),
        mode: Some(MutualTls::Strict),
        ports: [(8443, MutualTls::Permissive)].into(),
    };
    check(
        "workload-entries",
        vec![
            namespace("shop", []),
            Object::WorkloadEntry(Arc::new(workload_entry("shop", "vm", vm))),
            Object::WorkloadEntry(Arc::new(workload_entry("shop", "named", named))),
            Object::Service(Arc::new(web)),
            Object::ServiceEntry(Arc::new(entry)),
            Object::PeerAuthentication(Arc::new(strict)),
            object(backend),
        ],
    );
}

#[test]
fn endpoints_of_service_entries() {
    let tunnel = [("networking.istio.io/tunnel", "http")];
    let mut internal = service_entry("shop", "internal", &["in.example.com"]);
    internal.location = Location::Internal;
    internal.resolution = Resolution::Static;
    let mut second = endpoint("192.0.2.1", tunnel);
    second.ports = [("tls".to_owned(), 8443)].into();
    internal.endpoints = vec![endpoint("192.0.2.1", tunnel), second];
    let mut external = service_entry("shop", "external", &["a.example.com", "b.example.com"]);
    external.resolution = Resolution::Dns;
    external.ports[0].target = Some(8443);
    external.endpoints = vec![
        endpoint("192.0.2.2", tunnel),
        endpoint("origin.example.com", []),
    ];
    check(
        "entry-endpoints",
        vec![
            Object::ServiceEntry(Arc::new(internal)),
            Object::ServiceEntry(Arc::new(external)),
        ],
    );
}
