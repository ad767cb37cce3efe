//! Manifests in, policies out.

use super::*;
use crate::{
    objects::{Condition, Object as Any, Operation, Source, TargetRef},
    read::{Content, document},
};

/// Reads the one object of a manifest: it, or why it is refused, and what is warned of.
pub(crate) fn read(text: &str) -> (Result<Any, String>, Vec<String>) {
    let parts: Vec<_> = yaml::parts(text).collect();
    let [part] = <[_; 1]>::try_from(parts).expect("one document");
    let items = document("f.yaml", &part).expect("YAML");
    let [item] = <[_; 1]>::try_from(items).expect("one object");
    let warnings = item.warnings.into_iter().map(|it| it.text).collect();
    let read = match item.content {
        Content::Good(object) => Ok(object),
        Content::Refused(finding) => Err(finding.text),
        Content::Ignored => Err("ignored".to_owned()),
    };
    (read, warnings)
}

/// `spec`, one line each, below the head of a policy.
fn policy(spec: &str) -> (Result<AuthorizationPolicy, String>, Vec<String>) {
    let head = "apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\n\
                metadata: {name: p, namespace: shop}\n";
    let (read, warnings) = read(&format!("{head}{spec}"));
    let read = read.map(|it| {
        let Any::AuthorizationPolicy(it) = it else {
            panic!("{it:?}")
        };
        (*it).clone()
    });
    (read, warnings)
}

fn good(spec: &str) -> AuthorizationPolicy {
    let (read, warnings) = policy(spec);
    assert_eq!(warnings, [""; 0]);
    read.expect("a policy")
}

#[track_caller]
fn refused(spec: &str, expected: &str) {
    let (read, _) = policy(spec);
    let error = read.expect_err("it is refused");
    let error = error
        .strip_prefix("f.yaml:")
        .expect("the file")
        .replace("AuthorizationPolicy shop/p: ", "");
    assert!(error.starts_with(expected), "{error}");
}

#[track_caller]
fn warned(spec: &str, expected: &str) {
    let (read, warnings) = policy(spec);
    assert!(read.is_ok(), "{read:?}");
    assert!(
        warnings.iter().any(|it| it.contains(expected)),
        "{warnings:?}"
    );
}

fn list(values: &[&str]) -> Vec<String> {
    values.iter().map(|value| (*value).to_owned()).collect()
}

#[test]
fn every_field_is_read() {
    let policy = good(
        r#"
spec:
  selector: {matchLabels: {app: web}}
  action: DENY
  rules:
  - from:
    - source:
        principals: ["*/sa/x"]
        notPrincipals: ["spiffe://td/ns/a/sa/b"]
        requestPrincipals: ["iss/sub"]
        notRequestPrincipals: ["*"]
        namespaces: [a, "b*"]
        notNamespaces: ["*c"]
        ipBlocks: [10.0.0.1/8]
        notIpBlocks: [10.0.0.1]
        remoteIpBlocks: ["fd00::/64"]
        notRemoteIpBlocks: [1.2.3.4]
        trustDomains: [td, "*.corp", "x*", "*"]
        notTrustDomains: [other]
    - source:
        serviceAccounts: [web, bank/teller]
        notServiceAccounts: [old]
    to:
    - operation:
        hosts: [h]
        notHosts: [i]
        ports: ["80", 443]
        notPorts: ["81"]
        methods: [GET]
        notMethods: [PUT]
        paths: ["/a/{*}/{**}"]
        notPaths: ["/b/*"]
    when:
    - {key: "request.headers[x]", values: [y], notValues: [z]}
    - {key: source.ip, values: [10.1.2.3/16]}
    - {key: destination.port, notValues: ["80"]}
"#,
    );
    let range = |text: &str| text.parse::<ipnet::IpNet>().expect("a range");
    let condition = |key: &str, values: &[&str], not_values: &[&str]| Condition {
        key: key.to_owned(),
        values: list(values),
        not_values: list(not_values),
    };
    let rule = PolicyRule {
        from: vec![
            Source {
                principals: list(&["*/sa/x"]),
                not_principals: list(&["spiffe://td/ns/a/sa/b"]),
                request_principals: list(&["iss/sub"]),
                not_request_principals: list(&["*"]),
                namespaces: list(&["a", "b*"]),
                not_namespaces: list(&["*c"]),
                ip_blocks: vec![range("10.0.0.0/8")],
                not_ip_blocks: vec![range("10.0.0.1/32")],
                remote_ip_blocks: vec![range("fd00::/64")],
                not_remote_ip_blocks: vec![range("1.2.3.4/32")],
                trust_domains: list(&["td", "*.corp", "x*", "*"]),
                not_trust_domains: list(&["other"]),
                ..Source::default()
            },
            Source {
                service_accounts: list(&["web", "bank/teller"]),
                not_service_accounts: list(&["old"]),
                ..Source::default()
            },
        ],
        to: vec![Operation {
            hosts: list(&["h"]),
            not_hosts: list(&["i"]),
            ports: vec![80, 443],
            not_ports: vec![81],
            methods: list(&["GET"]),
            not_methods: list(&["PUT"]),
            paths: list(&["/a/{*}/{**}"]),
            not_paths: list(&["/b/*"]),
        }],
        when: vec![
            condition("request.headers[x]", &["y"], &["z"]),
            condition("source.ip", &["10.1.0.0/16"], &[]),
            condition("destination.port", &[], &["80"]),
        ],
    };
    assert_eq!(policy.action, Action::Deny);
    assert_eq!(policy.rules, [rule]);
    assert_eq!(
        policy.selector.map(|it| Vec::from_iter(it.0)),
        Some(vec![("app".to_owned(), "web".to_owned())])
    );
}

