//! What is wrong with a token's form, in the words of Envoy.

use serde_json::{Value, json};

use super::{ISSUER, NOW, Signer, judge, ordinary, set};
use crate::base64;

fn with(field: &str, value: Value) -> Value {
    let mut claims = ordinary();
    claims[field] = value;
    claims
}

#[test]
fn every_fault_has_its_own_words() {
    let signer = Signer::rsa("k", "RS256");
    let keys = set(&[&signer]);
    let claims = |claims: Value| signer.sign(&claims);
    let text = |payload: &str| signer.sign_text(r#"{"alg":"RS256"}"#, payload);
    let header = |header: &str| signer.sign_text(header, &ordinary().to_string());
    let cases = [
        (
            "no-token".to_owned(),
            "Jwt is not in the form of Header.Payload.Signature with two dots and 3 sections",
        ),
        (
            "!.e30.AA".to_owned(),
            "Jwt header is an invalid Base64url encoded",
        ),
        (header("{"), "Jwt header is an invalid JSON"),
        (header("[]"), "Jwt header is an invalid JSON"),
        (header("{} {}"), "Jwt header is an invalid JSON"),
        (
            header("{}"),
            "Jwt header [alg] field is required and must be a string",
        ),
        (
            header(r#"{"alg":256}"#),
            "Jwt header [alg] field is required and must be a string",
        ),
        (
            header(r#"{"alg":"none"}"#),
            "Jwt header [alg] is not supported",
        ),
        (
            header(r#"{"alg":"RS256","kid":1}"#),
            "Jwt header [kid] field is not a string",
        ),
        (
            header(r#"{"alg":"RS256","crit":["x"]}"#),
            "Jwt header [crit] is not supported",
        ),
        (
            format!("{}.!.AA", base64::encode(br#"{"alg":"RS256"}"#)),
            "Jwt payload is an invalid Base64url encoded",
        ),
        (text("{"), "Jwt payload is an invalid JSON"),
        (text("\"text\""), "Jwt payload is an invalid JSON"),
        (
            text("{\"iss\":\"\u{1}\"}"),
            "Jwt payload is an invalid JSON",
        ),
        (
            claims(with("iss", json!(1))),
            "Jwt payload [iss] field is not a string",
        ),
        (
            claims(with("sub", json!(["a"]))),
            "Jwt payload [sub] field is not a string",
        ),
        (
            claims(with("jti", json!(1))),
            "Jwt payload [jti] field is not a string",
        ),
        (
            claims(with("iat", json!("1"))),
            "Jwt payload [iat] field is not an integer",
        ),
        (
            claims(with("iat", json!(-1))),
            "Jwt payload [iat] field is not a positive 64 bit integer",
        ),
        (
            claims(with("nbf", json!(true))),
            "Jwt payload [nbf] field is not an integer",
        ),
        (
            claims(with("nbf", json!(-1))),
            "Jwt payload [nbf] field is not a positive 64 bit integer",
        ),
        (
            claims(with("exp", Value::Null)),
            "Jwt payload [exp] field is not an integer",
        ),
        (
            claims(with("exp", json!(1e30))),
            "Jwt payload [exp] field is not a positive 64 bit integer",
        ),
        (
            claims(with("aud", json!(1))),
            "Jwt payload [aud] field is not a string or string list",
        ),
        (
            claims(with("aud", json!(["a", 1]))),
            "Jwt payload [aud] field is not a string or string list",
        ),
        (
            claims(with("iss", json!("https://other.example"))),
            "Jwt issuer is not configured",
        ),
        (
            claims(json!({"sub": "alice"})),
            "Jwt issuer is not configured",
        ),
        (claims(with("nbf", json!(NOW + 61))), "Jwt not yet valid"),
        (claims(with("exp", json!(NOW - 61))), "Jwt is expired"),
        (
            header(r#"{"alg":"RS256","kid":"x"}"#),
            "Jwks doesn't have key to match kid or alg from Jwt",
        ),
        (
            header(r#"{"alg":"RS512"}"#),
            "Jwks doesn't have key to match kid or alg from Jwt",
        ),
    ];
    for (token, words) in cases {
        let refusal = judge(&token, &keys).unwrap_err();
        assert_eq!(refusal.to_string(), words);
        assert!(!refusal.is_forbidden());
    }
    let token = claims(ordinary());
    let broken = format!("{}!", &token[..token.len() - 1]);
    assert_eq!(
        judge(&broken, &keys).unwrap_err().to_string(),
        "Jwt signature is an invalid Base64url encoded"
    );
    let signed = claims(ordinary());
    let (message, _) = signed.rsplit_once('.').unwrap();
    assert_eq!(
        judge(&format!("{message}.AAAA"), &keys)
            .unwrap_err()
            .to_string(),
        "Jwt verification fails"
    );
}

#[test]
fn padding_is_taken_where_it_belongs() {
    let signer = Signer::new("k", "ES256");
    let keys = set(&[&signer]);
    let pad = |part: &str| {
        let missing = (4 - part.len() % 4) % 4;
        format!("{part}{}", "=".repeat(missing))
    };
    let header = pad(&base64::encode(br#"{"alg":"ES256","kid":"k"}"#));
    // Of every length, so that each padding occurs.
    for filler in ["", "x", "xx"] {
        let claims = json!({"iss": ISSUER, "x": filler}).to_string();
        let payload = pad(&base64::encode(claims.as_bytes()));
        let message = format!("{header}.{payload}");
        let signature = signer.signature(&message);
        let token = format!("{message}.{}", pad(&signature));
        assert_eq!(judge(&token, &keys).unwrap().payload(), payload);
        for wrong in ["=", "===", "===="] {
            assert!(judge(&format!("{message}.{signature}{wrong}"), &keys).is_err());
        }
    }
}
