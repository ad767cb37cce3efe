//! Where a request leads, and which requests lead nowhere.

use super::super::{Flag, ProxyHeader, Status};
use super::{
    CLIENT, mesh, other, plaintext, refused, reviews, server, tunnel, tunnelled, vip, web,
    with_service, with_workload, workload,
};
use mesh::service::{GatewayAddress, GatewayDestination, PortMap};
use mesh::workload::ApplicationProtocol;
use mesh::{Service, Workload};
use std::{collections::HashMap, num::NonZeroU16};

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
        refused(
            plaintext(&mesh(), &format!("127.0.0.1:{port}")),
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
fn an_application_tunnel_takes_any_address_to_its_own_port() {
    let snapshot = with_workload(&mesh(), tunnelled(ApplicationProtocol::Proxy, Some(15088)));
    let admitted = tunnel(&snapshot, "10.96.0.99:80").unwrap();
    assert_eq!(admitted.destination(), "10.0.1.7:15088".parse().unwrap());
    let reached = [true, false].map(|on_loopback| admitted.reached_at(on_loopback).to_string());
    assert_eq!(reached, ["127.0.0.1:15088", "10.0.1.7:15088"]);
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

    // Without a header there is no reason to hide behind loopback.
    let snapshot = with_workload(&mesh(), tunnelled(ApplicationProtocol::None, Some(15088)));
    let admitted = tunnel(&snapshot, "10.96.0.99:80").unwrap();
    let reached = [true, false].map(|on_loopback| admitted.reached_at(on_loopback).to_string());
    assert_eq!(reached, ["10.0.1.7:15088", "10.0.1.7:15088"]);
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
