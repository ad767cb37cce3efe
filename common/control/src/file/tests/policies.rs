//! What a policy's rules mean, form by form.

use mesh::{
    Authorization, PolicyKey,
    authorization::{Action, Clause, Match, Rule, Scope, ServiceAccountMatch, StringMatch},
};

use super::{super::parse, policy};

fn rules(rules: &str) -> Vec<Rule> {
    let text = format!("policies:\n{}", policy("p", "Allow", rules));
    let resources = parse(&text, "mesh.yaml").unwrap();
    resources.policies[&PolicyKey::new("default", "p")]
        .rules
        .clone()
}

/// The one match of the one clause of the one rule.
fn one_match(fields: &str) -> Match {
    let mut rules = rules(&format!("[[[{{{fields}}}]]]"));
    let mut clauses = rules.pop().unwrap().clauses;
    let mut matches = clauses.pop().unwrap().matches;
    assert!(rules.is_empty() && clauses.is_empty() && matches.len() == 1);
    matches.pop().unwrap()
}

fn exact(text: &str) -> StringMatch {
    StringMatch::Exact(text.into())
}

#[test]
fn a_policy_with_every_field_is_read_whole() {
    let text = "
policies:
- name: p
  namespace: root
  scope: GLOBAL
  action: DENY
  dryRun: true
  rules:
    - - - namespaces: [a]
        - notNamespaces: [b]
    - - - destinationPorts: [1]
    - []
";
    let resources = parse(text, "mesh.yaml").unwrap();
    let expected = Authorization {
        key: PolicyKey::new("root", "p"),
        scope: Scope::Global,
        action: Action::Deny,
        dry_run: true,
        rules: vec![
            Rule {
                clauses: vec![Clause {
                    matches: vec![
                        Match {
                            namespaces: vec![exact("a")],
                            ..Match::default()
                        },
                        Match {
                            not_namespaces: vec![exact("b")],
                            ..Match::default()
                        },
                    ],
                }],
            },
            Rule {
                clauses: vec![Clause {
                    matches: vec![Match {
                        destination_ports: vec![1],
                        ..Match::default()
                    }],
                }],
            },
            Rule::default(),
        ],
    };
    assert_eq!(*resources.policies[&expected.key], expected);
}

#[test]
fn empty_lists_keep_their_meaning() {
    assert_eq!(rules("[]"), [], "no rules: never matches");
    assert_eq!(
        rules("[[]]"),
        [Rule::default()],
        "a rule without clauses: always matches"
    );
    assert_eq!(
        rules("[[[]]]"),
        [Rule {
            clauses: vec![Clause::default()]
        }],
        "a clause without matches: holds"
    );
    let never = Rule {
        clauses: vec![Clause {
            matches: vec![Match::default()],
        }],
    };
    assert_eq!(
        rules("[[[{}]]]"),
        std::slice::from_ref(&never),
        "a match without fields: never holds"
    );
    assert_eq!(
        rules("[[[{principals: []}]]]"),
        [never],
        "an empty list is no field"
    );
}

#[test]
fn every_condition_and_its_opposite_is_read() {
    let read = one_match(
        "principals: [cluster.local/ns/a/sa/b], notPrincipals: [cluster.local/ns/a/sa/c], namespaces: [n], \
         notNamespaces: [m], serviceAccounts: [x], notServiceAccounts: [y], sourceIps: [10.0.0.1], \
         notSourceIps: [10.0.0.0/8], destinationIps: ['fd00::1'], notDestinationIps: ['fd00::/8'], \
         destinationPorts: [80, 443], notDestinationPorts: [8080]",
    );
    let account = |name: &str| ServiceAccountMatch {
        namespace: "default".into(),
        service_account: name.into(),
    };
    let expected = Match {
        namespaces: vec![exact("n")],
        not_namespaces: vec![exact("m")],
        service_accounts: vec![account("x")],
        not_service_accounts: vec![account("y")],
        principals: vec![exact("cluster.local/ns/a/sa/b")],
        not_principals: vec![exact("cluster.local/ns/a/sa/c")],
        source_ips: vec!["10.0.0.1/32".parse().unwrap()],
        not_source_ips: vec!["10.0.0.0/8".parse().unwrap()],
        destination_ips: vec!["fd00::1/128".parse().unwrap()],
        not_destination_ips: vec!["fd00::/8".parse().unwrap()],
        destination_ports: vec![80, 443],
        not_destination_ports: vec![8080],
    };
    assert_eq!(read, expected);
}