#[test]
fn nothing_and_an_empty_rule_are_not_the_same() {
    for spec in [
        "",
        "spec:",
        "spec: {}",
        "spec: {rules: []}",
        "spec: {action: ALLOW}",
    ] {
        let policy = good(spec);
        assert_eq!(
            (policy.action, policy.rules),
            (Action::Allow, vec![]),
            "{spec}"
        );
    }
    assert_eq!(good("spec: {rules: [{}]}").rules, [PolicyRule::default()]);
}

#[test]
fn targets_are_read_in_both_forms() {
    let target = |group: &str, kind: &str, name: &str| TargetRef {
        group: group.to_owned(),
        kind: kind.to_owned(),
        name: name.to_owned(),
    };
    let policy = good(
        "spec: {targetRefs: [{kind: Service, group: core, name: a}, {kind: Gateway, group: gateway.networking.k8s.io, name: b}]}",
    );
    assert_eq!(
        policy.targets,
        [
            target("", "Service", "a"),
            target("gateway.networking.k8s.io", "Gateway", "b")
        ]
    );
    let policy =
        good("spec: {targetRef: {kind: ServiceEntry, group: networking.istio.io, name: a}}");
    assert_eq!(
        policy.targets,
        [target("networking.istio.io", "ServiceEntry", "a")]
    );
}

#[test]
fn what_targets_cannot_be_is_refused() {
    refused(
        "spec:\n  selector: {matchLabels: {a: b}}\n  targetRefs: [{kind: Service, name: a}]",
        "5:13: spec.selector: found a mapping of 1, expected either this or targetRefs",
    );
    refused(
        "spec:\n  targetRef: {kind: Service, name: a}\n  targetRefs: [{kind: Service, name: a}]",
        "5:14: spec.targetRef: found",
    );
    refused(
        "spec: {targetRefs: [{kind: Pod, name: a}]}",
        "4:28: spec.targetRefs[0].kind: found \"Pod\", expected Service",
    );
    refused(
        "spec: {targetRefs: [{kind: Gateway, name: a}]}",
        "4:28: spec.targetRefs[0].kind: found \"Gateway\"",
    );
    refused(
        "spec: {targetRefs: [{kind: Service}]}",
        "4:21: spec.targetRefs[0].name: missing",
    );
    refused(
        "spec: {targetRefs: [{kind: Service, name: a, namespace: b}]}",
        "4:57: spec.targetRefs[0].namespace: found \"b\", expected none",
    );
}

