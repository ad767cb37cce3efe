//! Words that are not among those that a field may hold, and text conditions that could not match.

use super::{check, check_match, check_service, check_workload, policy, workload};

#[test]
fn words_of_a_closed_set_are_validated() {
    for (written, field, said) in [
        (
            "networkMode: Host",
            "networkMode",
            "found \"Host\", expected Standard or HostNetwork",
        ),
        (
            "workloadType: statefulset",
            "workloadType",
            "expected deployment or cronjob or pod or job",
        ),
        ("status: Ready", "status", "expected Healthy or Unhealthy"),
        (
            "nativeTunnel: yes",
            "nativeTunnel",
            "found \"yes\", expected true or false",
        ),
        (
            "capacity: -1",
            "capacity",
            "expected a whole number from 0 to 4294967295",
        ),
        (
            "capacity: 1.5",
            "capacity",
            "found \"1.5\", expected a whole number",
        ),
        (
            "applicationTunnel: {protocol: HTTP}",
            "applicationTunnel.protocol",
            "expected PROXY or NONE",
        ),
        (
            "locality: eu",
            "locality",
            "found \"eu\", expected a mapping with region, zone and subzone",
        ),
        (
            "waypoint: ns/a.example",
            "waypoint",
            "expected a mapping with destination and hboneMtlsPort",
        ),
        (
            "authorizationPolicies: [p]",
            "authorizationPolicies[0]",
            "expected \"namespace/name\" of a policy",
        ),
        (
            "authorizationPolicies: default/p",
            "authorizationPolicies",
            "expected a list of \"namespace/name\"",
        ),
    ] {
        check_workload(written, field, said);
    }
    let text = format!(
        "workloads:\n{}",
        workload("a", "10.0.0.1").replace("HBONE", "HBON")
    );
    check(
        &text,
        6,
        "workloads[0].protocol",
        "found \"HBON\", expected HBONE or TCP",
    );
    for (written, field, said) in [
        ("ipFamilies: v4", "ipFamilies", "expected Automatic or IPv4"),
        ("canonical: 1", "canonical", "expected true or false"),
        (
            "visibility: Private",
            "visibility",
            "expected Public or Namespace",
        ),
        (
            "subjectAltNames: ['']",
            "subjectAltNames[0]",
            "expected a name such as spiffe://",
        ),
        (
            "loadBalancer: {mode: Random}",
            "loadBalancer.mode",
            "expected Standard or Strict or Failover or Passthrough",
        ),
        (
            "loadBalancer: {healthPolicy: All}",
            "loadBalancer.healthPolicy",
            "expected OnlyHealthy or AllowAll",
        ),
        (
            "loadBalancer: {scopes: [Rack]}",
            "loadBalancer.scopes[0]",
            "expected Region or Zone or Subzone or Node",
        ),
        (
            "loadBalancer: {scopes: [], routingPreference: []}",
            "loadBalancer.scopes",
            "expected only one of",
        ),
    ] {
        check_service(written, field, said);
    }
    for (from, to, line, field, said) in [
        (
            "scope: Namespace",
            "scope: Mesh",
            4,
            "scope",
            "expected Global or Namespace or WorkloadSelector",
        ),
        (
            "action: Deny",
            "action: Block",
            5,
            "action",
            "found \"Block\", expected Allow or Deny",
        ),
        (
            "action: Deny",
            "action: CUSTOM",
            5,
            "action",
            "expected Allow or Deny",
        ),
        (
            "namespace: default",
            "namespace: A",
            3,
            "namespace",
            "expected a namespace",
        ),
        (
            "name: p",
            "name: a/b",
            2,
            "name",
            "expected a name of letters",
        ),
        (
            "rules: []",
            "rules:",
            6,
            "rules",
            "found nothing, expected a list of rules, each a list of clauses, each a list of matches; [] is the empty list",
        ),
        (
            "rules: []",
            "rules: {}",
            6,
            "rules",
            "found a mapping of 0, expected a list of rules",
        ),
        (
            "rules: []",
            "rules: [{}]",
            6,
            "rules[0]",
            "expected a rule: a list of clauses",
        ),
        (
            "rules: []",
            "rules: [[{}]]",
            6,
            "rules[0][0]",
            "expected a clause: a list of matches",
        ),
        (
            "rules: []",
            "rules: [[[a]]]",
            6,
            "rules[0][0][0]",
            "found \"a\", expected a match: a mapping of conditions",
        ),
        (
            "rules: []",
            "rules: []\n  dryRun: maybe",
            7,
            "dryRun",
            "expected true or false",
        ),
    ] {
        let text = format!("policies:\n{}", policy("p", "Deny", "[]")).replacen(from, to, 1);
        check(&text, line, &format!("policies[0].{field}"), said);
    }
}

#[test]
fn text_conditions_that_could_not_match_are_refused() {
    for bad in [
        "''",
        "a*b",
        "'*a*'",
        "'**'",
        "'a b'",
        "null",
        "[a]",
        "{}",
        "{exact: a, prefix: b}",
        "!Exact",
        "!Regex a",
        "!Presence a",
    ] {
        for field in ["principals", "notPrincipals", "namespaces", "notNamespaces"] {
            check_match(
                &format!("{field}: [{bad}]"),
                &format!("{field}[0]"),
                "expected a text with at most one *",
            );
        }
    }
    check_match(
        "namespaces: [{exactly: a}]",
        "namespaces[0].exactly",
        "expected exact or prefix or suffix or presence",
    );
    check_match(
        "namespaces: [{prefix: ''}]",
        "namespaces[0].prefix",
        "found \"\", expected a text",
    );
    check_match(
        "namespaces: [{prefix: 'a*'}]",
        "namespaces[0].prefix",
        "found \"a*\", expected a text",
    );
    check_match(
        "namespaces: [{exact: [a]}]",
        "namespaces[0].exact",
        "found a list of 1, expected a text",
    );
    check_match(
        "namespaces: [{presence: yes}]",
        "namespaces[0].presence",
        "found \"yes\", expected {}",
    );
    check_match(
        "principals: ['spiffe://']",
        "principals[0]",
        "expected a text with at most one *",
    );
    check_match(
        "namespaces: a",
        "namespaces",
        "found \"a\", expected a list of texts",
    );
    check_match(
        "namespaces:",
        "namespaces",
        "found nothing, expected a list of texts; [] is the empty list",
    );
    for bad in ["a/b/c", "A", "''", "'*'", "ns/", "/sa", "[a]"] {
        check_match(
            &format!("serviceAccounts: [{bad}]"),
            "serviceAccounts[0]",
            "expected a service account",
        );
        check_match(
            &format!("notServiceAccounts: [{bad}]"),
            "notServiceAccounts[0]",
            "expected a service account",
        );
    }
}
