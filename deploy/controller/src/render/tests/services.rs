//! Services, and the Services of ServiceEntries.

use std::sync::Arc;

use super::{
    golden::check,
    sample::{ip, labels, namespace, pod, service, service_entry},
};
use crate::objects::{
    EntryVisibility, IpFamily, LabelSelector, MeshConfig, Meta, Object, Resolution, Service,
    ServiceEntry, ServiceType, TrafficDistribution, Visibility, VisibilityPolicy,
};

fn object(service: Service) -> Object {
    Object::Service(Arc::new(service))
}

fn entry(entry: ServiceEntry) -> Object {
    Object::ServiceEntry(Arc::new(entry))
}

#[test]
fn services_of_every_kind() {
    let mut dual = service("shop", "dual", "10.96.0.1");
    dual.cluster_ips.push(ip("fd96::1"));
    dual.families = vec![IpFamily::V4, IpFamily::V6];
    dual.external_ips = vec![ip("203.0.113.1")];
    dual.load_balancer_ips = vec![ip("203.0.113.2")];
    let mut headless = service("shop", "headless", "10.96.0.2");
    headless.cluster_ips.clear();
    headless.headless = true;
    headless.publish_not_ready = true;
    let mut external = service("shop", "external", "10.96.0.3");
    external.kind = ServiceType::ExternalName;
    external.external_name = "example.com".to_owned();
    let mut local = service("shop", "local", "10.96.0.4");
    local.internal_local = true;
    local.distribution = Some(TrafficDistribution::Close);
    let mut close = service("shop", "close", "10.96.0.5");
    close.distribution = Some(TrafficDistribution::Close);
    let mut same_node = service("shop", "same-node", "10.96.0.6");
    same_node.distribution = Some(TrafficDistribution::SameNode);
    same_node.publish_not_ready = true;
    let backend = pod("shop", "backend", "10.0.0.1", [("app", "external")]);
    let objects = [dual, headless, external, local, close, same_node];
    let mut objects: Vec<_> = objects.map(object).into();
    objects.push(Object::Pod(Arc::new(backend)));
    check("services", objects);
}

#[test]
fn namespace_says_how_traffic_is_distributed() {
    let mut own = service("shop", "own", "10.96.0.2");
    own.distribution = Some(TrafficDistribution::SameNode);
    let Object::Namespace(shop) = namespace("shop", []) else {
        unreachable!("it is one");
    };
    let mut shop = (*shop).clone();
    let annotation = ("networking.istio.io/traffic-distribution", "PreferSameZone");
    shop.meta.annotations = labels([annotation]);
    check(
        "distribution",
        vec![
            Object::Namespace(Arc::new(shop)),
            object(service("shop", "inherits", "10.96.0.1")),
            object(own),
        ],
    );
}

#[test]
fn service_entries_of_every_resolution() {
    let mut passthrough = service_entry("egress", "passthrough", &["*.example.com"]);
    passthrough.addresses = vec![
        "192.0.2.0/24".parse().unwrap(),
        "198.51.100.1/32".parse().unwrap(),
    ];
    let mut dns = service_entry(
        "egress",
        "dns",
        &["api.example.com", "www.example.com", "*.wild.com"],
    );
    dns.resolution = Resolution::Dns;
    dns.allocated = vec![
        ("api.example.com".to_owned(), ip("240.240.0.1")),
        ("www.example.com".to_owned(), ip("240.240.0.2")),
        ("www.example.com".to_owned(), ip("2001:2::2")),
    ];
    dns.subject_alt_names = vec!["spiffe://cluster.local/ns/x/sa/y".to_owned()];
    let mut fixed = service_entry("egress", "static", &["db.example.com"]);
    fixed.resolution = Resolution::Static;
    fixed.addresses = vec!["240.1.1.1/32".parse().unwrap()];
    fixed.allocated = vec![(String::new(), ip("240.240.0.9"))];
    fixed.meta.annotations =
        labels([("networking.istio.io/traffic-distribution", "prefersamenode")]);
    check(
        "service-entries",
        [passthrough, dns, fixed].map(entry).into(),
    );
}

#[test]
fn service_entries_are_private_where_the_mesh_says_so() {
    let config = MeshConfig {
        meta: super::sample::meta("istio-system", "istio"),
        trust_domain: "example.org".to_owned(),
        entry_visibility: EntryVisibility {
            default: Visibility::Namespace,
            policies: Vec::new(),
        },
        ..MeshConfig::default()
    };
    check(
        "private-entries",
        vec![
            Object::MeshConfig(Arc::new(config)),
            entry(service_entry("egress", "one", &["one.example.com"])),
            object(service("egress", "two", "10.96.0.1")),
            Object::Pod(Arc::new(pod("egress", "two", "10.0.0.1", [("app", "two")]))),
        ],
    );
}

#[test]
fn hostname_belongs_to_the_service_and_then_to_the_oldest_entry() {
    let aged = |name, created, hosts: &[&str]| ServiceEntry {
        meta: Meta {
            created,
            ..super::sample::meta("shop", name)
        },
        ..service_entry("shop", name, hosts)
    };
    check(
        "hostnames",
        vec![
            object(service("shop", "web", "10.96.0.1")),
            entry(aged(
                "a-young",
                2,
                &["api.example.com", "only.example.com", "only.example.com"],
            )),
            entry(aged(
                "b-old",
                1,
                &["api.example.com", "web.shop.svc.cluster.local"],
            )),
            entry(service_entry(
                "other",
                "else",
                &["web.shop.svc.cluster.local"],
            )),
        ],
    );
}

#[test]
fn policy_decides_by_namespace_who_knows_of_an_entry() {
    let config = MeshConfig {
        meta: super::sample::meta("istio-system", "istio"),
        entry_visibility: EntryVisibility {
            default: Visibility::Namespace,
            policies: vec![VisibilityPolicy {
                visibility: Visibility::Public,
                namespaces: vec![Some(LabelSelector {
                    labels: labels([("kubernetes.io/metadata.name", "open")]),
                    expressions: Vec::new(),
                })],
            }],
        },
        ..MeshConfig::default()
    };
    let compiled = super::golden::compile(vec![
        Object::MeshConfig(Arc::new(config)),
        entry(service_entry("egress", "one", &["one.example.com"])),
        entry(service_entry("open", "one", &["one.example.com"])),
    ]);
    let of = |name: &str| compiled["resources"][name].to_string();
    assert!(of("egress/one.example.com").contains("NAMESPACE"));
    assert!(!of("open/one.example.com").contains("NAMESPACE"));
}
