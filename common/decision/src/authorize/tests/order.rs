//! L4P-01 and L4P-07: which policies apply, what wins, and what only would have.

use mesh::{
    Authorization, PolicyKey, Workload,
    authorization::{Action, Match, Rule, Scope},
};

use super::{
    super::{Denial, DryRun, Outcome, Verdict},
    Peer, client, policy, rule, verdict, workload,
};

fn everyone() -> Vec<Rule> {
    vec![Rule::default()]
}

fn nobody_here() -> Vec<Rule> {
    vec![rule(vec![Match {
        destination_ports: vec![1],
        ..Match::default()
    }])]
}

fn key(name: &str) -> PolicyKey {
    PolicyKey::new("default", name)
}

fn enforced(policies: &[Authorization]) -> Outcome {
    verdict(policies, &client()).enforced
}

#[test]
fn without_policies_everything_is_allowed() {
    assert_eq!(
        verdict(&[], &client()),
        Verdict {
            enforced: Outcome::Allow { by: None },
            dry_run: None
        }
    );
}

#[test]
fn a_deny_policy_wins_over_an_allow_policy() {
    let policies = [
        policy("a", Action::Allow, everyone()),
        policy("b", Action::Deny, everyone()),
    ];
    assert_eq!(
        enforced(&policies),
        Outcome::Deny(Denial::Explicit(key("b")))
    );
}

#[test]
fn without_an_allow_policy_what_is_not_denied_is_allowed() {
    assert_eq!(
        enforced(&[policy("a", Action::Deny, nobody_here())]),
        Outcome::Allow { by: None }
    );
}

#[test]
fn with_an_allow_policy_what_is_not_allowed_is_denied() {
    let policies = [
        policy("a", Action::Allow, nobody_here()),
        policy("b", Action::Deny, nobody_here()),
    ];
    assert_eq!(enforced(&policies), Outcome::Deny(Denial::NotAllowed));
    let policies = [
        policy("a", Action::Allow, nobody_here()),
        policy("b", Action::Allow, everyone()),
    ];
    assert_eq!(enforced(&policies), Outcome::Allow { by: Some(key("b")) });
}

#[test]
fn of_several_that_match_the_smallest_key_is_named() {
    let names = ["c", "a", "b"];
    let policies = names.map(|name| policy(name, Action::Deny, everyone()));
    assert_eq!(
        enforced(&policies),
        Outcome::Deny(Denial::Explicit(key("a")))
    );
    let policies = names.map(|name| policy(name, Action::Allow, everyone()));
    assert_eq!(enforced(&policies), Outcome::Allow { by: Some(key("a")) });
}

#[test]
fn a_namespace_policy_applies_to_the_destinations_of_its_namespace_only() {
    let elsewhere = Authorization {
        key: PolicyKey::new("client", "p"),
        ..policy("p", Action::Deny, everyone())
    };
    assert_eq!(enforced(&[elsewhere]), Outcome::Allow { by: None });
}

#[test]
fn a_global_policy_applies_whatever_its_namespace() {
    let root = PolicyKey::new("istio-system", "p");
    let global = Authorization {
        key: root.clone(),
        scope: Scope::Global,
        ..policy("p", Action::Deny, everyone())
    };
    assert_eq!(enforced(&[global]), Outcome::Deny(Denial::Explicit(root)));
}

#[test]
fn a_selector_policy_applies_to_the_workloads_that_list_it_only() {
    let selector = Authorization {
        scope: Scope::WorkloadSelector,
        ..policy("p", Action::Deny, everyone())
    };
    assert_eq!(
        enforced(std::slice::from_ref(&selector)),
        Outcome::Allow { by: None }
    );
    let listing = |name: &str| Peer {
        workload: Workload {
            authorization_policies: vec![key(name)],
            ..workload()
        },
        ..client()
    };
    let policies = [selector];
    assert_eq!(
        verdict(&policies, &listing("p")).enforced,
        Outcome::Deny(Denial::Explicit(key("p")))
    );
    // Not known yet: as if it were not listed.
    assert_eq!(
        verdict(&policies, &listing("unknown")).enforced,
        Outcome::Allow { by: None }
    );
}

#[test]
fn a_listed_policy_of_another_scope_applies_by_its_scope_alone() {
    let other = PolicyKey::new("client", "p");
    let elsewhere = Authorization {
        key: other.clone(),
        ..policy("p", Action::Deny, everyone())
    };
    let listing = Peer {
        workload: Workload {
            authorization_policies: vec![other],
            ..workload()
        },
        ..client()
    };
    assert_eq!(
        verdict(&[elsewhere], &listing).enforced,
        Outcome::Allow { by: None }
    );
}

#[test]
fn a_dry_run_denial_is_reported_and_not_enforced() {
    let dry = Authorization {
        dry_run: true,
        ..policy("p", Action::Deny, everyone())
    };
    let expected = Verdict {
        enforced: Outcome::Allow { by: None },
        dry_run: Some(Box::new(DryRun {
            denied_by: Some(key("p")),
            allowed_by: None,
            outcome: Outcome::Deny(Denial::Explicit(key("p"))),
        })),
    };
    assert_eq!(verdict(&[dry], &client()), expected);
}

#[test]
fn a_dry_run_allow_policy_neither_allows_nor_makes_allowing_necessary() {
    let dry = |rules| Authorization {
        dry_run: true,
        ..policy("p", Action::Allow, rules)
    };
    let found = verdict(&[dry(nobody_here())], &client());
    assert_eq!(found.enforced, Outcome::Allow { by: None });
    assert_eq!(
        found.dry_run.unwrap().outcome,
        Outcome::Deny(Denial::NotAllowed)
    );

    let found = verdict(
        &[dry(everyone()), policy("q", Action::Allow, nobody_here())],
        &client(),
    );
    assert_eq!(found.enforced, Outcome::Deny(Denial::NotAllowed));
    assert_eq!(
        found.dry_run.unwrap().outcome,
        Outcome::Allow { by: Some(key("p")) }
    );
}

#[test]
fn denials_are_worded_as_tools_expect_them() {
    assert_eq!(
        Denial::Explicit(key("p")).to_string(),
        "explicitly denied by: default/p"
    );
    assert_eq!(
        Denial::NotAllowed.to_string(),
        "allow policies exist, but none allowed"
    );
}
