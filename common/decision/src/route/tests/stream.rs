//! Routes by server name and by address.

use std::net::IpAddr;

use mesh::route::{HostMatch, TcpRoute, TlsRoute};

use crate::route::stream::{Stream, tcp, tls};

fn tls_route(name: &str, server_names: &[&str]) -> TlsRoute {
    TlsRoute {
        name: name.into(),
        server_names: server_names
            .iter()
            .map(|text| HostMatch::new(text))
            .collect(),
        backends: Vec::new(),
    }
}

fn tcp_route(name: &str, destinations: &[&str], source: Option<&str>) -> TcpRoute {
    TcpRoute {
        name: name.into(),
        destination_subnets: destinations
            .iter()
            .map(|text| text.parse().unwrap())
            .collect(),
        source_subnet: source.map(|text| text.parse().unwrap()),
        backends: Vec::new(),
    }
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

#[test]
fn the_first_server_name_that_matches_wins_be_it_the_widest() {
    let routes = [
        tls_route("wide", &["*.example"]),
        tls_route("narrow", &["a.example"]),
        tls_route("other", &["b.test", "*.c.test"]),
    ];
    for (asked, expected) in [
        (Some("a.example"), Some("wide")),
        (Some("A.B.Example"), Some("wide")),
        (Some("x.c.test"), Some("other")),
        (Some("c.test"), None),
        (None, None),
    ] {
        match tls(&routes, asked) {
            Stream::Route(route) => assert_eq!(Some(&*route.name), expected, "{asked:?}"),
            other @ (Stream::Unrouted | Stream::Nowhere) => {
                assert_eq!((other, expected), (Stream::Nowhere, None), "{asked:?}");
            }
        }
    }
}

#[test]
fn a_client_without_server_name_takes_a_route_for_all() {
    let routes = [tls_route("all", &["*"])];
    assert_eq!(tls(&routes, None), Stream::Route(&routes[0]));
    assert_eq!(tls(&[], None), Stream::Unrouted);
}

#[test]
fn addresses_choose_among_routes_of_tcp() {
    let routes = [
        tcp_route("from", &[], Some("10.1.0.0/16")),
        tcp_route("to", &["10.2.0.0/16", "fd00::/8"], None),
        tcp_route("both", &["10.3.0.0/16"], Some("10.4.0.0/16")),
    ];
    for (source, destination, expected) in [
        ("10.1.2.3", Some("10.9.9.9"), Some("from")),
        ("::ffff:10.1.2.3", None, Some("from")),
        ("10.9.0.1", Some("10.2.0.1"), Some("to")),
        ("10.9.0.1", Some("fd12::1"), Some("to")),
        ("10.9.0.1", None, None),
        ("10.4.0.1", Some("::ffff:10.3.0.1"), Some("both")),
        ("10.5.0.1", Some("10.3.0.1"), None),
    ] {
        match tcp(&routes, ip(source), destination.map(ip)) {
            Stream::Route(route) => assert_eq!(Some(&*route.name), expected, "{source}"),
            other @ (Stream::Unrouted | Stream::Nowhere) => {
                assert_eq!((other, expected), (Stream::Nowhere, None), "{source}");
            }
        }
    }
    assert_eq!(tcp(&[], ip("10.0.0.1"), None), Stream::Unrouted);
}
