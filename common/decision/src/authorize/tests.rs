//! Policies: their edge cases by name, attacks on them, and the index against the oracle.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use mesh::{
    Authorization, PolicyKey, SpiffeId, Workload,
    authorization::{Action, Clause, Match, Rule, Scope},
    policy::PolicyIndex,
};

use super::{Connection, Verdict, evaluate, oracle};

mod attacks;
mod behind;
mod edge_cases;
mod order;
mod properties;

/// A policy of the destination's namespace.
fn policy(name: &str, action: Action, rules: Vec<Rule>) -> Authorization {
    let key = PolicyKey::new("default", name);
    Authorization {
        key,
        scope: Scope::Namespace,
        action,
        dry_run: false,
        rules,
    }
}

fn rule(matches: Vec<Match>) -> Rule {
    Rule {
        clauses: vec![Clause { matches }],
    }
}

fn id(text: &str) -> SpiffeId {
    text.parse().unwrap()
}

fn workload() -> Workload {
    Workload {
        namespace: "default".into(),
        ..Workload::default()
    }
}

/// A connection to 10.0.1.7:8080 of [`workload`].
struct Peer {
    identity: Option<SpiffeId>,
    behind: Option<SpiffeId>,
    source_ip: IpAddr,
    destination: SocketAddr,
    workload: Workload,
}

fn plaintext() -> Peer {
    Peer {
        identity: None,
        behind: None,
        source_ip: [10, 0, 0, 5].into(),
        destination: ([10, 0, 1, 7], 8080).into(),
        workload: workload(),
    }
}

/// A client of the namespace `client` with the service account `web`.
fn client() -> Peer {
    Peer {
        identity: Some(id("spiffe://cluster.local/ns/client/sa/web")),
        ..plaintext()
    }
}

/// What the index says, after the oracle has said the same.
fn verdict(policies: &[Authorization], peer: &Peer) -> Verdict {
    let connection = Connection {
        destination: &peer.workload,
        identity: peer.identity.as_ref(),
        behind: peer.behind.as_ref(),
        source_ip: peer.source_ip,
        destination_addr: peer.destination,
    };
    let mut index = PolicyIndex::default();
    for policy in policies {
        index.insert(Arc::new(policy.clone()));
    }
    let verdict = evaluate(&index, &connection);
    assert_eq!(verdict, oracle::authorize(policies, &connection));
    verdict
}

/// Whether a match holds, asked both ways: as the only DENY and as the only ALLOW.
fn holds(one: Match, peer: &Peer) -> bool {
    let rules = vec![rule(vec![one])];
    let denied = verdict(&[policy("p", Action::Deny, rules.clone())], peer);
    let allowed = verdict(&[policy("p", Action::Allow, rules)], peer);
    let denied = matches!(denied.enforced, super::Outcome::Deny(_));
    assert_eq!(
        denied,
        matches!(allowed.enforced, super::Outcome::Allow { .. })
    );
    denied
}
