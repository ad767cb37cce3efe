//! Who tries to get round the signature.

use serde_json::{Value, json};

use super::{Signer, judge, ordinary, parse, set};
use crate::{
    KeySet, MAX_HEADER_BYTES, MAX_TOKEN_BYTES, Refusal, Symmetric, Token, base64,
    tests::signer::modulus_and_exponent,
};

#[test]
fn a_token_without_a_signature_is_refused_however_it_is_spelled() {
    let signer = Signer::rsa("k", "RS256");
    let keys = set(&[&signer]);
    for alg in [
        "none", "None", "NONE", "nOnE", "", " RS256", "rs256", "HS256 ",
    ] {
        let header = json!({"alg": alg, "kid": "k"});
        let token = signer.sign_as(&header, &ordinary());
        assert_eq!(
            judge(&token, &keys),
            Err(Refusal::AlgorithmUnknown),
            "{alg:?}"
        );
        let (message, _) = token.rsplit_once('.').unwrap();
        for bare in [format!("{message}."), message.to_owned()] {
            assert_eq!(judge(&bare, &keys), Err(Refusal::Form), "{alg:?}");
        }
    }
}

#[test]
fn an_emptied_signature_is_none() {
    let signer = Signer::rsa("k", "RS256");
    let token = signer.sign(&ordinary());
    let (message, _) = token.rsplit_once('.').unwrap();
    for bytes in [1, 32, 64, 256, 512] {
        let forged = format!("{message}.{}", base64::encode(&vec![0; bytes]));
        assert_eq!(judge(&forged, &set(&[&signer])), Err(Refusal::Signature));
    }
}

#[test]
fn a_public_key_is_no_secret() {
    // The classic: HMAC with the text of the public key, in every text that an issuer publishes.
    let signer = Signer::rsa("k", "RS256");
    let public = signer.bare_jwk();
    let modulus = base64::decode(public["n"].as_str().unwrap()).unwrap();
    let jwk = signer.jwk().to_string();
    let secrets: [&[u8]; 4] = [
        &modulus,
        public["n"].as_str().unwrap().as_bytes(),
        jwk.as_bytes(),
        b"AQAB",
    ];
    // The key names its algorithm, or it does not.
    for key in [signer.jwk(), public.clone()] {
        let text = json!({"keys": [key]}).to_string();
        for symmetric in [Symmetric::Refused, Symmetric::Allowed] {
            let keys = KeySet::parse(text.as_bytes(), symmetric).unwrap();
            for secret in secrets {
                for alg in ["HS256", "HS384", "HS512"] {
                    let forged = Signer::secret("k", alg, secret).sign(&ordinary());
                    let refusal = judge(&forged, &keys).unwrap_err();
                    assert!(
                        matches!(refusal, Refusal::NoKey | Refusal::Signature),
                        "{refusal:?}"
                    );
                }
            }
        }
    }
}

#[test]
fn a_key_of_one_kind_verifies_nothing_of_another() {
    let signers: Vec<Signer> = ["RS256", "PS256", "ES256", "ES384", "ES512", "EdDSA"]
        .map(|algorithm| Signer::new("k", algorithm))
        .into();
    for signer in &signers {
        for other in &signers {
            // Signed by one, said to be of the other, offered to the one's key without its algorithm's name.
            let header = json!({"alg": other.algorithm, "kid": "k"});
            let token = signer.sign_as(&header, &ordinary());
            let keys = parse(&json!({"keys": [signer.bare_jwk()]}));
            let believed = judge(&token, &keys).is_ok();
            assert_eq!(
                believed,
                signer.algorithm == other.algorithm,
                "{} as {}",
                signer.algorithm,
                other.algorithm
            );
        }
    }
}

#[test]
fn a_name_of_a_key_is_compared_and_nothing_else() {
    let signer = Signer::rsa("k", "RS256");
    let keys = set(&[&signer]);
    let long = "k".repeat(4096);
    let names = [
        "../../../../dev/null",
        "/etc/passwd",
        "k' OR '1'='1",
        "http://evil.example/key",
        "k\u{0}",
        " k",
        "K",
        "\r\nx: y",
        &long,
    ];
    for id in names {
        let header = json!({"alg": "RS256", "kid": id});
        let token = signer.sign_as(&header, &ordinary());
        assert_eq!(judge(&token, &keys), Err(Refusal::NoKey), "{id:?}");
    }
    for id in [json!(7), json!(["k"]), json!({"k": 1}), Value::Null] {
        let header = json!({"alg": "RS256", "kid": id});
        let token = signer.sign_as(&header, &ordinary());
        assert_eq!(judge(&token, &keys), Err(Refusal::KeyId), "{id}");
    }
}

