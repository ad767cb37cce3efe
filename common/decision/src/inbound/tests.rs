//! Inbound admission, rule by rule.

use std::{collections::HashMap, num::NonZeroU16, sync::Arc};

use mesh::{
    Authorization, Delta, PolicyKey, Resource, ResourceKey, Service, ServiceKey, Snapshot,
    SpiffeId, Workload,
    authorization::{Action, Clause, Match, Rule, Scope, StringMatch},
    service::{GatewayAddress, GatewayDestination, NetworkAddress, PortMap},
    workload::{ApplicationProtocol, ApplicationTunnel},
};

use super::{Admitted, Arrival, Authority, Facts, Flag, ProxyHeader, Refusal, Status, admit};
use crate::authorize::Denial;

const POD: &str = "10.0.1.7:15008";
const CLIENT: &str = "10.0.0.5:51234";

fn workload(uid: &str, namespace: &str, service_account: &str, ips: &[&str]) -> Workload {
    Workload {
        uid: uid.into(),
        namespace: namespace.into(),
        service_account: service_account.into(),
        ips: ips.iter().map(|ip| ip.parse().unwrap()).collect(),
        ..Workload::default()
    }
}

fn server() -> Workload {
    let services = HashMap::from([(
        ServiceKey::new("default", "reviews.default.svc.cluster.local"),
        PortMap([(80, NonZeroU16::new(9080))].into()),
    )]);
    Workload {
        services,
        ..workload("server", "default", "reviews", &["10.0.1.7", "fd00::7"])
    }
}

fn reviews() -> Service {
    Service {
        name: "reviews".into(),
        namespace: "default".into(),
        hostname: "reviews.default.svc.cluster.local".into(),
        vips: vec![vip("10.96.0.12")],
        ports: PortMap([(80, NonZeroU16::new(8080)), (81, None)].into()),
        ..Service::default()
    }
}

fn vip(ip: &str) -> NetworkAddress {
    NetworkAddress {
        network: "".into(),
        ip: ip.parse().unwrap(),
        prefix_length: None,
    }
}

fn other(hostname: &str, ip: &str) -> Service {
    Service {
        hostname: hostname.into(),
        vips: vec![vip(ip)],
        name: hostname.into(),
        ..reviews()
    }
}

fn policy(action: Action, one: Match) -> Authorization {
    let rules = vec![Rule {
        clauses: vec![Clause { matches: vec![one] }],
    }];
    Authorization {
        key: PolicyKey::new("default", "p"),
        scope: Scope::Namespace,
        action,
        dry_run: false,
        rules,
    }
}

fn put(snapshot: &Snapshot, upserts: Vec<Resource>) -> Snapshot {
    snapshot.apply(Delta {
        upserts,
        removals: Vec::new(),
    })
}

fn with_policy(snapshot: &Snapshot, policy: Authorization) -> Snapshot {
    put(snapshot, vec![Resource::Authorization(Arc::new(policy))])
}

fn with_workload(snapshot: &Snapshot, workload: Workload) -> Snapshot {
    put(snapshot, vec![Resource::Workload(Arc::new(workload))])
}

fn with_service(snapshot: &Snapshot, service: Service) -> Snapshot {
    put(snapshot, vec![Resource::Service(Arc::new(service))])
}

/// A client, a server, and the service that it is an endpoint of.
fn mesh() -> Snapshot {
    let client = workload("client", "client", "web", &["10.0.0.5", "fd00::5"]);
    let snapshot = with_workload(&Snapshot::default(), client);
    with_service(&with_workload(&snapshot, server()), reviews())
}

fn id(text: &str) -> SpiffeId {
    text.parse().unwrap()
}

fn web() -> SpiffeId {
    id("spiffe://cluster.local/ns/client/sa/web")
}

fn tunnel_as(
    snapshot: &Snapshot,
    identity: &SpiffeId,
    authority: &str,
) -> Result<Admitted, Refusal> {
    let authority = match authority.parse() {
        Ok(address) => Authority::Address(address),
        Err(_) => {
            let (hostname, port) = authority.rsplit_once(':').unwrap();
            Authority::Hostname {
                hostname,
                port: port.parse().unwrap(),
            }
        }
    };
    let facts = Facts {
        workload: &server(),
        peer: CLIENT.parse().unwrap(),
        destination: POD.parse().unwrap(),
        arrival: Arrival::Tunnel {
            identity,
            authority,
        },
    };
    admit(snapshot, &facts)
}

