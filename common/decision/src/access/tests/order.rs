//! In which order policies are asked, and which of several is named.

use super::*;
use crate::access::{Custom, Outcome};

fn always(name: &str, action: Action) -> Policy {
    policy(name, action, vec![Rule::default()])
}

fn never(name: &str, action: Action) -> Policy {
    policy(name, action, Vec::new())
}

fn details(policies: &[Policy], asker: &Asker) -> Option<String> {
    let book = Rulebook::new(policies.to_vec());
    authorize(&[&book], asker).enforced.details()
}

#[test]
fn without_policies_everybody_may_pass() {
    assert_eq!(
        authorize(&[], &asker()).enforced,
        Outcome::Allow { by: None }
    );
    let empty = Rulebook::default();
    assert_eq!(
        authorize(&[&empty, &empty], &asker()).enforced,
        Outcome::Allow { by: None }
    );
    assert!(custom(&[&empty], &asker()).is_empty());
}

#[test]
fn deny_comes_before_allow() {
    let policies = [always("a", Action::Allow), always("d", Action::Deny)];
    assert_eq!(
        details(&policies, &asker()).as_deref(),
        Some("rbac_access_denied_matched_policy[ns[default]-policy[d]-rule[0]]")
    );
    let policies = [always("a", Action::Allow), never("d", Action::Deny)];
    assert_eq!(details(&policies, &asker()), None);
}

#[test]
fn an_allow_policy_without_rules_denies_all() {
    let policies = [never("a", Action::Allow)];
    assert!(!verdict(&policies, &asker()).allowed);
    assert!(!verdict(&policies, &connection()).allowed);
    assert_eq!(
        details(&policies, &asker()).as_deref(),
        Some("rbac_access_denied_matched_policy[none]")
    );
    let policies = [never("a", Action::Allow), always("b", Action::Allow)];
    assert!(verdict(&policies, &asker()).allowed);
}

#[test]
fn audit_custom_and_dry_runs_allow_and_deny_nothing() {
    let dry = |action| Policy {
        dry_run: true,
        ..always("p", action)
    };
    for policies in [
        vec![always("p", Action::Audit)],
        vec![never("p", Action::Audit)],
        vec![always("p", asks("one"))],
        vec![dry(Action::Deny)],
        vec![Policy {
            dry_run: true,
            ..never("p", Action::Allow)
        }],
    ] {
        assert!(verdict(&policies, &asker()).allowed);
    }
    let policies = [never("a", Action::Allow), dry(Action::Allow)];
    let verdict = verdict(&policies, &asker());
    assert!(!verdict.allowed && verdict.together);
}

#[test]
fn a_dry_run_is_told_beside_what_is_enforced() {
    let dry = Policy {
        dry_run: true,
        ..always("dry", Action::Deny)
    };
    let book = Rulebook::new(vec![dry, always("a", Action::Allow)]);
    let verdict = authorize(&[&book], &asker());
    let shadow = verdict.shadow.unwrap();
    assert!(verdict.enforced.is_allowed());
    assert_eq!(
        shadow.deny.unwrap().to_string(),
        "denied by ns[default]-policy[dry]-rule[0]"
    );
    assert_eq!(shadow.allow, None);
    assert!(!shadow.together.is_allowed());
}

#[test]
fn two_rulebooks_are_one_set() {
    let allows = Rulebook::new(vec![always("a", Action::Allow)]);
    let denies = Rulebook::new(vec![always("d", Action::Deny)]);
    let nobody = Rulebook::new(vec![never("n", Action::Allow)]);
    let is_allowed = |books: &[&Rulebook]| authorize(books, &asker()).enforced.is_allowed();
    assert!(!is_allowed(&[&allows, &denies]));
    assert!(!is_allowed(&[&denies, &allows]));
    assert!(is_allowed(&[&allows, &nobody]));
    assert!(!is_allowed(&[&nobody, &Rulebook::default()]));
}

/// Envoy sorts the names of rules as texts.
#[test]
fn of_several_the_one_of_the_least_name_is_named() {
    let never_matches = || all(vec![port(&[1])]);
    let mut rules = vec![never_matches(); 11];
    rules[2] = Rule::default();
    rules[10] = Rule::default();
    let policies = [policy("p", Action::Deny, rules)];
    assert_eq!(
        verdict(&policies, &asker()).by.as_deref(),
        Some("ns[default]-policy[p]-rule[10]")
    );
    for (names, first) in [
        (["b", "a"], "a"),
        // The bracket that ends a name comes after a hyphen and before a letter.
        (["p", "p-x"], "p-x"),
        (["p", "px"], "p"),
    ] {
        let policies = names.map(|name| always(name, Action::Deny));
        assert_eq!(
            verdict(&policies, &asker()).by,
            Some(format!("ns[default]-policy[{first}]-rule[0]"))
        );
    }
    let in_namespace = |namespace: &str, name: &str| Policy {
        key: PolicyKey::new(namespace, name),
        ..always(name, Action::Deny)
    };
    let policies = [in_namespace("b", "a"), in_namespace("a", "b")];
    assert_eq!(
        verdict(&policies, &asker()).by.as_deref(),
        Some("ns[a]-policy[b]-rule[0]")
    );
}

#[test]
fn each_authorizer_is_asked_once() {
    let one = Rulebook::new(vec![
        always("c", asks("zeta")),
        always("b", asks("alpha")),
        always("d", asks("alpha")),
        never("e", asks("never")),
    ]);
    let other = Rulebook::new(vec![always("a", asks("alpha"))]);
    let asked = |books: &[&Rulebook]| -> Vec<(String, String)> {
        let name = |custom: &Custom<'_>| {
            let provider = custom.external.provider.to_string();
            (provider, custom.by.policy.name.to_string())
        };
        custom(books, &asker()).iter().map(name).collect()
    };
    let pair = |a: &str, b: &str| (a.to_owned(), b.to_owned());
    assert_eq!(asked(&[&one]), [pair("alpha", "b"), pair("zeta", "c")]);
    assert_eq!(
        asked(&[&one, &other]),
        [pair("alpha", "a"), pair("zeta", "c")]
    );
    assert_eq!(
        asked(&[&other, &one]),
        [pair("alpha", "a"), pair("zeta", "c")]
    );
}

#[test]
fn an_authorizer_is_asked_only_about_what_its_rules_match() {
    let admin = text(TextAttribute::Path, vec![prefix("/admin")]);
    let policies = [policy("c", asks("one"), vec![all(vec![admin])])];
    assert!(verdict(&policies, &asker()).asked.is_empty());
    let admin = Asker {
        path: Some("/admin/x".to_owned()),
        ..asker()
    };
    assert_eq!(verdict(&policies, &admin).asked, ["one"]);
}
