//! Answers from a snapshot.

use std::collections::BTreeSet;

use mesh::{
    ServiceKey, Workload,
    delta::{Delta, Resource},
    service::{LoadBalancing, PortMap},
};

use super::*;

mod named;

fn vip(network: &str, ip: &str) -> NetworkAddress {
    NetworkAddress {
        network: network.into(),
        ip: ip.parse().unwrap(),
        prefix_length: None,
    }
}

fn service(namespace: &str, hostname: &str, vips: &[&str]) -> Service {
    Service {
        namespace: namespace.into(),
        hostname: hostname.into(),
        vips: vips.iter().map(|ip| vip("", ip)).collect(),
        ..Service::default()
    }
}

fn endpoint(uid: &str, service: &Service, ips: &[&str]) -> Workload {
    Workload {
        uid: uid.into(),
        ips: ips.iter().map(|ip| ip.parse().unwrap()).collect(),
        services: [(service.key(), PortMap::default())].into(),
        ..Workload::default()
    }
}

fn snapshot(services: Vec<Service>, workloads: Vec<Workload>) -> Snapshot {
    let services = services
        .into_iter()
        .map(|it| Resource::Service(Arc::new(it)));
    let workloads = workloads
        .into_iter()
        .map(|it| Resource::Workload(Arc::new(it)));
    Snapshot::default().apply(Delta {
        upserts: services.chain(workloads).collect(),
        removals: Vec::new(),
    })
}

fn zone() -> Zone {
    Zone {
        domain: "cluster.local".to_owned(),
        preferred_namespace: Some("infra".into()),
        ipv6: true,
    }
}

fn ask_in(snapshot: &Snapshot, zone: &Zone, name: &str, kind: RecordType) -> Answer {
    let client = Client {
        namespace: "shop".into(),
        network: "".into(),
    };
    let question = Query::query(Name::from_ascii(name).unwrap(), kind);
    answer(snapshot, zone, &client, &question, &mut || 0)
}

/// The records of an answer in short, `None` where it is forwarded.
fn ask(snapshot: &Snapshot, name: &str, kind: RecordType) -> Option<Vec<String>> {
    match ask_in(snapshot, &zone(), name, kind) {
        Answer::Forward => None,
        Answer::Lookup(pending) => panic!("{pending:?}"),
        Answer::Records(records) => Some(
            records
                .iter()
                .map(|record| {
                    assert_eq!((record.ttl, record.dns_class), (30, DNSClass::IN));
                    format!("{} {} {}", record.name, record.record_type(), record.data)
                })
                .collect(),
        ),
    }
}

fn a(snapshot: &Snapshot, name: &str) -> Option<Vec<String>> {
    ask(snapshot, name, RecordType::A)
}

#[test]
fn services_are_known_by_all_their_names() {
    let mesh = snapshot(
        vec![
            service("shop", "cart.shop.svc.cluster.local", &["10.96.0.1"]),
            service("pay", "card.pay.svc.cluster.local", &["10.96.0.2"]),
        ],
        vec![],
    );
    for name in [
        "cart.",
        "cart.shop.",
        "cart.shop.svc.",
        "cart.shop.svc.cluster.local.",
    ] {
        assert_eq!(a(&mesh, name), Some(vec![format!("{name} A 10.96.0.1")]));
    }
    assert_eq!(
        a(&mesh, "card.pay."),
        Some(vec!["card.pay. A 10.96.0.2".to_owned()])
    );
    // Another namespace's service has no one-label name here.
    assert_eq!(a(&mesh, "card."), None);
    assert_eq!(a(&mesh, "cart.pay."), None);
}

#[test]
fn names_are_compared_without_case_and_answered_with_it() {
    let mesh = snapshot(
        vec![service("shop", "db.example.org", &["240.240.0.1"])],
        vec![],
    );
    assert_eq!(
        a(&mesh, "dB.eXample.ORG."),
        Some(vec!["dB.eXample.ORG. A 240.240.0.1".to_owned()])
    );
}

#[test]
fn an_alias_explains_a_search_suffix() {
    let mesh = snapshot(
        vec![service("shop", "db.example.org", &["240.240.0.1"])],
        vec![],
    );
    for suffix in [
        "shop.svc.cluster.local.",
        "svc.cluster.local.",
        "cluster.local.",
    ] {
        assert_eq!(
            a(&mesh, &format!("db.Example.org.{suffix}")),
            Some(vec![
                format!("db.Example.org.{suffix} CNAME db.Example.org."),
                "db.Example.org. A 240.240.0.1".to_owned()
            ])
        );
    }
    assert_eq!(a(&mesh, "db.example.org.pay.svc.cluster.local."), None);
}

