//! For whom a peer says that it comes: whose word counts, what it opens, and every way around that.

use std::collections::HashMap;

use mesh::authorization::{Action, Match, StringMatch};
use mesh::service::{GatewayAddress, GatewayDestination, NetworkAddress, PortMap};
use mesh::workload::Health;
use mesh::{Delta, Resource, ResourceKey, Service, ServiceKey, Snapshot, SpiffeId, Workload};
use std::sync::Arc;

use super::{
    Admitted, Claim, Flag, Refusal, Speakers, Status, id, may_speak, mesh, other, policy, put,
    refused, reviews, server, tunnel_as, tunnel_for, vip, web, with_policy, with_service,
    with_workload, workload,
};

mod later;

const APP: &str = "10.0.1.7:9080";
/// A port that no service leads to.
const ADMIN: &str = "10.0.1.7:7000";
const VIP: &str = "10.96.9.9";

fn waypoint() -> SpiffeId {
    id("spiffe://cluster.local/ns/default/sa/waypoint")
}

fn waypoint_key() -> ServiceKey {
    ServiceKey::new("default", "waypoint.default.svc.cluster.local")
}

fn waypoint_service() -> Service {
    Service {
        name: "waypoint".into(),
        ports: PortMap([(15008, None)].into()),
        canonical: true,
        ..other("waypoint.default.svc.cluster.local", VIP)
    }
}

fn waypoint_pod() -> Workload {
    Workload {
        services: HashMap::from([(waypoint_key(), PortMap::default())]),
        native_tunnel: true,
        ..workload(
            "Kubernetes//Pod/default/waypoint-1",
            "default",
            "waypoint",
            &["10.0.2.1"],
        )
    }
}

fn by(destination: GatewayDestination) -> Option<GatewayAddress> {
    Some(GatewayAddress {
        destination,
        hbone_port: 15008,
    })
}

fn by_name() -> Option<GatewayAddress> {
    by(GatewayDestination::Service(waypoint_key()))
}

fn by_address(ip: &str) -> Option<GatewayAddress> {
    by(GatewayDestination::Address(address("", ip)))
}

fn address(network: &str, ip: &str) -> NetworkAddress {
    NetworkAddress {
        network: network.into(),
        ..vip(ip)
    }
}

/// The waypoint is there, and nobody names it.
fn unnamed() -> Snapshot {
    with_workload(&with_service(&mesh(), waypoint_service()), waypoint_pod())
}

/// The service that the server is an endpoint of names it.
fn named_by_service(waypoint: Option<GatewayAddress>) -> Snapshot {
    let service = Service {
        waypoint,
        ..reviews()
    };
    with_service(&unnamed(), service)
}

/// The server itself names it.
fn named_by_workload(waypoint: Option<GatewayAddress>) -> Snapshot {
    let server = Workload {
        waypoint,
        ..server()
    };
    with_workload(&unnamed(), server)
}

fn principals(principal: &str) -> Match {
    Match {
        principals: vec![StringMatch::Exact(principal.into())],
        ..Match::default()
    }
}

const WEB: &str = "cluster.local/ns/client/sa/web";

/// Only `web` may come.
fn for_web(snapshot: &Snapshot) -> Snapshot {
    with_policy(snapshot, policy(Action::Allow, principals(WEB)))
}

fn saying(
    snapshot: &Snapshot,
    peer: &SpiffeId,
    authority: &str,
    client: &SpiffeId,
) -> Result<Admitted, Refusal> {
    tunnel_for(snapshot, peer, authority, Claim::Named(client), None)
}

/// Whether the word of `peer` counts, for `web` and to this port: what it opens, and that it is told.
#[track_caller]
fn counts(snapshot: &Snapshot, peer: &SpiffeId, authority: &str) -> bool {
    let guarded = for_web(snapshot);
    match saying(&guarded, peer, authority, &web()) {
        Ok(admitted) => {
            assert_eq!(admitted.behind(), Some(&web()));
            assert_eq!(admitted.identity(), Some(peer));
            true
        }
        Err(refusal) => {
            assert!(matches!(refusal, Refusal::Rejected { .. }), "{refusal}");
            // Where nobody asks who it is it may come, but not as somebody else.
            let open = saying(snapshot, peer, authority, &web()).unwrap();
            assert_eq!(open.behind(), None);
            false
        }
    }
}

