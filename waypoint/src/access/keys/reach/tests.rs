//! Addresses that an author of policies would like to reach.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::{Reach, refused};

/// All ways to write an address of IPv4 as one of IPv6 that leads to it.
fn spelled(address: Ipv4Addr) -> Vec<IpAddr> {
    let [a, b, c, d] = address.octets().map(u16::from);
    let (high, low) = (a << 8 | b, c << 8 | d);
    let v6 = |segments: [u16; 8]| IpAddr::V6(Ipv6Addr::from(segments));
    vec![
        IpAddr::V4(address),
        v6([0, 0, 0, 0, 0, 0xffff, high, low]),
        v6([0, 0, 0, 0, 0xffff, 0, high, low]),
        v6([0, 0, 0, 0, 0, 0, high, low]),
        v6([0x64, 0xff9b, 0, 0, 0, 0, high, low]),
        v6([0x64, 0xff9b, 1, 0, 0, 0, high, low]),
        v6([0x64, 0xff9b, 1, high, low >> 8, (low & 0xff) << 8, 0, 0]),
        v6([0x2002, high, low, 0, 0, 0, 0, 1]),
    ]
}

#[test]
fn metadata_services_neighbours_and_ourselves_are_asked_under_no_spelling() {
    for address in [
        "169.254.169.254",
        "169.254.170.2",
        "100.100.100.200",
        "168.63.129.16",
        "192.0.0.192",
        "127.0.0.1",
        "127.255.255.254",
        "0.0.0.0",
        "0.1.2.3",
    ] {
        for spelled in spelled(address.parse().unwrap()) {
            assert!(refused(spelled, None, Reach::Others).is_some(), "{spelled}");
        }
    }
    for address in [
        "::",
        "::1",
        "fe80::1",
        "febf::1",
        "fd00:ec2::254",
        "fd00:ec2::23",
        "fd20:ce::254",
    ] {
        let address: IpAddr = address.parse().unwrap();
        assert!(refused(address, None, Reach::Others).is_some(), "{address}");
    }
}

#[test]
fn what_is_beside_them_is_asked() {
    for address in [
        "10.0.0.1",
        "100.100.100.201",
        "168.63.129.17",
        "169.253.255.255",
        "169.255.0.0",
        "128.0.0.1",
        "1.0.0.0",
        "fd00:ec3::254",
        "fd00::1",
        "2001:db8::1",
        // A host of IPv4, from a cluster of IPv6.
        "64:ff9b::8.8.8.8",
        "::ffff:8.8.8.8",
        "2002:808:808::1",
    ] {
        let address: IpAddr = address.parse().unwrap();
        assert_eq!(refused(address, None, Reach::Others), None, "{address}");
    }
}

#[test]
fn the_waypoints_own_address_is_its_own_however_it_is_spelled() {
    let own: IpAddr = "10.0.0.9".parse().unwrap();
    for spelled in spelled("10.0.0.9".parse().unwrap()) {
        assert!(refused(spelled, Some(own), Reach::Others).is_some());
    }
    let mapped = "::ffff:10.0.0.9".parse().ok();
    assert!(refused(own, mapped, Reach::Others).is_some());
    assert_eq!(
        refused(own, Some("10.0.0.8".parse().unwrap()), Reach::Others),
        None
    );
}

#[test]
fn who_may_ask_itself_may_still_ask_no_metadata_service() {
    let ask = |address: &str| refused(address.parse().unwrap(), None, Reach::Own);
    assert_eq!(ask("127.0.0.1"), None);
    assert_eq!(ask("::1"), None);
    for address in [
        "169.254.169.254",
        "fd00:ec2::254",
        "0.0.0.0",
        "::ffff:100.100.100.200",
    ] {
        assert!(ask(address).is_some(), "{address}");
    }
}
