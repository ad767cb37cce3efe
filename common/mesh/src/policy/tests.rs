//! The index as a container; what it answers is shown against the oracle in `decision`.

use std::{net::IpAddr, sync::Arc};

use super::{Mode, PolicyIndex, Query};
use crate::{
    Authorization, PolicyKey, SpiffeId, Workload,
    authorization::{Action, Clause, Match, Rule, Scope, StringMatch},
};

fn rule(one: Match) -> Rule {
    Rule {
        clauses: vec![Clause { matches: vec![one] }],
    }
}

fn policy(name: &str, scope: Scope, rules: Vec<Rule>) -> Arc<Authorization> {
    let key = PolicyKey::new("default", name);
    Arc::new(Authorization {
        key,
        scope,
        action: Action::Deny,
        dry_run: false,
        rules,
    })
}

fn workload() -> Workload {
    Workload {
        namespace: "default".into(),
        ..Workload::default()
    }
}

fn query(service_account: &str, port: u16) -> Query {
    let identity = SpiffeId::new(
        "cluster.local".into(),
        "client".into(),
        service_account.into(),
    );
    let source: IpAddr = [10, 0, 0, 1].into();
    Query::new(Some(&identity), source, ([10, 0, 1, 1], port).into())
}

fn denied_by(index: &PolicyIndex, query: &Query) -> Option<String> {
    let found = index
        .applicable(&workload())
        .first_match(Mode::Enforced, Action::Deny, query)
        .cloned();
    found.map(|key| key.name.to_string())
}

#[test]
fn a_clone_stays_as_it_was() {
    let mut index = PolicyIndex::default();
    index.insert(policy("all", Scope::Global, vec![Rule::default()]));
    let before = index.clone();
    index.remove(&PolicyKey::new("default", "all"));
    assert_eq!(denied_by(&before, &query("a", 80)).as_deref(), Some("all"));
    assert_eq!(denied_by(&index, &query("a", 80)), None);
}

#[test]
fn a_policy_moves_when_its_scope_changes() {
    let mut index = PolicyIndex::default();
    let all = || vec![Rule::default()];
    index.insert(policy("all", Scope::Namespace, all()));
    assert!(denied_by(&index, &query("a", 80)).is_some());
    index.insert(policy("all", Scope::WorkloadSelector, all()));
    assert_eq!(denied_by(&index, &query("a", 80)), None, "nobody lists it");
    index.insert(policy("all", Scope::Global, all()));
    assert!(denied_by(&index, &query("a", 80)).is_some());
    index.remove(&PolicyKey::new("default", "all"));
    assert!(
        !index
            .applicable(&workload())
            .exists(Mode::Enforced, Action::Deny)
    );
    assert!(index.is_empty());
}

#[test]
fn only_a_change_counts_as_one() {
    let mut index = PolicyIndex::default();
    index.insert(policy("all", Scope::Global, vec![Rule::default()]));
    let generation = index.generation();
    index.insert(policy("all", Scope::Global, vec![Rule::default()]));
    index.remove(&PolicyKey::new("default", "another"));
    assert_eq!(index.generation(), generation);
    index.insert(policy("all", Scope::Global, vec![]));
    assert!(index.generation() > generation);
    assert_eq!(index.len(), 1);
}

#[test]
fn the_smallest_name_is_found_wherever_its_rule_stands() {
    // Each policy is found by another condition, one by none at all.
    let by_port = Match {
        destination_ports: vec![80],
        ..Match::default()
    };
    let by_name = Match {
        principals: vec![StringMatch::Suffix("sa/a".into())],
        ..Match::default()
    };
    let by_source = Match {
        source_ips: vec!["10.0.0.0/8".parse().unwrap()],
        ..Match::default()
    };
    let by_nothing = Match {
        not_destination_ports: vec![81],
        ..Match::default()
    };
    let all = [by_port, by_name, by_source, by_nothing];
    for turn in 0..all.len() {
        let mut index = PolicyIndex::default();
        for (place, one) in all.iter().enumerate() {
            let name = ((place + turn) % all.len()).to_string();
            index.insert(policy(&name, Scope::Global, vec![rule(one.clone())]));
        }
        for name in ["0", "1", "2", "3"] {
            assert_eq!(
                denied_by(&index, &query("a", 80)).as_deref(),
                Some(name),
                "turn {turn}"
            );
            index.remove(&PolicyKey::new("default", name));
        }
        assert_eq!(denied_by(&index, &query("a", 80)), None);
    }
}

#[test]
fn what_excludes_many_policies_is_asked_once() {
    // All of them exclude the gateway, each excludes somebody of its own besides.
    let mut index = PolicyIndex::default();
    for number in 0..1000 {
        let excluded = [
            format!("cluster.local/ns/client/sa/{number}"),
            "cluster.local/ns/client/sa/gw".into(),
        ];
        let one = Match {
            not_principals: excluded.into_iter().map(StringMatch::Exact).collect(),
            ..Match::default()
        };
        index.insert(policy(
            &format!("{number:04}"),
            Scope::Global,
            vec![rule(one)],
        ));
    }
    assert_eq!(denied_by(&index, &query("gw", 80)), None);
    assert_eq!(denied_by(&index, &query("0", 80)).as_deref(), Some("0001"));
    assert_eq!(denied_by(&index, &query("7", 80)).as_deref(), Some("0000"));
    assert!(index.global.enforced.deny.rules.groups_of_rest() <= 2);
    for number in 0..1000 {
        index.remove(&PolicyKey::new("default", format!("{number:04}")));
        assert_eq!(denied_by(&index, &query("gw", 80)), None);
        let next = (number < 999).then(|| format!("{:04}", number + 1));
        assert_eq!(denied_by(&index, &query("0", 80)), next);
    }
}

#[test]
fn a_long_list_means_what_a_short_one_means() {
    let names = |count: usize| {
        (0..count).map(|number| StringMatch::Exact(format!("cluster.local/ns/client/sa/{number}")))
    };
    for count in [1, 16, 17, 500] {
        let long = "x".repeat(1000);
        let principals = names(count).chain([StringMatch::Exact(format!(
            "cluster.local/ns/client/sa/{long}"
        ))]);
        let mut index = PolicyIndex::default();
        let one = Match {
            principals: principals.collect(),
            destination_ports: vec![80],
            ..Match::default()
        };
        index.insert(policy("p", Scope::Global, vec![rule(one)]));
        assert!(denied_by(&index, &query("0", 80)).is_some());
        assert!(denied_by(&index, &query(&(count - 1).to_string(), 80)).is_some());
        assert!(denied_by(&index, &query(&long, 80)).is_some());
        assert!(denied_by(&index, &query(&long[1..], 80)).is_none());
        assert!(denied_by(&index, &query(&count.to_string(), 80)).is_none());
        assert!(denied_by(&index, &query("0", 81)).is_none());
    }
}