#[test]
fn a_text_condition_is_read_in_each_of_its_spellings() {
    let prefix = StringMatch::Prefix("x".into());
    let suffix = StringMatch::Suffix("x".into());
    for (written, expected) in [
        ("x", exact("x")),
        ("x*", prefix.clone()),
        ("'*x'", suffix.clone()),
        ("'*'", StringMatch::Presence),
        ("Presence", StringMatch::Presence),
        ("{exact: x}", exact("x")),
        ("{Exact: x}", exact("x")),
        ("{prefix: x}", prefix.clone()),
        ("{suffix: x}", suffix.clone()),
        ("{presence: {}}", StringMatch::Presence),
        ("{Presence: []}", StringMatch::Presence),
        ("{presence: null}", StringMatch::Presence),
        ("!Exact x", exact("x")),
        ("!Prefix x", prefix),
        ("!Suffix x", suffix),
        ("!Presence", StringMatch::Presence),
        ("!Presence []", StringMatch::Presence),
    ] {
        assert_eq!(
            one_match(&format!("namespaces: [{written}]")).namespaces,
            [expected],
            "{written}"
        );
    }
}

#[test]
fn principals_are_compared_without_their_scheme() {
    for written in [
        "spiffe://cluster.local/ns/a/sa/b",
        "{exact: 'spiffe://cluster.local/ns/a/sa/b'}",
    ] {
        assert_eq!(
            one_match(&format!("principals: [{written}]")).principals,
            [exact("cluster.local/ns/a/sa/b")]
        );
    }
    let prefix = StringMatch::Prefix("cluster.local/ns/a/".into());
    assert_eq!(
        one_match("principals: ['spiffe://cluster.local/ns/a/*']").principals,
        [prefix]
    );
}

#[test]
fn a_service_account_is_read_in_each_of_its_spellings() {
    for (written, namespace) in [
        ("sa", "default"),
        ("other/sa", "other"),
        ("{serviceAccount: sa}", "default"),
        ("{namespace: other, serviceAccount: sa}", "other"),
    ] {
        let expected = ServiceAccountMatch {
            namespace: namespace.into(),
            service_account: "sa".into(),
        };
        assert_eq!(
            one_match(&format!("serviceAccounts: [{written}]")).service_accounts,
            [expected],
            "{written}"
        );
    }
}

#[test]
fn a_range_is_read_without_its_host_bits() {
    let read = one_match("sourceIps: [10.1.2.3/8, 'fd00::1/64']").source_ips;
    assert_eq!(
        read,
        ["10.0.0.0/8".parse().unwrap(), "fd00::/64".parse().unwrap()]
    );
}

#[test]
fn what_can_have_no_effect_is_warned_of() {
    let warnings = |text: &str| -> Vec<(u64, String)> {
        let resources = parse(text, "mesh.yaml").unwrap();
        resources
            .warnings
            .into_iter()
            .map(|warning| (warning.position.line, warning.field))
            .collect()
    };
    let text = format!("policies:\n{}", policy("p", "Deny", "[[[{}]]]"));
    assert_eq!(
        warnings(&text),
        [(6, "policies[0].rules[0][0][0]".to_owned())]
    );
    let text = format!(
        "policies:\n{}",
        policy("p", "Deny", "[[[{principals: [default/client]}]]]")
    );
    assert_eq!(
        warnings(&text),
        [(6, "policies[0].rules[0][0][0].principals[0]".to_owned())]
    );
    let text = format!("policies:\n{}", policy("p", "Deny", "[[]]"))
        .replace("Namespace", "WorkloadSelector");
    assert_eq!(warnings(&text), [(2, "policies[0]".to_owned())]);
    let text = "services:\n- {name: s, namespace: ns, hostname: s.example, vips: [], ports: {}, subjectAltNames: [web.example]}\n";
    assert_eq!(
        warnings(text),
        [(2, "services[0].subjectAltNames[0]".to_owned())]
    );
    let text = format!(
        "policies:\n{}",
        policy("p", "Allow", "[[[{principals: ['*']}]]]")
    );
    assert_eq!(warnings(&text), []);
}
