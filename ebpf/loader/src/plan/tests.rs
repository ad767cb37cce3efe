//! What pods are to programs.

use std::{
    net::IpAddr,
    num::{NonZeroU16, NonZeroU32},
};

use ebpf_abi::{
    PodConfig, PortRange, SteerConfig,
    names::{MAX_DIRECT, MAX_PODS},
    steer::MAX_OWN_ADDRESSES,
};

use super::{Plan, PodSettings, address};
use crate::{Cookie, Error};

fn ips(texts: &[&str]) -> Vec<IpAddr> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

fn plan(interfaces: &[&str], settings: &PodSettings) -> Result<Plan, Error> {
    Plan::new(
        Cookie::known(9),
        &ips(interfaces),
        NonZeroU32::new(0x1337).unwrap(),
        settings,
        NonZeroU16::new(15053),
    )
}

const DUAL: [&str; 5] = ["127.0.0.1", "10.0.0.1", "::1", "fe80::1", "fd00::1"];

#[test]
fn own_addresses_are_those_of_interfaces_and_those_that_are_told() {
    let settings = PodSettings {
        addresses: ips(&["10.0.0.7", "fd00::1"]),
        ..PodSettings::default()
    };
    let plan = plan(&DUAL, &settings).unwrap();
    let own: Vec<_> = ips(&["10.0.0.7", "fd00::1", "10.0.0.1", "fe80::1"])
        .into_iter()
        .map(address)
        .collect();
    assert_eq!(plan.own, own);
    // No interface has the first one, so that no socket can.
    assert_eq!(plan.source_v4, Some("10.0.0.1".parse().unwrap()));
    assert_eq!(plan.source_v6, Some("fd00::1".parse().unwrap()));
    assert_eq!(plan.hooks.source_v4, address("10.0.0.1".parse().unwrap()));
    assert!(plan.ipv6 && plan.hooks.flags == PodConfig::IPV6);
    assert_eq!(plan.steer.flags, SteerConfig::IPV6);
    assert_eq!(plan.direct.len(), 4);
    assert!(
        plan.direct
            .iter()
            .all(|it| it.bits == 192 && it.value == 1 && it.key.cookie == [9, 0])
    );
}

#[test]
fn ipv6_is_captured_where_it_is_wanted_and_there() {
    let without = PodSettings {
        ipv6: false,
        ..PodSettings::default()
    };
    let with = PodSettings::default();
    let (captured, closed) = (PodConfig::IPV6, PodConfig::IPV6_CLOSED);
    for (interfaces, settings, flags) in [
        (&DUAL[..], &with, captured),
        (&DUAL, &without, 0),
        // It may get some.
        (&["127.0.0.1", "10.0.0.1"], &with, closed),
        (&["127.0.0.1", "10.0.0.1"], &without, 0),
        // It has no address to call from, but can be reached.
        (
            &["127.0.0.1", "::1", "10.0.0.1", "fe80::1"],
            &with,
            captured,
        ),
    ] {
        let plan = plan(interfaces, settings).unwrap();
        assert_eq!(plan.ipv6, flags == captured, "{interfaces:?}");
        assert_eq!(plan.hooks.flags, flags);
        assert_eq!(plan.steer.flags, flags);
    }
    let plan = plan(&["127.0.0.1", "::1", "10.0.0.1", "fe80::1"], &with).unwrap();
    assert_eq!(plan.source_v6, None);
    assert!(plan.hooks.source_v6.is_unspecified());
}

