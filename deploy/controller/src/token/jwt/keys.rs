//! The public keys of an issuer: a JWKS, or PEM.
//!
//! In: bytes of a file. Out: keys, each with the algorithms that it is for. Never: takes a symmetric key: with one
//! whoever can check a token can make one.
//!
//! Source: RFC 7517, RFC 7518, RFC 8037; RFC 5280 `SubjectPublicKeyInfo`.

use std::path::{Path, PathBuf};

use jsonwebtoken::{
    Algorithm, DecodingKey,
    jwk::{AlgorithmParameters, EllipticCurve, Jwk, PublicKeyUse},
};
use rustls_pki_types::{SubjectPublicKeyInfoDer, pem::PemObject as _};
use x509_parser::{
    oid_registry::{
        OID_EC_P256, OID_KEY_TYPE_EC_PUBLIC_KEY, OID_NIST_EC_P384, OID_PKCS1_RSAENCRYPTION,
        OID_SIG_ED25519,
    },
    prelude::FromDer as _,
    x509::SubjectPublicKeyInfo,
};

use crate::ca::{StateError, state};

/// The most bytes of the file.
pub(super) const MAX_KEY_BYTES: u64 = 1 << 20;

/// The most keys: a token without `kid` is tried with each.
const MAX_KEYS: usize = 32;

/// Why there are no keys.
#[derive(Debug, thiserror::Error)]
pub enum KeySetError {
    /// The file cannot be read.
    #[error(transparent)]
    State(#[from] StateError),
    /// No file.
    #[error("{}: is not there, expected a JWKS or public keys as PEM", path.display())]
    Missing {
        /// Its path.
        path: PathBuf,
    },
    /// Neither JSON nor PEM.
    #[error(
        "keys of the issuer cannot be read, expected a JWKS (an object with `keys`) or PEM blocks PUBLIC KEY"
    )]
    Malformed,
    /// Nothing that can be used.
    #[error(
        "{found} keys of the issuer, of which none can be used; expected RSA of 2048 bits or more, ECDSA P-256 or P-384, or Ed25519, for signatures"
    )]
    Unusable {
        /// How many there are.
        found: usize,
    },
    /// Too many.
    #[error("{found} keys of the issuer, expected at most {MAX_KEYS}")]
    TooMany {
        /// How many.
        found: usize,
    },
}

/// One key.
struct Key {
    kid: Option<String>,
    algorithms: Vec<Algorithm>,
    key: DecodingKey,
}

/// The issuer's keys.
pub(super) struct KeySet(Vec<Key>);

impl KeySet {
    pub(super) fn load(path: &Path) -> Result<Self, KeySetError> {
        let bytes = state::read(path, MAX_KEY_BYTES)?.ok_or_else(|| KeySetError::Missing {
            path: path.to_path_buf(),
        })?;
        Self::parse(&bytes)
    }

    pub(super) fn parse(bytes: &[u8]) -> Result<Self, KeySetError> {
        let (found, keys) = if bytes.trim_ascii_start().first() == Some(&b'{') {
            from_jwks(bytes)?
        } else {
            from_pem(bytes)?
        };
        if found > MAX_KEYS {
            return Err(KeySetError::TooMany { found });
        }
        if keys.is_empty() {
            return Err(KeySetError::Unusable { found });
        }
        Ok(Self(keys))
    }

    /// The keys that a token may be signed with: of its `kid`, as far as both have one, and for its algorithm.
    pub(super) fn fitting(
        &self,
        kid: Option<&str>,
        algorithm: Algorithm,
    ) -> impl Iterator<Item = &DecodingKey> {
        self.0
            .iter()
            .filter(move |key| match (kid, key.kid.as_deref()) {
                (Some(wanted), Some(has)) => wanted == has,
                (Some(_) | None, None) | (None, Some(_)) => true,
            })
            .filter(move |key| key.algorithms.contains(&algorithm))
            .map(|key| &key.key)
    }
}

impl std::fmt::Debug for KeySet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list()
            .entries(self.0.iter().map(|key| &key.kid))
            .finish()
    }
}

const RSA: [Algorithm; 3] = [Algorithm::RS256, Algorithm::RS384, Algorithm::RS512];

