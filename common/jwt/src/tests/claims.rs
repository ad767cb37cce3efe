//! What a believed token says.

use mesh::Name;
use serde_json::{Value, json};

use super::{ISSUER, Signer, at, set};
use crate::{Token, Verified, base64};

fn verified(claims: &Value, delimited: &[&str]) -> Verified {
    let signer = Signer::new("k", "ES256");
    let text = signer.sign(claims);
    let delimited: Vec<Name> = delimited.iter().map(|name| Name::from(*name)).collect();
    let mut token = Token::parse(&text).unwrap();
    token.check(ISSUER, &[], at(0)).unwrap();
    token.verify(&set(&[&signer]), &delimited).unwrap()
}

fn texts<'a>(verified: &'a Verified, path: &[&str]) -> Vec<&'a str> {
    let path: Vec<Name> = path.iter().map(|name| Name::from(*name)).collect();
    verified.claim(&path).collect()
}

#[test]
fn who_and_for_whom() {
    let token = verified(
        &json!({"iss": ISSUER, "sub": "alice", "aud": ["a", "b"], "azp": "app"}),
        &[],
    );
    assert_eq!(token.issuer(), ISSUER);
    assert_eq!(token.subject(), Some("alice"));
    assert_eq!(token.audiences().collect::<Vec<_>>(), ["a", "b"]);
    assert_eq!(token.presenter(), Some("app"));
    let one = verified(&json!({"iss": ISSUER, "aud": "a b"}), &[]);
    assert_eq!(one.audiences().collect::<Vec<_>>(), ["a b"]);
    assert_eq!(one.subject(), None);
}

#[test]
fn claims_are_found_by_the_way_into_them() {
    let token = verified(
        &json!({
            "iss": ISSUER,
            "realm_access": {"roles": ["admin", "user", 7, null]},
            "https://example.com/tenant": "t",
            "a.b": "dotted",
            "number": 1, "flag": true, "nothing": null, "empty": "", "object": {}
        }),
        &[],
    );
    assert_eq!(texts(&token, &["realm_access", "roles"]), ["admin", "user"]);
    assert_eq!(texts(&token, &["https://example.com/tenant"]), ["t"]);
    assert_eq!(texts(&token, &["a.b"]), ["dotted"]);
    assert_eq!(texts(&token, &["empty"]), [""]);
    for path in [
        &["number"][..],
        &["flag"],
        &["nothing"],
        &["object"],
        &["realm_access"],
        &["realm_access", "roles", "0"],
        &["a", "b"],
        &["missing"],
        &[],
    ] {
        assert!(texts(&token, path).is_empty(), "{path:?}");
    }
}

#[test]
fn claims_of_words_are_lists() {
    let token = verified(
        &json!({
            "iss": ISSUER,
            "scope": "read  write ", "permission": "a b", "groups": "x y", "sub": "two words",
            "nested": {"scope": "not split"}
        }),
        &["groups"],
    );
    assert_eq!(texts(&token, &["scope"]), ["read", "write"]);
    assert_eq!(texts(&token, &["permission"]), ["a", "b"]);
    assert_eq!(texts(&token, &["groups"]), ["x", "y"]);
    assert_eq!(texts(&token, &["sub"]), ["two words"]);
    assert_eq!(texts(&token, &["nested", "scope"]), ["not split"]);
    let list = verified(&json!({"iss": ISSUER, "scope": ["a b", "c"]}), &[]);
    assert_eq!(texts(&list, &["scope"]), ["a b", "c"]);
}

#[test]
fn the_payload_is_as_it_was_sent() {
    let claims = json!({"iss": ISSUER, "name": "Zoë"});
    let token = verified(&claims, &[]);
    let payload = base64::decode(token.payload()).unwrap();
    assert_eq!(payload, claims.to_string().into_bytes());
}
