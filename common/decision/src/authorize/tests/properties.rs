//! The compiled index says what the oracle says, whatever the policies, the connection and the history.

use std::{collections::BTreeMap, net::IpAddr, sync::Arc};

use ipnet::IpNet;
use mesh::{
    Authorization, PolicyKey, SpiffeId, Workload,
    authorization::{Action, Clause, Match, Rule, Scope, ServiceAccountMatch, StringMatch},
    policy::PolicyIndex,
};
use proptest::{
    prelude::{Just, ProptestConfig, Strategy, any, prop, prop_assert_eq, prop_oneof, proptest},
    sample::select,
};

use super::super::{Connection, Outcome, evaluate, oracle};

// Alphabets are small, so that conditions often hold and often nearly do.

const NAMESPACES: [&str; 4] = ["a", "ab", "b", ""];
const ADDRESSES: [&str; 7] = [
    "10.0.0.1",
    "10.0.0.2",
    "10.0.1.1",
    "::ffff:10.0.0.1",
    "fd00::1",
    "fd00::1:0:0:1",
    "11.0.0.1",
];
const RANGES: [&str; 12] = [
    "0.0.0.0/0",
    "10.0.0.0/8",
    "10.0.0.0/24",
    "10.0.0.0/31",
    "10.0.0.1/32",
    "10.0.1.9/24",
    "::/0",
    "fd00::/64",
    "fd00::1/128",
    "::ffff:10.0.0.0/120",
    "::ffff:0:0/96",
    "::ffff:10.0.0.1/128",
];
const PORTS: [u16; 3] = [80, 81, 443];

fn text() -> impl Strategy<Value = String> {
    select(
        &[
            "",
            "a",
            "b",
            "ab",
            "t",
            "t/ns/a",
            "t/ns/a/sa/a",
            "t/ns/ab/sa/b",
            "/sa/a",
            "sa/b",
            "u/ns/b/sa/a",
        ][..],
    )
    .prop_map(str::to_owned)
}

fn condition() -> impl Strategy<Value = StringMatch> {
    prop_oneof![
        3 => text().prop_map(StringMatch::Exact),
        2 => text().prop_map(StringMatch::Prefix),
        2 => text().prop_map(StringMatch::Suffix),
        1 => Just(StringMatch::Presence),
    ]
}

/// Mostly none, else a few.
fn list<T: std::fmt::Debug>(value: impl Strategy<Value = T>) -> impl Strategy<Value = Vec<T>> {
    (0..10_u8, prop::collection::vec(value, 1..3))
        .prop_map(|(chance, values)| if chance < 7 { Vec::new() } else { values })
}

fn account() -> impl Strategy<Value = ServiceAccountMatch> {
    (select(&NAMESPACES[..]), select(&NAMESPACES[..])).prop_map(|(namespace, name)| {
        ServiceAccountMatch {
            namespace: namespace.into(),
            service_account: name.into(),
        }
    })
}

fn range() -> impl Strategy<Value = IpNet> {
    select(&RANGES[..]).prop_map(|range| range.parse().unwrap())
}

fn one_match() -> impl Strategy<Value = Match> {
    let texts = (
        list(condition()),
        list(condition()),
        list(condition()),
        list(condition()),
    );
    let accounts = (list(account()), list(account()));
    let ranges = (list(range()), list(range()), list(range()), list(range()));
    let ports = (list(select(&PORTS[..])), list(select(&PORTS[..])));
    (texts, accounts, ranges, ports).prop_map(|(texts, accounts, ranges, ports)| Match {
        namespaces: texts.0,
        not_namespaces: texts.1,
        principals: texts.2,
        not_principals: texts.3,
        service_accounts: accounts.0,
        not_service_accounts: accounts.1,
        source_ips: ranges.0,
        not_source_ips: ranges.1,
        destination_ips: ranges.2,
        not_destination_ips: ranges.3,
        destination_ports: ports.0,
        not_destination_ports: ports.1,
    })
}

