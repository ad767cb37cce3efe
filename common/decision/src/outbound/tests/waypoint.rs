//! Who goes through a waypoint, and how it is found.

use super::{
    Arc, GatewayAddress, GatewayDestination, Mesh, NetworkAddress, Plan, PortMap, Refusal, Service,
    ServiceKey, Via, Workload, address, client, ip, name, pod, ports, reviewer, reviews, sans,
    target,
};

fn key() -> ServiceKey {
    ServiceKey::new("default", "waypoint.default.svc.cluster.local")
}

fn by_hostname() -> GatewayAddress {
    GatewayAddress {
        destination: GatewayDestination::Service(key()),
        hbone_port: 15008,
    }
}

fn by_address(network: &str, text: &str) -> GatewayAddress {
    let address = NetworkAddress {
        network: network.into(),
        ip: ip(text),
        prefix_length: None,
    };
    GatewayAddress {
        destination: GatewayDestination::Address(address),
        hbone_port: 15008,
    }
}

/// The waypoint's service, at 10.96.0.9.
fn waypoint() -> Service {
    Service {
        namespace: "default".into(),
        hostname: key().hostname,
        vips: vec![NetworkAddress {
            network: "".into(),
            ip: ip("10.96.0.9"),
            prefix_length: None,
        }],
        ports: ports(&[(15008, 15008)]),
        ..Service::default()
    }
}

fn waypoint_pod() -> Workload {
    Workload {
        native_tunnel: true,
        services: [(key(), PortMap::default())].into(),
        ..pod("waypoint", &["10.0.0.9"])
    }
}

fn behind(waypoint: GatewayAddress) -> Service {
    Service {
        waypoint: Some(waypoint),
        ..reviews()
    }
}

/// A mesh with `reviews` behind a waypoint.
fn mesh(gateway: GatewayAddress) -> Mesh {
    Mesh::default()
        .serving(waypoint())
        .with(waypoint_pod())
        .serving(behind(gateway))
        .with(reviewer("v1", &["10.0.0.2"]))
}

#[test]
fn a_service_with_a_waypoint_is_reached_through_it() {
    for gateway in [
        by_hostname(),
        by_address("", "10.96.0.9"),
        by_address("", "10.0.0.9"),
    ] {
        assert_eq!(
            mesh(gateway.clone()).plan(&client(), "10.96.0.1:80"),
            Ok(Plan::Hbone {
                peer: address("10.0.0.9:15008"),
                authority: address("10.96.0.1:80"),
                expected: sans(&["spiffe://cluster.local/ns/default/sa/waypoint"]),
                via: Via::Waypoint,
                workload: Arc::new(waypoint_pod()),
                service: Some(Arc::new(behind(gateway))),
            })
        );
    }
}

#[test]
fn the_waypoint_ends_hbone_on_its_own_port() {
    let dial = |service: Service, pod: Workload| {
        let gateway = GatewayAddress {
            hbone_port: 15010,
            ..by_hostname()
        };
        let plan = Mesh::default()
            .serving(service)
            .with(pod)
            .serving(behind(gateway))
            .plan(&client(), "10.96.0.1:80");
        let Ok(Plan::Hbone { peer, .. }) = plan else {
            panic!("{plan:?}")
        };
        peer.to_string()
    };
    assert_eq!(
        dial(waypoint(), waypoint_pod()),
        "10.0.0.9:15010",
        "a port that no one maps is the pod's own"
    );
    let mapped = Service {
        ports: ports(&[(15010, 25010)]),
        ..waypoint()
    };
    assert_eq!(dial(mapped.clone(), waypoint_pod()), "10.0.0.9:25010");
    let pod = Workload {
        services: [(key(), ports(&[(15010, 35010)]))].into(),
        ..waypoint_pod()
    };
    assert_eq!(dial(mapped, pod), "10.0.0.9:35010");
}

