//! Keys of every kind, and sets that are none.

use serde_json::{Value, json};

use super::{Signer, judge, ordinary, parse, set};
use crate::{KeySet, KeySetError, MAX_KEYS, MAX_SET_BYTES, Refusal, Symmetric, base64};

const ALGORITHMS: [&str; 10] = [
    "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA",
];

#[test]
fn a_token_of_every_algorithm_is_believed_by_its_key_alone() {
    for algorithm in ALGORITHMS {
        let signer = Signer::new("k", algorithm);
        let stranger = Signer::new("k", algorithm);
        let token = signer.sign(&ordinary());
        let verified = judge(&token, &set(&[&signer])).unwrap();
        assert_eq!(verified.subject(), Some("alice"), "{algorithm}");
        assert_eq!(
            judge(&token, &set(&[&stranger])),
            Err(Refusal::Signature),
            "{algorithm}"
        );
        // A set of several is searched.
        let other = Signer::new("other", "ES256");
        judge(&token, &set(&[&other, &signer])).unwrap();
    }
}

#[test]
fn a_key_without_name_and_algorithm_is_tried_for_all_of_its_kind() {
    let signer = Signer::rsa("k", "PS384");
    let keys = parse(&json!({"keys": [signer.bare_jwk()]}));
    judge(&signer.sign(&ordinary()), &keys).unwrap();
    let nameless = json!({"alg": "PS384"});
    judge(&signer.sign_as(&nameless, &ordinary()), &set(&[&signer])).unwrap();
}

#[test]
fn a_key_serves_its_own_algorithm_and_no_other_of_its_kind() {
    let signer = Signer::rsa("k", "RS256");
    let mut jwk = signer.jwk();
    jwk["alg"] = "RS512".into();
    let keys = parse(&json!({"keys": [jwk]}));
    assert_eq!(judge(&signer.sign(&ordinary()), &keys), Err(Refusal::NoKey));
}

#[test]
fn a_coordinate_without_its_leading_zeros_is_the_same_number() {
    // One point in 256 begins with a zero.
    let (signer, x) = std::iter::repeat_with(|| Signer::new("k", "ES256"))
        .find_map(|signer| {
            let jwk = signer.jwk();
            let x = base64::decode(jwk["x"].as_str().unwrap()).unwrap();
            (x[0] == 0).then_some((signer, x))
        })
        .unwrap();
    let mut jwk = signer.jwk();
    jwk["x"] = base64::encode(&x[1..]).into();
    judge(&signer.sign(&ordinary()), &parse(&json!({"keys": [jwk]}))).unwrap();
}

#[test]
fn secrets_count_in_a_policy_and_nowhere_else() {
    let secret = Signer::secret("s", "HS256", &[7; 32]);
    let text = json!({"keys": [secret.jwk()]}).to_string();
    let inline = KeySet::parse(text.as_bytes(), Symmetric::Allowed).unwrap();
    judge(&secret.sign(&ordinary()), &inline).unwrap();
    let fetched = KeySet::parse(text.as_bytes(), Symmetric::Refused);
    let Err(KeySetError::NoneValid(left_out)) = fetched else {
        panic!("{fetched:?}")
    };
    assert_eq!(
        left_out,
        ["key 1: kty is oct, which only a key set in the policy itself may have"]
    );
}