/// Conditions of few values, each of which nearly holds.
fn crowded_match() -> impl Strategy<Value = Match> {
    let names = prop::collection::vec(select(&["a", "ab"][..]), 1..3);
    let ports = prop::collection::vec(select(&PORTS[..]), 1..3);
    let not_ranges = prop::collection::vec(range(), 0..3);
    let not_principals = prop::collection::vec(condition(), 0..3);
    let requires = prop::bool::weighted(0.9);
    (names, ports, not_ranges, not_principals, requires).prop_map(
        |(names, ports, not_source_ips, not_principals, requires)| {
            let negative = Match {
                not_source_ips,
                not_principals,
                ..Match::default()
            };
            if !requires {
                return negative;
            }
            let namespaces = names
                .into_iter()
                .map(|name| StringMatch::Exact(name.into()))
                .collect();
            Match {
                namespaces,
                destination_ports: ports,
                ..negative
            }
        },
    )
}

fn crowded_clauses() -> impl Strategy<Value = Vec<Clause>> {
    let clause = prop_oneof![
        4 => prop::collection::vec(crowded_match(), 1),
        1 => prop::collection::vec(crowded_match(), 2),
    ];
    prop::collection::vec(clause.prop_map(|matches| Clause { matches }), 1..3)
}

fn rules() -> impl Strategy<Value = Vec<Rule>> {
    let clause = prop::collection::vec(one_match(), 0..3).prop_map(|matches| Clause { matches });
    // A rule without clauses matches everything, so it is rare.
    let rule = prop_oneof![
        1 => Just(Rule::default()),
        20 => prop::collection::vec(clause, 1..3).prop_map(|clauses| Rule { clauses }),
    ];
    prop::collection::vec(rule, 0..3)
}

fn policy(names: u8) -> impl Strategy<Value = Authorization> {
    let scope = select(&[Scope::Global, Scope::Namespace, Scope::WorkloadSelector][..]);
    let key = (select(&["a", "b"][..]), 0..names);
    (key, scope, any::<bool>(), 0..5_u8, rules()).prop_map(
        |((namespace, name), scope, allow, dry, rules)| {
            let action = if allow { Action::Allow } else { Action::Deny };
            let key = PolicyKey::new(namespace, name.to_string());
            Authorization {
                key,
                scope,
                action,
                dry_run: dry == 0,
                rules,
            }
        },
    )
}

#[derive(Clone, Debug)]
struct Peer {
    identity: Option<SpiffeId>,
    behind: Option<SpiffeId>,
    source_ip: IpAddr,
    destination: (IpAddr, u16),
    workload: Workload,
}

impl Peer {
    fn connection(&self) -> Connection<'_> {
        Connection {
            destination: &self.workload,
            identity: self.identity.as_ref(),
            behind: self.behind.as_ref(),
            source_ip: self.source_ip,
            destination_addr: self.destination.into(),
        }
    }
}

fn peer(names: u8) -> impl Strategy<Value = Peer> {
    let identity = || {
        let parts = (
            select(&["t", "u"][..]),
            select(&NAMESPACES[..]),
            select(&NAMESPACES[..]),
        );
        parts.prop_map(|(domain, namespace, name)| {
            SpiffeId::new(domain.into(), namespace.into(), name.into())
        })
    };
    let identities = (
        prop::option::weighted(0.8, identity()),
        prop::option::weighted(0.3, identity()),
    );
    let address = || select(&ADDRESSES[..]).prop_map(|address| address.parse().unwrap());
    let listed = prop::collection::vec((select(&["a", "b"][..]), 0..names), 0..4);
    let workload =
        (select(&["a", "b", "c"][..]), listed).prop_map(|(namespace, listed)| Workload {
            namespace: namespace.into(),
            authorization_policies: listed
                .into_iter()
                .map(|(namespace, name)| PolicyKey::new(namespace, name.to_string()))
                .collect(),
            ..Workload::default()
        });
    (
        identities,
        address(),
        address(),
        select(&PORTS[..]),
        workload,
    )
        .prop_map(
            |((identity, behind), source_ip, destination, port, workload)| Peer {
                identity,
                behind,
                source_ip,
                destination: (destination, port),
                workload,
            },
        )
}

