//! What a waypoint takes: a small mesh with two waypoints, and everything that somebody might ask one of them for.

use super::{Accepted, Authority, Facts, Own, Refusal, Serves, Status, Target, accept, readmit};
use mesh::service::{GatewayAddress, GatewayDestination, NetworkAddress, PortMap, Visibility};
use mesh::{
    Delta, Network, Resource, Service, ServiceKey, Snapshot, SpiffeId, TrustDomain, Workload,
};
use std::{collections::HashMap, net::IpAddr, sync::Arc};

const OWN_IP: &str = "10.0.9.1";
const OWN_VIP: &str = "10.96.9.9";
const CLIENT_IP: &str = "10.0.0.5";
const ALL: Serves = Serves {
    services: true,
    workloads: true,
};

fn own_service() -> ServiceKey {
    ServiceKey::new("default", "waypoint.default.svc.cluster.local")
}

fn vip(ip: &str) -> NetworkAddress {
    NetworkAddress {
        network: "".into(),
        ip: ip.parse().unwrap(),
        prefix_length: None,
    }
}

fn by_service(key: ServiceKey) -> Option<GatewayAddress> {
    Some(GatewayAddress {
        destination: GatewayDestination::Service(key),
        hbone_port: 15008,
    })
}

fn by_address(ip: &str) -> Option<GatewayAddress> {
    Some(GatewayAddress {
        destination: GatewayDestination::Address(vip(ip)),
        hbone_port: 15008,
    })
}

fn service(name: &str, ip: &str, waypoint: Option<GatewayAddress>) -> Service {
    Service {
        name: name.into(),
        namespace: "default".into(),
        hostname: format!("{name}.default.svc.cluster.local").into(),
        vips: vec![vip(ip)],
        ports: PortMap([(80, None)].into()),
        waypoint,
        ..Service::default()
    }
}

fn workload(uid: &str, ip: &str, waypoint: Option<GatewayAddress>) -> Workload {
    Workload {
        uid: uid.into(),
        name: uid.into(),
        namespace: "default".into(),
        service_account: uid.into(),
        ips: vec![ip.parse().unwrap()],
        waypoint,
        ..Workload::default()
    }
}

fn put(snapshot: &Snapshot, upserts: Vec<Resource>) -> Snapshot {
    snapshot.apply(Delta {
        upserts,
        removals: Vec::new(),
    })
}

fn services(snapshot: &Snapshot, services: Vec<Service>) -> Snapshot {
    let upserts = services.into_iter().map(|s| Resource::Service(Arc::new(s)));
    put(snapshot, upserts.collect())
}

fn workloads(snapshot: &Snapshot, workloads: Vec<Workload>) -> Snapshot {
    let upserts = workloads
        .into_iter()
        .map(|w| Resource::Workload(Arc::new(w)));
    put(snapshot, upserts.collect())
}

fn mesh() -> Snapshot {
    let ours = || by_service(own_service());
    let theirs = by_service(ServiceKey::new(
        "default",
        "other-waypoint.default.svc.cluster.local",
    ));
    let mut private = service("private", "10.96.0.5", ours());
    private.visibility = Visibility::Namespace;
    let snapshot = services(
        &Snapshot::default(),
        vec![
            service("waypoint", OWN_VIP, None),
            service("reviews", "10.96.0.1", ours()),
            service("ratings", "10.96.0.2", by_address(OWN_VIP)),
            service("foreign", "10.96.0.3", theirs.clone()),
            service("bare", "10.96.0.4", None),
            private,
        ],
    );
    let mut replica = workload("waypoint-2", "10.0.9.2", None);
    replica.services = HashMap::from([(own_service(), PortMap::default())]);
    let mut client = workload("client", CLIENT_IP, None);
    client.namespace = "client".into();
    workloads(
        &snapshot,
        vec![
            replica,
            client,
            workload("pod", "10.0.1.1", ours()),
            workload("pod-by-replica", "10.0.1.2", by_address(OWN_IP)),
            workload("pod-foreign", "10.0.1.3", theirs),
            workload("pod-bare", "10.0.1.4", None),
        ],
    )
}

fn own_parts() -> (Network, TrustDomain, ServiceKey) {
    ("".into(), "cluster.local".into(), own_service())
}

fn ask_as(
    snapshot: &Snapshot,
    serves: Serves,
    identity: &str,
    authority: &str,
) -> Result<Accepted, Refusal> {
    let (network, trust_domain, key) = own_parts();
    let own = Own {
        ip: OWN_IP.parse().unwrap(),
        network: &network,
        trust_domain: &trust_domain,
        service: &key,
    };
    let identity: SpiffeId = identity.parse().unwrap();
    let authority = match authority.parse() {
        Ok(address) => Authority::Address(address),
        Err(_) => {
            let (hostname, port) = authority.rsplit_once(':').unwrap();
            let port = port.parse().unwrap();
            Authority::Hostname { hostname, port }
        }
    };
    let facts = Facts {
        serves,
        peer: Some(CLIENT_IP.parse().unwrap()),
        identity: &identity,
        authority,
    };
    accept(snapshot, &own, &facts)
}

