//! Which texts are authorities, how they are written back, and that nothing else passes.

use std::net::SocketAddrV6;

use proptest::prelude::*;

use super::*;

fn parsed(text: &str) -> String {
    text.parse::<Authority>().unwrap().to_string()
}

#[test]
fn addresses_and_hostnames_are_read_in_canonical_form() {
    for (text, canonical) in [
        ("10.0.1.7:8080", "10.0.1.7:8080"),
        ("[fd00::7]:8080", "[fd00::7]:8080"),
        ("[FD00:0:0::7]:1", "[fd00::7]:1"),
        ("[::ffff:10.0.1.7]:65535", "10.0.1.7:65535"),
        (
            "Reviews.Default.svc.cluster.local:9080",
            "reviews.default.svc.cluster.local:9080",
        ),
        ("a_b.c-d.e1:1", "a_b.c-d.e1:1"),
        ("localhost:80", "localhost:80"),
    ] {
        assert_eq!(parsed(text), canonical, "{text}");
    }
    let mapped = "[::ffff:10.0.1.7]:80".parse::<Authority>().unwrap();
    assert_eq!(
        mapped,
        Authority::Address((Ipv4Addr::new(10, 0, 1, 7), 80).into())
    );
}

#[test]
fn everything_else_is_refused_with_what_was_expected() {
    let port = "a port from 1 to 65535";
    let form = "ip:port, [ipv6]:port or hostname:port";
    let host = "an IP address or a DNS name before the port";
    let v6 = "an IPv6 address in brackets, without a zone";
    let long_label = format!("{}.com:80", "a".repeat(64));
    let long_name = format!(
        "{}:80",
        [
            "a".repeat(63),
            "b".repeat(63),
            "c".repeat(63),
            "d".repeat(62)
        ]
        .join(".")
    );
    for (text, expected) in [
        ("", form),
        ("10.0.0.1", form),
        ("reviews", form),
        ("10.0.0.1:", port),
        ("10.0.0.1:0", port),
        ("10.0.0.1:00080", port),
        ("10.0.0.1:080", port),
        ("10.0.0.1:+80", port),
        ("10.0.0.1:-80", port),
        ("10.0.0.1:65536", port),
        ("10.0.0.1:99999999999999999999", port),
        ("10.0.0.1:8o", port),
        ("10.0.0.1:80 ", port),
        ("10.0.0.1:80/path", port),
        ("[fd00::7]", port),
        ("fd00::7:8080", v6),
        ("[fe80::1%eth0]:80", v6),
        ("[fe80::1%251]:80", v6),
        ("[10.0.0.1]:80", v6),
        ("[reviews]:80", v6),
        ("[fd00::7:80", v6),
        ("fd00::7]:80", v6),
        ("[[fd00::7]]:80", v6),
        ("10.0.0.1:80:80", v6),
        ("user@10.0.0.1:80", host),
        ("user@reviews:80", host),
        (" reviews:80", host),
        ("010.0.0.1:80", host),
        ("10.0.0:80", host),
        ("256.0.0.1:80", host),
        ("0x7f.0x1:80", host),
        ("2130706433:80", host),
        (":80", host),
        (".:80", host),
        ("reviews.:80", host),
        ("a..b:80", host),
        ("-a:80", host),
        ("a-:80", host),
        ("*.default:80", host),
        ("réviews:80", host),
        ("a%20b:80", host),
        (&long_label, host),
        (&long_name, host),
    ] {
        let error = text.parse::<Authority>().unwrap_err();
        assert_eq!(
            error,
            InvalidAuthority {
                text: text.chars().take(200).collect(),
                expected
            },
            "{text}"
        );
    }
}

#[test]
fn the_longest_name_passes_and_a_refused_text_is_cut_for_the_log() {
    let name = [
        "a".repeat(63),
        "b".repeat(63),
        "c".repeat(63),
        "d".repeat(61),
    ]
    .join(".");
    assert_eq!(name.len(), MAX_DNS_NAME_BYTES);
    assert_eq!(parsed(&format!("{name}:80")), format!("{name}:80"));
    let error = "é".repeat(5000).parse::<Authority>().unwrap_err();
    assert_eq!(error.text.chars().count(), 200);
}

#[test]
fn an_address_is_written_without_zone_and_mapping() {
    let zoned = SocketAddrV6::new("fe80::1".parse().unwrap(), 80, 7, 3);
    assert_eq!(
        Authority::from(SocketAddr::V6(zoned)).to_string(),
        "[fe80::1]:80"
    );
    assert_eq!(
        Authority::Address(SocketAddr::V6(zoned))
            .to_uri()
            .to_string(),
        "[fe80::1]:80"
    );
    let mapped = "[::ffff:10.0.0.1]:80".parse::<SocketAddr>().unwrap();
    assert_eq!(Authority::from(mapped).to_string(), "10.0.0.1:80");
    assert_eq!(
        Authority::Address(mapped).to_uri().to_string(),
        "10.0.0.1:80"
    );
}

#[test]
fn the_text_of_an_authority_never_outgrows_its_buffer() {
    let longest = "[1111:2222:3333:4444:5555:6666:7777:8888]:65535"
        .parse::<Authority>()
        .unwrap();
    let text = longest.text();
    assert_eq!((text.len(), text.capacity()), (47, 47));
    let name = "reviews.default:65535".parse::<Authority>().unwrap().text();
    assert_eq!(name.len(), name.capacity());
}

proptest! {
    #[test]
    fn addresses_round_trip(ip in any::<IpAddr>(), port in 1u16..) {
        let authority = Authority::from(SocketAddr::new(ip, port));
        prop_assert_eq!(authority.to_string().parse::<Authority>(), Ok(authority.clone()));
        prop_assert_eq!(authority.to_uri().to_string(), authority.to_string());
    }

    #[test]
    fn hostnames_round_trip(name in "[a-z0-9_]([a-z0-9_-]{0,20}[a-z0-9_])?(\\.[a-z]([a-z0-9-]{0,10}[a-z0-9])?){1,5}", port in 1u16..) {
        let text = format!("{name}:{port}");
        let authority = text.parse::<Authority>().unwrap();
        prop_assert_eq!(&authority.to_string(), &text);
        prop_assert_eq!(authority.port(), port);
        prop_assert_eq!(authority.to_uri().to_string(), text);
    }

    #[test]
    fn what_parses_is_a_uri_authority(text in "[-a-zA-Z0-9.:@_%\\[\\]]{0,40}") {
        if let Ok(authority) = text.parse::<Authority>() {
            prop_assert_ne!(authority.port(), 0);
            prop_assert_eq!(authority.to_uri().to_string().parse::<Authority>(), Ok(authority));
        }
    }
}