#[test]
fn the_waypoint_of_a_service_of_the_workload_may_say_for_whom_it_comes() {
    let snapshot = named_by_service(by_name());
    assert!(tunnel_as(&for_web(&snapshot), &waypoint(), APP).is_err());
    assert!(counts(&snapshot, &waypoint(), APP));
}

#[test]
fn the_waypoint_of_the_workload_may_for_every_port() {
    let snapshot = named_by_workload(by_name());
    assert!(counts(&snapshot, &waypoint(), APP));
    assert!(counts(&snapshot, &waypoint(), ADMIN));
}

#[test]
fn the_waypoint_of_a_service_may_for_the_ports_of_that_service_alone() {
    let snapshot = named_by_service(by_name());
    assert!(!counts(&snapshot, &waypoint(), ADMIN));
    // 80 is the service's own port: the pod serves it on another one.
    assert!(!counts(&snapshot, &waypoint(), "10.0.1.7:80"));
    // The endpoint has no word on this one, so the service's holds.
    assert!(counts(&snapshot, &waypoint(), "10.0.1.7:81"));
    let by_hostname = "reviews.default.svc.cluster.local:80";
    assert!(counts(&snapshot, &waypoint(), by_hostname));
}

#[test]
fn each_of_weighted_waypoints_may() {
    let second = id("spiffe://cluster.local/ns/default/sa/second");
    let key = ServiceKey::new("default", "second.default.svc.cluster.local");
    let pod = Workload {
        services: HashMap::from([(key.clone(), PortMap::default())]),
        ..workload(
            "Kubernetes//Pod/default/second-1",
            "default",
            "second",
            &["10.0.2.2"],
        )
    };
    let weighted = [by_name(), by(GatewayDestination::Service(key))];
    let service = Service {
        weighted_waypoints: weighted.into_iter().flatten().map(|it| (it, 0)).collect(),
        ..reviews()
    };
    let snapshot = with_service(&with_workload(&unnamed(), pod), service);
    let snapshot = with_service(
        &snapshot,
        other("second.default.svc.cluster.local", "10.96.9.8"),
    );
    assert!(counts(&snapshot, &waypoint(), APP));
    assert!(counts(&snapshot, &second, APP));
}

#[test]
fn a_waypoint_is_found_by_the_address_of_its_service_or_of_its_pod() {
    for address in [VIP, "10.0.2.1", "::ffff:10.96.9.9", "::ffff:10.0.2.1"] {
        assert!(
            counts(&named_by_service(by_address(address)), &waypoint(), APP),
            "{address}"
        );
        assert!(
            counts(&named_by_workload(by_address(address)), &waypoint(), APP),
            "{address}"
        );
    }
}

#[test]
fn a_pod_that_is_no_waypoint_is_taken_for_what_it_is() {
    let admin = id("spiffe://cluster.local/ns/client/sa/admin");
    for snapshot in [
        mesh(),
        unnamed(),
        named_by_service(by_name()),
        named_by_workload(by_name()),
    ] {
        for peer in [
            admin.clone(),
            // The destination itself, and its fellows.
            id("spiffe://cluster.local/ns/default/sa/reviews"),
            id("spiffe://cluster.local/ns/default/sa/default"),
            // The same service account elsewhere.
            id("spiffe://cluster.local/ns/client/sa/waypoint"),
            id("spiffe://cluster.local/ns/waypoint/sa/default"),
            // Nearly the same names.
            id("spiffe://cluster.local/ns/default/sa/waypoint-1"),
            id("spiffe://cluster.local/ns/default/sa/Waypoint"),
        ] {
            assert!(!counts(&snapshot, &peer, APP), "{peer}");
        }
    }
}

#[test]
fn a_waypoint_that_nobody_here_names_is_no_speaker() {
    assert!(!counts(&unnamed(), &waypoint(), APP));
    // Another service names it, and another workload does.
    let ratings = Service {
        waypoint: by_name(),
        ..other("ratings.default.svc.cluster.local", "10.96.0.13")
    };
    let fellow = Workload {
        waypoint: by_name(),
        ..workload("fellow", "default", "reviews", &["10.0.1.8"])
    };
    let snapshot = with_workload(&with_service(&unnamed(), ratings), fellow);
    assert!(!counts(&snapshot, &waypoint(), APP));
    // A service of the same hostname in another namespace does.
    let namesake = Service {
        namespace: "client".into(),
        waypoint: by_name(),
        ..reviews()
    };
    assert!(!counts(
        &with_service(&unnamed(), namesake),
        &waypoint(),
        APP
    ));
}

