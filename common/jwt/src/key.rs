//! One key of an issuer.
//!
//! In: a JWK. Out: a key that verifies, or why it is left out. Never: a key for more than its kind's algorithms, a weak one, a
//! private or an encryption key; certificates in it (`x5c`, `x5u`) count for nothing.
//!
//! Source: RFC 7517 §4, RFC 7518 §6, RFC 8037 §2.

use jsonwebtoken::DecodingKey;
use serde_json::{Map, Value};

use crate::{
    algorithm::{Algorithm, Family},
    base64, p521,
    refusal::Refusal,
};

/// Of an RSA modulus. Source: RFC 7518 §3.3, and what the cryptography takes.
const MIN_RSA_BYTES: usize = 256;
const MAX_RSA_BYTES: usize = 1024;
/// Of an RSA exponent. Reason: a large one costs time for nothing.
const MAX_EXPONENT_BYTES: usize = 4;
/// Of a symmetric key. Reason: what HMAC takes in one block.
const MAX_SYMMETRIC_BYTES: usize = 1024;
/// Of a symmetric key. Source: RFC 7518 §3.2: at least as long as the hash.
const MIN_SYMMETRIC_BYTES: usize = 32;
const ED25519_BYTES: usize = 32;
const ED25519_SIGNATURE_BYTES: usize = 64;

