//! What goes around the machinery of formatting is what it would have written.

use std::net::{Ipv6Addr, SocketAddrV6};

use super::*;

fn written(write: impl FnOnce(&mut String)) -> String {
    let mut out = String::from("=");
    write(&mut out);
    out
}

/// Numbers of all lengths: both ends of each, and what lies between.
fn numbers() -> impl Iterator<Item = u64> {
    let powers = (0..20).map(|power| 10_u64.pow(power));
    let bits = (0..64).map(|bits| 0x9e37_79b9_7f4a_7c15 >> bits);
    powers
        .flat_map(|power| [power - 1, power, power + 1])
        .chain(bits)
        .chain([u64::MAX - 1, u64::MAX])
}

#[test]
fn numbers_are_written_as_ever() {
    for some in numbers() {
        assert_eq!(written(|out| number(out, some)), format!("={some}"));
        assert_eq!(written(|out| padded(out, some, 3)), format!("={some:03}"));
    }
}

#[test]
fn addresses_are_written_as_ever() {
    for some in numbers() {
        let [.., a, b, c, d] = some.to_be_bytes();
        let v4 = Ipv4Addr::new(a, b, c, d);
        let v6 = Ipv6Addr::from_bits(u128::from(some) << 64 | u128::from(some.rotate_left(17)));
        let port = u16::from_be_bytes([c, d]);
        for address in [v4.into(), v6.into(), v4.to_ipv6_mapped().into()] {
            let address: IpAddr = address;
            assert_eq!(written(|out| ip(out, address)), format!("={address}"));
            let address = SocketAddr::new(address, port);
            assert_eq!(written(|out| socket(out, address)), format!("={address}"));
        }
        let scoped = SocketAddr::V6(SocketAddrV6::new(v6, port, 0, u32::from(port)));
        assert_eq!(written(|out| socket(out, scoped)), format!("={scoped}"));
    }
}
