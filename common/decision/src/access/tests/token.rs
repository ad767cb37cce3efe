//! Who a token says that it is, and who would be somebody else.

use super::*;

fn principal(value: TextMatch) -> Field {
    text(TextAttribute::RequestPrincipal, vec![value])
}

fn with(issuer: &str, subject: &str) -> Asker {
    Asker {
        principal: Some(RequestPrincipal::new(issuer, subject)),
        ..asker()
    }
}

#[test]
fn it_is_issuer_and_subject() {
    let alice = with("https://idp.example", "alice");
    for value in [
        exact("https://idp.example/alice"),
        prefix("https://idp.example/"),
        prefix("https://idp.example/al"),
        suffix("/alice"),
        suffix("ice"),
        suffix("idp.example/alice"),
        TextMatch::Present,
    ] {
        assert!(holds(principal(value.clone()), &alice), "{value:?}");
    }
    for value in [
        exact("https://idp.example"),
        exact("alice"),
        suffix("/lice"),
        suffix("/bob"),
        prefix("https://idp.example.org/"),
    ] {
        assert!(!holds(principal(value.clone()), &alice), "{value:?}");
    }
    assert!(!holds(principal(TextMatch::Present), &asker()));
}

#[test]
fn a_subject_with_a_slash_is_nobody_of_another_issuer() {
    let mallory = with("https://idp.example", "tenant/admin");
    assert!(!holds(
        principal(exact("https://idp.example/tenant/admin")),
        &mallory
    ));
    assert!(!holds(principal(suffix("/admin")), &mallory));
    assert!(!holds(principal(suffix("tenant/admin")), &mallory));
    let admin = with("https://idp.example/tenant", "admin");
    assert!(holds(
        principal(exact("https://idp.example/tenant/admin")),
        &admin
    ));
    assert!(holds(principal(suffix("/admin")), &admin));
}

#[test]
fn a_prefix_means_one_issuer_and_not_those_below_it() {
    let field = principal(prefix("https://idp.example/"));
    assert!(holds(field.clone(), &with("https://idp.example", "a")));
    assert!(holds(field.clone(), &with("https://idp.example", "a/b")));
    assert!(!holds(field, &with("https://idp.example/tenant", "a")));
    // Without a slash it is one of the issuer.
    let field = principal(prefix("https:"));
    assert!(holds(field, &with("https://idp.example/tenant", "a")));
}

#[test]
fn without_a_token_nobody_is_anybody() {
    let everybody = not(principal(TextMatch::Present));
    assert!(matches(all(vec![everybody.clone()]), &asker()));
    assert!(!matches(
        all(vec![everybody]),
        &with("https://idp.example", "a")
    ));
    for half in [with("", "a"), with("i", "")] {
        assert!(!holds(principal(TextMatch::Present), &half));
    }
}

#[test]
fn a_list_of_principals_is_asked_each_by_itself() {
    let values = (0..40)
        .map(|n| exact(&format!("https://idp.example/tenant/user-{n}")))
        .collect();
    let field = text(TextAttribute::RequestPrincipal, values);
    assert!(holds(
        field.clone(),
        &with("https://idp.example/tenant", "user-7")
    ));
    assert!(!holds(field, &with("https://idp.example", "tenant/user-7")));
}
