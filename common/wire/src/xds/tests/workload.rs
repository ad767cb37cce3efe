//! `istio.workload.Workload`, field by field.

use std::{collections::BTreeMap, num::NonZeroU16};

use bytes::Bytes;
use mesh::{
    PolicyKey, ServiceKey, Workload,
    service::{GatewayAddress, GatewayDestination, NetworkAddress, PortMap},
    workload::{
        ApplicationProtocol, ApplicationTunnel, Health, Locality, NetworkMode, Tunnel, WorkloadType,
    },
};

use super::fault;
use crate::{
    proto::workload::{self as proto, gateway_address::Destination},
    xds,
};

fn minimal() -> proto::Workload {
    proto::Workload {
        uid: "cluster//Pod/default/web-1".to_owned(),
        ..proto::Workload::default()
    }
}

fn read(change: impl FnOnce(&mut proto::Workload)) -> Workload {
    let mut message = minimal();
    change(&mut message);
    xds::workload(message).unwrap()
}

#[track_caller]
fn refuse(change: impl FnOnce(&mut proto::Workload), field: &str, found: &str) {
    let mut message = minimal();
    change(&mut message);
    let error = xds::workload(message).unwrap_err();
    let text = error.to_string();
    assert!(
        text.starts_with("workload \""),
        "the resource is not named: {text}"
    );
    let (at, what, _) = fault(error);
    assert_eq!((at.as_str(), what.as_str()), (field, found), "{text}");
}

fn port(service_port: u32, target_port: u32) -> proto::Port {
    proto::Port {
        service_port,
        target_port,
        app_protocol: 1,
    }
}

fn ports(entries: &[(u16, u16)]) -> PortMap {
    let entries = entries.iter();
    PortMap(
        entries
            .map(|(port, target)| (*port, NonZeroU16::new(*target)))
            .collect(),
    )
}

#[test]
fn every_field_is_read() {
    let message = proto::Workload {
        uid: "cluster//Pod/default/web-1".to_owned(),
        name: "web-1".to_owned(),
        namespace: "default".to_owned(),
        addresses: vec![
            Bytes::from_static(&[10, 0, 0, 1]),
            Bytes::from_static(&[0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]),
        ],
        hostname: "Web.Example".to_owned(),
        network: "net-1".to_owned(),
        tunnel_protocol: 1,
        trust_domain: "example.org".to_owned(),
        service_account: "web".to_owned(),
        waypoint: Some(proto::GatewayAddress {
            hbone_mtls_port: 15009,
            destination: Some(Destination::Hostname(proto::NamespacedHostname {
                namespace: "infra".to_owned(),
                hostname: "Waypoint.infra.svc.cluster.local".to_owned(),
            })),
        }),
        network_gateway: Some(proto::GatewayAddress {
            hbone_mtls_port: 0,
            destination: Some(Destination::Address(proto::NetworkAddress {
                network: "net-2".to_owned(),
                address: Bytes::from_static(&[192, 0, 2, 1]),
                length: None,
            })),
        }),
        node: "node-1".to_owned(),
        canonical_name: "web".to_owned(),
        canonical_revision: "v1".to_owned(),
        workload_type: 3,
        workload_name: "web-job".to_owned(),
        native_tunnel: true,
        application_tunnel: Some(proto::ApplicationTunnel {
            protocol: 1,
            port: 15088,
        }),
        services: BTreeMap::from([(
            "default/Web.default.svc.cluster.local".to_owned(),
            proto::PortList {
                ports: vec![port(80, 8080), port(443, 0), port(90, 90)],
            },
        )]),
        authorization_policies: vec!["default/deny".to_owned()],
        status: 1,
        cluster_id: "cluster".to_owned(),
        locality: Some(proto::Locality {
            region: "r".to_owned(),
            zone: "z".to_owned(),
            subzone: "s".to_owned(),
        }),
        network_mode: 1,
        extensions: Vec::new(),
        capacity: Some(0),
    };
    let expected = Workload {
        uid: "cluster//Pod/default/web-1".into(),
        name: "web-1".into(),
        namespace: "default".into(),
        service_account: "web".into(),
        trust_domain: "example.org".into(),
        network: "net-1".into(),
        ips: vec!["10.0.0.1".parse().unwrap(), "fd00::1".parse().unwrap()],
        hostname: "web.example".into(),
        tunnel: Tunnel::Hbone,
        native_tunnel: true,
        application_tunnel: Some(ApplicationTunnel {
            protocol: ApplicationProtocol::Proxy,
            port: NonZeroU16::new(15088),
        }),
        network_mode: NetworkMode::HostNetwork,
        node: "node-1".into(),
        canonical_name: "web".into(),
        canonical_revision: "v1".into(),
        workload_name: "web-job".into(),
        workload_type: WorkloadType::Job,
        cluster: "cluster".into(),
        locality: Locality {
            region: "r".into(),
            zone: "z".into(),
            subzone: "s".into(),
        },
        health: Health::Unhealthy,
        capacity: 0,
        waypoint: Some(GatewayAddress {
            destination: GatewayDestination::Service(ServiceKey::new(
                "infra",
                "waypoint.infra.svc.cluster.local",
            )),
            hbone_port: 15009,
        }),
        network_gateway: Some(GatewayAddress {
            destination: GatewayDestination::Address(NetworkAddress {
                network: "net-2".into(),
                ip: "192.0.2.1".parse().unwrap(),
                prefix_length: None,
            }),
            hbone_port: 15008,
        }),
        authorization_policies: vec![PolicyKey::new("default", "deny")],
        services: [(
            ServiceKey::new("default", "web.default.svc.cluster.local"),
            ports(&[(80, 8080), (443, 0), (90, 0)]),
        )]
        .into(),
        subsets: vec![],
    };
    assert_eq!(xds::workload(message).unwrap(), expected);
}

