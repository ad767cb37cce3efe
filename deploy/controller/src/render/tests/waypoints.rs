//! Waypoints, and what stands behind them.

use std::sync::Arc;

use super::{
    golden::check,
    sample::{
        endpoint, ip, labels, meta, namespace, pod, service, service_entry, waypoint,
        workload_entry,
    },
};
use crate::objects::{
    AllowedNamespaces, Gateway, GatewayAddressValue, GatewayClass, LabelSelector, Listener, Meta,
    Object, Service,
};

fn gateway(gateway: Gateway) -> Object {
    Object::Gateway(Arc::new(gateway))
}

fn labelled<const N: usize>(name: &str, address: &str, pairs: [(&str, &str); N]) -> Object {
    let mut service = service("shop", name, address);
    service.meta.labels = labels(pairs);
    Object::Service(Arc::new(service))
}

const USE: &str = "istio.io/use-waypoint";
const USE_NAMESPACE: &str = "istio.io/use-waypoint-namespace";

#[test]
fn waypoint_is_a_service_its_pods_and_an_identity() {
    let mut all = waypoint("shop", "all");
    all.meta.labels = labels([("istio.io/waypoint-for", "all")]);
    all.meta.annotations = labels([("gateway.istio.io/service-account", "all-account")]);
    let name = ("gateway.networking.k8s.io/gateway-name", "all");
    check(
        "waypoint",
        vec![
            namespace(
                "shop",
                [(USE, "all"), ("istio.io/dataplane-mode", "ambient")],
            ),
            gateway(all),
            Object::Pod(Arc::new(pod(
                "shop",
                "all-1",
                "10.0.0.1",
                [name, ("istio.io/dataplane-mode", "none")],
            ))),
            Object::Pod(Arc::new(pod("shop", "web", "10.0.0.2", [("app", "web")]))),
            Object::Pod(Arc::new(pod("shop", "free", "10.0.0.3", [(USE, "none")]))),
            labelled("web", "10.96.0.1", []),
        ],
    );
}

#[test]
fn waypoint_has_the_service_that_is_given() {
    let given = Service {
        meta: meta("shop", "way"),
        ..service("shop", "way", "10.96.0.9")
    };
    let mut override_name = waypoint("shop", "way");
    override_name.class = "ambit-waypoint".to_owned();
    let mut renamed = waypoint("shop", "other");
    renamed.meta.annotations = labels([("gateway.istio.io/name-override", "renamed")]);
    check(
        "waypoint-service",
        vec![
            Object::Service(Arc::new(given)),
            gateway(override_name),
            gateway(renamed),
            labelled("web", "10.96.0.1", [(USE, "way")]),
            labelled("api", "10.96.0.2", [(USE, "other")]),
        ],
    );
}

#[test]
fn services_bind_to_waypoints_or_are_told_why_not() {
    let of_type = |name, kind| {
        let mut gateway = waypoint("shop", name);
        gateway.meta.labels = labels([("istio.io/waypoint-for", kind)]);
        self::gateway(gateway)
    };
    let open = |name, allowed| {
        let mut gateway = waypoint("infra", name);
        gateway.listeners[0].allowed = allowed;
        self::gateway(gateway)
    };
    let selecting = LabelSelector {
        labels: labels([("kubernetes.io/metadata.name", "shop")]),
        ..LabelSelector::default()
    };
    let unmanaged = |name, address| {
        let gateway = Gateway {
            class: "istio-remote".to_owned(),
            status_addresses: address,
            ..waypoint("shop", name)
        };
        self::gateway(gateway)
    };
    let host = GatewayAddressValue::Hostname("far.example.com".to_owned());
    let far = vec![GatewayAddressValue::Ip(ip("203.0.113.7")), host];
    let near = vec![GatewayAddressValue::Ip(ip("203.0.113.8"))];
    let mut entry = service_entry("shop", "entry", &["api.example.com"]);
    entry.meta.labels = labels([(USE, "service")]);
    let in_infra = |name| [(USE, name), (USE_NAMESPACE, "infra")];
    check(
        "bindings",
        vec![
            of_type("service", "service"),
            of_type("workload", "workload"),
            of_type("none", "none"),
            open("same", AllowedNamespaces::Same),
            open("all", AllowedNamespaces::All),
            open("selecting", AllowedNamespaces::Selector(selecting)),
            unmanaged("far", far),
            unmanaged("near", near),
            unmanaged("nowhere", Vec::new()),
            labelled("a-bound", "10.96.0.1", [(USE, "service")]),
            labelled("b-other-traffic", "10.96.0.2", [(USE, "workload")]),
            labelled("c-absent", "10.96.0.3", [(USE, "absent")]),
            labelled("d-denied", "10.96.0.4", in_infra("same")),
            labelled("e-open", "10.96.0.5", in_infra("all")),
            labelled("f-selected", "10.96.0.6", in_infra("selecting")),
            labelled("g-far", "10.96.0.7", [(USE, "far")]),
            labelled("h-near", "10.96.0.8", [(USE, "near")]),
            labelled("i-nowhere", "10.96.0.9", [(USE, "nowhere")]),
            labelled("j-opted-out", "10.96.0.10", [(USE, "none")]),
            Object::ServiceEntry(Arc::new(entry)),
            Object::WorkloadEntry(Arc::new(workload_entry(
                "shop",
                "vm",
                endpoint("192.0.2.1", [(USE, "workload")]),
            ))),
        ],
    );
}