proptest! {
    // 4,000 sets of policies, 50 connections each: 200,000 cases.
    #![proptest_config(ProptestConfig { cases: 4_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn compiled_policies_decide_as_the_oracle_does(
        policies in prop::collection::vec(policy(8), 0..10),
        peers in prop::collection::vec(peer(8), 50),
    ) {
        let mut index = PolicyIndex::default();
        let mut list = BTreeMap::new();
        for policy in policies {
            index.insert(Arc::new(policy.clone()));
            list.insert(policy.key.clone(), policy);
        }
        for peer in &peers {
            let connection = peer.connection();
            prop_assert_eq!(
                evaluate(&index, &connection),
                oracle::authorize(list.values(), &connection),
                "{:?}", peer
            );
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 120, failure_persistence: None, ..ProptestConfig::default() })]

    /// Many policies of few conditions: buckets are crowded and grouped, and are emptied again.
    #[test]
    fn a_history_of_changes_decides_as_what_is_left_of_it(
        changes in prop::collection::vec((0..3_u8, policy(100)), 300),
        peers in prop::collection::vec(peer(100), 8),
        drain in any::<bool>(),
    ) {
        let mut index = PolicyIndex::default();
        let mut list: BTreeMap<PolicyKey, Authorization> = BTreeMap::new();
        let mut kept = Vec::new();
        for (step, (kind, policy)) in changes.into_iter().enumerate() {
            if step % 60 == 0 {
                kept.push((index.clone(), list.clone()));
            }
            // What matches everything would hide the rest.
            let policy = Authorization {
                rules: policy.rules.into_iter().filter(|rule| !rule.clauses.is_empty()).collect(),
                ..policy
            };
            if kind == 0 {
                index.remove(&policy.key);
                list.remove(&policy.key);
            } else {
                index.insert(Arc::new(policy.clone()));
                list.insert(policy.key.clone(), policy);
            }
            prop_assert_eq!(index.len(), list.len());
            if step % 20 == 0 {
                for peer in &peers {
                    let connection = peer.connection();
                    prop_assert_eq!(evaluate(&index, &connection), oracle::authorize(list.values(), &connection));
                }
            }
        }
        for (index, list) in &kept {
            for peer in &peers {
                let connection = peer.connection();
                prop_assert_eq!(evaluate(index, &connection), oracle::authorize(list.values(), &connection));
            }
        }
        if drain {
            let keys: Vec<PolicyKey> = list.keys().cloned().collect();
            for (step, key) in keys.into_iter().enumerate() {
                index.remove(&key);
                list.remove(&key);
                if step % 20 == 0 {
                    for peer in &peers {
                        let connection = peer.connection();
                        prop_assert_eq!(evaluate(&index, &connection), oracle::authorize(list.values(), &connection));
                    }
                }
            }
            for peer in &peers {
                prop_assert_eq!(evaluate(&index, &peer.connection()).enforced, Outcome::Allow { by: None });
            }
        }
    }

    /// Many rules that share nearly everything, so that every one of them stands behind a guard.
    #[test]
    fn crowded_places_decide_as_the_oracle_does(
        changes in prop::collection::vec((0..4_u8, 0..200_u8, crowded_clauses()), 400),
        peers in prop::collection::vec(peer(1), 12),
    ) {
        let mut index = PolicyIndex::default();
        let mut list: BTreeMap<PolicyKey, Authorization> = BTreeMap::new();
        for (step, (kind, name, clauses)) in changes.into_iter().enumerate() {
            let key = PolicyKey::new("a", name.to_string());
            if kind == 0 {
                index.remove(&key);
                list.remove(&key);
            } else {
                let rules = vec![Rule { clauses }];
                let action = if name % 8 == 0 { Action::Allow } else { Action::Deny };
                let policy = Authorization { key, scope: Scope::Global, action, dry_run: false, rules };
                index.insert(Arc::new(policy.clone()));
                list.insert(policy.key.clone(), policy);
            }
            if step % 25 == 24 {
                for peer in &peers {
                    let connection = peer.connection();
                    prop_assert_eq!(evaluate(&index, &connection), oracle::authorize(list.values(), &connection));
                }
            }
        }
    }

    #[test]
    fn the_order_of_arrival_does_not_matter(
        policies in prop::collection::vec(policy(100), 0..60),
        peers in prop::collection::vec(peer(100), 10),
    ) {
        let list: BTreeMap<PolicyKey, Authorization> =
            policies.into_iter().map(|policy| (policy.key.clone(), policy)).collect();
        let (mut forward, mut backward) = (PolicyIndex::default(), PolicyIndex::default());
        list.values().for_each(|policy| forward.insert(Arc::new(policy.clone())));
        list.values().rev().for_each(|policy| backward.insert(Arc::new(policy.clone())));
        for peer in &peers {
            prop_assert_eq!(evaluate(&forward, &peer.connection()), evaluate(&backward, &peer.connection()));
        }
    }
}
