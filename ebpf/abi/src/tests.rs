//! Verdicts, on every machine.

extern crate std;

use std::net::Ipv6Addr;

use crate::{
    Address, PodConfig, PortRange, Ports, SteerConfig,
    hooks::{self, Call, RangeKey, Transport},
    steer::{self, Arrival, Listener},
};

/// Reads an address of either family.
fn address(text: &str) -> Address {
    let v6 = match text.parse::<std::net::IpAddr>().unwrap() {
        std::net::IpAddr::V4(v4) => v4.to_ipv6_mapped(),
        std::net::IpAddr::V6(v6) => v6,
    };
    let mut words = [0; 4];
    for (word, bytes) in words.iter_mut().zip(v6.octets().chunks(4)) {
        *word = u32::from_ne_bytes(bytes.try_into().unwrap());
    }
    Address(words)
}

#[test]
fn addresses_are_what_their_text_says() {
    assert_eq!(address("169.254.7.127"), Address::PROBE_V4);
    assert_eq!(
        address("fd16:9254:7127:1337:ffff:ffff:ffff:ffff"),
        Address::PROBE_V6
    );
    assert_eq!(address("127.0.0.1"), Address::LOOPBACK_V4);
    assert_eq!(address("::1"), Address::LOOPBACK_V6);
    for (text, loopback, unspecified, link_local) in [
        ("127.0.0.53", true, false, false),
        ("128.0.0.1", false, false, false),
        ("::1", true, false, false),
        ("::2", false, false, false),
        ("0.0.0.0", false, true, false),
        ("::", false, true, false),
        ("::ffff:127.0.0.1", true, false, false),
        ("fe80::1", false, false, true),
        ("febf::1", false, false, true),
        ("fec0::1", false, false, false),
        ("fd00::1", false, false, false),
        // Its last octet, not its first.
        ("10.0.0.127", false, false, false),
    ] {
        let it = address(text);
        assert_eq!(
            (it.is_loopback(), it.is_unspecified(), it.is_link_local_v6()),
            (loopback, unspecified, link_local),
            "{text}"
        );
    }
    let first = Ipv6Addr::from([0; 16]);
    assert!(first.is_unspecified());
}

#[test]
fn ranges_hold_their_ends_and_nothing_else() {
    let mut ports = Ports::NONE;
    ports.0[0] = PortRange {
        first: 80,
        last: 80,
    };
    ports.0[15] = PortRange {
        first: 9000,
        last: 9010,
    };
    for (port, inside) in [
        (79, false),
        (80, true),
        (81, false),
        (8999, false),
        (9000, true),
        (9010, true),
        (9011, false),
        (0, false),
    ] {
        assert_eq!(ports.contains(port), inside, "{port}");
    }
    assert!((0..=u16::MAX).all(|port| !Ports::NONE.contains(port)));
}

fn pod() -> PodConfig {
    let mut excluded = Ports::NONE;
    excluded.0[3] = PortRange {
        first: 4000,
        last: 4001,
    };
    PodConfig {
        mark: 7,
        flags: PodConfig::IPV6 | PodConfig::DNS,
        port_dns: 15053,
        reserved: 0,
        source_v4: address("10.0.0.1"),
        source_v6: address("fd00::1"),
        excluded,
        spare: [0; 5],
    }
}

fn call(pod: &PodConfig, transport: Transport, to: &str, port: u16) -> hooks::Verdict {
    let call = Call {
        destination: address(to),
        port,
        transport,
    };
    let direct = ["10.0.0.1", "fd00::1", "192.168.1.1"].map(address);
    hooks::judge(
        pod,
        &call,
        || false,
        || direct.iter().any(|it| it.is(&call.destination)),
    )
}

