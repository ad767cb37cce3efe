//! Ways around a policy that must not be any.

use mesh::authorization::{Match, ServiceAccountMatch, StringMatch};

use super::{Peer, client, holds, id, plaintext};

fn from(range: &str) -> Match {
    Match {
        source_ips: vec![range.parse().unwrap()],
        ..Match::default()
    }
}

#[test]
fn an_ipv4_mapped_source_is_the_ipv4_address_that_it_maps() {
    let mapped = Peer {
        source_ip: "::ffff:10.0.0.5".parse().unwrap(),
        ..client()
    };
    assert!(holds(from("10.0.0.0/24"), &mapped));
    assert!(!holds(from("10.0.1.0/24"), &mapped));
    assert!(!holds(from("::/0"), &mapped));
    assert!(!holds(
        Match {
            not_source_ips: vec!["10.0.0.5/32".parse().unwrap()],
            ..Match::default()
        },
        &mapped
    ));
}

#[test]
fn an_ipv4_mapped_destination_is_the_ipv4_address_that_it_maps() {
    let mapped = Peer {
        destination: "[::ffff:10.0.1.7]:8080".parse().unwrap(),
        ..client()
    };
    let to = |range: &str| Match {
        destination_ips: vec![range.parse().unwrap()],
        ..Match::default()
    };
    assert!(holds(to("10.0.1.7/32"), &mapped));
    assert!(!holds(to("10.0.1.8/32"), &mapped));
}

#[test]
fn a_range_of_ipv4_mapped_addresses_is_the_range_that_it_maps() {
    let mapped = Peer {
        source_ip: "::ffff:10.0.0.5".parse().unwrap(),
        ..client()
    };
    for peer in [client(), mapped] {
        assert!(holds(from("::ffff:10.0.0.0/120"), &peer));
        assert!(holds(from("::ffff:0:0/96"), &peer));
        assert!(!holds(from("::ffff:10.0.1.0/120"), &peer));
    }
    let real = Peer {
        source_ip: "fd00::a00:5".parse().unwrap(),
        ..client()
    };
    assert!(!holds(from("::ffff:0:0/96"), &real));
}

#[test]
fn an_embedded_ipv4_address_of_another_kind_is_not_the_ipv4_address() {
    // IPv4-compatible (RFC 4291 §2.5.5.1) and NAT64 (RFC 6052) addresses are IPv6 addresses of their own.
    for address in ["::10.0.0.5", "64:ff9b::10.0.0.5"] {
        let peer = Peer {
            source_ip: address.parse().unwrap(),
            ..client()
        };
        assert!(!holds(from("10.0.0.0/24"), &peer));
    }
}

#[test]
fn a_range_with_host_bits_is_its_network() {
    assert!(holds(from("10.0.0.99/24"), &client()));
    assert!(!holds(from("10.0.1.5/24"), &client()));
}

#[test]
fn a_prefix_ends_where_it_says_and_not_at_a_separator() {
    // Written without the final slash it means what it says, for better or worse; with it, no neighbour gets in.
    let prefix = |text: &str| Match {
        principals: vec![StringMatch::Prefix(text.into())],
        ..Match::default()
    };
    let neighbour = Peer {
        identity: Some(id("spiffe://cluster.local/ns/client-evil/sa/web")),
        ..client()
    };
    assert!(holds(prefix("cluster.local/ns/client"), &neighbour));
    assert!(!holds(prefix("cluster.local/ns/client/"), &neighbour));
    assert!(holds(prefix("cluster.local/ns/client/"), &client()));
}

#[test]
fn a_name_that_ends_with_another_is_not_it() {
    let exact = |text: &str| Match {
        principals: vec![StringMatch::Exact(text.into())],
        ..Match::default()
    };
    let evil = Peer {
        identity: Some(id("spiffe://evil.cluster.local/ns/client/sa/web")),
        ..client()
    };
    assert!(!holds(exact("cluster.local/ns/client/sa/web"), &evil));
    let suffix = Match {
        namespaces: vec![StringMatch::Suffix("-client".into())],
        ..Match::default()
    };
    assert!(!holds(suffix, &client()));
}

#[test]
fn empty_texts_match_what_they_say() {
    let empty = |condition: StringMatch| Match {
        principals: vec![condition],
        ..Match::default()
    };
    assert!(!holds(empty(StringMatch::Exact(String::new())), &client()));
    assert!(holds(empty(StringMatch::Prefix(String::new())), &client()));
    assert!(holds(empty(StringMatch::Suffix(String::new())), &client()));
    let nowhere = Peer {
        identity: Some(mesh::SpiffeId::new(
            "cluster.local".into(),
            "".into(),
            "".into(),
        )),
        ..client()
    };
    let namespace = |condition: StringMatch| Match {
        namespaces: vec![condition],
        ..Match::default()
    };
    assert!(!holds(namespace(StringMatch::Presence), &nowhere));
    assert!(holds(
        namespace(StringMatch::Exact(String::new())),
        &nowhere
    ));
    assert!(holds(
        namespace(StringMatch::Prefix(String::new())),
        &nowhere
    ));
    assert!(!holds(
        namespace(StringMatch::Exact(String::new())),
        &plaintext()
    ));
}

#[test]
fn a_separator_in_a_name_does_not_make_another_service_account() {
    let account = |namespace: &str, name: &str| Match {
        service_accounts: vec![ServiceAccountMatch {
            namespace: namespace.into(),
            service_account: name.into(),
        }],
        ..Match::default()
    };
    assert!(!holds(account("client/web", ""), &client()));
    assert!(!holds(account("", "client/web"), &client()));
    assert!(!holds(account("client\u{ff}web", ""), &client()));
    assert!(!holds(account("client\0web", ""), &client()));
}

#[test]
fn case_is_not_folded() {
    let exact = |text: &str| Match {
        namespaces: vec![StringMatch::Exact(text.into())],
        ..Match::default()
    };
    assert!(!holds(exact("Client"), &client()));
}

#[test]
fn very_long_names_are_compared_to_their_end() {
    let long = "x".repeat(5000);
    let peer = |name: &str| Peer {
        identity: Some(mesh::SpiffeId::new(
            "cluster.local".into(),
            "client".into(),
            name.into(),
        )),
        ..client()
    };
    let exact = Match {
        principals: vec![StringMatch::Exact(format!(
            "cluster.local/ns/client/sa/{long}y"
        ))],
        ..Match::default()
    };
    assert!(holds(exact.clone(), &peer(&format!("{long}y"))));
    assert!(!holds(exact.clone(), &peer(&format!("{long}z"))));
    assert!(!holds(exact, &peer(&long)));
}
