//! The shapes of policies without attributes of HTTP.

use wire::proto::security;

use super::*;
use crate::{
    objects::TargetRef,
    render::policy::{Selection, selection},
};

fn check(rules: Vec<PolicyRule>, expected: &[&str]) {
    for action in [Action::Allow, Action::Deny] {
        let (resource, condition) = render(&policy(action, rules.clone()), &MESH);
        assert_eq!(lines(&resource), expected, "{action:?}");
        assert!(condition.status, "{condition:?}");
        assert_eq!(condition.reason, "Accepted");
        assert_eq!(condition.message, "attached to ztunnel");
    }
}

#[test]
fn a_policy_without_rules_has_none() {
    check(vec![], &[]);
}

#[test]
fn an_empty_rule_has_no_clauses() {
    check(vec![PolicyRule::default()], &[""]);
}

#[test]
fn every_field_of_a_source_lands_in_one_match() {
    let range = |text: &str| text.parse().expect("a range");
    let source = Source {
        principals: list(&["cluster.local/ns/a/sa/x", "spiffe://cluster.local/ns/b/*"]),
        not_principals: list(&["*/sa/evil"]),
        namespaces: list(&["a", "b*", "*c", "*"]),
        not_namespaces: list(&["d"]),
        ip_blocks: vec![range("10.1.2.3/8"), range("fd00::/64")],
        not_ip_blocks: vec![range("10.0.0.1/32")],
        not_trust_domains: list(&["other"]),
        ..Source::default()
    };
    check(
        vec![rule(vec![source], vec![], vec![])],
        &[
            "(principal=cluster.local/ns/a/sa/x|cluster.local/ns/b/* and !principal=*/sa/evil|other/* and \
           namespace=a|b*|*c|* and !namespace=d and source=10.0.0.0/8|fd00::/64 and !source=10.0.0.1/32)",
        ],
    );
}

#[test]
fn an_account_without_namespace_is_one_of_the_policys_namespace() {
    let source = Source {
        service_accounts: list(&["web", "bank/teller"]),
        not_service_accounts: list(&["old"]),
        ..Source::default()
    };
    check(
        vec![rule(vec![source], vec![], vec![])],
        &["(account=shop/web|bank/teller and !account=shop/old)"],
    );
}

#[test]
fn sources_are_matches_and_conditions_are_clauses() {
    let namespace = |name: &str| Source {
        namespaces: list(&[name]),
        ..Source::default()
    };
    let to = Operation {
        ports: vec![80, 443],
        not_ports: vec![8080],
        ..Operation::default()
    };
    let when = vec![
        when("source.ip", &["10.0.0.1", "10.1.0.0/16"], &["10.1.1.0/24"]),
        when("source.namespace", &["n"], &["m*"]),
        when("source.principal", &["*"], &["td/ns/x/sa/y"]),
        when("source.serviceAccount", &["web"], &["bank/teller"]),
        when("source.trustDomain", &["td", "cl*"], &["other"]),
        when("destination.ip", &["fd00::1"], &["10.0.0.0/8"]),
        when("destination.port", &["80"], &["81", "82"]),
    ];
    check(
        vec![rule(vec![namespace("a"), namespace("b")], vec![to], when)],
        &[
            "(port=80|443 and !port=8080) AND (namespace=a OR namespace=b) AND \
           (source=10.0.0.1/32|10.1.0.0/16 and !source=10.1.1.0/24) AND (namespace=n and !namespace=m*) AND \
           (principal=* and !principal=td/ns/x/sa/y) AND (account=shop/web and !account=bank/teller) AND \
           (principal=td/*|cl* and !principal=other/*) AND (destination=fd00::1/128 and !destination=10.0.0.0/8) \
           AND (port=80 and !port=81|82)",
        ],
    );
}

#[test]
fn scope_follows_selector_and_root_namespace() {
    let some = selector(&[("app", "web")]);
    let cases = [
        ("shop", None, Scope::Namespace, Selection::Namespace),
        (
            "shop",
            Some(selector(&[])),
            Scope::Namespace,
            Selection::Namespace,
        ),
        (
            "shop",
            Some(some.clone()),
            Scope::WorkloadSelector,
            Selection::Workloads(&some),
        ),
        ("istio-system", None, Scope::Global, Selection::Mesh),
        (
            "istio-system",
            Some(some.clone()),
            Scope::WorkloadSelector,
            Selection::WorkloadsOfMesh(&some),
        ),
    ];
    for (namespace, selector, expected, selects) in cases {
        let mut policy = policy(Action::Allow, vec![]);
        policy.meta.namespace = namespace.into();
        policy.selector = selector;
        assert_eq!(selection(&policy, "istio-system"), selects);
        let (resource, _) = render(&policy, &MESH);
        assert_eq!(scope(&resource), expected);
        assert_eq!(
            (&*resource.namespace, &*resource.name, resource.dry_run),
            (namespace, "p", false)
        );
    }
}

#[test]
fn action_and_dry_run_are_carried() {
    let mut dry = policy(Action::Deny, vec![PolicyRule::default()]);
    dry.meta
        .annotations
        .insert("istio.io/dry-run".to_owned(), "true".to_owned());
    let (resource, _) = render(&dry, &MESH);
    assert!(resource.dry_run);
    assert_eq!(resource.action(), security::Action::Deny);

    dry.meta
        .annotations
        .insert("istio.io/dry-run".to_owned(), "yes".to_owned());
    assert!(
        !render(&dry, &MESH).0.dry_run,
        "what is unclear is enforced"
    );
    assert_eq!(
        render(&policy(Action::Allow, vec![]), &MESH).0.action(),
        security::Action::Allow
    );
}

#[test]
fn a_waypoints_policy_is_not_sent_and_has_no_condition() {
    let mut policy = policy(Action::Deny, vec![PolicyRule::default()]);
    policy.targets = vec![TargetRef {
        group: String::new(),
        kind: "Service".to_owned(),
        name: "web".to_owned(),
    }];
    assert_eq!(authorization(&policy, &MESH), (None, vec![]));
    assert_eq!(selection(&policy, "istio-system"), Selection::Nothing);
}

#[test]
fn custom_and_audit_are_not_sent_and_said_so() {
    for (action, name) in [(Action::Custom, "CUSTOM"), (Action::Audit, "AUDIT")] {
        let policy = policy(action, vec![PolicyRule::default()]);
        let condition = Condition {
            kind: "ZtunnelAccepted",
            status: false,
            reason: "UnsupportedValue",
            message: format!("ztunnel does not support the {name} action"),
        };
        assert_eq!(authorization(&policy, &MESH), (None, vec![condition]));
        assert_eq!(selection(&policy, "istio-system"), Selection::Nothing);
    }
}