#[test]
fn calls_go_where_the_table_says() {
    use hooks::Transport::{Tcp, Udp};
    use hooks::Verdict::{Captured, Direct, Refused, Resolved};
    let pod = pod();
    for (transport, to, port, verdict) in [
        (Tcp, "10.0.0.2", 80, Captured),
        (Tcp, "fd00::2", 80, Captured),
        (Tcp, "169.254.169.254", 80, Captured),
        (Tcp, "127.0.0.1", 80, Direct),
        (Tcp, "127.8.9.10", 53, Direct),
        (Tcp, "::1", 80, Direct),
        (Tcp, "0.0.0.0", 80, Direct),
        (Tcp, "::", 80, Direct),
        (Tcp, "10.0.0.1", 80, Direct),
        (Tcp, "fd00::1", 80, Direct),
        (Tcp, "192.168.1.1", 80, Direct),
        (Tcp, "10.0.0.2", 4000, Direct),
        (Tcp, "10.0.0.2", 4001, Direct),
        (Tcp, "10.0.0.2", 4002, Captured),
        (Tcp, "169.254.7.127", 80, Direct),
        (Tcp, "fd16:9254:7127:1337:ffff:ffff:ffff:ffff", 80, Direct),
        (Tcp, "fe80::2", 80, Refused),
        (Tcp, "10.0.0.2", 53, Resolved),
        (Udp, "10.0.0.2", 53, Resolved),
        (Udp, "fe80::2", 53, Resolved),
        (Udp, "fd00::2", 53, Resolved),
        (Udp, "127.0.0.53", 53, Direct),
        (Udp, "10.0.0.1", 53, Direct),
        (Udp, "10.0.0.2", 54, Direct),
        (Udp, "fe80::2", 5353, Direct),
    ] {
        assert_eq!(call(&pod, transport, to, port), verdict, "{to} {port}");
    }
}

#[test]
fn a_pod_without_a_feature_does_not_get_it() {
    let mut pod = pod();
    pod.flags = PodConfig::IPV6;
    assert_eq!(
        call(&pod, Transport::Udp, "10.0.0.2", 53),
        hooks::Verdict::Direct
    );
    assert_eq!(
        call(&pod, Transport::Tcp, "10.0.0.2", 53),
        hooks::Verdict::Captured
    );
    pod.flags = 0;
    assert_eq!(
        call(&pod, Transport::Tcp, "fd00::2", 80),
        hooks::Verdict::Direct
    );
    assert_eq!(
        call(&pod, Transport::Tcp, "10.0.0.2", 80),
        hooks::Verdict::Captured
    );
}

#[test]
fn the_proxy_itself_goes_everywhere() {
    let call = |port| Call {
        destination: address("10.0.0.2"),
        port,
        transport: Transport::Tcp,
    };
    for port in [53, 80] {
        assert_eq!(
            hooks::judge(&pod(), &call(port), || true, || false),
            hooks::Verdict::Exempt
        );
    }
}

#[test]
fn only_tcp_mptcp_and_udp_are_looked_at() {
    assert_eq!(Transport::of(6), Some(Transport::Tcp));
    assert_eq!(Transport::of(262), Some(Transport::Tcp));
    assert_eq!(Transport::of(17), Some(Transport::Udp));
    assert_eq!(Transport::of(132), None);
}

#[test]
fn arrivals_go_where_the_table_says() {
    use steer::Verdict::{Drop, Pass, To};
    let mut pod = SteerConfig {
        flags: SteerConfig::IPV6,
        excluded: Ports::NONE,
    };
    let own = ["10.0.0.1", "fd00::1", "fe80::1"].map(address);
    let owns = |address: &Address| own.contains(address);
    pod.excluded.0[0] = PortRange {
        first: 9000,
        last: 9999,
    };
    pod.excluded.0[1] = PortRange {
        first: 15000,
        last: 16000,
    };
    for (over_lo, remote, local, port, verdict) in [
        // Over lo: what the mark leads there.
        (true, "10.0.0.1", "10.0.0.2", 80, To(Listener::OutV4)),
        (true, "fd00::1", "fd00::2", 80, To(Listener::OutV6)),
        // Exclusions of one direction are none of the other.
        (true, "10.0.0.1", "10.0.0.2", 9000, To(Listener::OutV4)),
        (true, "10.0.0.1", "10.0.0.2", 15008, To(Listener::OutV4)),
        // Deliveries.
        (true, "10.0.0.9", "10.0.0.1", 80, Pass),
        (true, "fd00::9", "fd00::1", 80, Pass),
        // A delivery to an address that nobody told of.
        (true, "10.0.0.9", "10.0.0.77", 80, Drop),
        (true, "127.0.0.1", "127.0.0.1", 80, Pass),
        (true, "::1", "::1", 80, Pass),
        // From outside.
        (false, "10.0.0.9", "10.0.0.1", 80, To(Listener::InV4)),
        (false, "fd00::9", "fd00::1", 80, To(Listener::InV6)),
        (false, "fe80::9", "fe80::1", 80, To(Listener::InV6)),
        (false, "10.0.0.9", "10.0.0.77", 80, To(Listener::InV4)),
        // Tunnels, whoever sends them, and whatever is excluded.
        (false, "10.0.0.9", "10.0.0.1", 15008, To(Listener::HboneV4)),
        (false, "fd00::9", "fd00::1", 15008, To(Listener::HboneV6)),
        (false, "10.0.0.1", "10.0.0.1", 15008, To(Listener::HboneV4)),
        (
            false,
            "169.254.7.127",
            "10.0.0.1",
            15008,
            To(Listener::HboneV4),
        ),
        (false, "10.0.0.9", "10.0.0.1", 8999, To(Listener::InV4)),
        (false, "10.0.0.9", "10.0.0.1", 9000, Pass),
        (false, "10.0.0.9", "10.0.0.1", 9999, Pass),
        (false, "169.254.7.127", "10.0.0.1", 80, Pass),
        (
            false,
            "fd16:9254:7127:1337:ffff:ffff:ffff:ffff",
            "fd00::1",
            80,
            Pass,
        ),
        // To itself.
        (false, "10.0.0.1", "10.0.0.1", 80, Pass),
        (false, "fd00::1", "fd00::1", 80, Pass),
    ] {
        let arrival = Arrival {
            local: address(local),
            port,
            remote: address(remote),
            over_lo,
        };
        assert_eq!(
            steer::judge(&pod, &arrival, owns),
            verdict,
            "{remote} to {local} {port}"
        );
    }
    pod.flags = 0;
    let v6 = Arrival {
        local: address("fd00::1"),
        port: 80,
        remote: address("fd00::9"),
        over_lo: false,
    };
    assert_eq!(steer::judge(&pod, &v6, owns), Pass);
    pod.flags = SteerConfig::IPV6_CLOSED;
    assert_eq!(steer::judge(&pod, &v6, owns), Drop);
}