const CLIENT: &str = "spiffe://cluster.local/ns/client/sa/client";

fn ask(authority: &str) -> Result<Accepted, Refusal> {
    ask_as(&mesh(), ALL, CLIENT, authority)
}

fn refused(serves: Serves, authority: &str) -> Refusal {
    ask_as(&mesh(), serves, CLIENT, authority).expect_err(authority)
}

fn key(name: &str) -> ServiceKey {
    ServiceKey::new("default", format!("{name}.default.svc.cluster.local"))
}

#[test]
fn a_service_is_reached_by_address_and_by_hostname_in_any_case() {
    for (authority, name) in [
        ("10.96.0.1:80", "reviews"),
        ("[::ffff:10.96.0.1]:80", "reviews"),
        ("10.96.0.2:80", "ratings"),
        ("reviews.default.svc.cluster.local:80", "reviews"),
        ("Reviews.Default.svc.cluster.LOCAL:80", "reviews"),
    ] {
        let accepted = ask(authority).expect(authority);
        let Target::Service { service, port } = &accepted.target else {
            panic!("{authority}: {accepted:?}");
        };
        assert_eq!((service.key(), *port), (key(name), 80), "{authority}");
        let ip = service.vips[0].ip;
        assert_eq!(accepted.destination, Some((ip, 80).into()), "{authority}");
    }
}

#[test]
fn a_workload_is_reached_by_its_own_address_at_any_port() {
    for (authority, uid) in [
        ("10.0.1.1:8080", "pod"),
        ("10.0.1.1:1", "pod"),
        ("10.0.1.2:8080", "pod-by-replica"),
    ] {
        let accepted = ask(authority).expect(authority);
        let Target::Workload {
            workload, address, ..
        } = &accepted.target
        else {
            panic!("{authority}: {accepted:?}");
        };
        assert_eq!(workload.uid.as_str(), uid);
        assert_eq!(*address, workload.ips[0]);
    }
}

#[test]
fn whatever_else_is_asked_for_is_refused() {
    let services_only = Serves {
        services: true,
        workloads: false,
    };
    let workloads_only = Serves {
        services: false,
        workloads: true,
    };
    let ip = |text: &str| text.parse::<IpAddr>().unwrap();
    let unknown = |text: &str| Refusal::UnknownAddress { ip: ip(text) };
    let hostname = |text: &str| Refusal::UnknownHostname {
        hostname: text.to_owned(),
    };
    let unserved = |name: &str| Refusal::UnservedService { service: key(name) };
    let bystander = |uid: &str| Refusal::UnservedWorkload { uid: uid.into() };
    let no_port = |name: &str, port| Refusal::NoPort {
        service: key(name),
        port,
    };
    let cases = [
        (ALL, "10.96.7.7:80", unknown("10.96.7.7"), 400),
        (ALL, "8.8.8.8:53", unknown("8.8.8.8"), 400),
        (ALL, "127.0.0.1:15000", unknown("127.0.0.1"), 400),
        (ALL, "0.0.0.0:80", unknown("0.0.0.0"), 400),
        (ALL, "[::1]:15000", unknown("::1"), 400),
        (ALL, "10.96.0.1:81", no_port("reviews", 81), 503),
        (ALL, "10.96.0.1:15008", no_port("reviews", 15008), 503),
        (ALL, "10.96.0.3:80", unserved("foreign"), 400),
        (ALL, "10.96.0.4:80", unserved("bare"), 400),
        (ALL, "10.0.9.1:80", Refusal::Itself, 400),
        (ALL, "10.0.9.1:15008", Refusal::Itself, 400),
        (ALL, "[::ffff:10.0.9.1]:15000", Refusal::Itself, 400),
        (ALL, "10.0.9.2:80", Refusal::Itself, 400),
        (ALL, "10.96.9.9:15008", Refusal::Itself, 400),
        (
            ALL,
            "waypoint.default.svc.cluster.local:15008",
            Refusal::Itself,
            400,
        ),
        (ALL, "10.0.1.3:80", bystander("pod-foreign"), 400),
        (ALL, "10.0.1.4:80", bystander("pod-bare"), 400),
        (ALL, "10.0.0.5:80", bystander("client"), 400),
        (ALL, "10.0.1.1:15008", Refusal::OwnPort { port: 15008 }, 400),
        (ALL, "10.0.1.1:15001", Refusal::OwnPort { port: 15001 }, 400),
        (services_only, "10.0.1.1:80", bystander("pod"), 400),
        (workloads_only, "10.96.0.1:80", unserved("reviews"), 400),
        (ALL, "10.96.0.5:80", unknown("10.96.0.5"), 400),
        (
            ALL,
            "private.default.svc.cluster.local:80",
            hostname("private.default.svc.cluster.local"),
            400,
        ),
        (ALL, "example.org:80", hostname("example.org"), 400),
        (ALL, "reviews:80", hostname("reviews"), 400),
        (
            ALL,
            "foreign.default.svc.cluster.local:80",
            unserved("foreign"),
            400,
        ),
        (
            ALL,
            "reviews.default.svc.cluster.local:8080",
            no_port("reviews", 8080),
            503,
        ),
    ];
    for (serves, authority, expected, status) in cases {
        let refusal = refused(serves, authority);
        assert_eq!(refusal, expected, "{authority}");
        assert_eq!(refusal.status().code(), status, "{authority}");
    }
}