fn tunnel(snapshot: &Snapshot, authority: &str) -> Result<Admitted, Refusal> {
    tunnel_as(snapshot, &web(), authority)
}

fn plaintext(snapshot: &Snapshot, destination: &str) -> Result<Admitted, Refusal> {
    let facts = Facts {
        workload: &server(),
        peer: CLIENT.parse().unwrap(),
        destination: destination.parse().unwrap(),
        arrival: Arrival::Plaintext,
    };
    admit(snapshot, &facts)
}

#[track_caller]
fn refused(result: Result<Admitted, Refusal>, text: &str, status: Status, flag: Option<Flag>) {
    let refusal = result.unwrap_err();
    assert_eq!(
        (
            refusal.to_string().as_str(),
            refusal.status(),
            refusal.flag()
        ),
        (text, status, flag)
    );
}

#[test]
fn a_tunnel_to_the_pods_own_address_leads_to_the_port_that_it_names() {
    let admitted = tunnel(&mesh(), "10.0.1.7:8080").unwrap();
    assert_eq!(admitted.destination(), "10.0.1.7:8080".parse().unwrap());
    assert_eq!(admitted.client(), CLIENT.parse().unwrap());
    assert_eq!(admitted.identity(), Some(&web()));
    assert_eq!(
        admitted.source().map(|source| source.uid.as_str()),
        Some("client")
    );
    assert!(admitted.service().is_none() && admitted.proxy_header().is_none());
}

#[test]
fn plaintext_leads_to_its_original_destination_without_identity() {
    let admitted = plaintext(&mesh(), "[fd00::7]:8080").unwrap();
    assert_eq!(admitted.destination(), "[fd00::7]:8080".parse().unwrap());
    assert_eq!(admitted.identity(), None);
}

#[test]
fn a_mapped_address_is_the_address_that_it_maps() {
    let admitted = plaintext(&mesh(), "[::ffff:10.0.1.7]:8080").unwrap();
    assert_eq!(admitted.destination(), "10.0.1.7:8080".parse().unwrap());
    assert!(tunnel(&mesh(), "[::ffff:10.0.1.7]:8080").is_ok());
    refused(
        tunnel(&mesh(), "[::ffff:10.0.1.8]:8080"),
        "ip mismatch: 10.0.1.7 != 10.0.1.8",
        Status::BadRequest,
        None,
    );
}

#[test]
fn another_address_than_the_connections_is_refused() {
    for asked in [
        "10.0.0.5:8080",
        "10.96.0.12:80",
        "127.0.0.1:8080",
        "169.254.169.254:80",
    ] {
        let address: std::net::SocketAddr = asked.parse().unwrap();
        let text = format!("ip mismatch: 10.0.1.7 != {}", address.ip());
        refused(tunnel(&mesh(), asked), &text, Status::BadRequest, None);
    }
    // The pod's other address is not where this connection was made to.
    refused(
        tunnel(&mesh(), "[fd00::7]:8080"),
        "ip mismatch: 10.0.1.7 != fd00::7",
        Status::BadRequest,
        None,
    );
}

#[test]
fn a_hostname_leads_to_the_target_port_of_the_pods_service() {
    let admitted = tunnel(&mesh(), "Reviews.default.svc.cluster.local:80").unwrap();
    assert_eq!(
        admitted.destination(),
        "10.0.1.7:9080".parse().unwrap(),
        "the endpoint's own word"
    );
    assert_eq!(
        admitted.service().map(|service| service.name.as_str()),
        Some("reviews")
    );
    let admitted = tunnel(&mesh(), "reviews.default.svc.cluster.local:81").unwrap();
    assert_eq!(
        admitted.destination(),
        "10.0.1.7:81".parse().unwrap(),
        "the service's word"
    );
}

#[test]
fn an_unknown_hostname_is_refused_and_so_is_somebody_elses() {
    let snapshot = with_service(
        &mesh(),
        other("ratings.default.svc.cluster.local", "10.96.0.13"),
    );
    for hostname in [
        "nobody.example.com",
        "ratings.default.svc.cluster.local",
        "",
    ] {
        let text = format!("no service or workload for hostname: {hostname}");
        refused(
            tunnel(&snapshot, &format!("{hostname}:80")),
            &text,
            Status::BadRequest,
            None,
        );
    }
}

#[test]
fn a_port_that_the_service_does_not_have_is_refused() {
    refused(
        tunnel(&mesh(), "reviews.default.svc.cluster.local:82"),
        "no port mapping for port 82 of service default/reviews.default.svc.cluster.local",
        Status::ServiceUnavailable,
        Some(Flag::Connect),
    );
}

