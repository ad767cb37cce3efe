//! L4P-02, case by case.

use mesh::{
    Authorization,
    authorization::{Action, Clause, Match, Rule, ServiceAccountMatch, StringMatch},
};

use super::{
    super::{Denial, Outcome},
    Peer, client, holds, plaintext, policy, rule, verdict,
};

const WEB: &str = "cluster.local/ns/client/sa/web";

fn exact(text: &str) -> Vec<StringMatch> {
    vec![StringMatch::Exact(text.into())]
}

fn prefix(text: &str) -> Vec<StringMatch> {
    vec![StringMatch::Prefix(text.into())]
}

fn suffix(text: &str) -> Vec<StringMatch> {
    vec![StringMatch::Suffix(text.into())]
}

fn enforced(policy: Authorization, peer: &Peer) -> Outcome {
    verdict(&[policy], peer).enforced
}

#[test]
fn a_policy_without_rules_never_matches() {
    for peer in [client(), plaintext()] {
        assert_eq!(
            enforced(policy("p", Action::Deny, vec![]), &peer),
            Outcome::Allow { by: None }
        );
        assert_eq!(
            enforced(policy("p", Action::Allow, vec![]), &peer),
            Outcome::Deny(Denial::NotAllowed)
        );
    }
}

#[test]
fn a_rule_without_clauses_matches_everything() {
    for peer in [client(), plaintext()] {
        let deny = policy("p", Action::Deny, vec![Rule::default()]);
        assert_eq!(
            enforced(deny.clone(), &peer),
            Outcome::Deny(Denial::Explicit(deny.key))
        );
        let allow = policy("p", Action::Allow, vec![Rule::default()]);
        assert_eq!(
            enforced(allow.clone(), &peer),
            Outcome::Allow {
                by: Some(allow.key)
            }
        );
    }
}

#[test]
fn a_clause_without_matches_holds() {
    let open = Clause::default();
    let port = |port| Clause {
        matches: vec![Match {
            destination_ports: vec![port],
            ..Match::default()
        }],
    };
    let check = |clauses: Vec<Clause>, expected: bool| {
        let outcome = enforced(policy("p", Action::Deny, vec![Rule { clauses }]), &client());
        assert_eq!(matches!(outcome, Outcome::Deny(_)), expected);
    };
    check(vec![open.clone()], true);
    check(vec![open.clone(), port(8080)], true);
    check(vec![open, port(9090)], false);
}

#[test]
fn a_match_without_fields_never_holds() {
    for peer in [client(), plaintext()] {
        assert!(!holds(Match::default(), &peer));
    }
    // It neither helps nor harms the matches beside it, and a clause of nothing else fails the rule.
    let port = |port| Match {
        destination_ports: vec![port],
        ..Match::default()
    };
    let check = |rules: Vec<Rule>, expected: bool| {
        let outcome = enforced(policy("p", Action::Deny, rules), &client());
        assert_eq!(matches!(outcome, Outcome::Deny(_)), expected);
    };
    check(vec![rule(vec![Match::default(), port(8080)])], true);
    check(vec![rule(vec![Match::default(), port(9090)])], false);
    let never = Clause {
        matches: vec![Match::default()],
    };
    let always = Clause {
        matches: vec![port(8080)],
    };
    check(
        vec![Rule {
            clauses: vec![always.clone(), never.clone()],
        }],
        false,
    );
    check(
        vec![
            Rule {
                clauses: vec![never],
            },
            Rule {
                clauses: vec![always],
            },
        ],
        true,
    );
}