#[test]
fn a_private_service_is_there_for_its_own_namespace() {
    let identity = "spiffe://cluster.local/ns/default/sa/anyone";
    for authority in ["10.96.0.5:80", "private.default.svc.cluster.local:80"] {
        let accepted = ask_as(&mesh(), ALL, identity, authority).expect(authority);
        assert_eq!(
            accepted.target.service().map(|s| s.key()),
            Some(key("private"))
        );
    }
}

#[test]
fn an_identity_of_another_trust_domain_is_refused_whatever_it_asks_for() {
    let identity = "spiffe://evil.example/ns/client/sa/client";
    let refusal = ask_as(&mesh(), ALL, identity, "10.96.0.1:80").unwrap_err();
    assert_eq!(refusal.status(), Status::Unauthorized);
    assert!(!refusal.may_pass());
}

#[test]
fn an_identity_that_is_not_that_of_the_workload_at_the_address_has_no_workload() {
    let accepted = ask("10.96.0.1:80").unwrap();
    let uid = |accepted: &Accepted| accepted.source.as_ref().map(|w| w.uid.clone());
    assert_eq!(uid(&accepted), Some("client".into()));
    let stranger = "spiffe://cluster.local/ns/client/sa/somebody-else";
    let accepted = ask_as(&mesh(), ALL, stranger, "10.96.0.1:80").unwrap();
    assert_eq!(uid(&accepted), None);
    // The namespace that counts is the certified one, not that of the workload at the address.
    let refusal = ask_as(&mesh(), ALL, stranger, "10.96.0.5:80").unwrap_err();
    assert!(matches!(refusal, Refusal::UnknownAddress { .. }));
}

#[test]
fn a_weighted_waypoint_serves_too() {
    let mut canary = service("canary", "10.96.0.6", None);
    let theirs = by_service(ServiceKey::new("default", "elsewhere")).unwrap();
    let ours = by_service(own_service()).unwrap();
    canary.weighted_waypoints = vec![(theirs, 90), (ours, 10)];
    let snapshot = services(&mesh(), vec![canary]);
    assert!(ask_as(&snapshot, ALL, CLIENT, "10.96.0.6:80").is_ok());
}

#[test]
fn of_several_services_of_a_hostname_the_clients_own_goes_first_then_the_canonical_one() {
    let of = |namespace: &str, ip: &str, canonical| Service {
        namespace: namespace.into(),
        hostname: "db.example".into(),
        canonical,
        ..service("db", ip, by_service(own_service()))
    };
    let snapshot = services(
        &mesh(),
        vec![
            of("a", "10.96.1.1", false),
            of("b", "10.96.1.2", true),
            of("client", "10.96.1.3", false),
        ],
    );
    let namespace = |identity: &str| {
        let accepted = ask_as(&snapshot, ALL, identity, "db.example:80").unwrap();
        accepted.target.service().unwrap().namespace.to_string()
    };
    assert_eq!(namespace(CLIENT), "client");
    assert_eq!(namespace("spiffe://cluster.local/ns/z/sa/z"), "b");
}

#[test]
fn a_target_is_readmitted_until_the_waypoint_does_not_stand_before_it_any_more() {
    let (network, trust_domain, own_key) = own_parts();
    let own = Own {
        ip: OWN_IP.parse().unwrap(),
        network: &network,
        trust_domain: &trust_domain,
        service: &own_key,
    };
    let again = |snapshot: &Snapshot, target: &Target| {
        readmit(snapshot, &own, ALL, &"client".into(), target)
    };
    let before = mesh();
    let service_target = ask("10.96.0.1:80").unwrap().target;
    let workload_target = ask("10.0.1.1:80").unwrap().target;
    assert_eq!(again(&before, &service_target), Ok(()));
    assert_eq!(again(&before, &workload_target), Ok(()));
    let after = services(&before, vec![service("reviews", "10.96.0.1", None)]);
    assert_eq!(
        again(&after, &service_target),
        Err(Refusal::UnservedService {
            service: key("reviews")
        })
    );
    let after = workloads(&before, vec![workload("pod", "10.0.1.1", None)]);
    assert_eq!(
        again(&after, &workload_target),
        Err(Refusal::UnservedWorkload { uid: "pod".into() })
    );
    // Another pod has the address now, and its waypoint is the same.
    let mut gone = workload("pod", "10.0.1.99", None);
    gone.waypoint = by_service(own_service());
    let after = workloads(
        &before,
        vec![
            gone,
            workload("pod-2", "10.0.1.1", by_service(own_service())),
        ],
    );
    assert!(matches!(
        again(&after, &workload_target),
        Err(Refusal::UnknownAddress { .. })
    ));
    assert!(again(&Snapshot::default(), &service_target).is_err());
}