#[test]
fn a_waypoint_judges_ports_itself() {
    assert_eq!(
        target(&mesh(by_hostname()).plan(&client(), "10.96.0.1:81")),
        "10.96.0.1:81"
    );
}

#[test]
fn a_workload_with_a_waypoint_is_reached_through_it() {
    let other = Workload {
        waypoint: Some(by_hostname()),
        ..pod("other", &["10.0.0.3"])
    };
    assert_eq!(
        mesh(by_hostname())
            .with(other)
            .plan(&client(), "10.0.0.3:8080"),
        Ok(Plan::Hbone {
            peer: address("10.0.0.9:15008"),
            authority: address("10.0.0.3:8080"),
            expected: sans(&["spiffe://cluster.local/ns/default/sa/waypoint"]),
            via: Via::Waypoint,
            workload: Arc::new(waypoint_pod()),
            service: None,
        })
    );
}

#[test]
fn a_workloads_waypoint_plays_no_part_for_a_service() {
    let endpoint = Workload {
        waypoint: Some(by_hostname()),
        ..reviewer("v1", &["10.0.0.2"])
    };
    let plan = Mesh::default()
        .serving(waypoint())
        .with(waypoint_pod())
        .serving(reviews())
        .with(endpoint)
        .plan(&client(), "10.96.0.1:80");
    assert_eq!(name(&plan), "v1");
}

#[test]
fn a_gateway_never_enters_a_waypoint() {
    let other = Workload {
        waypoint: Some(by_hostname()),
        ..pod("other", &["10.0.0.3"])
    };
    let gateway = Workload {
        native_tunnel: true,
        ..pod("gateway", &["10.0.0.8"])
    };
    for source in [waypoint_pod(), gateway] {
        assert_eq!(
            name(&mesh(by_hostname()).plan(&source, "10.96.0.1:80")),
            "v1"
        );
        assert_eq!(
            name(
                &mesh(by_hostname())
                    .with(other.clone())
                    .plan(&source, "10.0.0.3:80")
            ),
            "other"
        );
    }
}

#[test]
fn a_waypoint_does_not_enter_itself_however_it_is_named() {
    let source = Workload {
        native_tunnel: false,
        ..waypoint_pod()
    };
    for gateway in [
        by_hostname(),
        by_address("", "10.96.0.9"),
        by_address("", "10.0.0.9"),
    ] {
        let other = Workload {
            waypoint: Some(gateway.clone()),
            ..pod("other", &["10.0.0.3"])
        };
        assert_eq!(
            name(&mesh(gateway.clone()).plan(&source, "10.96.0.1:80")),
            "v1"
        );
        assert_eq!(
            name(&mesh(gateway).with(other).plan(&source, "10.0.0.3:80")),
            "other"
        );
    }
}

#[test]
fn a_waypoint_that_nobody_is_known_by_is_refused() {
    let unknown = ServiceKey::new("default", "gone");
    for (gateway, named) in [
        (
            GatewayAddress {
                destination: GatewayDestination::Service(unknown),
                hbone_port: 15008,
            },
            "default/gone",
        ),
        (by_address("east", "10.96.0.9"), "east/10.96.0.9"),
    ] {
        let plan = mesh(gateway.clone()).plan(&client(), "10.96.0.1:80");
        assert_eq!(
            plan,
            Err(Refusal::UnknownWaypoint {
                waypoint: gateway.destination
            })
        );
        assert_eq!(
            plan.unwrap_err().to_string(),
            format!("unknown waypoint: {named}")
        );
    }
}

#[test]
fn a_waypoint_without_pods_has_no_healthy_upstream() {
    let plan = Mesh::default()
        .serving(waypoint())
        .serving(behind(by_hostname()))
        .with(reviewer("v1", &["10.0.0.2"]))
        .plan(&client(), "10.96.0.1:80");
    assert_eq!(plan, Err(Refusal::NoHealthyUpstream { service: key() }));
}

