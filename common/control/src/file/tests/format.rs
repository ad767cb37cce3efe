//! What each field means, and what it is when it is not written.

use std::{collections::HashMap, net::IpAddr, num::NonZeroU16, sync::Arc};

use mesh::{
    PolicyKey, Service, ServiceKey, Uid, Workload,
    service::{
        GatewayAddress, GatewayDestination, HealthPolicy, IpFamilies, LoadBalancing,
        LoadBalancingMode, NetworkAddress, PortMap, Scope, Visibility,
    },
    workload::{
        ApplicationProtocol, ApplicationTunnel, Health, Locality, NetworkMode, Tunnel, WorkloadType,
    },
};

use super::super::{Defaults, parse, parse_with};

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn ports(ports: &[(u16, Option<u16>)]) -> PortMap {
    PortMap(
        ports
            .iter()
            .map(|(port, target)| (*port, target.and_then(NonZeroU16::new)))
            .collect(),
    )
}

fn at(network: &str, address: &str, prefix_length: Option<u8>) -> NetworkAddress {
    NetworkAddress {
        network: network.into(),
        ip: ip(address),
        prefix_length,
    }
}

fn one_workload(text: &str) -> Workload {
    let resources = parse(text, "mesh.yaml").unwrap();
    assert_eq!(resources.workloads.len(), 1);
    resources
        .workloads
        .values()
        .next()
        .map(|workload| Workload::clone(workload))
        .unwrap()
}

fn one_service(text: &str) -> Service {
    let resources = parse(text, "mesh.yaml").unwrap();
    assert_eq!(resources.services.len(), 1);
    resources
        .services
        .values()
        .next()
        .map(|service| Service::clone(service))
        .unwrap()
}

#[test]
fn a_workload_with_every_field_is_read_whole() {
    let read = one_workload(
        r#"
workloads:
- uid: cluster1//Pod/shop/web-1
  name: web-1
  namespace: shop
  serviceAccount: web
  trustDomain: example.org
  workloadIps: [10.0.0.1, "fd00::1"]
  hostname: Web.Example.ORG
  protocol: HBONE
  networkMode: HostNetwork
  nativeTunnel: true
  applicationTunnel: {protocol: PROXY, port: 15088}
  node: node-a
  network: east
  networkGateway: {destination: west/10.9.9.9, hboneMtlsPort: 15009}
  canonicalName: web
  canonicalRevision: 1.10
  workloadName: web-v1
  workloadType: CronJob
  clusterId: cluster1
  locality: {region: eu, zone: eu-1, subzone: rack-7}
  status: Unhealthy
  capacity: 0
  waypoint: {destination: shop/waypoint.shop.svc.cluster.local}
  authorizationPolicies: [shop/allow]
  services:
    "shop/web.shop.svc.cluster.local": {80: 8080, 443: 443, 9090: 0}
    "shop/other.example": {}
policies:
- {name: allow, namespace: shop, scope: WorkloadSelector, action: Allow, rules: []}
"#,
    );
    let expected = Workload {
        uid: "cluster1//Pod/shop/web-1".into(),
        name: "web-1".into(),
        namespace: "shop".into(),
        service_account: "web".into(),
        trust_domain: "example.org".into(),
        network: "east".into(),
        ips: vec![ip("10.0.0.1"), ip("fd00::1")],
        hostname: "web.example.org".into(),
        tunnel: Tunnel::Hbone,
        native_tunnel: true,
        application_tunnel: Some(ApplicationTunnel {
            protocol: ApplicationProtocol::Proxy,
            port: NonZeroU16::new(15088),
        }),
        network_mode: NetworkMode::HostNetwork,
        node: "node-a".into(),
        canonical_name: "web".into(),
        canonical_revision: "1.10".into(),
        workload_name: "web-v1".into(),
        workload_type: WorkloadType::CronJob,
        cluster: "cluster1".into(),
        locality: Locality {
            region: "eu".into(),
            zone: "eu-1".into(),
            subzone: "rack-7".into(),
        },
        health: Health::Unhealthy,
        capacity: 0,
        waypoint: Some(GatewayAddress {
            destination: GatewayDestination::Service(ServiceKey::new(
                "shop",
                "waypoint.shop.svc.cluster.local",
            )),
            hbone_port: 15008,
        }),
        network_gateway: Some(GatewayAddress {
            destination: GatewayDestination::Address(at("west", "10.9.9.9", None)),
            hbone_port: 15009,
        }),
        authorization_policies: vec![PolicyKey::new("shop", "allow")],
        services: HashMap::from([
            (
                ServiceKey::new("shop", "web.shop.svc.cluster.local"),
                ports(&[(80, Some(8080)), (443, None), (9090, None)]),
            ),
            (ServiceKey::new("shop", "other.example"), PortMap::default()),
        ]),
        subsets: Vec::new(),
    };
    assert_eq!(read, expected);
}