fn from_jwks(bytes: &[u8]) -> Result<(usize, Vec<Key>), KeySetError> {
    #[derive(serde::Deserialize)]
    struct Document {
        keys: Vec<serde_json::Value>,
    }
    let document: Document = serde_json::from_slice(bytes).map_err(|_| KeySetError::Malformed)?;
    let found = document.keys.len();
    let mut keys = Vec::new();
    for (position, value) in document.keys.into_iter().enumerate() {
        // A key of a kind that we do not know may stand beside others. Source: RFC 7517 §5.
        let key = serde_json::from_value::<Jwk>(value).ok().and_then(from_jwk);
        match key {
            Some(key) => keys.push(key),
            None => tracing::warn!(position, "a key of the issuer's JWKS cannot be used"),
        }
    }
    Ok((found, keys))
}

fn from_jwk(jwk: Jwk) -> Option<Key> {
    match &jwk.common.public_key_use {
        None | Some(PublicKeyUse::Signature) => {}
        Some(PublicKeyUse::Encryption | PublicKeyUse::Other(_)) => return None,
    }
    let kind = match &jwk.algorithm {
        AlgorithmParameters::RSA(_) => RSA.to_vec(),
        AlgorithmParameters::EllipticCurve(key) => match key.curve {
            EllipticCurve::P256 => vec![Algorithm::ES256],
            EllipticCurve::P384 => vec![Algorithm::ES384],
            EllipticCurve::P521 | EllipticCurve::Ed25519 | _ => return None,
        },
        AlgorithmParameters::OctetKeyPair(key) => match key.curve {
            EllipticCurve::Ed25519 => vec![Algorithm::EdDSA],
            EllipticCurve::P256 | EllipticCurve::P384 | EllipticCurve::P521 | _ => return None,
        },
        AlgorithmParameters::OctetKey(_) | AlgorithmParameters::Other(_) | _ => return None,
    };
    let algorithms = match jwk.common.key_algorithm {
        None => kind,
        Some(named) => {
            let named: Algorithm = named.to_string().parse().ok()?;
            let pss = [Algorithm::PS256, Algorithm::PS384, Algorithm::PS512];
            let fits = kind.contains(&named) || kind == RSA && pss.contains(&named);
            fits.then(|| vec![named])?
        }
    };
    Some(Key {
        key: DecodingKey::from_jwk(&jwk).ok()?,
        kid: jwk.common.key_id,
        algorithms,
    })
}

fn from_pem(bytes: &[u8]) -> Result<(usize, Vec<Key>), KeySetError> {
    let blocks: Vec<_> = SubjectPublicKeyInfoDer::pem_slice_iter(bytes)
        .collect::<Result<_, _>>()
        .map_err(|_| KeySetError::Malformed)?;
    if blocks.is_empty() {
        return Err(KeySetError::Malformed);
    }
    let keys = blocks.iter().filter_map(|der| from_spki(der)).collect();
    Ok((blocks.len(), keys))
}

fn from_spki(der: &[u8]) -> Option<Key> {
    let Ok(([], public)) = SubjectPublicKeyInfo::from_der(der) else {
        return None;
    };
    let bytes = public.subject_public_key.data.as_ref();
    let kind = &public.algorithm.algorithm;
    let (algorithms, key) = if *kind == OID_PKCS1_RSAENCRYPTION {
        (RSA.to_vec(), DecodingKey::from_rsa_der(bytes))
    } else if *kind == OID_SIG_ED25519 {
        (vec![Algorithm::EdDSA], DecodingKey::from_ed_der(bytes))
    } else if *kind == OID_KEY_TYPE_EC_PUBLIC_KEY {
        let curve = public.algorithm.parameters.as_ref()?.as_oid().ok()?;
        let algorithm = if curve == OID_EC_P256 {
            Algorithm::ES256
        } else if curve == OID_NIST_EC_P384 {
            Algorithm::ES384
        } else {
            return None;
        };
        (vec![algorithm], DecodingKey::from_ec_der(bytes))
    } else {
        return None;
    };
    Some(Key {
        kid: None,
        algorithms,
        key,
    })
}
