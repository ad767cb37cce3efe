//! An issuer of tests: it has keys of every kind, and signs whatever it is told to.

use jsonwebtoken::EncodingKey;
use rcgen::{KeyPair, PublicKeyData as _, RsaKeySize, SigningKey as _};
use serde_json::{Value, json};

use crate::base64;

/// Bytes before the key within the PKCS #8 of an RSA key.
const RSA_PREFIX: usize = 26;

pub(super) struct Signer {
    pub(super) id: &'static str,
    pub(super) algorithm: &'static str,
    key: Kind,
}

enum Kind {
    Pair(KeyPair),
    Secret(Vec<u8>),
}

impl Signer {
    pub(super) fn rsa(id: &'static str, algorithm: &'static str) -> Self {
        let key = KeyPair::generate_rsa_for(&rcgen::PKCS_RSA_SHA256, RsaKeySize::_2048).unwrap();
        Self {
            id,
            algorithm,
            key: Kind::Pair(key),
        }
    }

    pub(super) fn new(id: &'static str, algorithm: &'static str) -> Self {
        let kind = match algorithm {
            "ES256" => &rcgen::PKCS_ECDSA_P256_SHA256,
            "ES384" => &rcgen::PKCS_ECDSA_P384_SHA384,
            "ES512" => &rcgen::PKCS_ECDSA_P521_SHA512,
            "EdDSA" => &rcgen::PKCS_ED25519,
            _ => return Self::rsa(id, algorithm),
        };
        Self {
            id,
            algorithm,
            key: Kind::Pair(KeyPair::generate_for(kind).unwrap()),
        }
    }

    pub(super) fn secret(id: &'static str, algorithm: &'static str, secret: &[u8]) -> Self {
        Self {
            id,
            algorithm,
            key: Kind::Secret(secret.to_vec()),
        }
    }

    /// The public part (of a secret, the secret), with `kid` and `alg`.
    pub(super) fn jwk(&self) -> Value {
        let mut jwk = self.bare_jwk();
        jwk["kid"] = self.id.into();
        jwk["alg"] = self.algorithm.into();
        jwk
    }

    /// The same without `kid` and `alg`.
    pub(super) fn bare_jwk(&self) -> Value {
        let Kind::Pair(pair) = &self.key else {
            let Kind::Secret(secret) = &self.key else {
                unreachable!()
            };
            return json!({"kty": "oct", "k": base64::encode(secret)});
        };
        let raw = pair.der_bytes();
        match self.algorithm {
            "ES256" => elliptic("P-256", raw),
            "ES384" => elliptic("P-384", raw),
            "ES512" => elliptic("P-521", raw),
            "EdDSA" => json!({"kty": "OKP", "crv": "Ed25519", "x": base64::encode(raw)}),
            _ => {
                let (n, e) = modulus_and_exponent(raw);
                json!({"kty": "RSA", "n": base64::encode(n), "e": base64::encode(e)})
            }
        }
    }

    /// A token with the issuer's usual header.
    pub(super) fn sign(&self, claims: &Value) -> String {
        let header = json!({"alg": self.algorithm, "kid": self.id, "typ": "JWT"});
        self.sign_as(&header, claims)
    }

    /// A token with any header. The signature is by this key and its algorithm, whatever the header says.
    pub(super) fn sign_as(&self, header: &Value, claims: &Value) -> String {
        self.sign_text(&header.to_string(), &claims.to_string())
    }

    /// The same of texts that need not be JSON.
    pub(super) fn sign_text(&self, header: &str, claims: &str) -> String {
        let message = format!(
            "{}.{}",
            base64::encode(header.as_bytes()),
            base64::encode(claims.as_bytes())
        );
        format!("{message}.{}", self.signature(&message))
    }

    pub(super) fn signature(&self, message: &str) -> String {
        let message = message.as_bytes();
        let key = match &self.key {
            Kind::Secret(secret) => EncodingKey::from_secret(secret),
            Kind::Pair(pair) => {
                let der = pair.serialize_der();
                match self.algorithm {
                    "ES512" => return base64::encode(&fixed(&pair.sign(message).unwrap())),
                    "ES256" | "ES384" => EncodingKey::from_ec_der(&der),
                    "EdDSA" => EncodingKey::from_ed_der(&der),
                    _ => EncodingKey::from_rsa_der(&der[RSA_PREFIX..]),
                }
            }
        };
        let algorithm = self.algorithm.parse().unwrap();
        jsonwebtoken::crypto::sign(message, &key, algorithm).unwrap()
    }
}

fn elliptic(curve: &str, point: &[u8]) -> Value {
    let (x, y) = point[1..].split_at(point.len() / 2);
    json!({"kty": "EC", "crv": curve, "x": base64::encode(x), "y": base64::encode(y)})
}

/// Takes `SEQUENCE { INTEGER, INTEGER }` apart; integers are without their sign.
fn integers(der: &[u8]) -> (&[u8], &[u8]) {
    fn value(der: &[u8]) -> (&[u8], &[u8]) {
        let (bytes, at) = match der[1] {
            short @ 0..=0x7f => (usize::from(short), 2),
            0x81 => (usize::from(der[2]), 3),
            _ => (usize::from(der[2]) << 8 | usize::from(der[3]), 4),
        };
        der[at..].split_at(bytes)
    }
    let (inner, _) = value(der);
    let (first, rest) = value(inner);
    let (second, _) = value(rest);
    (unsigned(first), unsigned(second))
}

fn unsigned(bytes: &[u8]) -> &[u8] {
    bytes.strip_prefix(&[0]).unwrap_or(bytes)
}

pub(super) fn modulus_and_exponent(der: &[u8]) -> (&[u8], &[u8]) {
    integers(der)
}

/// R and S of P-521, each of full length.
fn fixed(der: &[u8]) -> Vec<u8> {
    let (r, s) = integers(der);
    let mut out = Vec::new();
    for number in [r, s] {
        out.extend(std::iter::repeat_n(0, 66 - number.len()));
        out.extend(number);
    }
    out
}
