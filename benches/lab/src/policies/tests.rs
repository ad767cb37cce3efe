//! As many as asked for, each with a name of its own, one for the client.

use std::collections::BTreeSet;

use super::{KINDS, mixture};

#[test]
fn there_are_as_many_as_asked_for_and_no_two_are_alike() {
    assert!(mixture(0).is_empty());
    for count in [1, 100, 1000] {
        let policies = mixture(count);
        let names: BTreeSet<_> = policies.iter().map(|it| it["name"].to_string()).collect();
        let rules: BTreeSet<_> = policies.iter().map(|it| it["rules"].to_string()).collect();
        assert_eq!((names.len(), rules.len()), (count, count));
    }
}

#[test]
fn the_client_is_named_in_the_last_one_only() {
    let policies = mixture(100);
    let named: Vec<usize> = (0..policies.len())
        .filter(|at| policies[*at].to_string().contains("ns/default/sa/client"))
        .collect();
    assert_eq!(named, [99]);
    assert_eq!(policies[99]["action"], "Allow");
}

#[test]
fn every_kind_is_in_a_hundred_and_both_actions() {
    let policies = mixture(100);
    assert!(policies.len() > KINDS);
    let count = |action: &str| policies.iter().filter(|it| it["action"] == action).count();
    assert!(count("Allow") > 30 && count("Deny") > 30);
}