#[test]
fn a_provider_belongs_to_custom_and_custom_to_a_provider() {
    let policy = good("spec: {action: CUSTOM, provider: {name: ext}, rules: [{}]}");
    assert_eq!((policy.action, &*policy.provider), (Action::Custom, "ext"));
    refused(
        "spec: {action: CUSTOM, rules: [{}]}",
        "4:7: spec.provider: missing",
    );
    refused(
        "spec: {action: CUSTOM, provider: {name: ''}, rules: [{}]}",
        "4:41: spec.provider.name: found \"\"",
    );
    refused(
        "spec: {provider: {name: ext}, rules: [{}]}",
        "4:18: spec.provider: found",
    );
    for source in [
        "namespaces",
        "notNamespaces",
        "principals",
        "serviceAccounts",
    ] {
        refused(
            &format!(
                "spec: {{action: CUSTOM, provider: {{name: ext}}, rules: [{{from: [{{source: {{{source}: [a]}}}}]}}]}}"
            ),
            &format!(
                "4:{}: spec.rules[0].from[0].source.{source}: found",
                75 + source.len()
            ),
        );
    }
    refused(
        "spec: {action: CUSTOM, provider: {name: ext}, rules: [{when: [{key: source.principal, values: [a]}]}]}",
        "4:69: spec.rules[0].when[0].key: found",
    );
}

#[test]
fn an_action_that_never_comes_about_is_refused() {
    refused("spec: {action: DENY}", "4:7: spec.rules: missing");
    refused(
        "spec: {action: DENY, rules: null}",
        "4:7: spec.rules: missing",
    );
    refused(
        "spec: {action: CUSTOM, provider: {name: ext}}",
        "4:7: spec.rules: missing",
    );
    warned(
        "spec: {action: DENY, rules: []}",
        "without a rule this policy has no effect",
    );
    refused(
        "spec: {action: Deny, rules: [{}]}",
        "4:16: spec.action: found \"Deny\"",
    );
}

#[test]
fn lists_that_could_mean_everything_or_nothing_are_refused() {
    let rule = |rule: &str| format!("spec: {{rules: [{rule}]}}");
    refused(&rule("null"), "4:16: spec.rules[0]: found nothing");
    refused(
        &rule("{from: []}"),
        "4:23: spec.rules[0].from: found a list of 0",
    );
    refused(
        &rule("{to: []}"),
        "4:21: spec.rules[0].to: found a list of 0",
    );
    refused(
        &rule("{from: [{}]}"),
        "4:24: spec.rules[0].from[0].source: missing",
    );
    refused(
        &rule("{to: [{}]}"),
        "4:22: spec.rules[0].to[0].operation: missing",
    );
    refused(
        &rule("{from: [{source: {}}]}"),
        "4:33: spec.rules[0].from[0].source: found a mapping of 0",
    );
    refused(
        &rule("{from: [{source: {principals: []}}]}"),
        "4:33: spec.rules[0].from[0].source: found a mapping of 1",
    );
    refused(
        &rule("{to: [{operation: {ports: []}}]}"),
        "4:34: spec.rules[0].to[0].operation: found a mapping of 1",
    );
    refused(
        &rule("{when: [{key: source.ip}]}"),
        "4:24: spec.rules[0].when[0].values: missing",
    );
}

#[test]
fn a_misspelt_field_does_not_open_a_rule() {
    // Without them the rules would say: everybody.
    let rule = |rule: &str| format!("spec: {{rules: [{rule}]}}");
    refused(
        &rule("{form: [{source: {principals: [a]}}]}"),
        "4:17: spec.rules[0].form: unknown field, expected one of from, to, when",
    );
    refused(
        &rule("{from: [{source: {namespaces: [a], princpals: [b]}}]}"),
        "4:51: spec.rules[0].from[0].source.princpals: unknown field (did you mean principals?)",
    );
    refused(
        &rule("{from: [{source: {namespaces: [a]}}], to: [{operation: {prts: [80]}}]}"),
        "4:72: spec.rules[0].to[0].operation.prts: unknown field (did you mean ports?)",
    );
    refused(
        &rule("{when: [{key: source.ip, values: [10.0.0.1], notvalues: [10.0.0.2]}]}"),
        "4:61: spec.rules[0].when[0].notvalues: unknown field (did you mean notValues?)",
    );
}

