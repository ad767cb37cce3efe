//! Which endpoint of a service is chosen, and what is said when none is.

use super::{
    Arc, BTreeMap, GatewayAddress, GatewayDestination, Health, HealthPolicy, IpFamilies,
    LoadBalancing, Mesh, NetworkAddress, Plan, Refusal, Service, Snapshot, Workload, client, ip,
    name, no_upstream, plan_in, pod, ports, reviewer, reviews, reviews_key, seeded, target,
};

/// How often each workload is chosen.
fn chosen(snapshot: &Snapshot, times: u32) -> BTreeMap<String, u32> {
    let mut random = seeded(7);
    let mut chosen = BTreeMap::new();
    for _ in 0..times {
        let plan = plan_in(snapshot, &client(), "10.96.0.1:80", &mut random);
        *chosen.entry(name(&plan).to_owned()).or_default() += 1;
    }
    chosen
}

fn of_capacity(name: &str, ip: &str, capacity: u32) -> Workload {
    Workload {
        capacity,
        ..reviewer(name, &[ip])
    }
}

#[test]
fn a_service_without_eligible_endpoints_has_no_healthy_upstream() {
    let dial = |mesh: Mesh| mesh.serving(reviews()).plan(&client(), "10.96.0.1:80");
    assert_eq!(dial(Mesh::default()), Err(no_upstream()));
    let unhealthy = Workload {
        health: Health::Unhealthy,
        ..reviewer("v1", &["10.0.0.2"])
    };
    assert_eq!(dial(Mesh::default().with(unhealthy)), Err(no_upstream()));
    assert_eq!(
        dial(Mesh::default().with(of_capacity("v1", "10.0.0.2", 0))),
        Err(no_upstream())
    );
    assert_eq!(
        no_upstream().to_string(),
        "no healthy upstream: default/reviews.default.svc.cluster.local"
    );
}

#[test]
fn a_service_that_allows_all_takes_unhealthy_endpoints() {
    let load_balancing = LoadBalancing {
        health_policy: HealthPolicy::AllowAll,
        ..LoadBalancing::default()
    };
    let unhealthy = Workload {
        health: Health::Unhealthy,
        ..reviewer("v1", &["10.0.0.2"])
    };
    let plan = Mesh::default()
        .with(unhealthy)
        .serving(Service {
            load_balancing,
            ..reviews()
        })
        .plan(&client(), "10.96.0.1:80");
    assert_eq!(name(&plan), "v1");
}

#[test]
fn endpoints_are_chosen_by_their_capacity() {
    let snapshot = Mesh::default()
        .serving(reviews())
        .with(of_capacity("none", "10.0.0.2", 0))
        .with(of_capacity("one", "10.0.0.3", 1))
        .with(of_capacity("three", "10.0.0.4", 3))
        .build();
    let chosen = chosen(&snapshot, 40_000);
    assert_eq!(chosen.keys().collect::<Vec<_>>(), ["one", "three"]);
    assert!(
        chosen["one"].abs_diff(10_000) < 450,
        "five standard deviations: {chosen:?}"
    );
}

#[test]
fn endpoints_that_draws_miss_are_found_and_weighed_all_the_same() {
    let mut mesh = Mesh::default().serving(Service {
        ports: ports(&[(80, 0)]),
        ..reviews()
    });
    for number in 0..2_000_u32 {
        let ip = std::net::Ipv4Addr::from_bits(0x0a01_0000 + number).to_string();
        let idle = Workload {
            services: [(reviews_key(), ports(&[(81, 81)]))].into(),
            ..pod("idle", &[&ip])
        };
        mesh = mesh.with(Workload {
            uid: format!("idle{number}").into(),
            ..idle
        });
    }
    let snapshot = mesh
        .with(of_capacity("one", "10.0.0.3", 1))
        .with(of_capacity("three", "10.0.0.4", 3))
        .build();
    let chosen = chosen(&snapshot, 800);
    assert_eq!(chosen.keys().collect::<Vec<_>>(), ["one", "three"]);
    assert!(
        chosen["one"].abs_diff(200) < 62,
        "five standard deviations: {chosen:?}"
    );
}

#[test]
fn an_endpoint_without_the_port_falls_back_to_the_services_number() {
    let without = Workload {
        services: [(reviews_key(), ports(&[]))].into(),
        ..pod("v1", &["10.0.0.2"])
    };
    let plan = Mesh::default()
        .with(without)
        .serving(reviews())
        .plan(&client(), "10.96.0.1:80");
    assert_eq!(target(&plan), "10.0.0.2:8080");
}

