//! JWTs of an issuer, and every way to make one that is not his.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use identity::pem;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use rcgen::{KeyPair, PublicKeyData as _, RsaKeySize};
use serde_json::{Value, json};

use super::{Known, headers};
use crate::{
    ca::testkit::{Folder, START, at},
    token::{Authenticator, Caller, IssuerOptions, JwtError, Options, TokenError, file::base64url},
};

const ISSUER: &str = "https://kubernetes.default.svc";

/// A key of the issuer.
struct Signing {
    algorithm: Algorithm,
    key: KeyPair,
    kid: Option<&'static str>,
}

impl Signing {
    fn ecdsa(kid: &'static str) -> Self {
        Self {
            algorithm: Algorithm::ES256,
            key: KeyPair::generate().unwrap(),
            kid: Some(kid),
        }
    }

    fn rsa(kid: &'static str) -> Self {
        Self {
            algorithm: Algorithm::RS256,
            key: KeyPair::generate_rsa_for(&rcgen::PKCS_RSA_SHA256, RsaKeySize::_2048).unwrap(),
            kid: Some(kid),
        }
    }

    fn ed25519(kid: &'static str) -> Self {
        Self {
            algorithm: Algorithm::EdDSA,
            key: KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap(),
            kid: Some(kid),
        }
    }

    fn jwk(&self) -> Value {
        let public = self.key.der_bytes();
        let mut jwk = if self.algorithm == Algorithm::ES256 {
            json!({"kty": "EC", "crv": "P-256",
                "x": base64url(&public[1..33]), "y": base64url(&public[33..])})
        } else if self.algorithm == Algorithm::EdDSA {
            json!({"kty": "OKP", "crv": "Ed25519", "x": base64url(public)})
        } else {
            // PKCS #1: SEQUENCE { INTEGER 00 n, INTEGER 65537 } for 2048 bits.
            json!({"kty": "RSA", "n": base64url(&public[9..265]), "e": "AQAB"})
        };
        if let Some(kid) = self.kid {
            jwk["kid"] = kid.into();
        }
        jwk
    }

    fn encoding(&self) -> EncodingKey {
        let der = self.key.serialize_der();
        if self.algorithm == Algorithm::ES256 {
            EncodingKey::from_ec_der(&der)
        } else if self.algorithm == Algorithm::EdDSA {
            EncodingKey::from_ed_der(&der)
        } else {
            // PKCS #1, which in PKCS #8 stands behind 26 bytes for keys of 2048 bits.
            EncodingKey::from_rsa_der(&der[26..])
        }
    }

    fn header(&self) -> Header {
        let mut header = Header::new(self.algorithm);
        header.kid = self.kid.map(str::to_owned);
        header
    }

    fn sign(&self, claims: &Value) -> String {
        encode(&self.header(), claims, &self.encoding()).unwrap()
    }
}

fn claims() -> Value {
    json!({
        "iss": ISSUER,
        "aud": ["istio-ca"],
        "sub": "system:serviceaccount:istio-system:ztunnel",
        "exp": START + 3600,
        "nbf": START - 10,
        "iat": START - 10,
        "kubernetes.io": {
            "namespace": "istio-system",
            "node": {"name": "one", "uid": "0c7e"},
            "pod": {"name": "ztunnel-x", "uid": "8a1f"},
            "serviceaccount": {"name": "ztunnel", "uid": "77ab"},
        },
    })
}

fn with(change: impl FnOnce(&mut Value)) -> Value {
    let mut claims = claims();
    change(&mut claims);
    claims
}

fn jwks(keys: &[&Signing]) -> String {
    let keys: Vec<_> = keys.iter().map(|key| key.jwk()).collect();
    json!({ "keys": keys }).to_string()
}

struct Issuer {
    folder: Folder,
    known: Known,
}

impl Issuer {
    fn new(keys: &str) -> Self {
        let folder = Folder::new();
        folder.write("keys", keys);
        let mut known = Known::with(&folder, options(&folder));
        known.now = at(START);
        Self { folder, known }
    }

    fn ask(&mut self, token: &str) -> Result<Caller, JwtError> {
        match self.known.ask_token(token) {
            Err(TokenError::Jwt(error)) => Err(error),
            other => Ok(other.unwrap()),
        }
    }
}

fn options(folder: &Folder) -> Options {
    Options {
        issuer: Some(IssuerOptions {
            issuer: ISSUER.to_owned(),
            keys: folder.file("keys"),
            audience: "istio-ca".to_owned(),
        }),
    }
}