#[test]
fn what_is_not_known_is_no_waypoint() {
    let nobody = ServiceKey::new("default", "nobody.default.svc.cluster.local");
    for destination in [
        by(GatewayDestination::Service(nobody)),
        by_address("10.96.9.1"),
        // An address of another network.
        by(GatewayDestination::Address(address("far", VIP))),
        by(GatewayDestination::Address(address("far", "10.0.2.1"))),
    ] {
        assert!(!counts(
            &named_by_service(destination.clone()),
            &waypoint(),
            APP
        ));
        assert!(!counts(&named_by_workload(destination), &waypoint(), APP));
    }
    // It has no pod any more.
    let gone = named_by_service(by_name()).apply(Delta {
        upserts: vec![],
        removals: vec![ResourceKey::Workload(waypoint_pod().uid)],
    });
    assert!(!counts(&gone, &waypoint(), APP));
    // Its service is not known any more.
    let gone = named_by_service(by_name()).apply(Delta {
        upserts: vec![],
        removals: vec![ResourceKey::Service(waypoint_key())],
    });
    assert!(!counts(&gone, &waypoint(), APP));
}

#[test]
fn a_pod_of_the_waypoint_that_is_not_ready_still_is_one() {
    let leaving = Workload {
        health: Health::Unhealthy,
        ..waypoint_pod()
    };
    let snapshot = with_workload(&named_by_service(by_name()), leaving);
    assert!(counts(&snapshot, &waypoint(), APP));
}

#[test]
fn who_claims_the_waypoints_address_is_not_the_waypoint() {
    let thief = id("spiffe://cluster.local/ns/client/sa/thief");
    let entry = |uid: &str, ip: &str| workload(uid, "client", "thief", &[ip]);
    let key = ServiceKey::new("aaa", "thief.example");
    let service = |address: NetworkAddress| Service {
        namespace: "aaa".into(),
        vips: vec![address],
        ..other("thief.example", VIP)
    };
    let pod = Workload {
        services: HashMap::from([(key, PortMap::default())]),
        ..entry("Kubernetes//Pod/client/thief", "10.0.0.66")
    };
    let range = NetworkAddress {
        prefix_length: Some(8),
        ..vip("10.0.0.0")
    };
    let claims = [
        vec![Resource::Workload(Arc::new(entry("entry/thief", VIP)))],
        vec![Resource::Workload(Arc::new(entry(
            "entry/thief",
            "10.0.2.1",
        )))],
        vec![
            Resource::Service(Arc::new(service(vip(VIP)))),
            Resource::Workload(Arc::new(pod.clone())),
        ],
        vec![
            Resource::Service(Arc::new(service(range))),
            Resource::Workload(Arc::new(pod)),
        ],
    ];
    for claim in claims {
        for address in [VIP, "10.0.2.1"] {
            let snapshot = put(&named_by_service(by_address(address)), claim.clone());
            assert!(!counts(&snapshot, &thief, APP), "{address} {claim:?}");
            assert!(counts(&snapshot, &waypoint(), APP), "{address} {claim:?}");
            // Nor while the waypoint itself is gone.
            let removals = vec![
                ResourceKey::Service(waypoint_key()),
                ResourceKey::Workload(waypoint_pod().uid),
            ];
            let gone = snapshot.apply(Delta {
                upserts: vec![],
                removals,
            });
            assert!(!counts(&gone, &thief, APP), "{address} {claim:?}");
        }
    }
}

#[test]
fn an_endpoint_of_the_waypoints_service_that_is_no_pod_is_not_the_waypoint() {
    let thief = id("spiffe://cluster.local/ns/default/sa/thief");
    let entry = Workload {
        services: HashMap::from([(waypoint_key(), PortMap::default())]),
        ..workload(
            "Kubernetes/networking.istio.io/WorkloadEntry/default/thief",
            "default",
            "thief",
            &["10.0.0.66"],
        )
    };
    for waypoint in [by_name(), by_address(VIP)] {
        let snapshot = with_workload(&named_by_service(waypoint), entry.clone());
        assert!(!counts(&snapshot, &thief, APP));
        assert!(counts(&snapshot, &self::waypoint(), APP));
    }
}