#[test]
fn a_key_that_the_token_brings_along_is_not_looked_at() {
    let (issuer, attacker) = (Signer::rsa("k", "RS256"), Signer::rsa("k", "RS256"));
    let keys = set(&[&issuer]);
    let header = json!({
        "alg": "RS256", "kid": "k",
        "jwk": attacker.jwk(),
        "jku": "http://127.0.0.1:1/keys",
        "x5u": "http://127.0.0.1:1/certificate",
        "x5c": ["MIIB"],
        "x5t": "AAAA", "x5t#S256": "AAAA",
    });
    let forged = attacker.sign_as(&header, &ordinary());
    assert_eq!(judge(&forged, &keys), Err(Refusal::Signature));
    // The same in a token of the issuer does no harm.
    judge(&issuer.sign_as(&header, &ordinary()), &keys).unwrap();
}

#[test]
fn demands_that_nobody_understands_are_refused() {
    let signer = Signer::rsa("k", "RS256");
    for crit in [json!(["exp"]), json!(["b64"]), json!([]), Value::Null] {
        let header = json!({"alg": "RS256", "kid": "k", "crit": crit, "b64": false, "exp": 1});
        let token = signer.sign_as(&header, &ordinary());
        assert_eq!(judge(&token, &set(&[&signer])), Err(Refusal::Critical));
    }
}

#[test]
fn a_token_that_is_too_long_is_not_read() {
    let signer = Signer::rsa("k", "RS256");
    let keys = set(&[&signer]);
    let mut claims = ordinary();
    claims["groups"] = "g".repeat(MAX_TOKEN_BYTES).into();
    assert_eq!(judge(&signer.sign(&claims), &keys), Err(Refusal::Form));
    let header = json!({"alg": "RS256", "kid": "k", "x5c": "c".repeat(MAX_HEADER_BYTES)});
    let token = signer.sign_as(&header, &ordinary());
    assert_eq!(judge(&token, &keys), Err(Refusal::Form));
    claims["groups"] = "g".repeat(MAX_TOKEN_BYTES / 2).into();
    judge(&signer.sign(&claims), &keys).unwrap();
}

