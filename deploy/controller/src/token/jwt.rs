//! JWTs of one issuer: Kubernetes' bound service account tokens, or others that say the same.
//!
//! In: a token, the issuer's public keys. Out: a [`Caller`]. Never: takes a key, its place or a weaker algorithm
//! from the token; knows no symmetric algorithm and no `none`.
//!
//! Source: RFC 7515, RFC 7519, RFC 8725; Kubernetes `kubernetes.io` private claims.

use std::{
    sync::Arc,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use jsonwebtoken::{Validation, errors::ErrorKind};
use serde::Deserialize;

use super::{Caller, IssuerOptions, file::is_name, keep::Kept};
use crate::words::quoted;

mod keys;

pub use keys::KeySetError;
use keys::{KeySet, MAX_KEY_BYTES};

/// How far the issuer's clock may be ahead. There is no such grace at a token's end.
const LEEWAY: Duration = Duration::from_secs(60);

/// Why a JWT is not believed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JwtError {
    /// Not a JWT, or one with an algorithm that we do not know, as `none`.
    #[error("not a JWT of an algorithm that is known")]
    Malformed,
    /// It demands something that we do not know. Source: RFC 7515 §4.1.11.
    #[error("its header has `crit`, expected none")]
    Critical,
    /// No key of the issuer fits.
    #[error("no key of the issuer has kid {kid:?} and is for {algorithm}")]
    NoKey {
        /// What the token names.
        kid: Option<String>,
        /// What the token names.
        algorithm: String,
    },
    /// Not signed by the issuer.
    #[error("signature is not the issuer's")]
    Signature,
    /// What it says cannot be read.
    #[error("claims cannot be read, expected iss, sub, aud and exp")]
    Claims,
    /// Another issuer.
    #[error("iss is {found:?}, expected {expected:?}")]
    Issuer {
        /// What it says.
        found: String,
        /// What is configured.
        expected: String,
    },
    /// For somebody else.
    #[error("aud does not hold {expected:?}")]
    Audience {
        /// What is configured.
        expected: String,
    },
    /// Its time is over.
    #[error("exp is {}", crate::ca::rfc3339(*at))]
    Expired {
        /// When.
        at: SystemTime,
    },
    /// Its time is to come.
    #[error("nbf is {}", crate::ca::rfc3339(*at))]
    NotYet {
        /// When.
        at: SystemTime,
    },
    /// Not a service account.
    #[error("sub is {found:?}, expected system:serviceaccount:<namespace>:<name>")]
    Subject {
        /// What it says.
        found: String,
    },
    /// It contradicts itself.
    #[error("kubernetes.io {field} does not agree with sub")]
    Mismatch {
        /// Which claim.
        field: &'static str,
    },
}

#[derive(Deserialize)]
struct Claims {
    iss: String,
    sub: String,
    aud: Audience,
    exp: f64,
    #[serde(default)]
    nbf: Option<f64>,
    #[serde(rename = "kubernetes.io", default)]
    kubernetes: Option<Kubernetes>,
}

/// Source: RFC 7519 §4.1.3.
#[derive(Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Several(Vec<String>),
}

/// Source: Kubernetes `pkg/serviceaccount` private claims.
#[derive(Deserialize)]
struct Kubernetes {
    #[serde(default)]
    namespace: Option<String>,
    #[serde(default)]
    serviceaccount: Option<Reference>,
    #[serde(default)]
    node: Option<Reference>,
}

#[derive(Deserialize)]
struct Reference {
    name: String,
}

/// An issuer with its keys, which are read again when their file changes.
#[derive(Debug)]
pub(super) struct Issuer {
    issuer: String,
    audience: String,
    keys: Kept<KeySet>,
}

impl Issuer {
    pub(super) fn load(options: IssuerOptions, now: SystemTime) -> Result<Self, KeySetError> {
        let IssuerOptions {
            issuer,
            keys: path,
            audience,
        } = options;
        let keys = KeySet::load(&path)?;
        let keys = Kept::new(
            &path,
            MAX_KEY_BYTES,
            crate::ca::state::read,
            keys,
            |bytes| {
                let bytes = bytes.ok_or("is not there")?;
                KeySet::parse(bytes).map_err(|error| grpc::status::chain(&error))
            },
        );
        keys.refresh(net::clock::now(), now);
        Ok(Self {
            issuer,
            audience,
            keys,
        })
    }