#[test]
fn what_is_absent_has_its_default() {
    assert_eq!(
        read(|_| {}),
        Workload {
            uid: "cluster//Pod/default/web-1".into(),
            namespace: "".into(),
            service_account: "default".into(),
            trust_domain: "cluster.local".into(),
            cluster: "".into(),
            capacity: 1,
            ..Workload::default()
        }
    );
}

#[test]
fn a_workload_without_uid_is_refused() {
    refuse(|message| message.uid.clear(), "uid", "\"\"");
}

#[test]
fn an_address_of_another_length_is_refused() {
    let broken = |message: &mut proto::Workload| {
        message.addresses = vec![
            Bytes::from_static(&[10, 0, 0, 1]),
            Bytes::from_static(&[10, 0, 0]),
        ];
    };
    refuse(broken, "addresses[1]", "3 bytes");
    refuse(
        |message| message.addresses = vec![Bytes::new()],
        "addresses[0]",
        "0 bytes",
    );
}

#[test]
fn an_ipv4_address_in_the_clothes_of_ipv6_is_one_of_ipv4_and_no_address_counts_twice() {
    let workload = read(|message| {
        message.addresses = vec![
            Bytes::from_static(&[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 10, 0, 0, 1]),
            Bytes::from_static(&[10, 0, 0, 1]),
        ];
    });
    assert_eq!(
        workload.ips,
        ["10.0.0.1".parse::<std::net::IpAddr>().unwrap()]
    );
}

#[test]
fn every_tunnel_is_read_and_that_of_sidecars_is_plain() {
    for (number, expected) in [(0, Tunnel::None), (1, Tunnel::Hbone), (2, Tunnel::None)] {
        assert_eq!(
            read(|message| message.tunnel_protocol = number).tunnel,
            expected
        );
    }
}

#[test]
fn a_tunnel_of_a_later_version_is_refused_and_not_sent_around() {
    refuse(
        |message| message.tunnel_protocol = 3,
        "tunnel_protocol",
        "3",
    );
}

#[test]
fn every_workload_type_is_read_and_a_later_one_is_a_deployment() {
    for (number, expected) in [
        (0, WorkloadType::Deployment),
        (1, WorkloadType::CronJob),
        (2, WorkloadType::Pod),
        (3, WorkloadType::Job),
        (9, WorkloadType::Deployment),
    ] {
        let workload = read(|message| message.workload_type = number);
        assert_eq!(workload.workload_type, expected);
    }
}

#[test]
fn a_status_of_a_later_version_is_not_healthy() {
    for (number, expected) in [
        (0, Health::Healthy),
        (1, Health::Unhealthy),
        (2, Health::Unhealthy),
    ] {
        assert_eq!(read(|message| message.status = number).health, expected);
    }
}

#[test]
fn a_network_mode_of_a_later_version_is_refused() {
    refuse(|message| message.network_mode = 2, "network_mode", "2");
}

