//! Why a verdict is what it is.

use super::*;
use crate::access::{trace, trace::MAX_RULES};

#[test]
fn a_trace_says_what_failed_where() {
    let namespace = |name: &str| text(TextAttribute::SourceNamespace, vec![exact(name)]);
    let path = |value| text(TextAttribute::Path, vec![value]);
    let policies = vec![
        policy(
            "allow",
            Action::Allow,
            vec![
                all(vec![namespace("client"), path(prefix("/admin"))]),
                all(vec![namespace("other")]),
            ],
        ),
        policy("audit", Action::Audit, vec![Rule::default()]),
    ];
    let book = Rulebook::new(policies);
    let trace = trace(&[&book], &asker()).to_string();
    // The rule for the namespace `other` is not even looked at.
    assert_eq!(
        trace,
        "denied: there are ALLOW policies, and none matches; ALLOW default/allow rule 0: clause 0: path \
         (\"/shop/cart\") is not one of [\"/admin*\"]; AUDIT default/audit rule 0: matches; 1 rules were not looked at"
    );
}

#[test]
fn a_rule_that_was_looked_at_names_its_first_failure() {
    let book = Rulebook::new(vec![policy(
        "deny",
        Action::Deny,
        vec![all(vec![
            text(TextAttribute::Path, vec![prefix("/shop/")]),
            not(text(
                TextAttribute::SourcePrincipal,
                vec![suffix("/sa/web"), exact("a"), exact("b"), exact("c")],
            )),
        ])],
    )]);
    let trace = trace(&[&book], &asker());
    let [traced] = &trace.rules[..] else {
        panic!("{trace:?}");
    };
    assert_eq!(
        traced.to_string(),
        "DENY default/deny rule 0: clause 0: source.principal (\"cluster.local/ns/client/sa/web\") is one of \
         [\"*/sa/web\", \"a\", \"b\"] and 1 more"
    );
    assert_eq!(trace.ruled_out, 0);
}

#[test]
fn a_trace_tells_no_secret() {
    let secret = |attribute| not(text(attribute, vec![TextMatch::Present]));
    let rules = vec![
        all(vec![secret(TextAttribute::Header("authorization".into()))]),
        all(vec![secret(TextAttribute::Claim(vec!["ssn".into()]))]),
        all(vec![secret(TextAttribute::RequestPrincipal)]),
    ];
    let book = Rulebook::new(vec![policy("p", Action::Deny, rules)]);
    let mut asker = Asker {
        principal: Some(RequestPrincipal::new("SECRET", "SECRET")),
        ..asker()
    };
    asker
        .headers
        .insert("authorization".to_owned(), b"SECRET".to_vec());
    asker
        .claims
        .insert(vec!["ssn".into()], vec!["SECRET".to_owned()]);
    let trace = trace(&[&book], &asker);
    assert_eq!(trace.rules.len(), 3);
    let text = trace.to_string();
    assert!(!text.contains("SECRET"), "{text}");
    assert!(
        text.contains("request.headers[authorization] is one of [*]"),
        "{text}"
    );
}

#[test]
fn a_trace_is_bounded_and_fit_for_one_line() {
    let path = |value: String| text(TextAttribute::Path, vec![TextMatch::Exact(value.into())]);
    let rules = vec![all(vec![not(path("/shop/cart".to_owned()))]); MAX_RULES + 5];
    let book = Rulebook::new(vec![policy("p", Action::Deny, rules)]);
    let mut asker = asker();
    let trace = trace_of(&book, &asker);
    assert_eq!((trace.rules.len(), trace.left_out), (MAX_RULES, 5));
    let long = format!("/{}\n", "x".repeat(10_000));
    asker.path = Some(long.clone());
    let book = Rulebook::new(vec![policy(
        "p",
        Action::Deny,
        vec![all(vec![not(path(long))])],
    )]);
    let text = trace_of(&book, &asker).to_string();
    assert!(text.len() < 1_000 && !text.contains('\n'), "{text}");
}

#[test]
fn where_none_is_read_it_says_so() {
    let path = text(TextAttribute::Path, vec![prefix("/")]);
    let book = Rulebook::new(vec![policy("p", Action::Allow, vec![all(vec![path])])]);
    let trace = trace_of(&book, &connection());
    assert!(!trace.verdict.enforced.is_allowed());
    assert_eq!((trace.rules.len(), trace.ruled_out), (0, 1));
}