#[test]
fn rules_are_or_clauses_are_and_matches_are_or_fields_are_and() {
    let port = |port| Match {
        destination_ports: vec![port],
        ..Match::default()
    };
    let name = |name| Match {
        principals: exact(name),
        ..Match::default()
    };
    let both = |one, two| Match {
        destination_ports: vec![one],
        principals: exact(two),
        ..Match::default()
    };
    let clause = |matches: Vec<Match>| Clause { matches };
    let check = |rules: Vec<Vec<Clause>>, expected: bool| {
        let rules = rules.into_iter().map(|clauses| Rule { clauses }).collect();
        let outcome = enforced(policy("p", Action::Deny, rules), &client());
        assert_eq!(matches!(outcome, Outcome::Deny(_)), expected);
    };
    check(
        vec![vec![clause(vec![port(9)])], vec![clause(vec![name(WEB)])]],
        true,
    );
    check(
        vec![vec![clause(vec![port(9)]), clause(vec![name(WEB)])]],
        false,
    );
    check(
        vec![vec![clause(vec![port(8080)]), clause(vec![name(WEB)])]],
        true,
    );
    check(vec![vec![clause(vec![port(9), name(WEB)])]], true);
    check(vec![vec![clause(vec![both(9, WEB)])]], false);
    check(vec![vec![clause(vec![both(8080, WEB)])]], true);
}

#[test]
fn a_positive_list_wants_any_and_a_negative_list_wants_none() {
    let names = || {
        vec![
            StringMatch::Exact("x".into()),
            StringMatch::Exact(WEB.into()),
        ]
    };
    assert!(holds(
        Match {
            principals: names(),
            ..Match::default()
        },
        &client()
    ));
    assert!(!holds(
        Match {
            not_principals: names(),
            ..Match::default()
        },
        &client()
    ));
    assert!(holds(
        Match {
            not_principals: exact("x"),
            ..Match::default()
        },
        &client()
    ));
    assert!(holds(
        Match {
            destination_ports: vec![1, 8080],
            ..Match::default()
        },
        &client()
    ));
    assert!(!holds(
        Match {
            not_destination_ports: vec![1, 8080],
            ..Match::default()
        },
        &client()
    ));
    // A value that is wanted and unwanted is unwanted.
    assert!(!holds(
        Match {
            principals: names(),
            not_principals: names(),
            ..Match::default()
        },
        &client()
    ));
}

#[test]
fn a_connection_without_identity_satisfies_every_negative_condition_on_it() {
    let accounts = vec![ServiceAccountMatch {
        namespace: "client".into(),
        service_account: "web".into(),
    }];
    for list in [
        exact(WEB),
        prefix("cluster"),
        prefix(""),
        suffix("web"),
        suffix(""),
        vec![StringMatch::Presence],
    ] {
        assert!(holds(
            Match {
                not_principals: list.clone(),
                ..Match::default()
            },
            &plaintext()
        ));
        assert!(holds(
            Match {
                not_namespaces: list,
                ..Match::default()
            },
            &plaintext()
        ));
    }
    assert!(holds(
        Match {
            not_service_accounts: accounts,
            ..Match::default()
        },
        &plaintext()
    ));
}

#[test]
fn a_connection_without_identity_satisfies_no_positive_condition_on_it() {
    let accounts = vec![ServiceAccountMatch {
        namespace: "".into(),
        service_account: "".into(),
    }];
    for list in [
        exact(""),
        prefix(""),
        suffix(""),
        exact(WEB),
        vec![StringMatch::Presence],
    ] {
        assert!(!holds(
            Match {
                principals: list.clone(),
                ..Match::default()
            },
            &plaintext()
        ));
        assert!(!holds(
            Match {
                namespaces: list,
                ..Match::default()
            },
            &plaintext()
        ));
    }
    assert!(!holds(
        Match {
            service_accounts: accounts,
            ..Match::default()
        },
        &plaintext()
    ));
}

#[test]
fn strict_mode_is_a_denial_of_those_without_principal() {
    let strict = Match {
        not_principals: vec![StringMatch::Presence],
        ..Match::default()
    };
    assert!(holds(strict.clone(), &plaintext()));
    assert!(!holds(strict, &client()));
}