#[test]
fn an_endpoint_without_a_named_port_does_not_serve_it() {
    let without = || Workload {
        services: [(reviews_key(), ports(&[(81, 81)]))].into(),
        ..pod("v1", &["10.0.0.2"])
    };
    let named = || Service {
        ports: ports(&[(80, 0)]),
        ..reviews()
    };
    let plan = Mesh::default()
        .with(without())
        .serving(named())
        .plan(&client(), "10.96.0.1:80");
    assert_eq!(plan, Err(no_upstream()));
    let with = reviewer("v2", &["10.0.0.3"]);
    let snapshot = Mesh::default()
        .with(without())
        .with(with)
        .serving(named())
        .build();
    assert_eq!(chosen(&snapshot, 50), [("v2".to_owned(), 50)].into());
}

#[test]
fn an_endpoint_is_dialled_by_the_family_of_the_vip_where_it_has_it() {
    let dial = |ips: &[&str], families, vip: &str| {
        let service = Service {
            ip_families: families,
            ..reviews()
        };
        Mesh::default()
            .with(reviewer("v1", ips))
            .serving(service)
            .plan(&client(), vip)
    };
    let both = ["10.0.0.2", "fd00::2"];
    let (v4, v6) = ("10.96.0.1:80", "[fd00:96::1]:80");
    assert_eq!(
        target(&dial(&both, IpFamilies::Automatic, v4)),
        "10.0.0.2:9080"
    );
    assert_eq!(
        target(&dial(&both, IpFamilies::Automatic, v6)),
        "[fd00::2]:9080"
    );
    assert_eq!(
        target(&dial(&["10.0.0.2"], IpFamilies::Dual, v6)),
        "10.0.0.2:9080"
    );
    assert_eq!(
        target(&dial(&["fd00::2"], IpFamilies::Automatic, v4)),
        "[fd00::2]:9080"
    );
    assert_eq!(
        target(&dial(&both, IpFamilies::Ipv4Only, v6)),
        "10.0.0.2:9080"
    );
    assert_eq!(
        target(&dial(&both, IpFamilies::Ipv6Only, v4)),
        "[fd00::2]:9080"
    );
    assert_eq!(
        dial(&["fd00::2"], IpFamilies::Ipv4Only, v6),
        Err(no_upstream())
    );
}

#[test]
fn the_tunnel_goes_to_the_address_that_was_chosen() {
    let plan = Mesh::default()
        .with(reviewer("v1", &["10.0.0.2", "fd00::2"]))
        .serving(reviews())
        .plan(&client(), "[fd00:96::1]:80");
    let Ok(Plan::Hbone { peer, .. }) = plan else {
        panic!("{plan:?}")
    };
    assert_eq!(peer.to_string(), "[fd00::2]:15008");
}

fn far(name: &str) -> Workload {
    Workload {
        network: "west".into(),
        capacity: 1000,
        ..reviewer(name, &["10.0.0.2"])
    }
}

#[test]
fn endpoints_of_our_own_network_are_chosen_before_others() {
    let near = reviewer("near", &["10.0.0.3"]);
    let snapshot = Mesh::default()
        .serving(reviews())
        .with(far("far"))
        .with(near)
        .build();
    assert_eq!(chosen(&snapshot, 50), [("near".to_owned(), 50)].into());
}

#[test]
fn an_endpoint_of_another_network_is_refused_with_what_it_would_take() {
    let gateway = GatewayAddress {
        destination: GatewayDestination::Address(NetworkAddress {
            network: "west".into(),
            ip: ip("203.0.113.1"),
            prefix_length: None,
        }),
        hbone_port: 15008,
    };
    let reachable = Workload {
        network_gateway: Some(gateway.clone()),
        ..far("far")
    };
    let plan = Mesh::default()
        .serving(reviews())
        .with(reachable)
        .plan(&client(), "10.96.0.1:80");
    let uid = far("far").uid;
    assert_eq!(
        plan,
        Err(Refusal::OtherNetwork {
            workload: uid.clone(),
            network: "west".into(),
            gateway
        })
    );
    assert_eq!(
        plan.unwrap_err().to_string(),
        r#"Kubernetes//Pod/default/far is in network "west": it needs double HBONE through west/203.0.113.1"#
    );
    let plan = Mesh::default()
        .serving(reviews())
        .with(far("far"))
        .plan(&client(), "10.96.0.1:80");
    assert_eq!(
        plan,
        Err(Refusal::NoGatewayAddress {
            workload: uid,
            network: "west".into()
        })
    );
    assert!(
        plan.unwrap_err()
            .to_string()
            .starts_with("no gateway address: Kubernetes//Pod/default/far")
    );
}

#[test]
fn an_endpoint_that_came_before_its_service_is_chosen() {
    let snapshot = Mesh::default().with(reviewer("v1", &["10.0.0.2"])).build();
    let later = snapshot.apply(mesh::Delta {
        upserts: vec![mesh::Resource::Service(Arc::new(reviews()))],
        removals: Vec::new(),
    });
    assert_eq!(chosen(&later, 1), [("v1".to_owned(), 1)].into());
}