#[test]
fn what_a_workload_does_not_say_has_its_default() {
    let read = one_workload(
        "workloads:\n- {uid: u, name: n, namespace: ns, workloadIps: [10.0.0.1], services: {}, trustDomain: ''}\n",
    );
    let expected = Workload {
        uid: "u".into(),
        name: "n".into(),
        namespace: "ns".into(),
        service_account: "default".into(),
        trust_domain: "cluster.local".into(),
        ips: vec![ip("10.0.0.1")],
        cluster: "Kubernetes".into(),
        capacity: 1,
        health: Health::Healthy,
        tunnel: Tunnel::None,
        workload_type: WorkloadType::Deployment,
        ..Workload::default()
    };
    assert_eq!(read, expected);
}

#[test]
fn a_service_with_every_field_is_read_whole() {
    let read = one_service(
        r#"
services:
- name: web
  namespace: shop
  hostname: web.shop.svc.cluster.local
  vips: ["/10.96.0.1", east/fd96::1, east/10.97.0.0/16, "/10.96.0.2/32"]
  ports: {80: 8080, 443: 443}
  subjectAltNames: ["spiffe://cluster.local/ns/shop/sa/web"]
  waypoint: {destination: /10.0.0.9, hboneMtlsPort: 15010}
  weightedWaypoints:
  - {destination: {destination: /10.0.0.9, hboneMtlsPort: 15010}, weight: 90}
  - {destination: {destination: shop/canary.shop.svc.cluster.local}, weight: 10}
  loadBalancer:
    routingPreferences: [Network, REGION, Zone, Subzone, Node, Cluster]
    mode: Failover
    healthPolicy: ALLOW_ALL
  ipFamilies: IPv6
  canonical: true
  visibility: Namespace
"#,
    );
    let expected = Service {
        name: "web".into(),
        namespace: "shop".into(),
        hostname: "web.shop.svc.cluster.local".into(),
        vips: vec![
            at("", "10.96.0.1", None),
            at("east", "fd96::1", None),
            at("east", "10.97.0.0", Some(16)),
            at("", "10.96.0.2", None),
        ],
        ports: ports(&[(80, Some(8080)), (443, None)]),
        protocols: Vec::new(),
        subject_alt_names: vec!["spiffe://cluster.local/ns/shop/sa/web".into()],
        waypoint: Some(GatewayAddress {
            destination: GatewayDestination::Address(at("", "10.0.0.9", None)),
            hbone_port: 15010,
        }),
        weighted_waypoints: vec![
            (
                GatewayAddress {
                    destination: GatewayDestination::Address(at("", "10.0.0.9", None)),
                    hbone_port: 15010,
                },
                90,
            ),
            (
                GatewayAddress {
                    destination: GatewayDestination::Service(ServiceKey::new(
                        "shop",
                        "canary.shop.svc.cluster.local",
                    )),
                    hbone_port: 15008,
                },
                10,
            ),
        ],
        load_balancing: LoadBalancing {
            routing_preference: vec![
                Scope::Network,
                Scope::Region,
                Scope::Zone,
                Scope::Subzone,
                Scope::Node,
                Scope::Cluster,
            ],
            mode: LoadBalancingMode::Failover,
            health_policy: HealthPolicy::AllowAll,
        },
        ip_families: IpFamilies::Ipv6Only,
        canonical: true,
        visibility: Visibility::Namespace,
    };
    assert_eq!(read, expected);
}

#[test]
fn what_a_service_does_not_say_has_its_default() {
    let read = one_service(
        "services:\n- {name: s, namespace: ns, hostname: s.example, vips: [], ports: {}, waypoint: null, loadBalancer: ~}\n",
    );
    let expected = Service {
        name: "s".into(),
        namespace: "ns".into(),
        hostname: "s.example".into(),
        ..Service::default()
    };
    assert_eq!(read, expected);
}

