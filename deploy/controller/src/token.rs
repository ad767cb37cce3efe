//! Who a caller is: bearer tokens of a file that we keep, or JWTs of an issuer that is trusted.
//!
//! In: the headers of a call. Out: a [`Caller`], or why not. Never: writes a token to a log or a disk, believes
//! a token that says which algorithm or which key is to be used beyond those that are configured.
//!
//! Reading order: [`file`](mod@file) (tokens of `controller token`), [`jwt`] (Kubernetes' service account tokens),
//! [`keep`] (files that are read again when they change), [`trusted`] (who may speak for others).
//!
//! Source: RFC 6750 §2.1; ID-11; Istio `istio-token`.

mod file;
mod jwt;
mod keep;
mod trusted;

use std::{
    convert::Infallible,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use http::{HeaderMap, header::AUTHORIZATION};

pub use file::{CreateError, create};
pub use jwt::{JwtError, KeySetError};
pub use trusted::{InvalidTrustedNodes, TrustedNodes};

use file::Tokens;
use jwt::Issuer;

/// The longest token. Kubernetes' have 1 to 2 KiB; headers of HTTP/2 end at 16 KiB by default.
pub const MAX_TOKEN_BYTES: usize = 16 * 1024;

/// How tokens of `controller token` begin, so that a leaked one is recognised.
const PREFIX: &str = "ambit_";

/// How often the files are looked at when nobody calls.
const TICK: Duration = Duration::from_secs(1);

/// Who calls.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// The namespace of its service account.
    pub namespace: Arc<str>,
    /// Its service account.
    pub service_account: Arc<str>,
    /// The node that it runs on, as far as its token says.
    pub node: Option<Arc<str>>,
    /// When its token ends.
    pub expires: Option<SystemTime>,
}

/// Why a caller is not believed. It never holds the token.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// No token.
    #[error("no authorization header, expected one with a bearer token")]
    Missing,
    /// More than one token: which of them counts would depend on who reads.
    #[error("more than one authorization header, expected one")]
    Several,
    /// A token of unreasonable length.
    #[error("authorization header of {found} bytes, expected at most {MAX_TOKEN_BYTES}")]
    TooLong {
        /// How many.
        found: usize,
    },
    /// Something else than a bearer token.
    #[error("authorization header is not `Bearer` and one token")]
    NotBearer,
    /// Not in the file.
    #[error("token is not in the tokens file")]
    Unknown,
    /// Its time is over.
    #[error("token ended at {}", crate::ca::rfc3339(*at))]
    Expired {
        /// When.
        at: SystemTime,
    },
    /// A JWT, but of nobody who is trusted.
    #[error("token is none of `controller token`, and no issuer of others is configured")]
    NoIssuer,
    /// A JWT that is not believed.
    #[error("JWT is not believed")]
    Jwt(#[source] JwtError),
}

/// Which tokens are believed besides those of the tokens file.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Who issues JWTs, as their `iss` says, with its keys.
    pub issuer: Option<IssuerOptions>,
}

/// An issuer of JWTs.
#[derive(Clone, Debug)]
pub struct IssuerOptions {
    /// `iss`.
    pub issuer: String,
    /// A JWKS (RFC 7517) or public keys as PEM.
    pub keys: PathBuf,
    /// What `aud` must hold.
    pub audience: String,
}

/// Knows callers by their tokens.
#[derive(Debug)]
pub struct Authenticator {
    tokens: Tokens,
    issuer: Option<Issuer>,
}

impl Authenticator {
    /// Reads the tokens file of the state folder, which may come later, and the keys of the issuer, which must
    /// be there.
    ///
    /// # Errors
    /// [`KeySetError`].
    pub fn load(state_dir: &Path, options: Options, now: SystemTime) -> Result<Self, KeySetError> {
        let issuer = options
            .issuer
            .map(|issuer| Issuer::load(issuer, now))
            .transpose()?;
        let authenticator = Self {
            tokens: Tokens::new(state_dir),
            issuer,
        };
        authenticator.tokens.refresh(net::clock::now(), now);
        Ok(authenticator)
    }

    /// Who calls, by the one bearer token of a call. A token that was made or taken away a tenth of a second ago
    /// is already known.
    ///
    /// # Errors
    /// [`TokenError`].
    pub fn authenticate(&self, headers: &HeaderMap) -> Result<Caller, TokenError> {
        self.authenticate_at(headers, net::clock::now(), net::clock::wall())
    }

    /// The same at a given time.
    pub(crate) fn authenticate_at(
        &self,
        headers: &HeaderMap,
        instant: Instant,
        now: SystemTime,
    ) -> Result<Caller, TokenError> {
        let token = bearer(headers)?;
        if token.starts_with(PREFIX) {
            return self.tokens.authenticate(token, instant, now);
        }
        let issuer = self.issuer.as_ref().ok_or(TokenError::NoIssuer)?;
        issuer
            .authenticate(token, instant, now)
            .map_err(TokenError::Jwt)
    }

    /// Looks at the files once a second, so that what is wrong with them is reported although nobody calls.
    /// May be dropped at any await.
    pub async fn run(self: Arc<Self>) -> Infallible {
        let mut interval = tokio::time::interval(TICK);
        interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            interval.tick().await;
            let (instant, now) = (net::clock::now(), net::clock::wall());
            self.tokens.refresh(instant, now);
            if let Some(issuer) = &self.issuer {
                issuer.refresh(instant, now);
            }
        }
    }
}

/// The one bearer token of a call. Source: RFC 6750 §2.1; the scheme's case is free by RFC 9110 §11.1.
fn bearer(headers: &HeaderMap) -> Result<&str, TokenError> {
    let mut all = headers.get_all(AUTHORIZATION).iter();
    let value = match (all.next(), all.next()) {
        (None, _) => return Err(TokenError::Missing),
        (Some(_), Some(_)) => return Err(TokenError::Several),
        (Some(value), None) => value,
    };
    if value.len() > MAX_TOKEN_BYTES {
        return Err(TokenError::TooLong { found: value.len() });
    }
    let (scheme, token) = value
        .to_str()
        .ok()
        .and_then(|text| text.split_once(' '))
        .ok_or(TokenError::NotBearer)?;
    let token = token.trim_matches(' ');
    if !scheme.eq_ignore_ascii_case("bearer") || token.is_empty() || token.contains([' ', ',']) {
        return Err(TokenError::NotBearer);
    }
    Ok(token)
}

#[cfg(test)]
mod tests;