#[test]
fn principals_are_compared_without_their_scheme() {
    assert!(holds(
        Match {
            principals: exact(WEB),
            ..Match::default()
        },
        &client()
    ));
    assert!(holds(
        Match {
            principals: prefix("cluster.local/"),
            ..Match::default()
        },
        &client()
    ));
    assert!(!holds(
        Match {
            principals: exact(&format!("spiffe://{WEB}")),
            ..Match::default()
        },
        &client()
    ));
    assert!(!holds(
        Match {
            principals: prefix("spiffe://"),
            ..Match::default()
        },
        &client()
    ));
}

#[test]
fn text_is_matched_whole_by_its_beginning_by_its_end_or_by_its_presence() {
    let check = |condition: Vec<StringMatch>, expected: bool| {
        assert_eq!(
            holds(
                Match {
                    principals: condition.clone(),
                    ..Match::default()
                },
                &client()
            ),
            expected
        );
        assert_eq!(
            holds(
                Match {
                    not_principals: condition,
                    ..Match::default()
                },
                &client()
            ),
            !expected
        );
    };
    check(exact(WEB), true);
    check(exact("cluster.local/ns/client/sa/we"), false);
    check(exact("cluster.local/ns/client/sa/web2"), false);
    check(prefix("cluster.local/ns/cl"), true);
    check(prefix(WEB), true);
    check(prefix("cluster.local/ns/client/sa/web2"), false);
    check(suffix("/sa/web"), true);
    check(suffix(WEB), true);
    check(suffix("eb/"), false);
    check(vec![StringMatch::Presence], true);
}

#[test]
fn namespaces_are_those_of_the_identity() {
    let check = |condition: Vec<StringMatch>, expected: bool| {
        assert_eq!(
            holds(
                Match {
                    namespaces: condition,
                    ..Match::default()
                },
                &client()
            ),
            expected
        );
    };
    check(exact("client"), true);
    check(exact("default"), false);
    check(prefix("cli"), true);
    check(suffix("ent"), true);
    check(vec![StringMatch::Presence], true);
}

#[test]
fn service_accounts_are_namespace_and_name_whatever_the_trust_domain() {
    let account = |namespace: &str, name: &str| Match {
        service_accounts: vec![ServiceAccountMatch {
            namespace: namespace.into(),
            service_account: name.into(),
        }],
        ..Match::default()
    };
    let elsewhere = Peer {
        identity: Some(super::id("spiffe://other/ns/client/sa/web")),
        ..client()
    };
    for peer in [client(), elsewhere] {
        assert!(holds(account("client", "web"), &peer));
        assert!(!holds(account("default", "web"), &peer));
        assert!(!holds(account("client", "we"), &peer));
        assert!(!holds(account("clien", "tweb"), &peer));
        assert!(!holds(account("", "web"), &peer));
    }
}

#[test]
fn addresses_are_matched_by_range_and_ports_by_number() {
    let source = |range: &str| Match {
        source_ips: vec![range.parse().unwrap()],
        ..Match::default()
    };
    let to = |range: &str| Match {
        destination_ips: vec![range.parse().unwrap()],
        ..Match::default()
    };
    for (range, expected) in [
        ("10.0.0.0/24", true),
        ("10.0.0.5/32", true),
        ("0.0.0.0/0", true),
        ("::/0", false),
    ] {
        assert_eq!(holds(source(range), &client()), expected, "{range}");
    }
    assert!(!holds(source("10.0.1.0/24"), &client()));
    assert!(holds(to("10.0.1.0/24"), &client()));
    assert!(!holds(to("10.0.0.0/24"), &client()));
    let v6 = Peer {
        source_ip: "fd00::5".parse().unwrap(),
        ..client()
    };
    assert!(holds(source("fd00::/64"), &v6));
    assert!(!holds(source("0.0.0.0/0"), &v6));
    assert!(!holds(
        Match {
            destination_ports: vec![0],
            ..Match::default()
        },
        &client()
    ));
}
