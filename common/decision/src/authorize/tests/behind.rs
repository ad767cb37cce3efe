//! A waypoint that says for whom it comes: what its word opens, and what it does not.

use ipnet::IpNet;
use mesh::authorization::{Match, ServiceAccountMatch, StringMatch};

use super::{Peer, client, holds, id, plaintext};

fn exact(text: &str) -> Vec<StringMatch> {
    vec![StringMatch::Exact(text.into())]
}

/// A waypoint of the namespace `mesh` that comes for the client of [`client`].
fn waypoint() -> Peer {
    Peer {
        identity: Some(id("spiffe://cluster.local/ns/mesh/sa/waypoint")),
        behind: client().identity,
        ..plaintext()
    }
}

const CLIENT: &str = "cluster.local/ns/client/sa/web";
const WAYPOINT: &str = "cluster.local/ns/mesh/sa/waypoint";

fn account(namespace: &str, name: &str) -> Vec<ServiceAccountMatch> {
    vec![ServiceAccountMatch {
        namespace: namespace.into(),
        service_account: name.into(),
    }]
}

#[test]
fn a_field_holds_for_either_identity() {
    for principal in [CLIENT, WAYPOINT] {
        let principals = exact(principal);
        assert!(holds(
            Match {
                principals,
                ..Match::default()
            },
            &waypoint()
        ));
    }
    for namespace in ["client", "mesh"] {
        let namespaces = exact(namespace);
        assert!(holds(
            Match {
                namespaces,
                ..Match::default()
            },
            &waypoint()
        ));
    }
    for (namespace, name) in [("client", "web"), ("mesh", "waypoint")] {
        let service_accounts = account(namespace, name);
        assert!(holds(
            Match {
                service_accounts,
                ..Match::default()
            },
            &waypoint()
        ));
    }
}

#[test]
fn a_not_field_holds_only_if_neither_is_meant() {
    for principal in [CLIENT, WAYPOINT] {
        let not_principals = exact(principal);
        assert!(!holds(
            Match {
                not_principals,
                ..Match::default()
            },
            &waypoint()
        ));
    }
    for namespace in ["client", "mesh"] {
        let not_namespaces = exact(namespace);
        assert!(!holds(
            Match {
                not_namespaces,
                ..Match::default()
            },
            &waypoint()
        ));
    }
    for (namespace, name) in [("client", "web"), ("mesh", "waypoint")] {
        let not_service_accounts = account(namespace, name);
        assert!(!holds(
            Match {
                not_service_accounts,
                ..Match::default()
            },
            &waypoint()
        ));
    }
    let not_principals = exact("cluster.local/ns/other/sa/web");
    assert!(holds(
        Match {
            not_principals,
            ..Match::default()
        },
        &waypoint()
    ));
}

#[test]
fn no_identity_is_made_of_parts_of_both() {
    for mixed in [
        account("mesh", "web"),
        account("client", "waypoint"),
        account("mes", "hwaypoint"),
    ] {
        assert!(!holds(
            Match {
                service_accounts: mixed,
                ..Match::default()
            },
            &waypoint()
        ));
    }
    let principals = exact("cluster.local/ns/mesh/sa/web");
    assert!(!holds(
        Match {
            principals,
            ..Match::default()
        },
        &waypoint()
    ));
}

#[test]
fn the_waypoints_word_is_none_about_addresses() {
    let range = |text: &str| vec![text.parse::<IpNet>().unwrap()];
    let source_ips = range("10.0.0.5/32");
    assert!(holds(
        Match {
            source_ips,
            ..Match::default()
        },
        &waypoint()
    ));
    let source_ips = range("10.0.0.6/32");
    assert!(!holds(
        Match {
            source_ips,
            ..Match::default()
        },
        &waypoint()
    ));
}

#[test]
fn the_same_identity_twice_is_one() {
    let peer = Peer {
        behind: waypoint().identity,
        ..waypoint()
    };
    let principals = exact(WAYPOINT);
    assert!(holds(
        Match {
            principals,
            ..Match::default()
        },
        &peer
    ));
    let principals = exact(CLIENT);
    assert!(!holds(
        Match {
            principals,
            ..Match::default()
        },
        &peer
    ));
}

/// Long lists are tries, which must be asked about both as well.
#[test]
fn a_long_list_holds_for_either_identity() {
    let list = |last: &str| -> Vec<StringMatch> {
        let others = (0..40).map(|n| StringMatch::Exact(format!("cluster.local/ns/x/sa/{n}")));
        others.chain(exact(last)).collect()
    };
    for principal in [CLIENT, WAYPOINT] {
        let (principals, not_principals) = (list(principal), list(principal));
        assert!(holds(
            Match {
                principals,
                ..Match::default()
            },
            &waypoint()
        ));
        assert!(!holds(
            Match {
                not_principals,
                ..Match::default()
            },
            &waypoint()
        ));
    }
}