#[test]
fn our_own_ports_are_refused_as_self_calls() {
    let text = "attempted recursive call to ourselves";
    for port in [15001, 15006, 15008, 15053, 15080] {
        refused(
            tunnel(&mesh(), &format!("10.0.1.7:{port}")),
            text,
            Status::BadRequest,
            None,
        );
        refused(
            plaintext(&mesh(), &format!("10.0.1.7:{port}")),
            text,
            Status::BadRequest,
            None,
        );
    }
    // Neither a port map nor an application tunnel is a way around.
    let service = Service {
        ports: PortMap([(80, NonZeroU16::new(15006))].into()),
        ..reviews()
    };
    let pod = Workload {
        services: HashMap::from([(service.key(), PortMap::default())]),
        ..server()
    };
    let snapshot = with_service(&with_workload(&mesh(), pod), service);
    refused(
        tunnel(&snapshot, "reviews.default.svc.cluster.local:80"),
        text,
        Status::BadRequest,
        None,
    );
    let snapshot = with_workload(&mesh(), tunnelled(ApplicationProtocol::None, Some(15008)));
    refused(
        tunnel(&snapshot, "10.0.1.7:8080"),
        text,
        Status::BadRequest,
        None,
    );
}

#[test]
fn an_unknown_workload_cannot_be_served() {
    let gone = mesh().apply(Delta {
        upserts: vec![],
        removals: vec![ResourceKey::Workload("server".into())],
    });
    for result in [
        tunnel(&gone, "10.0.1.7:8080"),
        plaintext(&gone, "10.0.1.7:8080"),
    ] {
        refused(
            result,
            "workload not found: server",
            Status::ServiceUnavailable,
            Some(Flag::Connect),
        );
    }
}

#[test]
fn a_workload_that_is_another_or_elsewhere_by_now_cannot_be_served() {
    let moved = Workload {
        ips: vec!["10.0.1.8".parse().unwrap()],
        ..server()
    };
    let renamed = Workload {
        service_account: "ratings".into(),
        ..server()
    };
    for workload in [moved, renamed] {
        let snapshot = with_workload(&mesh(), workload);
        for result in [
            tunnel(&snapshot, "10.0.1.7:8080"),
            plaintext(&snapshot, "10.0.1.7:8080"),
        ] {
            refused(
                result,
                "workload mismatch: server",
                Status::ServiceUnavailable,
                Some(Flag::Connect),
            );
        }
    }
}

#[test]
fn a_peer_of_another_trust_domain_is_refused() {
    refused(
        tunnel_as(
            &mesh(),
            &id("spiffe://evil.example/ns/client/sa/web"),
            "10.0.1.7:8080",
        ),
        "identity error: trust domain evil.example is not cluster.local",
        Status::Unauthorized,
        Some(Flag::Deny),
    );
}

#[test]
fn a_denial_says_which_policy_or_that_none_allowed() {
    let snapshot = with_policy(
        &mesh(),
        policy(
            Action::Deny,
            Match {
                destination_ports: vec![8080],
                ..Match::default()
            },
        ),
    );
    let text = "connection closed due to policy rejection: explicitly denied by: default/p";
    for result in [
        tunnel(&snapshot, "10.0.1.7:8080"),
        plaintext(&snapshot, "10.0.1.7:8080"),
    ] {
        refused(result, text, Status::Unauthorized, Some(Flag::Deny));
    }
    let snapshot = with_policy(
        &mesh(),
        policy(
            Action::Allow,
            Match {
                destination_ports: vec![1],
                ..Match::default()
            },
        ),
    );
    let text = "connection closed due to policy rejection: allow policies exist, but none allowed";
    refused(
        tunnel(&snapshot, "10.0.1.7:8080"),
        text,
        Status::Unauthorized,
        Some(Flag::Deny),
    );
}

#[test]
fn strict_mode_refuses_plaintext_and_admits_tunnels() {
    let strict = policy(
        Action::Deny,
        Match {
            not_principals: vec![StringMatch::Presence],
            ..Match::default()
        },
    );
    let snapshot = with_policy(&mesh(), strict);
    assert!(tunnel(&snapshot, "10.0.1.7:8080").is_ok());
    assert_eq!(
        plaintext(&snapshot, "10.0.1.7:8080").unwrap_err().status(),
        Status::Unauthorized
    );
}

