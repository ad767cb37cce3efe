//! The exact text that is written, what other software writes, and what is absent.

use std::net::IpAddr;

use proptest::prelude::*;

use super::*;

fn forwarded(source: &str, host: Option<&str>) -> Forwarded {
    Forwarded {
        source: source.parse().unwrap(),
        host: host.map(|host| host.parse().unwrap()),
    }
}

fn text(forwarded: &Forwarded) -> String {
    forwarded.header_value().to_str().unwrap().to_owned()
}

#[test]
fn the_header_is_exactly_what_istio_peers_read() {
    for (value, expected) in [
        (
            forwarded("10.0.0.5:51234", Some("reviews.default.svc.cluster.local")),
            "for=\"10.0.0.5:51234\";host=reviews.default.svc.cluster.local",
        ),
        (forwarded("10.0.0.5:51234", None), "for=\"10.0.0.5:51234\""),
        (forwarded("[fd00::1]:123", None), "for=\"[fd00::1]:123\""),
    ] {
        assert_eq!(text(&value), expected);
        assert_eq!(Forwarded::parse(expected.as_bytes()), Some(value));
    }
    // Where the address comes from a dual-stack socket, IPv4 is still written as IPv4.
    assert_eq!(
        text(&forwarded("[::ffff:10.0.0.5]:1", None)),
        "for=\"10.0.0.5:1\""
    );
}

#[test]
fn other_spellings_of_the_same_are_read() {
    let expected = Some(forwarded("10.0.0.5:51234", Some("reviews")));
    for value in [
        "For=\"10.0.0.5:51234\"; Host=Reviews",
        "host=\"reviews\";proto=http;FOR=10.0.0.5:51234",
        "  for = \"10.0.0.5:51234\" ; host = reviews , for=\"1.1.1.1:1\"",
        "for=\"10.0.0.5\\:51234\";host=reviews;",
        "for=\"[::ffff:10.0.0.5]:51234\";host=reviews;by=\"a;b,c=\\\"d\"",
    ] {
        assert_eq!(Forwarded::parse(value.as_bytes()), expected, "{value}");
    }
}

#[test]
fn a_host_that_is_no_name_is_absent() {
    for host in [
        "\"\"",
        "\"a b\"",
        "10.0.0.1",
        "\"reviews:80\"",
        "\"[fd00::1]\"",
    ] {
        let value = format!("for=\"10.0.0.5:1\";host={host}");
        assert_eq!(
            Forwarded::parse(value.as_bytes()),
            Some(forwarded("10.0.0.5:1", None)),
            "{value}"
        );
    }
}

#[test]
fn anything_else_is_absent() {
    for value in [
        &b""[..],
        b"for",
        b"for=",
        b"for=unknown",
        b"for=_hidden",
        b"for=10.0.0.5",
        b"for=\"10.0.0.5:0\"",
        b"for=\"10.0.0.5:_port\"",
        b"for=\"fd00::1\"",
        b"for=\"[fe80::1%eth0]:1\"",
        b"for=\"10.0.0.5:1",
        b"for=\"10.0.0.5:1\\",
        b"for=\"10.0.0.5:1\"x",
        b"for=\"10.0.0.5:1\";for=\"10.0.0.6:1\"",
        b"for=\"10.0.0.5:1\";host=a;host=b",
        b"for=\"10.0.0.5:1\";host",
        b";for=\"10.0.0.5:1\"",
        b",for=\"10.0.0.5:1\"",
        b"f or=\"10.0.0.5:1\"",
        b"host=reviews",
        b"b y=x;for=\"10.0.0.5:1\"",
        b";by=x;for=\"10.0.0.5:1\"",
        b"=x;for=\"10.0.0.5:1\"",
        b"for=\"10.0.0.5:1\";host=\xff",
    ] {
        assert_eq!(Forwarded::parse(value), None, "{}", value.escape_ascii());
    }
    let long = format!("for=\"10.0.0.5:1\";x={}", "y".repeat(MAX_BYTES));
    assert_eq!(Forwarded::parse(long.as_bytes()), None);
}

proptest! {
    #[test]
    fn every_value_round_trips(ip in any::<IpAddr>(), port in 1u16.., host in prop::option::of("[a-z]([a-z0-9-]{0,20}[a-z0-9])?(\\.[a-z]{1,9}){0,4}")) {
        let source = SocketAddr::new(ip.to_canonical(), port);
        let value = Forwarded { source, host: host.map(|host| host.parse().unwrap()) };
        prop_assert_eq!(Forwarded::parse(value.header_value().as_bytes()), Some(value));
    }

    #[test]
    fn no_header_panics(value in "[for=host;,\" \\\\0-9.:\\[\\]é]{0,60}") {
        let _ = Forwarded::parse(value.as_bytes());
    }
}