#[test]
fn a_short_name_behind_a_search_suffix_is_expanded_too() {
    let mesh = snapshot(
        vec![service("pay", "card.pay.svc.cluster.local", &["10.96.0.2"])],
        vec![],
    );
    assert_eq!(
        a(&mesh, "card.pay.shop.svc.cluster.local."),
        Some(vec![
            "card.pay.shop.svc.cluster.local. CNAME card.pay.".to_owned(),
            "card.pay. A 10.96.0.2".to_owned()
        ])
    );
}

#[test]
fn the_most_specific_wildcard_wins_and_gets_no_alias() {
    let mesh = snapshot(
        vec![
            service("shop", "*.example.org", &["240.240.0.1"]),
            service("shop", "*.eu.example.org", &["240.240.0.2"]),
            service("shop", "www.eu.example.org", &["240.240.0.3"]),
        ],
        vec![],
    );
    for (name, ip) in [
        ("a.example.org.", "240.240.0.1"),
        ("a.b.example.org.", "240.240.0.1"),
        ("a.eu.example.org.", "240.240.0.2"),
        ("www.eu.example.org.", "240.240.0.3"),
        ("a.example.org.shop.svc.cluster.local.", "240.240.0.1"),
    ] {
        assert_eq!(a(&mesh, name), Some(vec![format!("{name} A {ip}")]));
    }
    assert_eq!(a(&mesh, "example.org."), None);
}

#[test]
fn own_namespace_then_preferred_then_canonical() {
    let host = "db.example.org";
    let canonical = Service {
        canonical: true,
        ..service("zoo", host, &["10.0.0.3"])
    };
    let all = [
        service("shop", host, &["10.0.0.1"]),
        service("infra", host, &["10.0.0.2"]),
        canonical,
        service("app", host, &["10.0.0.4"]),
        service("bar", host, &["10.0.0.5"]),
    ];
    for first in 0..4 {
        let mesh = snapshot(all[first..].to_vec(), vec![]);
        let expected = format!("db.example.org. A 10.0.0.{}", first + 1);
        assert_eq!(a(&mesh, "db.example.org."), Some(vec![expected]));
    }
}

#[test]
fn private_services_are_seen_by_their_namespace_only() {
    let private = |namespace| Service {
        visibility: Visibility::Namespace,
        ..service(namespace, "db.example.org", &["10.0.0.1"])
    };
    assert!(a(&snapshot(vec![private("shop")], vec![]), "db.example.org.").is_some());
    assert_eq!(
        a(&snapshot(vec![private("pay")], vec![]), "db.example.org."),
        None
    );
}

#[test]
fn the_other_family_of_a_known_name_is_empty_and_not_unknown() {
    let mesh = snapshot(
        vec![
            service("shop", "v4.example.org", &["10.0.0.1"]),
            service("shop", "both.example.org", &["10.0.0.2", "fd00::2"]),
        ],
        vec![],
    );
    assert_eq!(
        ask(&mesh, "v4.example.org.", RecordType::AAAA),
        Some(vec![])
    );
    assert_eq!(
        ask(
            &mesh,
            "v4.example.org.shop.svc.cluster.local.",
            RecordType::AAAA
        ),
        Some(vec![])
    );
    assert_eq!(
        ask(&mesh, "both.example.org.", RecordType::AAAA),
        Some(vec!["both.example.org. AAAA fd00::2".to_owned()])
    );
    let without = Zone {
        ipv6: false,
        ..zone()
    };
    assert_eq!(
        ask_in(&mesh, &without, "both.example.org.", RecordType::AAAA),
        Answer::Records(vec![])
    );
}

#[test]
fn only_vips_of_the_own_network_are_answered() {
    let mut two = service("shop", "db.example.org", &["10.0.0.1"]);
    two.vips.push(vip("far", "10.0.0.2"));
    let mut far = service("shop", "far.example.org", &[]);
    far.vips.push(vip("far", "10.0.0.3"));
    let mesh = snapshot(vec![two, far], vec![]);
    assert_eq!(
        a(&mesh, "db.example.org."),
        Some(vec!["db.example.org. A 10.0.0.1".to_owned()])
    );
    assert_eq!(a(&mesh, "far.example.org."), Some(vec![]));
}

#[test]
fn a_range_is_not_an_address_to_connect_to() {
    let mut range = service("shop", "net.example.org", &["10.0.0.0"]);
    range.vips[0].prefix_length = Some(24);
    let mut single = service("shop", "one.example.org", &["10.0.0.1"]);
    single.vips[0].prefix_length = Some(32);
    let mesh = snapshot(vec![range, single], vec![]);
    assert_eq!(a(&mesh, "net.example.org."), None);
    assert_eq!(
        a(&mesh, "one.example.org."),
        Some(vec!["one.example.org. A 10.0.0.1".to_owned()])
    );
}

