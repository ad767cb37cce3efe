//! Trust domains as prefixes of principals, and the other names of the mesh's own.

use super::*;

fn check(scoping: &Scoping<'_>, source: &Source, allows: &[&str], denies: &[&str]) -> Condition {
    let rules = vec![rule(vec![source.clone()], vec![], vec![])];
    let (resource, _) = render(&policy(Action::Allow, rules.clone()), scoping);
    assert_eq!(lines(&resource), allows, "ALLOW");
    let (resource, condition) = render(&policy(Action::Deny, rules), scoping);
    assert_eq!(lines(&resource), denies, "DENY");
    condition
}

fn both(source: &Source, expected: &[&str]) {
    let condition = check(&MESH, source, expected, expected);
    assert_eq!(condition.reason, "Accepted");
}

fn domains(values: &[&str], not_values: &[&str]) -> Source {
    Source {
        trust_domains: list(values),
        not_trust_domains: list(not_values),
        ..Source::default()
    }
}

#[test]
fn a_trust_domain_is_a_prefix_up_to_the_slash() {
    both(
        &domains(&["td", "x*", "*"], &[]),
        &["(principal=td/*|x*|*)"],
    );
    both(&domains(&[], &["td", "x*"]), &["(!principal=td/*|x*)"]);
}

#[test]
fn principals_outside_of_the_trust_domains_are_left_out() {
    let source = Source {
        principals: list(&["td/ns/a/sa/b", "other/ns/a/sa/b", "t*", "*"]),
        ..domains(&["td"], &[])
    };
    both(&source, &["(principal=td/ns/a/sa/b|td/*)"]);
}

#[test]
fn principals_and_trust_domains_that_exclude_each_other_never_match() {
    let source = Source {
        principals: list(&["other/ns/a/sa/b"]),
        ..domains(&["td"], &[])
    };
    // No match at all: an empty list of principals would be every principal.
    both(&source, &[]);
}

#[test]
fn a_suffix_and_a_trust_domain_become_two_clauses_in_a_rule_of_their_own() {
    let split = Source {
        principals: list(&["*/sa/b"]),
        namespaces: list(&["n"]),
        ..domains(&["td"], &[])
    };
    both(
        &split,
        &["(principal=*/sa/b and namespace=n) AND (principal=td/*)"],
    );

    let plain = |name: &str| Source {
        namespaces: list(&[name]),
        ..Source::default()
    };
    let rules = vec![rule(
        vec![plain("x"), split, plain("y")],
        vec![],
        vec![when("destination.port", &["80"], &[])],
    )];
    let (resource, _) = render(&policy(Action::Allow, rules), &MESH);
    assert_eq!(
        lines(&resource),
        [
            "(namespace=x OR namespace=y) AND (port=80)",
            "(principal=*/sa/b and namespace=n) AND (principal=td/*) AND (port=80)",
        ]
    );
}

#[test]
fn the_end_of_a_trust_domain_is_decided_for_the_meshs_own_only() {
    let aliases = list(&["old.corp", "lab"]);
    let mesh = Scoping {
        trust_domain: "new.corp",
        trust_domain_aliases: &aliases,
        ..MESH
    };
    let condition = check(
        &mesh,
        &domains(&["*.corp"], &[]),
        &["(principal=new.corp/*|old.corp/*)"],
        &["(principal=* and !principal=lab/*)"],
    );
    assert!(condition.status);
    assert_eq!(condition.reason, "UnsupportedValue");
    assert!(
        condition.message.contains("(found: *.corp)"),
        "{condition:?}"
    );

    check(
        &mesh,
        &domains(&[], &["*.corp"]),
        &["(principal=lab/*)"],
        &["(!principal=new.corp/*|old.corp/*)"],
    );
    check(
        &mesh,
        &domains(&["*.corp", "td"], &["*d"]),
        &["(principal=new.corp/*|old.corp/*)"],
        &["(principal=* and !principal=lab/*)"],
    );
}

#[test]
fn a_denied_source_of_which_nothing_can_be_compared_is_everyone() {
    check(
        &MESH,
        &domains(&[], &["*.corp"]),
        &["(principal=cluster.local/*)"],
        &[""],
    );
}

#[test]
fn a_slash_is_in_no_trust_domain() {
    both(&domains(&["td/ns"], &[]), &[]);
}

#[test]
fn a_principal_of_the_mesh_stands_for_all_of_its_names() {
    let aliases = list(&["old-td", "older"]);
    let mesh = Scoping {
        trust_domain: "td",
        trust_domain_aliases: &aliases,
        ..MESH
    };
    let cases: [(&str, &str); 9] = [
        (
            "td/ns/a/sa/b",
            "td/ns/a/sa/b|old-td/ns/a/sa/b|older/ns/a/sa/b",
        ),
        (
            "older/ns/a/sa/b",
            "td/ns/a/sa/b|old-td/ns/a/sa/b|older/ns/a/sa/b",
        ),
        (
            "cluster.local/ns/a/sa/*",
            "td/ns/a/sa/*|old-td/ns/a/sa/*|older/ns/a/sa/*",
        ),
        (
            "spiffe://td/ns/a/sa/b",
            "td/ns/a/sa/b|old-td/ns/a/sa/b|older/ns/a/sa/b",
        ),
        ("*td/ns/a/sa/b", "*td/ns/a/sa/b|older/ns/a/sa/b"),
        ("foreign/ns/a/sa/b", "foreign/ns/a/sa/b"),
        ("*/ns/a/sa/b", "*/ns/a/sa/b"),
        ("*", "*"),
        ("td/ns/a/*", "td/ns/a/*"),
    ];
    for (principal, expected) in cases {
        let source = Source {
            principals: list(&[principal]),
            ..Source::default()
        };
        let expected = [format!("(principal={expected})")];
        let expected = expected.each_ref().map(String::as_str);
        check(&mesh, &source, &expected, &expected);

        let rules = vec![rule(
            vec![],
            vec![],
            vec![when("source.principal", &[principal], &[])],
        )];
        let (resource, _) = render(&policy(Action::Allow, rules), &mesh);
        assert_eq!(lines(&resource), expected);
    }
}

#[test]
fn a_trust_domain_of_the_mesh_stands_for_all_of_its_names() {
    let aliases = list(&["old-td", "older"]);
    let mesh = Scoping {
        trust_domain: "td",
        trust_domain_aliases: &aliases,
        ..MESH
    };
    let all = "td/*|old-td/*|older/*";
    for (domain, expected) in [
        ("td", all),
        ("older", all),
        ("cluster.local", all),
        ("foreign", "foreign/*"),
        ("t*", "t*"),
    ] {
        let expected_in = [format!("(principal={expected})")];
        let expected_in = expected_in.each_ref().map(String::as_str);
        check(&mesh, &domains(&[domain], &[]), &expected_in, &expected_in);
        let expected_not = [format!("(!principal={expected})")];
        let expected_not = expected_not.each_ref().map(String::as_str);
        check(
            &mesh,
            &domains(&[], &[domain]),
            &expected_not,
            &expected_not,
        );
    }
}