#[test]
fn an_application_tunnel_may_keep_the_port_and_may_not_be_unknown() {
    let tunnel = |protocol, port| {
        move |message: &mut proto::Workload| {
            message.application_tunnel = Some(proto::ApplicationTunnel { protocol, port });
        }
    };
    assert_eq!(
        read(tunnel(0, 0)).application_tunnel,
        Some(ApplicationTunnel {
            protocol: ApplicationProtocol::None,
            port: None,
        })
    );
    refuse(tunnel(2, 0), "application_tunnel.protocol", "2");
    refuse(tunnel(1, 65536), "application_tunnel.port", "65536");
}

#[test]
fn a_gateway_without_destination_or_with_a_wrong_one_is_refused() {
    let waypoint = |destination| {
        move |message: &mut proto::Workload| {
            message.waypoint = Some(proto::GatewayAddress {
                hbone_mtls_port: 15008,
                destination,
            });
        }
    };
    let address = |bytes: &'static [u8], length| {
        Some(Destination::Address(proto::NetworkAddress {
            network: String::new(),
            address: Bytes::from_static(bytes),
            length,
        }))
    };
    let host = |namespace: &str, hostname: &str| {
        Some(Destination::Hostname(proto::NamespacedHostname {
            namespace: namespace.to_owned(),
            hostname: hostname.to_owned(),
        }))
    };
    refuse(waypoint(None), "waypoint.destination", "absent");
    refuse(
        waypoint(address(&[1], None)),
        "waypoint.address.address",
        "1 bytes",
    );
    refuse(
        waypoint(address(&[10, 0, 0, 0], Some(8))),
        "waypoint.address.length",
        "a range",
    );
    refuse(
        waypoint(host("", "w.example")),
        "waypoint.hostname.namespace",
        "\"\"",
    );
    refuse(
        waypoint(host("infra", "")),
        "waypoint.hostname.hostname",
        "absent",
    );
    refuse(
        |message| {
            message.network_gateway = Some(proto::GatewayAddress {
                hbone_mtls_port: 70000,
                destination: host("infra", "gw.example"),
            });
        },
        "network_gateway.hbone_mtls_port",
        "70000",
    );
}

#[test]
fn services_are_named_by_namespace_and_hostname_and_have_real_ports() {
    let services = |key: &str, ports: Vec<proto::Port>| {
        let entry = (key.to_owned(), proto::PortList { ports });
        move |message: &mut proto::Workload| message.services = BTreeMap::from([entry])
    };
    refuse(
        services("web.example", vec![]),
        "services",
        "\"web.example\"",
    );
    refuse(services("default/", vec![port(80, 80)]), "services", "\"\"");
    refuse(
        services("default/web.example", vec![port(80, 80), port(0, 80)]),
        "services[\"default/web.example\"].ports[1].service_port",
        "0",
    );
    refuse(
        services("default/web.example", vec![port(80, 65536)]),
        "services[\"default/web.example\"].ports[0].target_port",
        "65536",
    );
    // A service without ports is served on none, and still lists its endpoint.
    let workload = read(services("default/web.example", vec![]));
    assert_eq!(
        workload
            .services
            .get(&ServiceKey::new("default", "web.example")),
        Some(&PortMap::default())
    );
}

#[test]
fn a_policy_whose_name_cannot_be_read_is_not_left_out() {
    for name in ["deny", "/deny", "default/", ""] {
        refuse(
            |message| {
                message.authorization_policies = vec!["a/b".to_owned(), name.to_owned()];
            },
            "authorization_policies[1]",
            &format!("\"{name}\""),
        );
    }
}

#[test]
fn what_would_make_another_identity_is_refused() {
    refuse(
        |message| message.namespace = "a/sa/b".to_owned(),
        "namespace",
        "\"a/sa/b\"",
    );
    refuse(
        |message| message.service_account = "..".to_owned(),
        "service_account",
        "\"..\"",
    );
    refuse(
        |message| message.trust_domain = "a/ns/b".to_owned(),
        "trust_domain",
        "\"a/ns/b\"",
    );
    refuse(
        |message| message.network = "a/b".to_owned(),
        "network",
        "\"a/b\"",
    );
}

#[test]
fn control_characters_do_not_get_into_metrics_and_logs() {
    refuse(
        |message| message.canonical_name = "a\nb".to_owned(),
        "canonical_name",
        "\"a\\u{a}b\"",
    );
    refuse(
        |message| {
            message.locality = Some(proto::Locality {
                zone: "\u{7f}".to_owned(),
                ..proto::Locality::default()
            });
        },
        "locality.zone",
        "\"\\u{7f}\"",
    );
}
