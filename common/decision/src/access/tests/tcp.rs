//! Where no request is read: what only a request has is never there (AZ-05).

use super::*;

fn path() -> Field {
    text(TextAttribute::Path, vec![exact("/admin")])
}

fn port_8080() -> Field {
    port(&[8080])
}

fn port_9090() -> Field {
    port(&[9090])
}

fn says(action: Action, rules: Vec<Rule>) -> oracle::Verdict {
    verdict(&[policy("p", action, rules)], &connection())
}

#[test]
fn a_rule_that_allows_and_looks_at_a_request_is_not_there() {
    assert!(!says(Action::Allow, vec![all(vec![path(), port_8080()])]).allowed);
    assert!(!says(Action::Allow, vec![all(vec![not(path())])]).allowed);
    assert!(
        says(
            Action::Allow,
            vec![all(vec![path()]), all(vec![port_8080()])]
        )
        .allowed
    );
}

/// Though one of its matches would hold by itself.
#[test]
fn such_a_rule_is_gone_as_a_whole() {
    let either = Rule {
        clauses: vec![Clause {
            matches: vec![
                Match {
                    fields: vec![port_8080()],
                },
                Match {
                    fields: vec![path()],
                },
            ],
        }],
    };
    assert!(!says(Action::Allow, vec![either]).allowed);
}

#[test]
fn a_rule_that_denies_is_taken_without_it_and_denies_more() {
    assert!(!says(Action::Deny, vec![all(vec![path(), port_8080()])]).allowed);
    assert!(says(Action::Deny, vec![all(vec![path(), port_9090()])]).allowed);
    assert!(!says(Action::Deny, vec![all(vec![path()])]).allowed);
    assert!(!says(Action::Deny, vec![all(vec![not(path())])]).allowed);
    let either = Rule {
        clauses: vec![Clause {
            matches: vec![
                Match {
                    fields: vec![port_9090()],
                },
                Match {
                    fields: vec![path()],
                },
            ],
        }],
    };
    assert!(!says(Action::Deny, vec![either]).allowed);
}

#[test]
fn audit_and_custom_are_as_wide_as_deny() {
    let rules = || vec![all(vec![path(), port_8080()])];
    assert!(says(Action::Audit, rules()).audited.is_some());
    assert_eq!(says(asks("one"), rules()).asked, ["one"]);
    let rules = || vec![all(vec![path(), port_9090()])];
    assert!(says(Action::Audit, rules()).audited.is_none());
    assert!(says(asks("one"), rules()).asked.is_empty());
}

#[test]
fn dry_runs_are_as_they_would_be() {
    let rules = vec![all(vec![path()])];
    let dry = |action| Policy {
        dry_run: true,
        ..policy("p", action, rules.clone())
    };
    let deny = verdict(&[dry(Action::Deny)], &connection());
    assert_eq!(
        deny.shadow_deny.flatten().as_deref(),
        Some("ns[default]-policy[p]-rule[0]")
    );
    assert!(deny.allowed && !deny.together);
    let allow = verdict(&[dry(Action::Allow)], &connection());
    assert_eq!(allow.shadow_allow, Some(None));
    assert!(allow.allowed && !allow.together);
}

#[test]
fn every_attribute_of_a_request_is_one() {
    use TextAttribute as A;
    for attribute in [
        A::RequestPrincipal,
        A::Audiences,
        A::Presenter,
        A::Claim(vec!["a".into()]),
        A::Host,
        A::Method,
        A::Path,
        A::Header("x".into()),
        A::Metadata("f".into(), vec!["a".into()]),
    ] {
        let field = text(attribute, vec![TextMatch::Present]);
        assert!(!says(Action::Deny, vec![all(vec![field.clone()])]).allowed);
        assert!(!says(Action::Allow, vec![all(vec![not(field)])]).allowed);
    }
}

#[test]
fn what_a_connection_has_is_judged() {
    use TextAttribute as A;
    let tls = Asker {
        sni: Some("Shop.Example".to_owned()),
        ..connection()
    };
    for (attribute, value) in [
        (A::SourcePrincipal, "cluster.local/ns/client/sa/web"),
        (A::SourceNamespace, "client"),
        (A::SourceServiceAccount, "client/web"),
        (A::SourceTrustDomain, "cluster.local"),
        (A::Sni, "shop.example"),
    ] {
        let field = |value: &str| text(attribute.clone(), vec![exact(value)]);
        for (action, is_allowed) in [(Action::Deny, false), (Action::Allow, true)] {
            let one = |value| {
                let rules = vec![all(vec![field(value)])];
                verdict(&[policy("p", action.clone(), rules)], &tls).allowed
            };
            assert_eq!(one(value), is_allowed);
            assert_eq!(one("other"), !is_allowed);
        }
    }
}

/// The same policies serve ports of both kinds.
#[test]
fn a_rulebook_serves_requests_and_connections() {
    let policies = [
        policy("deny", Action::Deny, vec![all(vec![path(), port_8080()])]),
        policy("allow", Action::Allow, vec![Rule::default()]),
    ];
    assert!(verdict(&policies, &asker()).allowed);
    assert!(!verdict(&policies, &connection()).allowed);
}