fn date(seconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(seconds)
}

#[test]
fn a_bound_service_account_token_says_who_and_where() {
    for key in [
        Signing::ecdsa("k"),
        Signing::rsa("k"),
        Signing::ed25519("k"),
    ] {
        let mut issuer = Issuer::new(&jwks(&[&key]));
        let caller = Caller {
            namespace: "istio-system".into(),
            service_account: "ztunnel".into(),
            node: Some("one".into()),
            expires: Some(date(START + 3600)),
        };
        assert_eq!(
            issuer.ask(&key.sign(&claims())),
            Ok(caller),
            "{:?}",
            key.algorithm
        );
    }
}

#[test]
fn a_token_without_a_node_stands_for_no_node() {
    let key = Signing::ecdsa("k");
    let mut issuer = Issuer::new(&jwks(&[&key]));
    for claims in [
        with(|c| c["kubernetes.io"]["node"] = Value::Null),
        with(|c| c["kubernetes.io"] = json!({})),
        with(|c| c["kubernetes.io"] = Value::Null),
    ] {
        assert_eq!(issuer.ask(&key.sign(&claims)).unwrap().node, None);
    }
    let one = with(|c| c["aud"] = "istio-ca".into());
    assert!(issuer.ask(&key.sign(&one)).is_ok());
}

#[test]
fn public_keys_as_pem_are_taken_too() {
    for mut key in [
        Signing::ecdsa("k"),
        Signing::rsa("k"),
        Signing::ed25519("k"),
    ] {
        let other = Signing::ecdsa("other");
        let pem = key.key.public_key_pem() + &other.key.public_key_pem();
        let mut issuer = Issuer::new(&pem);
        assert!(
            issuer.ask(&key.sign(&claims())).is_ok(),
            "{:?}",
            key.algorithm
        );
        key.kid = None;
        assert!(
            issuer.ask(&key.sign(&claims())).is_ok(),
            "{:?}",
            key.algorithm
        );
        let stranger = Signing::ecdsa("k");
        assert_eq!(
            issuer.ask(&stranger.sign(&claims())),
            Err(JwtError::Signature)
        );
    }
}

#[test]
fn a_token_without_a_signature_is_no_token() {
    let key = Signing::ecdsa("k");
    let mut issuer = Issuer::new(&jwks(&[&key]));
    let good = key.sign(&claims());
    let body = good.split('.').nth(1).unwrap();
    for alg in ["none", "None", "NONE", ""] {
        let header = base64url(
            json!({"alg": alg, "typ": "JWT", "kid": "k"})
                .to_string()
                .as_bytes(),
        );
        for signature in ["", good.rsplit('.').next().unwrap()] {
            let token = format!("{header}.{body}.{signature}");
            assert_eq!(issuer.ask(&token), Err(JwtError::Malformed), "{alg}");
        }
    }
    let unsigned = good.rsplit_once('.').unwrap().0;
    assert_eq!(
        issuer.ask(&format!("{unsigned}.")),
        Err(JwtError::Signature)
    );
    for odd in [unsigned, "a.b.c", "..", "...", "x"] {
        assert_eq!(issuer.ask(odd), Err(JwtError::Malformed), "{odd}");
    }
}

#[test]
fn the_public_key_is_no_secret_to_sign_with() {
    let key = Signing::rsa("k");
    let pem_text = key.key.public_key_pem();
    let spki = key.key.subject_public_key_info();
    for keys in [jwks(&[&key]), pem_text.clone()] {
        let mut issuer = Issuer::new(&keys);
        assert!(issuer.ask(&key.sign(&claims())).is_ok());
        for secret in [
            pem_text.as_bytes(),
            pem_text.trim().as_bytes(),
            &spki,
            key.key.der_bytes(),
            keys.as_bytes(),
        ] {
            for algorithm in [Algorithm::HS256, Algorithm::HS384, Algorithm::HS512] {
                let mut header = Header::new(algorithm);
                header.kid = Some("k".to_owned());
                let token = encode(&header, &claims(), &EncodingKey::from_secret(secret)).unwrap();
                let refused = issuer.ask(&token);
                assert!(
                    matches!(refused, Err(JwtError::NoKey { .. })),
                    "{refused:?}"
                );
            }
        }
    }
}

