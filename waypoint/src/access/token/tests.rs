//! What a refused client is told. Whole requests are in `request::tests::tokens`.

use http::{HeaderMap, HeaderValue};
use jwt::Refusal;

use super::challenge;

fn told(authority: &str, path: &str, refusal: Refusal) -> String {
    let mut headers = HeaderMap::new();
    headers.insert("x-forwarded-proto", HeaderValue::from_static("https"));
    let value = challenge(authority, &headers, path, refusal).unwrap();
    value.to_str().unwrap().to_owned()
}

#[test]
fn the_challenge_names_where_and_what() {
    assert_eq!(
        told("shop.example:8080", "/a/b", Refusal::Expired),
        r#"Bearer realm="https://shop.example:8080/a/b", error="invalid_token""#
    );
    assert_eq!(
        told("shop.example", "/", Refusal::Missing),
        r#"Bearer realm="https://shop.example/""#
    );
}

#[test]
fn a_path_cannot_end_the_challenge() {
    assert_eq!(
        told("shop", r#"/"x\"#, Refusal::Form),
        r#"Bearer realm="https://shop/\"x\\", error="invalid_token""#
    );
    let long = told("shop", &format!("/{}", "x".repeat(1000)), Refusal::Form);
    assert_eq!(
        long.len(),
        r#"Bearer realm="https://shop", error="invalid_token""#.len() + 256
    );
}