#[test]
fn routing_preferences_are_read_in_each_of_their_spellings() {
    for spelling in ["routingPreferences", "routingPreference", "scopes"] {
        let read = one_service(&format!(
            "services:\n- {{name: s, namespace: ns, hostname: s.example, vips: [], ports: {{}}, \
             loadBalancer: {{{spelling}: [Node], mode: Strict}}}}\n"
        ));
        let expected = LoadBalancing {
            routing_preference: vec![Scope::Node],
            mode: LoadBalancingMode::Strict,
            health_policy: HealthPolicy::OnlyHealthy,
        };
        assert_eq!(read.load_balancing, expected, "{spelling}");
    }
}

#[test]
fn every_word_of_a_choice_is_known_in_any_case() {
    let workload = |extra: &str| {
        one_workload(&format!(
            "workloads:\n- {{uid: u, name: n, namespace: ns, workloadIps: [10.0.0.1], services: {{}}, {extra}}}\n"
        ))
    };
    for (word, expected) in [
        ("HBONE", Tunnel::Hbone),
        ("hbone", Tunnel::Hbone),
        ("TCP", Tunnel::None),
    ] {
        assert_eq!(workload(&format!("protocol: {word}")).tunnel, expected);
    }
    for (word, expected) in [
        ("deployment", WorkloadType::Deployment),
        ("CRONJOB", WorkloadType::CronJob),
        ("Pod", WorkloadType::Pod),
        ("job", WorkloadType::Job),
    ] {
        assert_eq!(
            workload(&format!("workloadType: {word}")).workload_type,
            expected
        );
    }
    assert_eq!(workload("status: Healthy").health, Health::Healthy);
    assert_eq!(
        workload("networkMode: Standard").network_mode,
        NetworkMode::Standard
    );
    let service = |extra: &str| {
        one_service(&format!(
            "services:\n- {{name: s, namespace: ns, hostname: s.example, vips: [], ports: {{}}, {extra}}}\n"
        ))
    };
    for (word, expected) in [
        ("Automatic", IpFamilies::Automatic),
        ("IPv4", IpFamilies::Ipv4Only),
        ("IPV4_ONLY", IpFamilies::Ipv4Only),
        ("IPV6_ONLY", IpFamilies::Ipv6Only),
        ("Dual", IpFamilies::Dual),
    ] {
        assert_eq!(
            service(&format!("ipFamilies: {word}")).ip_families,
            expected
        );
    }
    for (word, expected) in [
        ("Standard", LoadBalancingMode::Unspecified),
        ("Strict", LoadBalancingMode::Strict),
        ("FAILOVER", LoadBalancingMode::Failover),
        ("Passthrough", LoadBalancingMode::Passthrough),
    ] {
        assert_eq!(
            service(&format!("loadBalancer: {{mode: {word}}}"))
                .load_balancing
                .mode,
            expected
        );
    }
}

#[test]
fn scalars_that_look_like_numbers_or_booleans_are_still_names() {
    let read = one_workload(
        "workloads:\n- {uid: 007, name: no, namespace: \"1\", workloadIps: [10.0.0.1], services: {}, node: 1e3}\n",
    );
    assert_eq!(
        (
            read.uid.as_str(),
            read.name.as_str(),
            read.namespace.as_str()
        ),
        ("007", "no", "1")
    );
    assert_eq!(read.node.as_str(), "1e3");
}

#[test]
fn anchors_aliases_and_merge_keys_may_be_used() {
    let resources = parse(
        "workloads:\n- &base {uid: a, name: a, namespace: ns, workloadIps: [10.0.0.1], services: {}, node: n1}\n\
         - <<: *base\n  uid: b\n  name: b\n  workloadIps: [10.0.0.2]\n",
        "mesh.yaml",
    )
    .unwrap();
    assert_eq!(resources.workloads[&Uid::from("b")].node.as_str(), "n1");
    assert_eq!(resources.workloads[&Uid::from("b")].ips, [ip("10.0.0.2")]);
}

#[test]
fn json_is_yaml() {
    let read = one_workload(
        r#"{"workloads": [{"uid": "u", "name": "n", "namespace": "ns", "workloadIps": ["10.0.0.1"], "services": {"ns/s.example": {"80": 8080}}}]}"#,
    );
    assert_eq!(
        read.services[&ServiceKey::new("ns", "s.example")].target(80),
        Some(8080)
    );
}