/// Why a key is left out.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum KeyError {
    /// Not an object.
    #[error("not an object")]
    Shape,
    /// A field is missing or no text.
    #[error("{0} is missing or not a string")]
    Field(&'static str),
    /// A field is not base64url.
    #[error("{0} is not base64url")]
    Base64(&'static str),
    /// A kind of key, or a curve, that nobody implements.
    #[error("{field} is {found:?}")]
    Unknown {
        /// `kty` or `crv`.
        field: &'static str,
        /// What it says, cut.
        found: String,
    },
    /// It is not for signatures.
    #[error("use or key_ops say that it does not verify signatures")]
    Use,
    /// Its algorithm is not one of its kind.
    #[error("alg is {0:?}, which is not for its kty and crv")]
    Algorithm(String),
    /// It has a length that it must not have.
    #[error("{field} has {found} bytes, expected {expected}")]
    Length {
        /// Which part.
        field: &'static str,
        /// Its length.
        found: usize,
        /// What it should be.
        expected: &'static str,
    },
    /// An RSA exponent that makes signatures worthless.
    #[error("e is even or 1")]
    Exponent,
    /// A secret where only public keys may be.
    #[error("kty is oct, which only a key set in the policy itself may have")]
    Symmetric,
}

/// A key.
#[derive(Debug)]
pub(crate) struct Key {
    id: Option<Box<str>>,
    algorithm: Option<Algorithm>,
    family: Family,
    material: Material,
}

#[derive(Debug)]
enum Material {
    Library(DecodingKey),
    P521(Box<[u8]>),
}

impl Key {
    /// Reads a JWK. `symmetric`: whether it may be a secret.
    pub(crate) fn read(jwk: &Value, symmetric: bool) -> Result<Self, KeyError> {
        let jwk = jwk.as_object().ok_or(KeyError::Shape)?;
        let (family, material) = match text(jwk, "kty")? {
            "RSA" => (Family::Rsa, Material::Library(rsa(jwk)?)),
            "EC" => elliptic(jwk)?,
            "OKP" => (Family::Ed25519, Material::Library(edwards(jwk)?)),
            "oct" if symmetric => (Family::Symmetric, Material::Library(secret(jwk)?)),
            "oct" => return Err(KeyError::Symmetric),
            other => return Err(unknown("kty", other)),
        };
        if !verifies(jwk)? {
            return Err(KeyError::Use);
        }
        let algorithm = match optional(jwk, "alg")? {
            None => None,
            Some(name) => Some(
                Algorithm::of(name)
                    .filter(|algorithm| algorithm.family() == family)
                    .ok_or_else(|| KeyError::Algorithm(cut(name)))?,
            ),
        };
        Ok(Self {
            id: optional(jwk, "kid")?
                .filter(|id| !id.is_empty())
                .map(Box::from),
            algorithm,
            family,
            material,
        })
    }

    /// Whether it is worth a try: neither its name nor its algorithm is another one. Source: Envoy; a name that one of the
    /// two does not give is no difference.
    pub(crate) fn fits(&self, id: Option<&str>, algorithm: Algorithm) -> bool {
        let named = match (id, self.id.as_deref()) {
            (Some(wanted), Some(id)) => wanted == id,
            (None, _) | (_, None) => true,
        };
        named && self.algorithm.is_none_or(|own| own == algorithm)
    }

    /// Whether it has signed a message. A key of another kind than the algorithm's has not.
    ///
    /// # Errors
    /// [`Refusal::Signature`], or what is wrong with the signature whatever the key.
    pub(crate) fn verify(
        &self,
        algorithm: Algorithm,
        message: &str,
        signature: &str,
        bytes: &[u8],
    ) -> Result<(), Refusal> {
        if algorithm.family() != self.family {
            return Err(Refusal::Signature);
        }
        if self.family == Family::Ed25519 && bytes.len() != ED25519_SIGNATURE_BYTES {
            return Err(Refusal::SignatureLength);
        }
        let message = message.as_bytes();
        let signed = match (&self.material, algorithm.library()) {
            (Material::P521(point), None) => p521::verify(point, message, bytes),
            (Material::Library(key), Some(known)) => {
                jsonwebtoken::crypto::verify(signature, message, key, known).unwrap_or(false)
            }
            (Material::P521(_), Some(_)) | (Material::Library(_), None) => false,
        };
        if signed {
            Ok(())
        } else {
            Err(Refusal::Signature)
        }
    }
}

type Object = Map<String, Value>;

fn rsa(jwk: &Object) -> Result<DecodingKey, KeyError> {
    let modulus = number(jwk, "n")?;
    let exponent = number(jwk, "e")?;
    if !(MIN_RSA_BYTES..=MAX_RSA_BYTES).contains(&modulus.len()) {
        return Err(KeyError::Length {
            field: "n",
            found: modulus.len(),
            expected: "256 to 1024",
        });
    }
    if exponent.len() > MAX_EXPONENT_BYTES {
        return Err(KeyError::Length {
            field: "e",
            found: exponent.len(),
            expected: "at most 4",
        });
    }
    let odd = exponent.last().is_some_and(|last| last % 2 == 1);
    if !odd || *exponent == [1] {
        return Err(KeyError::Exponent);
    }
    Ok(DecodingKey::from_rsa_raw_components(&modulus, &exponent))
}

fn elliptic(jwk: &Object) -> Result<(Family, Material), KeyError> {
    let (family, bytes) = match text(jwk, "crv")? {
        "P-256" => (Family::P256, 32),
        "P-384" => (Family::P384, 48),
        "P-521" => (Family::P521, p521::FIELD_BYTES),
        other => return Err(unknown("crv", other)),
    };
    let mut point = vec![4];
    for field in ["x", "y"] {
        let coordinate = number(jwk, field)?;
        let missing = bytes
            .checked_sub(coordinate.len())
            .ok_or(KeyError::Length {
                field,
                found: coordinate.len(),
                expected: "those of the curve",
            })?;
        point.extend(std::iter::repeat_n(0, missing));
        point.extend(coordinate);
    }
    let material = if family == Family::P521 {
        Material::P521(point.into())
    } else {
        Material::Library(DecodingKey::from_ec_der(&point))
    };
    Ok((family, material))
}

fn edwards(jwk: &Object) -> Result<DecodingKey, KeyError> {
    match text(jwk, "crv")? {
        "Ed25519" => {}
        other => return Err(unknown("crv", other)),
    }
    let key = bytes(jwk, "x")?;
    if key.len() != ED25519_BYTES {
        return Err(KeyError::Length {
            field: "x",
            found: key.len(),
            expected: "32",
        });
    }
    Ok(DecodingKey::from_ed_der(&key))
}

fn secret(jwk: &Object) -> Result<DecodingKey, KeyError> {
    let key = bytes(jwk, "k")?;
    if !(MIN_SYMMETRIC_BYTES..=MAX_SYMMETRIC_BYTES).contains(&key.len()) {
        return Err(KeyError::Length {
            field: "k",
            found: key.len(),
            expected: "32 to 1024",
        });
    }
    Ok(DecodingKey::from_secret(&key))
}

/// Source: RFC 7517 §4.2 and §4.3.
fn verifies(jwk: &Object) -> Result<bool, KeyError> {
    let by_use = optional(jwk, "use")?.is_none_or(|purpose| purpose == "sig");
    let by_operations = match jwk.get("key_ops") {
        None => true,
        Some(operations) => operations
            .as_array()
            .ok_or(KeyError::Field("key_ops"))?
            .iter()
            .any(|operation| operation == "verify"),
    };
    Ok(by_use && by_operations)
}

fn optional<'a>(jwk: &'a Object, field: &'static str) -> Result<Option<&'a str>, KeyError> {
    match jwk.get(field) {
        None => Ok(None),
        Some(value) => value.as_str().map(Some).ok_or(KeyError::Field(field)),
    }
}

fn text<'a>(jwk: &'a Object, field: &'static str) -> Result<&'a str, KeyError> {
    optional(jwk, field)?.ok_or(KeyError::Field(field))
}

fn bytes(jwk: &Object, field: &'static str) -> Result<Vec<u8>, KeyError> {
    base64::decode(text(jwk, field)?).ok_or(KeyError::Base64(field))
}

/// Without zeros before it. Source: RFC 7518 §2, Base64urlUInt.
fn number(jwk: &Object, field: &'static str) -> Result<Vec<u8>, KeyError> {
    let mut bytes = bytes(jwk, field)?;
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
    bytes.drain(..zeros);
    Ok(bytes)
}

fn unknown(field: &'static str, found: &str) -> KeyError {
    KeyError::Unknown {
        field,
        found: cut(found),
    }
}

/// As much of a text as a log line wants.
fn cut(text: &str) -> String {
    text.chars().take(32).collect()
}
