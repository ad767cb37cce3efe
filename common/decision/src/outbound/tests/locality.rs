//! Which endpoints come before which for a client that stands somewhere.

use std::collections::BTreeSet;

use mesh::{service::Scope, workload::Locality};

use super::{
    Arc, Health, HealthPolicy, LoadBalancing, LoadBalancingMode, Mesh, Plan, Refusal, Service,
    Snapshot, Workload, address, client, name, no_upstream, plan_in, ports, reviewer, reviews,
    reviews_key, seeded,
};

const ZONES: [Scope; 3] = [Scope::Network, Scope::Region, Scope::Zone];

/// A workload at `region/zone/node`.
fn at(place: &str, workload: Workload) -> Workload {
    let [region, zone, node] = place.split('/').collect::<Vec<_>>().try_into().unwrap();
    Workload {
        locality: Locality {
            region: region.into(),
            zone: zone.into(),
            subzone: "".into(),
        },
        node: node.into(),
        ..workload
    }
}

/// An endpoint at 10.0.1.x, named after its place.
fn endpoint(number: u8, place: &str) -> Workload {
    at(place, reviewer(place, &[&format!("10.0.1.{number}")]))
}

fn preferring(mode: LoadBalancingMode, scopes: &[Scope]) -> Service {
    Service {
        load_balancing: LoadBalancing {
            routing_preference: scopes.to_vec(),
            mode,
            ..LoadBalancing::default()
        },
        ..reviews()
    }
}

fn mesh(service: Service, endpoints: &[Workload]) -> Mesh {
    endpoints
        .iter()
        .fold(Mesh::default().serving(service), |mesh, endpoint| {
            mesh.with(endpoint.clone())
        })
}

/// Who is chosen over many connections of a client at a place.
fn chosen(snapshot: &Snapshot, place: &str) -> BTreeSet<String> {
    let client = at(place, client());
    let mut random = seeded(5);
    (0..100)
        .map(|_| name(&plan_in(snapshot, &client, "10.96.0.1:80", &mut random)).to_owned())
        .collect()
}

fn set<const N: usize>(names: [&str; N]) -> BTreeSet<String> {
    names.map(ToOwned::to_owned).into()
}

fn places() -> [Workload; 4] {
    [
        endpoint(1, "eu/a/one"),
        endpoint(2, "eu/a/two"),
        endpoint(3, "eu/b/three"),
        endpoint(4, "us/a/four"),
    ]
}

#[test]
fn failover_takes_the_endpoints_that_share_the_most() {
    let snapshot = mesh(preferring(LoadBalancingMode::Failover, &ZONES), &places()).build();
    assert_eq!(
        chosen(&snapshot, "eu/a/nine"),
        set(["eu/a/one", "eu/a/two"])
    );
    assert_eq!(chosen(&snapshot, "eu/b/nine"), set(["eu/b/three"]));
    assert_eq!(
        chosen(&snapshot, "eu/c/nine"),
        set(["eu/a/one", "eu/a/two", "eu/b/three"])
    );
    assert_eq!(chosen(&snapshot, "asia/a/nine").len(), 4);
    // As istiod writes PreferSameNode.
    let scopes = [
        Scope::Network,
        Scope::Region,
        Scope::Zone,
        Scope::Subzone,
        Scope::Node,
    ];
    let snapshot = mesh(preferring(LoadBalancingMode::Failover, &scopes), &places()).build();
    assert_eq!(chosen(&snapshot, "eu/a/two"), set(["eu/a/two"]));
}

#[test]
fn failover_goes_on_to_the_next_rank_where_nobody_is_well() {
    let service = preferring(LoadBalancingMode::Failover, &ZONES);
    let ill = |mut workload: Workload| {
        workload.health = Health::Unhealthy;
        workload
    };
    let [one, two, three, four] = places();
    let none = Workload { capacity: 0, ..two };
    let snapshot = mesh(service.clone(), &[ill(one), none, three, four]).build();
    assert_eq!(chosen(&snapshot, "eu/a/nine"), set(["eu/b/three"]));
    // Unless they are taken as they are.
    let all = Service {
        load_balancing: LoadBalancing {
            health_policy: HealthPolicy::AllowAll,
            ..service.load_balancing
        },
        ..service
    };
    let later = snapshot.apply(mesh::Delta {
        upserts: vec![mesh::Resource::Service(Arc::new(all))],
        removals: Vec::new(),
    });
    assert_eq!(chosen(&later, "eu/a/nine"), set(["eu/a/one"]));
}