#[test]
fn values_are_checked_where_they_stand() {
    for (field, value) in [
        ("principals", "''"),
        ("principals", "'spiffe://'"),
        ("namespaces", "''"),
        ("requestPrincipals", "''"),
        ("ipBlocks", "10.0.0.0/33"),
        ("ipBlocks", "host"),
        ("notRemoteIpBlocks", "'::ffff:10.0.0.1'"),
        ("serviceAccounts", "a/b/c"),
        ("serviceAccounts", "'*'"),
        ("notServiceAccounts", "'a*'"),
        ("serviceAccounts", "/a"),
        ("trustDomains", "td/ns"),
        ("trustDomains", "'a*b'"),
        ("notTrustDomains", "Td"),
        ("trustDomains", "'**'"),
    ] {
        refused(
            &format!("spec: {{rules: [{{from: [{{source: {{{field}: [{value}]}}}}]}}]}}"),
            &format!(
                "4:{}: spec.rules[0].from[0].source.{field}[0]: found",
                37 + field.len()
            ),
        );
    }
    for (field, value) in [
        ("ports", "'65536'"),
        ("ports", "'080'"),
        ("notPorts", "http"),
        ("methods", "''"),
        ("hosts", "''"),
        ("paths", "'/{*}/{x}'"),
        ("notPaths", "'/{**}/*'"),
    ] {
        refused(
            &format!("spec: {{rules: [{{to: [{{operation: {{{field}: [{value}]}}}}]}}]}}"),
            &format!(
                "4:{}: spec.rules[0].to[0].operation.{field}[0]: found",
                38 + field.len()
            ),
        );
    }
}

#[test]
fn accounts_go_with_neither_principals_nor_namespaces() {
    for field in ["principals", "notPrincipals", "namespaces", "notNamespaces"] {
        for accounts in ["serviceAccounts", "notServiceAccounts"] {
            refused(
                &format!(
                    "spec: {{rules: [{{from: [{{source: {{{accounts}: [x], {field}: [a]}}}}]}}]}}"
                ),
                &format!(
                    "4:{}: spec.rules[0].from[0].source.{accounts}: found a list of 1, expected either",
                    36 + accounts.len()
                ),
            );
        }
    }
    good(
        "spec: {rules: [{from: [{source: {serviceAccounts: [x], trustDomains: [td], ipBlocks: [10.0.0.1]}}]}]}",
    );
}

#[test]
fn keys_of_conditions_are_those_of_istio() {
    let spec = |key: &str, value: &str| {
        format!("spec: {{rules: [{{when: [{{key: '{key}', values: ['{value}']}}]}}]}}")
    };
    for (key, value) in [
        ("request.headers[User-Agent]", "x*"),
        ("source.ip", "10.0.0.0/8"),
        ("remote.ip", "fd00::1"),
        ("source.namespace", "a*"),
        ("source.principal", "td/ns/a/sa/b"),
        ("source.serviceAccount", "a/b"),
        ("source.trustDomain", "td"),
        ("request.auth.principal", "iss/sub"),
        ("request.auth.audiences", "x"),
        ("request.auth.presenter", "x"),
        ("request.auth.claims[a][b]", "x"),
        ("destination.ip", "10.0.0.1"),
        ("destination.port", "80"),
        ("connection.sni", "h"),
        ("experimental.envoy.filters.network.mysql_proxy[t.u]", "x"),
    ] {
        let policy = good(&spec(key, value));
        assert_eq!(policy.rules[0].when[0].key, key);
    }
    for key in [
        "request.headers",
        "request.headers[]",
        "request.headersx[a]",
        "request.auth.claims",
        "destination.namespace",
        "destination.labels[a]",
        "destination.user",
        "Source.Ip",
        "experimental.envoy.filters.[a]",
        "",
    ] {
        refused(&spec(key, "x"), "4:30: spec.rules[0].when[0].key: found");
    }
    for (key, value) in [
        ("source.ip", "x"),
        ("destination.ip", ""),
        ("destination.port", "x"),
        ("source.serviceAccount", "*"),
        ("source.trustDomain", "a/b"),
        ("source.namespace", ""),
        ("request.headers[x]", ""),
    ] {
        let (read, _) = policy(&spec(key, value));
        assert!(
            read.is_err_and(|it| it.contains("spec.rules[0].when[0].values[0]: found")),
            "{key} {value}"
        );
    }
}

#[test]
fn a_wildcard_inside_stands_for_itself() {
    let source = |value: &str| {
        format!("spec: {{rules: [{{from: [{{source: {{principals: ['{value}']}}}}]}}]}}")
    };
    for value in ["td/ns/*/sa/x", "*x*", "**"] {
        warned(
            &source(value),
            "* is a wildcard at the beginning or at the end only",
        );
    }
    for value in ["*", "*x", "x*"] {
        good(&source(value));
    }
}

#[test]
fn unknown_fields_outside_of_rules_are_warned_of_by_path() {
    warned(
        "spec: {rule: [{}]}",
        "spec.rule: unknown field, ignored (did you mean rules?)",
    );
}
