//! Tests of which certificates a policy lists.

use super::*;

fn identity(domain: &str, namespace: &str, account: &str) -> SpiffeId {
    SpiffeId::new(domain.into(), namespace.into(), account.into())
}

fn listing(peers: Vec<TextMatch>) -> ClientAddress {
    ClientAddress {
        trusted_peers: peers,
        ..ClientAddress::default()
    }
}

#[test]
fn a_peer_is_trusted_if_one_condition_holds_for_its_whole_principal() {
    let gateway = identity("cluster.local", "edge", "gateway");
    let principal = gateway.principal();
    for (peer, is_trusted) in [
        (TextMatch::Exact(principal.as_str().into()), true),
        (
            TextMatch::Exact("cluster.local/ns/edge/sa/gateway2".into()),
            false,
        ),
        (
            TextMatch::Exact("cluster.local/ns/edge/sa/gatewa".into()),
            false,
        ),
        (
            TextMatch::Exact("cluster.local/ns/edg/sa/egateway".into()),
            false,
        ),
        (
            TextMatch::Exact("Cluster.local/ns/edge/sa/gateway".into()),
            false,
        ),
        (TextMatch::Exact("".into()), false),
        (TextMatch::Prefix("cluster.local/ns/edge/".into()), true),
        (TextMatch::Prefix(principal.as_str().into()), true),
        (
            TextMatch::Prefix("cluster.local/ns/edge/sa/gateway/".into()),
            false,
        ),
        (TextMatch::Prefix("cluster.local/ns/edges".into()), false),
        (TextMatch::Suffix("/sa/gateway".into()), true),
        (TextMatch::Suffix(principal.as_str().into()), true),
        (TextMatch::Suffix("x".repeat(200).into()), false),
        (TextMatch::Suffix("/ns/edge".into()), false),
        (TextMatch::Present, true),
        (TextMatch::Template(principal.as_str().into()), false),
    ] {
        let policy = listing(vec![peer.clone()]);
        assert_eq!(trusts(&policy, &gateway), is_trusted, "{peer:?}");
    }
}

#[test]
fn parts_of_a_principal_do_not_run_into_each_other() {
    let policy = listing(vec![TextMatch::Exact("a/ns/b/sa/c".into())]);
    assert!(trusts(&policy, &identity("a", "b", "c")));
    for (domain, namespace, account) in [("a", "b", "cc"), ("a", "bb", "c"), ("aa", "b", "c")] {
        assert!(!trusts(&policy, &identity(domain, namespace, account)));
    }
}

#[test]
fn a_policy_that_lists_nobody_trusts_nobody() {
    assert!(!trusts(&listing(Vec::new()), &identity("a", "b", "c")));
    let second = listing(vec![
        TextMatch::Exact("x".into()),
        TextMatch::Exact("a/ns/b/sa/c".into()),
    ]);
    assert!(trusts(&second, &identity("a", "b", "c")));
}