#[test]
fn a_pod_of_the_waypoint_in_another_network_does_not_come_here_by_itself() {
    let far = Workload {
        network: "far".into(),
        ..waypoint_pod()
    };
    assert!(!counts(
        &with_workload(&named_by_service(by_name()), far),
        &waypoint(),
        APP
    ));
}

#[test]
fn what_comes_by_way_of_another_networks_gateway_is_nobodys_word() {
    let snapshot = for_web(&named_by_service(by_name()));
    let through = |network| {
        let claim = &web();
        tunnel_for(
            &snapshot,
            &waypoint(),
            APP,
            Claim::Named(claim),
            Some(network),
        )
    };
    assert!(matches!(through("far"), Err(Refusal::Rejected { .. })));
    // The workload's own network has no name.
    assert_eq!(through("").unwrap().behind(), Some(&web()));
    let unreadable = tunnel_for(
        &named_by_service(by_name()),
        &waypoint(),
        APP,
        Claim::Unreadable,
        Some("far"),
    );
    assert_eq!(unreadable.unwrap().behind(), None);
}

#[test]
fn a_claim_that_names_nobody_is_refused_where_it_would_count_and_nothing_elsewhere() {
    let unreadable = |snapshot: &Snapshot, peer: &SpiffeId| {
        tunnel_for(snapshot, peer, APP, Claim::Unreadable, None)
    };
    // No policy asks for anything: to come as the waypoint itself would be allowed.
    refused(
        unreadable(&named_by_service(by_name()), &waypoint()),
        "x-ambit-client-principal names nobody: expected one SPIFFE ID",
        Status::BadRequest,
        None,
    );
    assert_eq!(unreadable(&unnamed(), &waypoint()).unwrap().behind(), None);
    let web = unreadable(&named_by_service(by_name()), &web()).unwrap();
    assert_eq!(web.behind(), None);
}

#[test]
fn a_client_of_another_trust_domain_is_refused() {
    let stranger = id("spiffe://evil.example/ns/client/sa/web");
    refused(
        saying(&named_by_service(by_name()), &waypoint(), APP, &stranger),
        "identity error: trust domain evil.example is not cluster.local",
        Status::Unauthorized,
        Some(Flag::Deny),
    );
    let ignored = saying(&unnamed(), &waypoint(), APP, &stranger).unwrap();
    assert_eq!(ignored.behind(), None);
}

#[test]
fn a_denied_client_is_denied_behind_its_waypoint_and_a_denied_waypoint_whoever_it_names() {
    let snapshot = named_by_service(by_name());
    let deny = |principal| with_policy(&snapshot, policy(Action::Deny, principals(principal)));
    let no_web = deny(WEB);
    // The refusal says who it was.
    let Err(Refusal::Rejected { behind, .. }) = saying(&no_web, &waypoint(), APP, &web()) else {
        panic!("admitted");
    };
    assert_eq!(behind.as_deref(), Some(&web()));
    assert!(tunnel_as(&no_web, &waypoint(), APP).is_ok());
    let other = id("spiffe://cluster.local/ns/client/sa/other");
    assert!(saying(&no_web, &waypoint(), APP, &other).is_ok());
    let no_waypoint = deny("cluster.local/ns/default/sa/waypoint");
    for client in [web(), other, waypoint()] {
        assert!(saying(&no_waypoint, &waypoint(), APP, &client).is_err());
    }
}

#[test]
fn the_word_opens_nothing_by_addresses() {
    let snapshot = named_by_service(by_name());
    let blocks = Match {
        source_ips: vec!["10.0.0.5/32".parse().unwrap()],
        ..Match::default()
    };
    let facts_are_the_peers = with_policy(&snapshot, policy(Action::Deny, blocks));
    // The kit's peer has this address, whoever it is.
    assert!(saying(&facts_are_the_peers, &waypoint(), APP, &web()).is_err());
}