#[test]
fn failover_goes_on_where_nobody_serves_the_port_or_is_in_reach() {
    let service = Service {
        ports: ports(&[(80, 0)]),
        ..preferring(LoadBalancingMode::Failover, &[Scope::Region, Scope::Zone])
    };
    let [mut without, mut elsewhere, three, _] = places();
    without.services = [(reviews_key(), ports(&[(81, 81)]))].into();
    elsewhere.network = "west".into();
    let snapshot = mesh(service, &[without, elsewhere, three]).build();
    assert_eq!(chosen(&snapshot, "eu/a/nine"), set(["eu/b/three"]));
}

#[test]
fn a_strict_service_has_no_other_choice() {
    // As istiod writes internalTrafficPolicy: Local.
    let snapshot = mesh(
        preferring(LoadBalancingMode::Strict, &[Scope::Node]),
        &places(),
    )
    .build();
    assert_eq!(chosen(&snapshot, "asia/x/three"), set(["eu/b/three"]));
    let away = at("eu/a/nine", client());
    assert_eq!(
        plan_in(&snapshot, &away, "10.96.0.1:80", &mut seeded(1)),
        Err(no_upstream())
    );
}

#[test]
fn a_strict_service_says_nothing_of_endpoints_that_it_does_not_allow() {
    let far = Workload {
        network: "west".into(),
        ..endpoint(1, "eu/a/one")
    };
    let dial = |scopes: &[Scope]| {
        mesh(
            preferring(LoadBalancingMode::Strict, scopes),
            std::slice::from_ref(&far),
        )
        .plan(&at("eu/a/nine", client()), "10.96.0.1:80")
    };
    assert_eq!(dial(&[Scope::Network]), Err(no_upstream()));
    assert!(matches!(
        dial(&[Scope::Zone]),
        Err(Refusal::NoGatewayAddress { .. })
    ));
}

#[test]
fn every_scope_counts() {
    let near = Workload {
        locality: Locality {
            region: "r".into(),
            zone: "z".into(),
            subzone: "s".into(),
        },
        node: "n".into(),
        cluster: "c".into(),
        ..reviewer("near", &["10.0.1.1"])
    };
    let far = reviewer("far", &["10.0.1.2"]);
    let source = Workload {
        locality: near.locality.clone(),
        node: near.node.clone(),
        cluster: near.cluster.clone(),
        ..client()
    };
    for scope in [
        Scope::Region,
        Scope::Zone,
        Scope::Subzone,
        Scope::Node,
        Scope::Cluster,
    ] {
        for mode in [LoadBalancingMode::Failover, LoadBalancingMode::Strict] {
            let snapshot = mesh(preferring(mode, &[scope]), &[near.clone(), far.clone()]).build();
            for seed in 0..20 {
                let plan = plan_in(&snapshot, &source, "10.96.0.1:80", &mut seeded(seed));
                assert_eq!(name(&plan), "near", "{scope:?} {mode:?}");
            }
        }
    }
}

#[test]
fn without_a_mode_scopes_play_no_part() {
    let snapshot = mesh(
        preferring(LoadBalancingMode::Unspecified, &ZONES),
        &places(),
    )
    .build();
    assert_eq!(chosen(&snapshot, "eu/a/nine").len(), 4);
}

#[test]
fn passthrough_keeps_the_address_and_the_port_whatever_is_preferred() {
    let service = preferring(LoadBalancingMode::Passthrough, &ZONES);
    assert_eq!(
        mesh(service.clone(), &places()).plan(&client(), "10.96.0.1:8443"),
        Ok(Plan::Passthrough {
            destination: address("10.96.0.1:8443"),
            service: Some(Arc::new(service)),
        })
    );
}

#[test]
fn the_family_that_was_dialled_does_not_outweigh_the_rank() {
    let snapshot = mesh(
        preferring(LoadBalancingMode::Failover, &ZONES),
        &[
            at("eu/a/one", reviewer("near", &["10.0.1.1"])),
            at("eu/b/two", reviewer("far", &["fd00::2"])),
        ],
    )
    .build();
    let client = at("eu/a/nine", client());
    for seed in 0..20 {
        let plan = plan_in(&snapshot, &client, "[fd00:96::1]:80", &mut seeded(seed));
        assert_eq!(name(&plan), "near");
    }
}