#[test]
fn ports_and_ranges_are_told_as_they_are() {
    let settings = PodSettings {
        dns: true,
        excluded_inbound_ports: vec![9000..=9010],
        excluded_outbound_ports: vec![25..=25, 3306..=3310],
        excluded_outbound_ranges: vec![
            "192.168.0.9/16".parse().unwrap(),
            "fd99::/32".parse().unwrap(),
        ],
        ..PodSettings::default()
    };
    let plan = plan(&["10.0.0.1"], &settings).unwrap();
    assert_eq!(plan.hooks.port_dns, 15053);
    assert_eq!(plan.hooks.flags, PodConfig::DNS | PodConfig::IPV6_CLOSED);
    assert_eq!(
        plan.hooks.excluded.0[..3],
        [
            PortRange {
                first: 25,
                last: 25
            },
            PortRange {
                first: 3306,
                last: 3310
            },
            PortRange::EMPTY
        ]
    );
    assert_eq!(
        plan.steer.excluded.0[0],
        PortRange {
            first: 9000,
            last: 9010
        }
    );
    let found: Vec<_> = plan
        .direct
        .iter()
        .map(|it| (it.bits, it.key.address))
        .collect();
    let wanted = [
        (64 + 32, "fd99::"),
        (64 + 96 + 16, "192.168.0.0"),
        (64 + 128, "10.0.0.1"),
    ];
    assert_eq!(
        found,
        wanted.map(|(bits, ip)| (bits, address(ip.parse().unwrap())))
    );
}

#[test]
fn all_of_ipv6_is_nothing_of_ipv4() {
    let excluding = |ranges: &[&str]| PodSettings {
        excluded_outbound_ranges: ranges.iter().map(|text| text.parse().unwrap()).collect(),
        ..PodSettings::default()
    };
    let found = |ranges: &[&str]| -> Vec<_> {
        let plan = plan(&[], &excluding(ranges)).unwrap();
        plan.direct.iter().map(|it| (it.bits, it.value)).collect()
    };
    assert_eq!(found(&["::/0"]), [(64, 1), (64 + 96, 0)]);
    assert_eq!(found(&["::/0", "0.0.0.0/0"]), [(64, 1), (64 + 96, 1)]);
    assert_eq!(found(&["0.0.0.0/0", "::/0"]), [(64, 1), (64 + 96, 1)]);
    assert_eq!(found(&["fd00::/8"]), [(64 + 8, 1)]);
}

#[test]
fn what_does_not_fit_is_refused_and_counted() {
    let many = |count: u16| -> Vec<_> { (1..=count).map(|port| port..=port).collect() };
    let settings = PodSettings {
        excluded_inbound_ports: many(16),
        ..PodSettings::default()
    };
    assert!(plan(&[], &settings).is_ok());
    let settings = PodSettings {
        excluded_inbound_ports: many(17),
        ..PodSettings::default()
    };
    assert_eq!(
        plan(&[], &settings).unwrap_err().to_string(),
        "17 excluded inbound ranges of ports, expected at most 16"
    );
    let settings = PodSettings {
        addresses: (0..=256_u16)
            .map(|n| IpAddr::from([0xfd00, 0, 0, 0, 0, 0, 0, n]))
            .collect(),
        ..PodSettings::default()
    };
    assert_eq!(
        plan(&[], &settings).unwrap_err().to_string(),
        "257 addresses, expected at most 256"
    );
    #[expect(clippy::reversed_empty_ranges, reason = "the mistake that is refused")]
    let settings = PodSettings {
        excluded_outbound_ports: vec![9..=8],
        ..PodSettings::default()
    };
    assert_eq!(
        plan(&[], &settings).unwrap_err().to_string(),
        "ports 9 to 8, expected the lower one first"
    );
}

#[test]
fn as_many_pods_as_there_may_be_fit_into_the_map_of_what_is_reached_directly() {
    let settings = PodSettings {
        addresses: (0..256_u16)
            .map(|n| IpAddr::from([0xfd00, 0, 0, 0, 0, 0, 0, n]))
            .collect(),
        // Each another, and one that has an end of its own.
        excluded_outbound_ranges: (0..16_u8)
            .map(|bits| format!("::/{bits}").parse().unwrap())
            .collect(),
        ..PodSettings::default()
    };
    let plan = plan(&[], &settings).unwrap();
    assert_eq!(plan.own.len(), MAX_OWN_ADDRESSES);
    assert_eq!(plan.direct.len(), (MAX_DIRECT / MAX_PODS) as usize);
}