#[test]
fn a_symmetric_key_in_the_set_is_not_used() {
    let key = Signing::ecdsa("k");
    let mut set: Value = serde_json::from_str(&jwks(&[&key])).unwrap();
    let secret = json!({"kty": "oct", "kid": "s", "k": base64url(b"secret"), "alg": "HS256"});
    set["keys"].as_array_mut().unwrap().push(secret);
    let mut issuer = Issuer::new(&set.to_string());
    let mut header = Header::new(Algorithm::HS256);
    header.kid = Some("s".to_owned());
    let token = encode(&header, &claims(), &EncodingKey::from_secret(b"secret")).unwrap();
    assert!(matches!(issuer.ask(&token), Err(JwtError::NoKey { .. })));
}

#[test]
fn a_key_in_the_token_itself_is_not_used() {
    let (key, stranger) = (Signing::ecdsa("k"), Signing::ecdsa("k"));
    let mut issuer = Issuer::new(&jwks(&[&key]));
    let mut header = stranger.header();
    header.jwk = Some(serde_json::from_value(stranger.jwk()).unwrap());
    header.jku = Some("https://attacker.example/keys".to_owned());
    let token = encode(&header, &claims(), &stranger.encoding()).unwrap();
    assert_eq!(issuer.ask(&token), Err(JwtError::Signature));
}

#[test]
fn a_header_that_demands_something_is_refused() {
    let key = Signing::ecdsa("k");
    let mut issuer = Issuer::new(&jwks(&[&key]));
    let mut header = key.header();
    header.crit = Some(vec!["exp".to_owned()]);
    let token = encode(&header, &claims(), &key.encoding()).unwrap();
    assert_eq!(issuer.ask(&token), Err(JwtError::Critical));
}

#[test]
fn a_key_is_used_under_its_own_name_and_for_its_own_algorithm() {
    let (mut first, second) = (Signing::ecdsa("first"), Signing::rsa("second"));
    let mut set: Value = serde_json::from_str(&jwks(&[&first, &second])).unwrap();
    set["keys"][1]["alg"] = "RS512".into();
    let mut issuer = Issuer::new(&set.to_string());
    assert!(issuer.ask(&first.sign(&claims())).is_ok());
    first.kid = Some("third");
    let unknown = issuer.ask(&first.sign(&claims()));
    assert!(
        matches!(unknown, Err(JwtError::NoKey { .. })),
        "{unknown:?}"
    );
    first.kid = Some("second");
    let other = issuer.ask(&first.sign(&claims()));
    assert!(matches!(other, Err(JwtError::NoKey { .. })), "{other:?}");
    first.kid = None;
    assert!(issuer.ask(&first.sign(&claims())).is_ok());
    let weaker = issuer.ask(&second.sign(&claims()));
    assert!(matches!(weaker, Err(JwtError::NoKey { .. })), "{weaker:?}");
}

#[test]
fn no_letter_of_a_token_can_be_changed() {
    let key = Signing::ecdsa("k");
    let mut issuer = Issuer::new(&jwks(&[&key]));
    let good = key.sign(&claims());
    for place in (0..good.len()).step_by(7) {
        let mut bad = good.clone().into_bytes();
        bad[place] = if bad[place] == b'A' { b'B' } else { b'A' };
        let bad = String::from_utf8(bad).unwrap();
        assert!(issuer.ask(&bad).is_err(), "{place}");
    }
}