#[test]
fn policies_see_the_target_port_and_the_pods_address_whatever_was_asked() {
    let check = |one: Match, authority: &str, snapshot: &Snapshot| {
        let snapshot = with_policy(snapshot, policy(Action::Deny, one));
        assert_eq!(
            tunnel(&snapshot, authority)
                .map_err(|refusal| refusal.flag())
                .unwrap_err(),
            Some(Flag::Deny)
        );
    };
    let target = || Match {
        destination_ports: vec![9080],
        ..Match::default()
    };
    check(target(), "reviews.default.svc.cluster.local:80", &mesh());
    let pod = || Match {
        destination_ips: vec!["10.0.1.7/32".parse().unwrap()],
        ..Match::default()
    };
    let snapshot = with_workload(&mesh(), tunnelled(ApplicationProtocol::Proxy, Some(15088)));
    check(pod(), "10.96.0.99:80", &snapshot);
    check(
        Match {
            destination_ports: vec![80],
            ..Match::default()
        },
        "10.96.0.99:80",
        &snapshot,
    );
}

fn tunnelled(protocol: ApplicationProtocol, port: Option<u16>) -> Workload {
    let application_tunnel = Some(ApplicationTunnel {
        protocol,
        port: port.and_then(NonZeroU16::new),
    });
    Workload {
        application_tunnel,
        ..server()
    }
}

#[test]
fn an_application_tunnel_takes_any_address_to_its_own_port() {
    let snapshot = with_workload(&mesh(), tunnelled(ApplicationProtocol::Proxy, Some(15088)));
    let admitted = tunnel(&snapshot, "10.96.0.99:80").unwrap();
    assert_eq!(admitted.destination(), "127.0.0.1:15088".parse().unwrap());
    let header = ProxyHeader {
        source: CLIENT.parse().unwrap(),
        destination: "10.96.0.99:80".parse().unwrap(),
        identity: Some(web()),
    };
    assert_eq!(admitted.proxy_header(), Some(&header));

    let admitted = tunnel(&snapshot, "reviews.default.svc.cluster.local:80").unwrap();
    assert_eq!(
        admitted.proxy_header().map(|header| header.destination),
        Some("10.96.0.12:80".parse().unwrap())
    );

    let snapshot = with_workload(&mesh(), tunnelled(ApplicationProtocol::None, None));
    let admitted = tunnel(&snapshot, "10.96.0.99:80").unwrap();
    assert_eq!(admitted.destination(), "10.0.1.7:80".parse().unwrap());
    assert_eq!(admitted.proxy_header(), None);
}

#[test]
fn an_application_tunnel_is_no_part_of_plaintext() {
    let snapshot = with_workload(&mesh(), tunnelled(ApplicationProtocol::Proxy, Some(15088)));
    let admitted = plaintext(&snapshot, "10.0.1.7:8080").unwrap();
    assert_eq!(
        (admitted.destination(), admitted.proxy_header()),
        ("10.0.1.7:8080".parse().unwrap(), None)
    );
}

#[test]
fn a_waypoint_takes_the_addresses_of_what_it_stands_before() {
    let by = |destination| {
        Some(GatewayAddress {
            destination,
            hbone_port: 15008,
        })
    };
    let ways = [
        GatewayDestination::Address(vip("10.0.1.7")),
        GatewayDestination::Address(vip("10.96.0.12")),
        GatewayDestination::Service(reviews().key()),
    ];
    for destination in ways {
        let waypoint = by(destination);
        let ratings = Service {
            waypoint: waypoint.clone(),
            ..other("ratings", "10.96.0.13")
        };
        let pod = Workload {
            waypoint,
            ..workload("ratings", "default", "ratings", &["10.0.1.9"])
        };
        let snapshot = with_service(&with_workload(&mesh(), pod), ratings);
        for asked in ["10.96.0.13:8080", "10.0.1.9:8080"] {
            // It is this pod that is reached, never the address that was asked for.
            assert_eq!(
                tunnel(&snapshot, asked).unwrap().destination(),
                "10.0.1.7:8080".parse().unwrap()
            );
        }
    }
    let elsewhere = by(GatewayDestination::Address(vip("10.0.1.99")));
    let snapshot = with_service(
        &mesh(),
        Service {
            waypoint: elsewhere,
            ..other("ratings", "10.96.0.13")
        },
    );
    assert_eq!(
        tunnel(&snapshot, "10.96.0.13:8080").unwrap_err().status(),
        Status::BadRequest
    );
}