    pub(super) fn refresh(&self, instant: Instant, now: SystemTime) {
        self.keys.refresh(instant, now);
    }

    pub(super) fn authenticate(
        &self,
        token: &str,
        instant: Instant,
        now: SystemTime,
    ) -> Result<Caller, JwtError> {
        let header = jsonwebtoken::decode_header(token).map_err(|_| JwtError::Malformed)?;
        if header.crit.is_some() {
            return Err(JwtError::Critical);
        }
        let keys = self.keys.load(instant, now);
        let claims = self.verified(token, &header, &keys)?;
        self.caller(&claims, now)
    }

    /// The claims, once a key of the issuer that is meant for the token's algorithm has signed them.
    fn verified(
        &self,
        token: &str,
        header: &jsonwebtoken::Header,
        keys: &KeySet,
    ) -> Result<Claims, JwtError> {
        let mut tried = false;
        for key in keys.fitting(header.kid.as_deref(), header.alg) {
            tried = true;
            // The library reads the clock; we are given the time, and check the rest below.
            let mut validation = Validation::new(header.alg);
            validation.required_spec_claims.clear();
            validation.validate_exp = false;
            validation.validate_aud = false;
            match jsonwebtoken::decode::<Claims>(token, key, &validation) {
                Ok(decoded) => return Ok(decoded.claims),
                // Signed by this key, but not with what we need.
                Err(error) if is_of_claims(error.kind()) => return Err(JwtError::Claims),
                Err(_) => {}
            }
        }
        if tried {
            return Err(JwtError::Signature);
        }
        Err(JwtError::NoKey {
            kid: header.kid.as_deref().map(quoted),
            algorithm: format!("{:?}", header.alg),
        })
    }

    fn caller(&self, claims: &Claims, now: SystemTime) -> Result<Caller, JwtError> {
        if claims.iss != self.issuer {
            return Err(JwtError::Issuer {
                found: quoted(&claims.iss),
                expected: self.issuer.clone(),
            });
        }
        let for_us = match &claims.aud {
            Audience::One(audience) => *audience == self.audience,
            Audience::Several(audiences) => audiences.contains(&self.audience),
        };
        if !for_us {
            return Err(JwtError::Audience {
                expected: self.audience.clone(),
            });
        }
        let expires = date(claims.exp).ok_or(JwtError::Claims)?;
        if expires <= now {
            return Err(JwtError::Expired { at: expires });
        }
        if let Some(nbf) = claims.nbf {
            let at = date(nbf).ok_or(JwtError::Claims)?;
            if at.duration_since(now).is_ok_and(|ahead| ahead > LEEWAY) {
                return Err(JwtError::NotYet { at });
            }
        }
        let (namespace, account) = claims
            .sub
            .strip_prefix("system:serviceaccount:")
            .and_then(|rest| rest.split_once(':'))
            .filter(|(namespace, account)| is_name(namespace) && is_name(account))
            .ok_or_else(|| JwtError::Subject {
                found: quoted(&claims.sub),
            })?;
        let mut node = None;
        if let Some(claims) = &claims.kubernetes {
            if claims.namespace.as_deref().is_some_and(|n| n != namespace) {
                return Err(JwtError::Mismatch { field: "namespace" });
            }
            if claims
                .serviceaccount
                .as_ref()
                .is_some_and(|a| a.name != account)
            {
                return Err(JwtError::Mismatch {
                    field: "serviceaccount",
                });
            }
            node = claims.node.as_ref().map(|node| Arc::from(&*node.name));
        }
        Ok(Caller {
            namespace: namespace.into(),
            service_account: account.into(),
            node,
            expires: Some(expires),
        })
    }
}

fn is_of_claims(kind: &ErrorKind) -> bool {
    matches!(
        kind,
        ErrorKind::Json(_)
            | ErrorKind::Utf8(_)
            | ErrorKind::MissingRequiredClaim(_)
            | ErrorKind::InvalidClaimFormat(_)
    )
}

/// Seconds since 1970, of which JSON may have parts. Source: RFC 7519 §2, NumericDate.
fn date(seconds: f64) -> Option<SystemTime> {
    let since = Duration::try_from_secs_f64(seconds).ok()?;
    UNIX_EPOCH.checked_add(since)
}
