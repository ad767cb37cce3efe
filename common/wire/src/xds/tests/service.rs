//! `istio.workload.Service`, field by field.

use std::num::NonZeroU16;

use bytes::Bytes;
use mesh::{
    Service, ServiceKey,
    service::{
        AppProtocol, GatewayAddress, GatewayDestination, HealthPolicy, IpFamilies, LoadBalancing,
        LoadBalancingMode, NetworkAddress, PortMap, Scope, Visibility,
    },
};

use super::fault;
use crate::{
    proto::workload::{self as proto, gateway_address::Destination},
    xds,
};

fn minimal() -> proto::Service {
    proto::Service {
        namespace: "default".to_owned(),
        hostname: "web.default.svc.cluster.local".to_owned(),
        ..proto::Service::default()
    }
}

fn read(change: impl FnOnce(&mut proto::Service)) -> Service {
    let mut message = minimal();
    change(&mut message);
    xds::service(message).unwrap()
}

#[track_caller]
fn refuse(change: impl FnOnce(&mut proto::Service), field: &str, found: &str) {
    let mut message = minimal();
    change(&mut message);
    let error = xds::service(message).unwrap_err();
    let text = error.to_string();
    let (at, what, _) = fault(error);
    assert_eq!((at.as_str(), what.as_str()), (field, found), "{text}");
}

fn vip(address: &'static [u8], length: Option<u32>) -> proto::NetworkAddress {
    proto::NetworkAddress {
        network: "net-1".to_owned(),
        address: Bytes::from_static(address),
        length,
    }
}

fn host(name: &str) -> proto::GatewayAddress {
    proto::GatewayAddress {
        hbone_mtls_port: 0,
        destination: Some(Destination::Hostname(proto::NamespacedHostname {
            namespace: "infra".to_owned(),
            hostname: name.to_owned(),
        })),
    }
}

fn waypoint(name: &str) -> GatewayAddress {
    GatewayAddress {
        destination: GatewayDestination::Service(ServiceKey::new("infra", name)),
        hbone_port: 15008,
    }
}

#[test]
fn every_field_is_read() {
    let message = proto::Service {
        name: "web".to_owned(),
        namespace: "default".to_owned(),
        hostname: "Web.default.svc.cluster.local".to_owned(),
        addresses: vec![
            vip(&[10, 96, 0, 1], None),
            vip(&[10, 97, 3, 4], Some(16)),
            vip(&[10, 98, 0, 1], Some(32)),
        ],
        ports: vec![
            proto::Port {
                service_port: 80,
                target_port: 8080,
                app_protocol: 2,
            },
            proto::Port {
                service_port: 443,
                target_port: 0,
                app_protocol: 77,
            },
        ],
        subject_alt_names: vec!["spiffe://cluster.local/ns/a/sa/b".to_owned()],
        waypoint: Some(host("waypoint.example")),
        load_balancing: Some(proto::LoadBalancing {
            routing_preference: vec![6, 1, 2, 3, 4, 5],
            mode: 2,
            health_policy: 1,
        }),
        ip_families: 3,
        extensions: Vec::new(),
        canonical: true,
        ingress_use_waypoint: true,
        weighted_waypoints: vec![proto::WeightedWaypoint {
            destination: Some(host("canary.example")),
            weight: 7,
        }],
        visibility: 1,
    };
    let address = |ip: &str, prefix_length| NetworkAddress {
        network: "net-1".into(),
        ip: ip.parse().unwrap(),
        prefix_length,
    };
    let expected = Service {
        name: "web".into(),
        namespace: "default".into(),
        hostname: "web.default.svc.cluster.local".into(),
        vips: vec![
            address("10.96.0.1", None),
            address("10.97.0.0", Some(16)),
            address("10.98.0.1", None),
        ],
        ports: PortMap([(80, NonZeroU16::new(8080)), (443, None)].into()),
        protocols: vec![(80, AppProtocol::Http2)],
        subject_alt_names: vec!["spiffe://cluster.local/ns/a/sa/b".into()],
        waypoint: Some(waypoint("waypoint.example")),
        weighted_waypoints: vec![(waypoint("canary.example"), 7)],
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
        ip_families: IpFamilies::Dual,
        canonical: true,
        visibility: Visibility::Namespace,
    };
    assert_eq!(xds::service(message).unwrap(), expected);
}

#[test]
fn what_is_absent_has_its_default() {
    assert_eq!(
        read(|_| {}),
        Service {
            namespace: "default".into(),
            hostname: "web.default.svc.cluster.local".into(),
            ..Service::default()
        }
    );
}

#[test]
fn a_service_without_namespace_or_hostname_is_refused() {
    refuse(|message| message.namespace.clear(), "namespace", "\"\"");
    refuse(|message| message.hostname.clear(), "hostname", "absent");
    refuse(
        |message| message.hostname = "a/b".to_owned(),
        "hostname",
        "\"a/b\"",
    );
}