#[test]
fn canary_takes_its_share() {
    let canary = |name: &str, address, canary, weight: Option<&str>| {
        let mut service = service("shop", name, address);
        service.meta.labels = labels([(USE, "one"), ("istio.io/use-waypoint-canary", canary)]);
        let weight = weight.map(|it| {
            (
                "istio.io/use-waypoint-canary-weight".to_owned(),
                it.to_owned(),
            )
        });
        service.meta.annotations = weight.into_iter().collect();
        Object::Service(Arc::new(service))
    };
    let mut own = service("own", "own", "10.96.1.1");
    own.meta.labels = labels([(USE, "one"), (USE_NAMESPACE, "own")]);
    let Object::Namespace(owner) = namespace(
        "own",
        [
            (USE, "one"),
            ("istio.io/use-waypoint-canary", "two"),
            ("istio.io/ingress-use-waypoint", "true"),
        ],
    ) else {
        unreachable!("it is one");
    };
    let mut owner = (*owner).clone();
    owner.meta.annotations = labels([("istio.io/use-waypoint-canary-weight", "5")]);
    check(
        "canary",
        vec![
            gateway(waypoint("shop", "one")),
            gateway(waypoint("shop", "two")),
            gateway(waypoint("own", "one")),
            gateway(waypoint("own", "two")),
            Object::Namespace(Arc::new(owner)),
            canary("a-share", "10.96.0.1", "two", Some("20")),
            canary("b-all", "10.96.0.2", "two", Some("100")),
            canary("c-nothing", "10.96.0.3", "two", None),
            canary("d-wrong", "10.96.0.4", "two", Some("101")),
            canary("e-same", "10.96.0.5", "one", Some("50")),
            canary("f-absent", "10.96.0.6", "three", Some("50")),
            Object::Service(Arc::new(own)),
            Object::Service(Arc::new(service("own", "inherits", "10.96.1.2"))),
        ],
    );
}

#[test]
fn class_says_what_a_gateway_is() {
    let class = |name: &str, controller: &str| {
        Object::GatewayClass(Arc::new(GatewayClass {
            meta: Meta {
                labels: labels([("istio.io/waypoint-for", "workload")]),
                annotations: labels([("ambient.istio.io/waypoint-inbound-binding", "PROXY/15088")]),
                ..meta("", name)
            },
            controller: controller.to_owned(),
            ..GatewayClass::default()
        }))
    };
    let of_class = |name: &str, class: &str| {
        gateway(Gateway {
            class: class.to_owned(),
            listeners: vec![Listener {
                name: "in".to_owned(),
                port: 15009,
                protocol: "HBONE".to_owned(),
                allowed: AllowedNamespaces::Same,
            }],
            ..waypoint("shop", name)
        })
    };
    let part = |name: &str, address| {
        let pairs = [
            ("gateway.networking.k8s.io/gateway-name", name),
            ("istio.io/dataplane-mode", "ambient"),
        ];
        Object::Pod(Arc::new(pod("shop", name, address, pairs)))
    };
    check(
        "classes",
        vec![
            class("ours", "istio.io/mesh-controller"),
            class("theirs", "example.com/controller"),
            of_class("sandwich", "ours"),
            of_class("ingress", "theirs"),
            of_class("east-west", "istio-east-west"),
            part("sandwich", "10.0.0.1"),
            part("ingress", "10.0.0.2"),
            part("east-west", "10.0.0.3"),
            Object::Pod(Arc::new(pod(
                "shop",
                "web",
                "10.0.0.4",
                [(USE, "sandwich")],
            ))),
        ],
    );
}

#[test]
fn gateway_of_another_class_takes_no_waypoint_from_the_service_of_its_name() {
    let mut ingress = waypoint("shop", "web");
    ingress.class = "nginx".to_owned();
    let compiled = super::golden::compile(vec![
        gateway(waypoint("shop", "way")),
        gateway(ingress),
        labelled("web", "10.96.0.1", [(USE, "way")]),
    ]);
    assert_eq!(
        compiled["conditions"]["Service shop/web"][0]["message"],
        "bound to waypoint shop/way"
    );
}