#[test]
fn a_headless_service_is_its_endpoints() {
    let headless = service("shop", "db.shop.svc.cluster.local", &[]);
    let far = Workload {
        network: "far".into(),
        ..endpoint("far", &headless, &["10.1.0.3"])
    };
    let sick = Workload {
        health: Health::Unhealthy,
        ..endpoint("sick", &headless, &["10.1.0.4"])
    };
    let endpoints = vec![
        endpoint("one", &headless, &["10.1.0.1", "fd01::1"]),
        endpoint("two", &headless, &["10.1.0.2"]),
        far,
        sick,
    ];
    let ips = |mesh: &Snapshot, kind| -> BTreeSet<String> {
        let records = ask(mesh, "db.", kind).unwrap();
        records
            .iter()
            .map(|record| record.rsplit(' ').next().unwrap().to_owned())
            .collect()
    };
    let set = |ips: &[&str]| {
        ips.iter()
            .map(|ip| (*ip).to_owned())
            .collect::<BTreeSet<_>>()
    };

    let mesh = snapshot(vec![headless.clone()], endpoints.clone());
    assert_eq!(ips(&mesh, RecordType::A), set(&["10.1.0.1", "10.1.0.2"]));
    assert_eq!(ips(&mesh, RecordType::AAAA), set(&["fd01::1"]));

    let load_balancing = LoadBalancing {
        health_policy: HealthPolicy::AllowAll,
        ..LoadBalancing::default()
    };
    let mesh = snapshot(
        vec![Service {
            load_balancing,
            ..headless.clone()
        }],
        endpoints.clone(),
    );
    assert_eq!(
        ips(&mesh, RecordType::A),
        set(&["10.1.0.1", "10.1.0.2", "10.1.0.4"])
    );

    let mesh = snapshot(
        vec![Service {
            ip_families: IpFamilies::Ipv4Only,
            ..headless.clone()
        }],
        endpoints,
    );
    assert_eq!(ips(&mesh, RecordType::AAAA), set(&[]));

    let mesh = snapshot(vec![headless], vec![]);
    assert_eq!(a(&mesh, "db."), Some(vec![]));
}

#[test]
fn a_name_outside_of_the_cluster_without_vip_is_asked_upstream() {
    let outside = service("shop", "www.example.org", &[]);
    let key: ServiceKey = outside.key();
    assert_eq!(&*key.hostname, "www.example.org");
    let mesh = snapshot(
        vec![outside.clone()],
        vec![endpoint("one", &outside, &["10.1.0.1"])],
    );
    assert_eq!(a(&mesh, "www.example.org."), None);
    let lookalike = service("shop", "xsvc.cluster.local", &[]);
    assert_eq!(
        a(&snapshot(vec![lookalike], vec![]), "xsvc.cluster.local."),
        None
    );
}

#[test]
fn everything_but_addresses_is_asked_upstream() {
    let mesh = snapshot(
        vec![service("shop", "db.example.org", &["10.0.0.1"])],
        vec![],
    );
    for kind in [
        RecordType::MX,
        RecordType::SRV,
        RecordType::TXT,
        RecordType::ANY,
        RecordType::HTTPS,
        RecordType::PTR,
    ] {
        assert_eq!(ask(&mesh, "db.example.org.", kind), None, "{kind}");
    }
    let mut question = Query::query(Name::from_ascii("db.example.org.").unwrap(), RecordType::A);
    question.query_class = DNSClass::CH;
    let client = Client {
        namespace: "shop".into(),
        network: "".into(),
    };
    assert_eq!(
        answer(&mesh, &zone(), &client, &question, &mut || 0),
        Answer::Forward
    );
    assert_eq!(a(&mesh, "."), None);
    assert_eq!(a(&Snapshot::default(), "db.example.org."), None);
}

#[test]
fn addresses_come_in_every_order() {
    let mesh = snapshot(
        vec![service(
            "shop",
            "db.example.org",
            &["10.0.0.1", "10.0.0.2", "10.0.0.3"],
        )],
        vec![],
    );
    let client = Client {
        namespace: "shop".into(),
        network: "".into(),
    };
    let question = Query::query(Name::from_ascii("db.example.org.").unwrap(), RecordType::A);
    let mut generator = fastrand::Rng::with_seed(7);
    let mut orders = BTreeSet::new();
    for _ in 0..200 {
        let answer = answer(&mesh, &zone(), &client, &question, &mut || {
            generator.u64(..)
        });
        let Answer::Records(records) = answer else {
            panic!("forwarded")
        };
        orders.insert(
            records
                .iter()
                .map(|record| record.data.to_string())
                .collect::<Vec<_>>(),
        );
    }
    assert_eq!(orders.len(), 6);
}
