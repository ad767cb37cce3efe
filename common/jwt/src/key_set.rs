//! All keys of an issuer.
//!
//! In: a JWK set. Out: the keys of it that can verify signatures. Never: an empty set; a secret from a place that others can
//! read.

use serde_json::Value;

use crate::{
    algorithm::Algorithm,
    json,
    key::{Key, KeyError},
    refusal::Refusal,
};

/// The most bytes of a key set. Reason: sixty RSA keys with their certificates.
pub const MAX_SET_BYTES: usize = 256 * 1024;
/// The most keys of a set, also those that are left out. Reason: an issuer has a few, and a token that names none is tried
/// against each.
pub const MAX_KEYS: usize = 64;

/// Whether keys may be secrets (`kty` oct).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Symmetric {
    /// The set stands in the policy itself.
    Allowed,
    /// It was fetched: whoever can fetch it could sign.
    Refused,
}

/// Why there are no keys. `Display` is for logs; see [`KeySetError::refusal`] for clients.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeySetError {
    /// Too long.
    #[error("key set has {0} bytes, expected at most {MAX_SET_BYTES}")]
    TooLong(usize),
    /// No JSON object, or one with a name twice.
    #[error("key set is not a JSON object")]
    Json,
    /// No `keys`.
    #[error("key set has no field keys")]
    Missing,
    /// `keys` is something else.
    #[error("keys of the key set is not an array")]
    NoList,
    /// Too many.
    #[error("key set has {0} keys, expected at most {MAX_KEYS}")]
    TooMany(usize),
    /// None can be used.
    #[error("key set has no key that can be used{}", because(.0))]
    NoneValid(Vec<String>),
}

fn because(left_out: &[String]) -> String {
    match left_out {
        [] => String::new(),
        reasons => format!(": {}", reasons.join("; ")),
    }
}

impl KeySetError {
    /// What a client is told. Source: Envoy.
    #[must_use]
    pub fn refusal(&self) -> Refusal {
        match self {
            Self::TooLong(_) | Self::Json => Refusal::KeysJson,
            Self::Missing => Refusal::KeysMissing,
            Self::NoList => Refusal::KeysNoList,
            Self::TooMany(_) | Self::NoneValid(_) => Refusal::NoValidKeys,
        }
    }
}

/// The keys of an issuer. **Shape:** at least one.
#[derive(Debug)]
pub struct KeySet {
    keys: Vec<Key>,
    left_out: Vec<String>,
}

impl KeySet {
    /// Reads a JWK set. Keys that cannot be used are left out. Source: RFC 7517 §5.
    ///
    /// # Errors
    /// When no key is left, or the set is none.
    pub fn parse(text: &[u8], symmetric: Symmetric) -> Result<Self, KeySetError> {
        if text.len() > MAX_SET_BYTES {
            return Err(KeySetError::TooLong(text.len()));
        }
        let set = json::object(text).ok_or(KeySetError::Json)?;
        let listed = match set.get("keys") {
            None => return Err(KeySetError::Missing),
            Some(Value::Array(listed)) => listed,
            Some(
                Value::Null
                | Value::Bool(_)
                | Value::Number(_)
                | Value::String(_)
                | Value::Object(_),
            ) => return Err(KeySetError::NoList),
        };
        if listed.len() > MAX_KEYS {
            return Err(KeySetError::TooMany(listed.len()));
        }
        let (mut keys, mut left_out) = (Vec::new(), Vec::new());
        for (index, jwk) in listed.iter().enumerate() {
            match Key::read(jwk, symmetric == Symmetric::Allowed) {
                Ok(key) => keys.push(key),
                Err(error) => left_out.push(told(index, &error)),
            }
        }
        if keys.is_empty() {
            return Err(KeySetError::NoneValid(left_out));
        }
        Ok(Self { keys, left_out })
    }

    /// How many there are.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "there is at least one")]
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Which keys were left out, and why: a line each.
    #[must_use]
    pub fn left_out(&self) -> &[String] {
        &self.left_out
    }

    /// Whether one of the keys has signed a message. Source: Envoy, which tries all that fit.
    pub(crate) fn verify(
        &self,
        id: Option<&str>,
        algorithm: Algorithm,
        message: &str,
        signature: &str,
        bytes: &[u8],
    ) -> Result<(), Refusal> {
        let mut refusal = Refusal::NoKey;
        for key in self.keys.iter().filter(|key| key.fits(id, algorithm)) {
            match key.verify(algorithm, message, signature, bytes) {
                Ok(()) => return Ok(()),
                Err(Refusal::SignatureLength) => return Err(Refusal::SignatureLength),
                Err(other) => refusal = other,
            }
        }
        Err(refusal)
    }
}

fn told(index: usize, error: &KeyError) -> String {
    format!("key {}: {error}", index + 1)
}