#[test]
fn keys_that_cannot_be_used_are_left_out_and_said_why() {
    let good = Signer::new("good", "ES256");
    let rsa = Signer::rsa("rsa", "RS256");
    let weak = |bits: usize| json!({"kty": "RSA", "n": base64::encode(&vec![0xc1; bits / 8]), "e": "AQAB"});
    let exponent = |e: &str| {
        let mut jwk = rsa.jwk();
        jwk["e"] = e.into();
        jwk
    };
    let with = |field: &str, value: Value| {
        let mut jwk = good.jwk();
        jwk[field] = value;
        jwk
    };
    let bad = [
        (weak(1024), "n has 128 bytes, expected 256 to 1024"),
        (weak(16384), "n has 2048 bytes, expected 256 to 1024"),
        (exponent("AQ"), "e is even or 1"),
        (exponent("Ag"), "e is even or 1"),
        (
            exponent("AQABAQABAQAB"),
            "e has 9 bytes, expected at most 4",
        ),
        (
            with("use", "enc".into()),
            "use or key_ops say that it does not verify signatures",
        ),
        (
            with("key_ops", json!(["sign"])),
            "use or key_ops say that it does not verify signatures",
        ),
        (
            with("alg", "RS256".into()),
            r#"alg is "RS256", which is not for its kty and crv"#,
        ),
        (
            with("alg", "none".into()),
            r#"alg is "none", which is not for its kty and crv"#,
        ),
        (
            with("crv", "P-384".into()),
            r#"alg is "ES256", which is not for its kty and crv"#,
        ),
        (with("crv", "secp256k1".into()), r#"crv is "secp256k1""#),
        (with("kty", "quantum".into()), r#"kty is "quantum""#),
        (with("x", Value::Null), "x is missing or not a string"),
        (with("x", "+/+/".into()), "x is not base64url"),
        (
            with("x", base64::encode(&[9; 40]).into()),
            "x has 40 bytes, expected those of the curve",
        ),
        (
            json!({"kty": "OKP", "crv": "Ed25519", "x": "AAAA"}),
            "x has 3 bytes, expected 32",
        ),
        (
            json!({"kty": "OKP", "crv": "X25519", "x": "AAAA"}),
            r#"crv is "X25519""#,
        ),
        (json!({"kid": "x"}), "kty is missing or not a string"),
        (json!("key"), "not an object"),
    ];
    for (jwk, why) in bad {
        let keys = parse(&json!({"keys": [good.jwk(), jwk]}));
        assert_eq!(keys.left_out(), [format!("key 2: {why}")]);
        assert_eq!(keys.len(), 1);
        let alone = json!({"keys": [jwk]}).to_string();
        assert!(matches!(
            KeySet::parse(alone.as_bytes(), Symmetric::Refused),
            Err(KeySetError::NoneValid(_))
        ));
    }
}

#[test]
fn a_set_that_is_none_is_said_so_in_the_words_of_envoy() {
    let many: Vec<Value> = (0..=MAX_KEYS).map(|_| json!({"kty": "RSA"})).collect();
    let long = format!(r#"{{"keys": [], "x": "{}"}}"#, "x".repeat(MAX_SET_BYTES));
    let cases = [
        ("<html>", "Jwks is an invalid JSON"),
        ("[]", "Jwks is an invalid JSON"),
        (r#"{"keys": [], "keys": []}"#, "Jwks is an invalid JSON"),
        (&long, "Jwks is an invalid JSON"),
        ("{}", "Jwks does not have [keys] field"),
        (r#"{"keys": {}}"#, "[keys] in Jwks is not an array"),
        (r#"{"keys": []}"#, "Jwks doesn't have any valid public key"),
        (
            &json!({ "keys": many }).to_string(),
            "Jwks doesn't have any valid public key",
        ),
    ];
    for (text, words) in cases {
        let error = KeySet::parse(text.as_bytes(), Symmetric::Refused).unwrap_err();
        assert_eq!(error.refusal().to_string(), words, "{error}");
    }
}

#[test]
fn secrets_of_a_guessable_length_are_left_out() {
    let short = Signer::secret("s", "HS256", b"secret");
    let text = json!({"keys": [short.jwk()]}).to_string();
    let error = KeySet::parse(text.as_bytes(), Symmetric::Allowed).unwrap_err();
    assert_eq!(
        error.to_string(),
        "key set has no key that can be used: key 1: k has 6 bytes, expected 32 to 1024"
    );
}
