//! When, and for whom, a token counts.

use serde_json::{Value, json};

use super::{ISSUER, NOW, Signer, at, judge_for, ordinary, set};
use crate::{Refusal, Token};

/// What is said of a token with these claims, at a time.
fn when(claims: &Value, now: u64) -> Result<(), Refusal> {
    let signer = Signer::secret("s", "HS256", &[1; 32]);
    let token = signer.sign(claims);
    Token::parse(&token)?.check(ISSUER, &[], at(now))
}

#[test]
fn clocks_may_be_a_minute_apart() {
    let until = json!({"iss": ISSUER, "exp": NOW});
    assert_eq!(when(&until, NOW), Ok(()));
    assert_eq!(when(&until, NOW + 60), Ok(()));
    assert_eq!(when(&until, NOW + 61), Err(Refusal::Expired));
    let from = json!({"iss": ISSUER, "nbf": NOW});
    assert_eq!(when(&from, NOW), Ok(()));
    assert_eq!(when(&from, NOW - 60), Ok(()));
    assert_eq!(when(&from, NOW - 61), Err(Refusal::NotYetValid));
}

#[test]
fn a_token_without_an_end_has_none() {
    let endless = json!({"iss": ISSUER});
    assert_eq!(when(&endless, NOW), Ok(()));
    assert_eq!(when(&endless, u64::from(u32::MAX) * 4), Ok(()));
}

#[test]
fn an_end_at_the_beginning_of_time_is_over() {
    let claims = json!({"iss": ISSUER, "exp": 0});
    assert_eq!(when(&claims, NOW), Err(Refusal::Expired));
}

#[test]
fn times_that_are_no_whole_seconds_or_far_away_are_times() {
    let parts = json!({"iss": ISSUER, "exp": 1.5, "nbf": 0.1});
    assert_eq!(when(&parts, 61), Ok(()));
    assert_eq!(when(&parts, 62), Err(Refusal::Expired));
    let far = json!({"iss": ISSUER, "exp": u64::MAX});
    assert_eq!(when(&far, NOW), Ok(()));
    let never = json!({"iss": ISSUER, "nbf": u64::MAX});
    assert_eq!(when(&never, NOW), Err(Refusal::NotYetValid));
    // When it was issued is told, and not judged.
    let issued = json!({"iss": ISSUER, "iat": NOW + 100_000});
    assert_eq!(when(&issued, NOW), Ok(()));
}

#[test]
fn an_audience_is_one_text_or_one_of_several() {
    let signer = Signer::new("k", "ES256");
    let keys = set(&[&signer]);
    let ask = |aud: Value, wanted: &[&str]| {
        let mut claims = ordinary();
        claims["aud"] = aud;
        judge_for(&signer.sign(&claims), &keys, wanted).map(|_| ())
    };
    assert_eq!(ask(json!("shop"), &["shop"]), Ok(()));
    assert_eq!(ask(json!("shop"), &["bank", "shop"]), Ok(()));
    assert_eq!(ask(json!(["bank", "shop"]), &["shop"]), Ok(()));
    assert_eq!(ask(json!("anything"), &[]), Ok(()));
    for aud in [
        json!("shop2"),
        json!("Shop"),
        json!([]),
        json!(["bank"]),
        json!(""),
    ] {
        assert_eq!(ask(aud, &["shop"]), Err(Refusal::Audience));
    }
    let mut nobody = ordinary();
    nobody.as_object_mut().unwrap().remove("aud");
    let refused = judge_for(&signer.sign(&nobody), &keys, &["shop"]).unwrap_err();
    assert_eq!(refused.to_string(), "Audiences in Jwt are not allowed");
    assert!(refused.is_forbidden());
}

#[test]
fn an_audience_is_the_same_with_and_without_scheme_and_slash() {
    let signer = Signer::new("k", "ES256");
    let keys = set(&[&signer]);
    let same = [
        "example.com/api",
        "https://example.com/api",
        "http://example.com/api/",
        "example.com/api/",
    ];
    for aud in same {
        for wanted in same {
            let mut claims = ordinary();
            claims["aud"] = aud.into();
            judge_for(&signer.sign(&claims), &keys, &[wanted]).unwrap();
        }
    }
    let mut claims = ordinary();
    claims["aud"] = "ftp://example.com/api".into();
    let refused = judge_for(&signer.sign(&claims), &keys, &["example.com/api"]);
    assert_eq!(refused, Err(Refusal::Audience));
}

#[test]
fn the_order_of_checks_is_the_one_of_envoy() {
    let other = json!({"iss": "x", "exp": 1, "nbf": u64::MAX});
    assert_eq!(when(&other, NOW), Err(Refusal::UnknownIssuer));
    let both = json!({"iss": ISSUER, "exp": 1, "nbf": u64::MAX});
    assert_eq!(when(&both, NOW), Err(Refusal::NotYetValid));
}

#[test]
fn an_issuer_without_a_name_has_no_tokens() {
    let signer = Signer::secret("s", "HS256", &[1; 32]);
    for claims in [json!({}), json!({"iss": ""})] {
        let text = signer.sign(&claims);
        let token = Token::parse(&text).unwrap();
        assert_eq!(token.check("", &[], at(NOW)), Err(Refusal::UnknownIssuer));
    }
}