#[test]
fn a_wildcard_hostname_is_one() {
    let service = read(|message| message.hostname = "*.Example.com".to_owned());
    assert_eq!(service.hostname.as_str(), "*.example.com");
}

#[test]
fn a_range_longer_than_its_address_is_refused() {
    refuse(
        |message| message.addresses = vec![vip(&[10, 0, 0, 1], Some(33))],
        "addresses[0].length",
        "33 for 10.0.0.1",
    );
    refuse(
        |message| message.addresses = vec![vip(&[10, 0, 0, 1], None), vip(&[10], None)],
        "addresses[1].address",
        "1 bytes",
    );
}

#[test]
fn a_range_in_the_clothes_of_ipv6_counts_its_length_from_there() {
    const MAPPED: &[u8] = &[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 10, 1, 2, 3];
    let service = read(|message| message.addresses = vec![vip(MAPPED, Some(104))]);
    assert_eq!(
        service.vips,
        [NetworkAddress {
            network: "net-1".into(),
            ip: "10.0.0.0".parse().unwrap(),
            prefix_length: Some(8),
        }]
    );
    refuse(
        |message| message.addresses = vec![vip(MAPPED, Some(8))],
        "addresses[0].length",
        "8 for ::ffff:10.1.2.3",
    );
}

#[test]
fn an_unspecified_address_is_that_of_a_headless_service() {
    let service = read(|message| {
        message.addresses = vec![vip(&[0, 0, 0, 0], None), vip(&[0, 0, 0, 0], Some(0))];
    });
    let lengths: Vec<_> = service.vips.iter().map(|vip| vip.prefix_length).collect();
    assert_eq!(lengths, [Some(0)], "only the range of everything stays");
}

#[test]
fn weighted_waypoints_are_kept_and_each_must_lead_somewhere() {
    let weighted = |destination, weight| proto::WeightedWaypoint {
        destination,
        weight,
    };
    let service = read(|message| {
        message.weighted_waypoints = vec![
            weighted(Some(host("a.example")), 1),
            weighted(Some(host("b.example")), 9),
        ];
    });
    assert_eq!(service.waypoint, None);
    assert_eq!(
        service.weighted_waypoints,
        [(waypoint("a.example"), 1), (waypoint("b.example"), 9)]
    );
    refuse(
        |message| message.weighted_waypoints = vec![weighted(None, 1)],
        "weighted_waypoints[0].destination",
        "absent",
    );
    refuse(
        |message| {
            message.weighted_waypoints = vec![weighted(Some(proto::GatewayAddress::default()), 1)];
        },
        "weighted_waypoints[0].destination.destination",
        "absent",
    );
}

#[test]
fn waypoints_without_any_share_are_not_got_around() {
    let service = read(|message| {
        message.weighted_waypoints = vec![
            proto::WeightedWaypoint {
                destination: Some(host("a.example")),
                weight: 0,
            },
            proto::WeightedWaypoint {
                destination: Some(host("b.example")),
                weight: 0,
            },
        ];
    });
    assert_eq!(service.waypoint, Some(waypoint("a.example")));
}

#[test]
fn a_waypoint_that_leads_nowhere_is_refused() {
    refuse(
        |message| message.waypoint = Some(proto::GatewayAddress::default()),
        "waypoint.destination",
        "absent",
    );
}

#[test]
fn options_of_a_later_version_are_the_harmless_ones() {
    let service = read(|message| {
        message.load_balancing = Some(proto::LoadBalancing {
            routing_preference: vec![0, 99, 2],
            mode: 99,
            health_policy: 99,
        });
        message.ip_families = 99;
        message.visibility = 99;
    });
    assert_eq!(
        service.load_balancing,
        LoadBalancing {
            routing_preference: vec![Scope::Zone],
            mode: LoadBalancingMode::Unspecified,
            health_policy: HealthPolicy::OnlyHealthy,
        }
    );
    assert_eq!(service.ip_families, IpFamilies::Automatic);
    assert_eq!(service.visibility, Visibility::Public);
}

#[test]
fn every_mode_and_family_is_read() {
    for (number, expected) in [
        (0, LoadBalancingMode::Unspecified),
        (1, LoadBalancingMode::Strict),
        (2, LoadBalancingMode::Failover),
        (3, LoadBalancingMode::Passthrough),
    ] {
        let service = read(|message| {
            message.load_balancing = Some(proto::LoadBalancing {
                mode: number,
                ..proto::LoadBalancing::default()
            });
        });
        assert_eq!(service.load_balancing.mode, expected);
    }
    for (number, expected) in [
        (0, IpFamilies::Automatic),
        (1, IpFamilies::Ipv4Only),
        (2, IpFamilies::Ipv6Only),
        (3, IpFamilies::Dual),
    ] {
        assert_eq!(
            read(|message| message.ip_families = number).ip_families,
            expected
        );
    }
}