#[test]
fn a_waypoint_of_another_network_is_refused() {
    let far = || Workload {
        network: "west".into(),
        ..waypoint_pod()
    };
    let refusal = Err(Refusal::NoGatewayAddress {
        workload: far().uid,
        network: "west".into(),
    });
    for gateway in [by_hostname(), by_address("west", "10.0.0.9")] {
        let plan = Mesh::default()
            .serving(waypoint())
            .with(far())
            .serving(behind(gateway))
            .plan(&client(), "10.96.0.1:80");
        assert_eq!(plan, refusal);
    }
}

fn canary_key() -> ServiceKey {
    ServiceKey::new("default", "canary.default.svc.cluster.local")
}

fn canary() -> GatewayAddress {
    GatewayAddress {
        destination: GatewayDestination::Service(canary_key()),
        hbone_port: 15008,
    }
}

fn canary_pod() -> Workload {
    Workload {
        native_tunnel: true,
        services: [(canary_key(), PortMap::default())].into(),
        ..pod("canary", &["10.0.0.10"])
    }
}

/// `reviews` behind two waypoints.
fn weighted(weights: [u32; 2]) -> Mesh {
    let [stable, new] = weights;
    Mesh::default()
        .serving(waypoint())
        .with(waypoint_pod())
        .serving(Service {
            hostname: canary_key().hostname,
            vips: Vec::new(),
            ..waypoint()
        })
        .with(canary_pod())
        .serving(Service {
            waypoint: Some(by_hostname()),
            weighted_waypoints: vec![(by_hostname(), stable), (canary(), new)],
            ..reviews()
        })
        .with(reviewer("v1", &["10.0.0.2"]))
}

#[test]
fn weighted_waypoints_share_connections_by_their_weights() {
    let share = |weights: [u32; 2]| {
        let snapshot = weighted(weights).build();
        let mut random = super::seeded(3);
        (0..10_000)
            .filter(|_| {
                let plan = super::plan_in(&snapshot, &client(), "10.96.0.1:80", &mut random);
                match name(&plan) {
                    "canary" => true,
                    "waypoint" => false,
                    other => panic!("{other}"),
                }
            })
            .count()
    };
    // Five standard deviations of a tenth.
    let tenth = share([90, 10]);
    assert!(tenth.abs_diff(1_000) < 150, "{tenth}");
    assert_eq!(share([100, 0]), 0);
    assert_eq!(share([0, 100]), 10_000);
    assert_eq!(share([u32::MAX, 0]), 0);
    // No weight is no way around.
    assert_eq!(share([0, 0]), 0);
}

#[test]
fn weights_that_say_nothing_are_no_way_around_a_waypoint() {
    let service = Service {
        weighted_waypoints: vec![(by_hostname(), 0)],
        ..reviews()
    };
    let plan = Mesh::default()
        .serving(waypoint())
        .with(waypoint_pod())
        .serving(service)
        .with(reviewer("v1", &["10.0.0.2"]))
        .plan(&client(), "10.96.0.1:80");
    assert_eq!(name(&plan), "waypoint");
}

#[test]
fn a_pod_of_either_waypoint_goes_on_to_an_endpoint() {
    for source in [
        waypoint_pod(),
        canary_pod(),
        // Known by its service alone.
        Workload {
            native_tunnel: false,
            ..canary_pod()
        },
    ] {
        let plan = weighted([100, 0]).plan(&source, "10.96.0.1:80");
        assert_eq!(name(&plan), "v1");
    }
}

#[test]
fn the_share_of_an_unknown_waypoint_is_refused() {
    let plan = Mesh::default()
        .serving(Service {
            weighted_waypoints: vec![(canary(), 1)],
            ..reviews()
        })
        .with(reviewer("v1", &["10.0.0.2"]))
        .plan(&client(), "10.96.0.1:80");
    assert_eq!(
        plan,
        Err(Refusal::UnknownWaypoint {
            waypoint: canary().destination
        })
    );
}