#[test]
fn a_source_is_believed_only_if_its_identity_agrees() {
    let other = id("spiffe://cluster.local/ns/client/sa/other");
    assert!(
        tunnel_as(&mesh(), &other, "10.0.1.7:8080")
            .unwrap()
            .source()
            .is_none()
    );
    assert!(
        plaintext(&mesh(), "10.0.1.7:8080")
            .unwrap()
            .source()
            .is_some()
    );
}

#[test]
fn a_policy_never_trusts_the_identity_of_an_address() {
    let from_web = Match {
        principals: vec![StringMatch::Suffix("/sa/web".into())],
        ..Match::default()
    };
    let snapshot = with_policy(&mesh(), policy(Action::Allow, from_web));
    assert!(tunnel(&snapshot, "10.0.1.7:8080").is_ok());
    assert_eq!(
        plaintext(&snapshot, "10.0.1.7:8080").unwrap_err().flag(),
        Some(Flag::Deny)
    );
}

#[test]
fn an_open_connection_stays_while_it_is_allowed() {
    let admitted = tunnel(&mesh(), "10.0.1.7:8080").unwrap();
    assert_eq!(admitted.readmit(&mesh()), Ok(()));
    let allowing = policy(
        Action::Allow,
        Match {
            namespaces: vec![StringMatch::Exact("client".into())],
            ..Match::default()
        },
    );
    assert_eq!(admitted.readmit(&with_policy(&mesh(), allowing)), Ok(()));
}

#[test]
fn an_open_connection_is_cut_when_a_policy_comes_to_deny_it() {
    for admitted in [
        tunnel(&mesh(), "10.0.1.7:8080").unwrap(),
        plaintext(&mesh(), "10.0.1.7:8080").unwrap(),
    ] {
        let denying = policy(
            Action::Deny,
            Match {
                source_ips: vec!["10.0.0.0/24".parse().unwrap()],
                ..Match::default()
            },
        );
        let refusal = admitted
            .readmit(&with_policy(&mesh(), denying))
            .unwrap_err();
        assert_eq!(
            refusal.to_string(),
            "connection closed due to policy change"
        );
        assert_eq!(refusal.flag(), Some(Flag::Deny));
        let denial = Denial::Explicit(PolicyKey::new("default", "p"));
        assert_eq!(refusal, Refusal::PolicyChange { denial });
    }
}

#[test]
fn an_open_connection_is_cut_when_its_pod_comes_to_list_a_policy() {
    let all = Authorization {
        scope: Scope::WorkloadSelector,
        rules: vec![Rule::default()],
        ..policy(Action::Deny, Match::default())
    };
    let snapshot = with_policy(&mesh(), all);
    let admitted = tunnel(&snapshot, "10.0.1.7:8080").unwrap();
    let listing = Workload {
        authorization_policies: vec![PolicyKey::new("default", "p")],
        ..server()
    };
    assert!(
        admitted
            .readmit(&with_workload(&snapshot, listing))
            .is_err()
    );
}

#[test]
fn an_open_connection_is_cut_when_its_pod_is_gone_or_another() {
    let admitted = tunnel(&mesh(), "10.0.1.7:8080").unwrap();
    let gone = mesh().apply(Delta {
        upserts: vec![],
        removals: vec![ResourceKey::Workload("server".into())],
    });
    let cut = |snapshot: &Snapshot| admitted.readmit(snapshot).unwrap_err().to_string();
    assert_eq!(
        cut(&gone),
        "connection closed due to policy rejection: workload not found"
    );
    let moved = Workload {
        ips: vec!["10.0.1.8".parse().unwrap()],
        ..server()
    };
    let renamed = Workload {
        service_account: "ratings".into(),
        ..server()
    };
    for workload in [moved, renamed] {
        let snapshot = with_workload(&mesh(), workload);
        assert_eq!(
            cut(&snapshot),
            "connection closed due to policy rejection: workload mismatch"
        );
    }
}

#[test]
fn a_dry_run_denial_admits_and_is_there_to_be_logged() {
    let dry = Authorization {
        dry_run: true,
        rules: vec![Rule::default()],
        ..policy(Action::Deny, Match::default())
    };
    let admitted = tunnel(&with_policy(&mesh(), dry), "10.0.1.7:8080").unwrap();
    let found = admitted
        .verdict()
        .dry_run
        .as_ref()
        .and_then(|dry| dry.denied_by.clone());
    assert_eq!(found, Some(PolicyKey::new("default", "p")));
}