#[test]
fn json_that_nests_deep_is_not_followed() {
    let signer = Signer::rsa("k", "RS256");
    let keys = set(&[&signer]);
    let nested = |levels: usize| {
        let text = format!(
            r#"{{"iss": "{}", "x": {}1{}}}"#,
            super::ISSUER,
            "[".repeat(levels),
            "]".repeat(levels)
        );
        signer.sign_text(r#"{"alg": "RS256", "kid": "k"}"#, &text)
    };
    judge(&nested(crate::json::MAX_DEPTH - 1), &keys).unwrap();
    for levels in [crate::json::MAX_DEPTH, 1000, 10_000] {
        let refusal = judge(&nested(levels), &keys).unwrap_err();
        assert_eq!(refusal, Refusal::PayloadJson, "{levels}");
    }
    let deep = format!(
        r#"{{"alg": "RS256", "x": {}{}}}"#,
        "[".repeat(99),
        "]".repeat(99)
    );
    let token = signer.sign_text(&deep, &ordinary().to_string());
    assert_eq!(judge(&token, &keys), Err(Refusal::HeaderJson));
}

#[test]
fn what_is_said_twice_is_refused_wherever_it_stands() {
    let signer = Signer::rsa("k", "RS256");
    let keys = set(&[&signer]);
    let header = r#"{"alg": "RS256", "kid": "k"}"#;
    let payloads = [
        format!(
            r#"{{"iss": "{0}", "sub": "alice", "sub": "root"}}"#,
            super::ISSUER
        ),
        format!(r#"{{"iss": "{0}", "iss": "{0}"}}"#, super::ISSUER),
        format!(
            r#"{{"iss": "{0}", "realm": {{"roles": [], "roles": ["admin"]}}}}"#,
            super::ISSUER
        ),
        // The same name, spelled with an escape.
        format!(
            r#"{{"iss": "{0}", "sub": "alice", "\u0073ub": "root"}}"#,
            super::ISSUER
        ),
    ];
    for payload in payloads {
        let token = signer.sign_text(header, &payload);
        assert_eq!(judge(&token, &keys), Err(Refusal::PayloadJson), "{payload}");
    }
    let twice = r#"{"alg": "RS256", "alg": "none", "kid": "k"}"#;
    let token = signer.sign_text(twice, &ordinary().to_string());
    assert_eq!(judge(&token, &keys), Err(Refusal::HeaderJson));
}

#[test]
fn a_changed_byte_anywhere_is_noticed() {
    let signer = Signer::new("k", "ES256");
    let keys = set(&[&signer]);
    let token = signer.sign(&ordinary());
    judge(&token, &keys).unwrap();
    for place in 0..token.len() {
        let mut bytes = token.clone().into_bytes();
        bytes[place] = if bytes[place] == b'A' { b'B' } else { b'A' };
        let changed = String::from_utf8(bytes).unwrap();
        assert!(judge(&changed, &keys).is_err(), "byte {place}");
    }
}

#[test]
fn a_signature_has_one_spelling() {
    // The last character of 64 bytes carries four bits that mean nothing; they must be zero.
    let signer = Signer::new("k", "ES256");
    let keys = set(&[&signer]);
    let token = signer.sign(&ordinary());
    let last = token.chars().last().unwrap();
    assert!("AQgw".contains(last));
    let others = "BCDEFGHIJKLMNOPRSTUVWXYZ";
    for other in others.chars() {
        let spelled = format!("{}{other}", &token[..token.len() - 1]);
        assert_eq!(judge(&spelled, &keys), Err(Refusal::SignatureBase64));
    }
}

#[test]
fn a_signature_in_another_form_is_none() {
    // DER, where R and S are expected: verifiers that take both have been fooled.
    let signer = Signer::new("k", "ES256");
    let token = signer.sign(&ordinary());
    let (message, signature) = token.rsplit_once('.').unwrap();
    let fixed = base64::decode(signature).unwrap();
    let mut der = vec![0x30, 68, 2, 32];
    der.extend(&fixed[..32]);
    der.extend([2, 32]);
    der.extend(&fixed[32..]);
    let forged = format!("{message}.{}", base64::encode(&der));
    assert_eq!(judge(&forged, &set(&[&signer])), Err(Refusal::Signature));
    let zeros = format!("{message}.{}", base64::encode(&[0; 64]));
    assert_eq!(judge(&zeros, &set(&[&signer])), Err(Refusal::Signature));
}

#[test]
fn an_ed25519_signature_of_another_length_is_said_so() {
    let signer = Signer::new("k", "EdDSA");
    let token = signer.sign(&ordinary());
    let (message, _) = token.rsplit_once('.').unwrap();
    let short = format!("{message}.{}", base64::encode(&[1; 63]));
    assert_eq!(
        judge(&short, &set(&[&signer])),
        Err(Refusal::SignatureLength)
    );
}

#[test]
fn a_point_off_the_curve_and_a_made_up_modulus_sign_nothing() {
    let signer = Signer::new("k", "ES256");
    let mut jwk = signer.jwk();
    jwk["y"] = base64::encode(&[1; 32]).into();
    let keys = parse(&json!({"keys": [jwk]}));
    assert_eq!(
        judge(&signer.sign(&ordinary()), &keys),
        Err(Refusal::Signature)
    );

    let rsa = Signer::rsa("k", "RS256");
    let mut jwk = rsa.jwk();
    jwk["n"] = base64::encode(&[0xff; 256]).into();
    let keys = parse(&json!({"keys": [jwk]}));
    assert_eq!(
        judge(&rsa.sign(&ordinary()), &keys),
        Err(Refusal::Signature)
    );
}

#[test]
fn an_encrypted_token_and_one_in_another_form_are_none() {
    let parts = [
        "a.b.c.d.e",
        "a.b",
        "a",
        "",
        ".",
        "..",
        "a..c",
        ".b.c",
        "a.b.",
        "{}",
    ];
    for text in parts {
        assert_eq!(Token::parse(text).unwrap_err(), Refusal::Form, "{text:?}");
    }
}

#[test]
fn the_parts_of_a_public_key_are_where_the_tests_look_for_them() {
    // Otherwise the confusion above would be tried with rubbish.
    let der = [0x30, 7, 2, 2, 0, 0xc1, 2, 1, 3];
    assert_eq!(modulus_and_exponent(&der), (&[0xc1][..], &[3][..]));
}