#[test]
fn what_could_not_be_captured_yet_is_refused() {
    use hooks::Transport::{Tcp, Udp};
    use hooks::Verdict::{Captured, Direct, Refused, Resolved};
    let mut pod = pod();
    pod.flags = PodConfig::IPV6_CLOSED | PodConfig::DNS;
    for (transport, to, port, verdict) in [
        (Tcp, "fd00::2", 80, Refused),
        (Tcp, "fd00::1", 80, Direct),
        (Tcp, "fd00::2", 4000, Direct),
        (Tcp, "::1", 80, Direct),
        (Udp, "fd00::2", 80, Direct),
        (Udp, "fd00::2", 53, Refused),
        (Tcp, "10.0.0.2", 80, Captured),
        (Udp, "10.0.0.2", 53, Resolved),
    ] {
        assert_eq!(call(&pod, transport, to, port), verdict, "{to} {port}");
    }
    // Nobody answers queries yet.
    pod.port_dns = 0;
    for transport in [Tcp, Udp] {
        assert_eq!(call(&pod, transport, "10.0.0.2", 53), Refused);
        assert_eq!(call(&pod, transport, "127.0.0.53", 53), Direct);
    }
}

#[test]
fn a_connection_that_is_under_way_keeps_its_way() {
    use crate::options::{Verdict, Way, judge};
    const SOCKET: i32 = 1;
    for (level, name, way) in [
        (SOCKET, 25, Some(Way::DeviceByName)),
        (SOCKET, 62, Some(Way::DeviceByNumber)),
        (SOCKET, 36, Some(Way::Mark)),
        (SOCKET, 2, None),
        (0, 25, None),
        (6, 36, None),
        (41, 62, None),
    ] {
        assert_eq!(Way::of(level, name), way, "{level} {name}");
    }
    for way in [Way::DeviceByName, Way::DeviceByNumber, Way::Mark] {
        for protocol in [6, 262] {
            for state in 1..=13 {
                let expected = match (state, way) {
                    // Closed.
                    (7, Way::Mark) | (10, _) => Verdict::Allowed,
                    (7, _) => Verdict::Done,
                    _ => Verdict::Refused,
                };
                assert_eq!(judge(way, protocol, state), expected, "{state} {way:?}");
            }
        }
        for protocol in [17, 132, 0, 255] {
            assert!((1..=13).all(|state| judge(way, protocol, state) == Verdict::Allowed));
        }
    }
}

#[test]
fn a_key_of_the_trie_begins_with_its_pod() {
    let key = RangeKey::new(0x1_0000_0002, address("10.0.0.1"));
    assert_eq!(key.cookie, [2, 1]);
    assert_eq!(RangeKey::BITS, 192);
}
