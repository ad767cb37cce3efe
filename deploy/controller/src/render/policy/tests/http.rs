//! L4P-03: attributes that a node proxy cannot see.

use super::*;

fn principals(values: &[&str]) -> Source {
    Source {
        principals: list(values),
        ..Source::default()
    }
}

fn requester() -> Source {
    Source {
        request_principals: list(&["*"]),
        ..Source::default()
    }
}

fn get() -> Operation {
    Operation {
        methods: list(&["GET"]),
        ..Operation::default()
    }
}

fn port(port: u16) -> Operation {
    Operation {
        ports: vec![port],
        ..Operation::default()
    }
}

/// One rule as DENY and as ALLOW: what is left of it, and the rules of which something is not enforced at all.
fn check(rule: PolicyRule, denies: &[&str], idle: bool) {
    let (resource, condition) = render(&policy(Action::Deny, vec![rule.clone()]), &MESH);
    assert_eq!(lines(&resource), denies);
    assert_eq!(condition.status, !denies.is_empty(), "{condition:?}");
    assert_eq!(condition.reason, "UnsupportedValue");
    assert_eq!(
        condition.message.contains("(rules[0])"),
        idle,
        "{condition:?}"
    );

    let (resource, condition) = render(&policy(Action::Allow, vec![rule]), &MESH);
    assert_eq!(lines(&resource), [""; 0], "an ALLOW rule is left out");
    assert!(condition.status, "{condition:?}");
    assert_eq!(condition.reason, "UnsupportedValue");
}

#[test]
fn messages_are_those_of_istio() {
    let rules = || {
        let to = Operation {
            hosts: list(&["h"]),
            not_paths: list(&["/p"]),
            ports: vec![80],
            ..Operation::default()
        };
        vec![rule(
            vec![requester()],
            vec![to],
            vec![when("request.headers[x]", &["y"], &[])],
        )]
    };
    let message = |action| render(&policy(action, rules()), &MESH).1.message;
    assert_eq!(
        message(Action::Allow),
        "ztunnel does not support HTTP attributes (found: hosts, notPaths, request.headers[x], requestPrincipals). \
         In ambient mode you must use a waypoint proxy to enforce HTTP rules. Within an ALLOW policy, rules matching \
         HTTP attributes are omitted. This will be more restrictive than requested."
    );
    assert_eq!(
        message(Action::Deny),
        "ztunnel does not support HTTP attributes (found: hosts, notPaths, request.headers[x], requestPrincipals). \
         In ambient mode you must use a waypoint proxy to enforce HTTP rules. DENY policy with HTTP attributes is \
         enforced without the HTTP rules. This will be more restrictive than requested."
    );
}

#[test]
fn every_attribute_of_http_is_found() {
    let one = || list(&["x"]);
    let range = || vec!["10.0.0.0/8".parse().expect("a range")];
    let source = Source {
        request_principals: one(),
        not_request_principals: one(),
        remote_ip_blocks: range(),
        not_remote_ip_blocks: range(),
        ..Source::default()
    };
    let operation = Operation {
        hosts: one(),
        not_hosts: one(),
        methods: one(),
        not_methods: one(),
        paths: one(),
        not_paths: one(),
        ..Operation::default()
    };
    let conditions = [
        "connection.sni",
        "remote.ip",
        "request.auth.claims[iss]",
        "experimental.envoy.filters.x[y]",
    ];
    let conditions = conditions.map(|key| when(key, &["10.0.0.1"], &[]));
    let all = rule(vec![source], vec![operation], conditions.to_vec());
    let (_, condition) = render(&policy(Action::Deny, vec![all]), &MESH);
    assert!(
        condition.message.contains(
            "(found: connection.sni, experimental.envoy.filters.x[y], hosts, methods, notHosts, notMethods, notPaths, \
             notRemoteIpBlocks, notRequestPrincipals, paths, remote.ip, remoteIpBlocks, request.auth.claims[iss], \
             requestPrincipals)"
        ),
        "{condition:?}"
    );
}

#[test]
fn a_source_is_denied_whatever_it_asks_for() {
    check(
        rule(vec![principals(&["a/ns/b/sa/c"])], vec![get()], vec![]),
        &["(principal=a/ns/b/sa/c)"],
        false,
    );
}

#[test]
fn a_port_is_denied_whatever_is_asked_for_there() {
    let to = Operation {
        ports: vec![80],
        ..get()
    };
    check(rule(vec![], vec![to], vec![]), &["(port=80)"], false);
}

#[test]
fn a_source_keeps_what_the_connection_shows_of_it() {
    let source = Source {
        principals: list(&["a/ns/b/sa/c"]),
        ..requester()
    };
    check(
        rule(vec![source], vec![], vec![]),
        &["(principal=a/ns/b/sa/c)"],
        false,
    );
}

#[test]
fn nothing_left_has_no_effect() {
    check(rule(vec![], vec![get()], vec![]), &[], true);
    check(rule(vec![requester()], vec![], vec![]), &[], true);
    check(rule(vec![requester()], vec![get()], vec![]), &[], true);
    check(
        rule(
            vec![],
            vec![],
            vec![when("request.headers[x]", &["y"], &[])],
        ),
        &[],
        true,
    );
}

#[test]
fn one_operation_of_several_with_nothing_left_does_not_take_the_others_along() {
    check(
        rule(vec![], vec![get(), port(80)], vec![]),
        &["(port=80)"],
        true,
    );
}

#[test]
fn a_source_is_denied_at_every_port_where_one_operation_names_none() {
    // The first operation, for this source, may be at any port; so the second adds nothing.
    check(
        rule(
            vec![principals(&["a/ns/b/sa/c"])],
            vec![get(), port(80)],
            vec![],
        ),
        &["(principal=a/ns/b/sa/c)"],
        false,
    );
}

#[test]
fn sources_and_operations_with_nothing_left_leave_the_others_each_for_itself() {
    check(
        rule(
            vec![principals(&["a/ns/b/sa/c"]), requester()],
            vec![get(), port(80)],
            vec![],
        ),
        &["(port=80)", "(principal=a/ns/b/sa/c)"],
        true,
    );
}

#[test]
fn a_condition_of_the_connection_is_enough_to_be_enforced() {
    check(
        rule(
            vec![requester(), principals(&["a/ns/b/sa/c"])],
            vec![get()],
            vec![when("source.ip", &["10.0.0.1"], &[])],
        ),
        &["(source=10.0.0.1/32)"],
        false,
    );
}

#[test]
fn an_allow_policy_that_lost_all_rules_still_denies() {
    let rules = vec![rule(vec![], vec![get()], vec![])];
    let (resource, _) = render(&policy(Action::Allow, rules), &MESH);
    assert_eq!(resource.rules, []);
}

#[test]
fn rules_without_http_stay_beside_those_with_it() {
    let rules = vec![
        rule(vec![], vec![get()], vec![]),
        rule(vec![], vec![port(80)], vec![]),
    ];
    for action in [Action::Allow, Action::Deny] {
        let (resource, condition) = render(&policy(action, rules.clone()), &MESH);
        assert_eq!(lines(&resource), ["(port=80)"]);
        assert!(condition.status);
    }
}