#[test]
fn every_claim_counts() {
    let key = Signing::ecdsa("k");
    let mut issuer = Issuer::new(&jwks(&[&key]));
    let mut check = |claims: &Value, expected: JwtError| {
        assert_eq!(issuer.ask(&key.sign(claims)), Err(expected), "{claims}");
    };
    let audience = || JwtError::Audience {
        expected: "istio-ca".to_owned(),
    };
    check(
        &with(|c| c["aud"] = json!(["https://kubernetes.default.svc"])),
        audience(),
    );
    check(&with(|c| c["aud"] = json!([])), audience());
    check(&with(|c| c["aud"] = "istio-ca2".into()), audience());
    let issuer_error = |found: &str| JwtError::Issuer {
        found: found.to_owned(),
        expected: ISSUER.to_owned(),
    };
    check(
        &with(|c| c["iss"] = "https://attacker.example".into()),
        issuer_error("https://attacker.example"),
    );
    check(
        &with(|c| c["iss"] = format!("{ISSUER}/").into()),
        issuer_error(&format!("{ISSUER}/")),
    );
    check(
        &with(|c| c["exp"] = START.into()),
        JwtError::Expired { at: date(START) },
    );
    check(
        &with(|c| c["exp"] = (START - 1).into()),
        JwtError::Expired {
            at: date(START - 1),
        },
    );
    check(
        &with(|c| c["nbf"] = (START + 61).into()),
        JwtError::NotYet {
            at: date(START + 61),
        },
    );
    for field in ["iss", "sub", "aud", "exp"] {
        check(
            &with(|c| drop(c.as_object_mut().unwrap().remove(field))),
            JwtError::Claims,
        );
        check(&with(|c| c[field] = Value::Null), JwtError::Claims);
        check(&with(|c| c[field] = json!({"x": 1})), JwtError::Claims);
    }
    check(&with(|c| c["exp"] = (-1).into()), JwtError::Claims);
    check(&with(|c| c["exp"] = json!(1e300)), JwtError::Claims);
    check(
        &with(|c| c["kubernetes.io"]["namespace"] = "default".into()),
        JwtError::Mismatch { field: "namespace" },
    );
    check(
        &with(|c| c["kubernetes.io"]["serviceaccount"]["name"] = "client".into()),
        JwtError::Mismatch {
            field: "serviceaccount",
        },
    );
    for sub in [
        "ztunnel",
        "system:node:one",
        "system:serviceaccount:istio-system",
        "system:serviceaccount:a:b:c",
        "system:serviceaccount::ztunnel",
        "system:serviceaccount:istio-system:zt/unnel",
    ] {
        check(
            &with(|c| c["sub"] = sub.into()),
            JwtError::Subject {
                found: sub.to_owned(),
            },
        );
    }
    let near = with(|c| c["nbf"] = (START + 60).into());
    assert!(issuer.ask(&key.sign(&near)).is_ok(), "clocks differ");
}

#[test]
fn keys_are_read_again_when_the_file_changes_and_bad_ones_are_not_used() {
    let (old, new) = (Signing::ecdsa("old"), Signing::ecdsa("new"));
    let mut issuer = Issuer::new(&jwks(&[&old]));
    assert!(issuer.ask(&new.sign(&claims())).is_err());
    issuer.folder.write("keys", &jwks(&[&old, &new]));
    assert!(issuer.ask(&new.sign(&claims())).is_ok());
    for bad in [
        "",
        "{",
        "{}",
        r#"{"keys":[]}"#,
        r#"{"keys":[{"kty":"oct","k":"AAAA"}]}"#,
    ] {
        issuer.folder.write("keys", bad);
        assert!(issuer.ask(&new.sign(&claims())).is_ok(), "{bad}");
    }
    std::fs::remove_file(issuer.folder.file("keys")).unwrap();
    assert!(issuer.ask(&old.sign(&claims())).is_ok());
    issuer.folder.write("keys", &jwks(&[&new]));
    assert!(issuer.ask(&old.sign(&claims())).is_err());
}

#[test]
fn a_key_file_that_is_missing_or_of_no_use_is_an_error_at_the_start() {
    let folder = Folder::new();
    let load = || {
        Authenticator::load(folder.path(), options(&folder), at(START))
            .unwrap_err()
            .to_string()
    };
    assert!(load().contains("is not there"), "{}", load());
    folder.write("keys", "what");
    assert!(load().contains("expected a JWKS"), "{}", load());
    folder.write(
        "keys",
        r#"{"keys":[{"kty":"oct","k":"AAAA"},{"kty":"new"}]}"#,
    );
    assert!(
        load().starts_with("2 keys of the issuer, of which none can be used"),
        "{}",
        load()
    );
    folder.write("keys", &pem::encode("PRIVATE KEY", b"x"));
    assert!(load().contains("expected a JWKS"), "{}", load());
}

#[test]
fn a_token_of_the_issuer_and_one_of_the_file_are_both_taken() {
    let key = Signing::ecdsa("k");
    let mut issuer = Issuer::new(&jwks(&[&key]));
    let own = crate::token::create(
        issuer.folder.path(),
        "default",
        "client",
        None,
        None,
        at(START),
    )
    .unwrap();
    assert_eq!(
        &*issuer.known.ask_token(&own).unwrap().service_account,
        "client"
    );
    assert!(issuer.ask(&key.sign(&claims())).is_ok());
    let both = headers(&[
        &format!("Bearer {own}"),
        &format!("Bearer {}", key.sign(&claims())),
    ]);
    assert_eq!(issuer.known.ask(&both), Err(TokenError::Several));
}