#[test]
fn host_networked_workloads_may_share_an_address() {
    let text = "workloads:\n\
        - {uid: a, name: a, namespace: ns, workloadIps: [10.0.0.1], services: {}, networkMode: HostNetwork}\n\
        - {uid: b, name: b, namespace: ns, workloadIps: [10.0.0.1], services: {}, networkMode: HostNetwork}\n\
        - {uid: c, name: c, namespace: ns, workloadIps: [10.0.0.1], services: {}}\n\
        - {uid: d, name: d, namespace: ns, workloadIps: [10.0.0.1], services: {}, network: other}\n";
    assert_eq!(parse(text, "mesh.yaml").unwrap().workloads.len(), 4);
}

#[test]
fn empty_lists_are_an_empty_mesh() {
    let resources = parse("workloads: []\nservices: []\npolicies: []\n", "mesh.yaml").unwrap();
    assert!(resources.is_empty());
    assert_eq!(resources.len(), 0);
    assert!(parse("policies: []\n", "mesh.yaml").unwrap().is_empty());
    assert!(parse("{}\n", "mesh.yaml").unwrap().is_empty());
}

#[test]
fn ten_thousand_policies_and_workloads_fit_the_budget() {
    let mut text = String::from("policies:\n");
    for number in 0..10_000 {
        let principal = format!(
            "[[[{{principals: [cluster.local/ns/a/sa/p{number}]}}], [{{destinationPorts: [80]}}]]]"
        );
        text.push_str(&super::policy(&format!("p{number}"), "Allow", &principal));
    }
    text.push_str("workloads:\n");
    for number in 0..10_000 {
        let ip = format!("10.1.{}.{}", number / 250, number % 250 + 1);
        text.push_str(&super::workload(&format!("w{number}"), &ip));
    }
    let resources = parse(&text, "mesh.yaml").unwrap();
    assert_eq!(
        (resources.policies.len(), resources.workloads.len()),
        (10_000, 10_000)
    );
}

#[test]
fn the_example_of_two_nodes_is_accepted_without_a_warning() {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../deploy/examples/local/mesh.yaml"
    );
    let resources = super::super::load_once(&super::super::Source::Path(path.into())).unwrap();
    assert_eq!(
        (
            resources.workloads.len(),
            resources.services.len(),
            resources.policies.len()
        ),
        (5, 1, 3)
    );
    assert_eq!(resources.warnings, []);
    let web: &Arc<Workload> = &resources.workloads[&Uid::from("Kubernetes//Pod/shop/web-2")];
    assert_eq!(
        (web.capacity, web.identity().to_string().as_str()),
        (2, "spiffe://cluster.local/ns/shop/sa/web")
    );
    let nodes: std::collections::BTreeSet<_> = resources
        .workloads
        .values()
        .map(|w| w.node.to_string())
        .collect();
    assert_eq!(nodes.into_iter().collect::<Vec<_>>(), ["node-a", "node-b"]);
}

#[test]
fn the_examples_of_the_readme_are_accepted() {
    let readme = include_str!("../../../README.md");
    let examples: Vec<&str> = readme
        .split("```yaml\n")
        .skip(1)
        .map(|rest| rest.split("```").next().unwrap())
        .collect();
    assert!(!examples.is_empty());
    for example in examples {
        parse(example, "README.md").unwrap();
    }
}

#[test]
fn the_process_stands_in_for_what_a_workload_leaves_out() {
    let defaults = Defaults {
        trust_domain: "example.org".into(),
        cluster: "east".into(),
    };
    let text = "workloads: [{uid: a, name: a, namespace: n, workloadIps: [10.0.0.1], services: {}}, \
                {uid: b, name: b, namespace: n, workloadIps: [10.0.0.2], services: {}, trustDomain: '', clusterId: west}, \
                {uid: c, name: c, namespace: n, workloadIps: [10.0.0.3], services: {}, trustDomain: own}]";
    let resources = parse_with(text, "mesh.yaml", &defaults).unwrap();
    let found: Vec<_> = resources
        .workloads
        .values()
        .map(|it| (it.trust_domain.as_str(), it.cluster.as_str()))
        .collect();
    assert_eq!(
        found,
        [
            ("example.org", "east"),
            ("example.org", "west"),
            ("own", "east")
        ]
    );
}
