//! A token as it was sent: its form, what it claims, whether to believe it.
//!
//! In: a text. Out: [`Token`], whose claims nobody can reach; [`Verified`] once somebody we know has signed it. Never: a look at
//! `jku`, `jwk`, `x5u`, `x5c` or `x5t` of its header; a `kid` as anything but a name to compare.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use mesh::Name;
use serde_json::{Map, Value};

use crate::{
    algorithm::Algorithm, base64, json, key_set::KeySet, refusal::Refusal, verified::Verified,
};

/// The most bytes of a token. Reason: what a request's head may hold of it and still have room for the rest; tokens with a
/// hundred groups have a quarter.
pub const MAX_TOKEN_BYTES: usize = 32 * 1024;
/// The most characters of a token's header. Reason: an algorithm and a name; a chain of certificates, which nobody looks at,
/// has a half.
pub const MAX_HEADER_BYTES: usize = 16 * 1024;
/// How far clocks may be apart. Source: Envoy.
pub const CLOCK_SKEW: Duration = Duration::from_secs(60);

/// A token that nobody has verified.
#[derive(Debug)]
pub struct Token<'a> {
    /// Header and payload as they were signed.
    message: &'a str,
    payload: &'a str,
    /// Without padding.
    signature: &'a str,
    signature_bytes: Vec<u8>,
    algorithm: Algorithm,
    key_id: Option<String>,
    claims: Map<String, Value>,
    /// Seconds since 1970.
    not_before: u64,
    expires: Option<u64>,
}

impl<'a> Token<'a> {
    /// Takes a token apart. Source: RFC 7515 §5.2, compact form.
    ///
    /// # Errors
    /// What is wrong with its form; nothing is said of its truth.
    pub fn parse(text: &'a str) -> Result<Self, Refusal> {
        if text.len() > MAX_TOKEN_BYTES {
            return Err(Refusal::Form);
        }
        let (message, signature) = text.rsplit_once('.').ok_or(Refusal::Form)?;
        let (header, payload) = message.split_once('.').ok_or(Refusal::Form)?;
        let parts = [header, payload, signature];
        if payload.contains('.')
            || parts.iter().any(|part| part.is_empty())
            || header.len() > MAX_HEADER_BYTES
        {
            return Err(Refusal::Form);
        }
        let (algorithm, key_id) = read_header(header)?;
        let claims = base64::decode(payload).ok_or(Refusal::PayloadBase64)?;
        let claims = json::object(&claims).ok_or(Refusal::PayloadJson)?;
        let (not_before, expires) = registered(&claims)?;
        let bare = base64::unpadded(signature).ok_or(Refusal::SignatureBase64)?;
        Ok(Self {
            message,
            payload,
            signature: bare,
            signature_bytes: base64::decode(signature).ok_or(Refusal::SignatureBase64)?,
            algorithm,
            key_id,
            claims,
            not_before,
            expires,
        })
    }

    /// Whether it says that it comes from an issuer. It says so; that is all. Nobody is an issuer without a name.
    #[must_use]
    pub fn claims_issuer(&self, issuer: &str) -> bool {
        let said = self.claims.get("iss").and_then(Value::as_str);
        !issuer.is_empty() && said == Some(issuer)
    }

    /// Whether it would count: from this issuer, now, for one of these (none: for anybody). A token without `exp` never ends.
    /// Source: Envoy, also for the order.
    ///
    /// # Errors
    /// Why not.
    pub fn check(&self, issuer: &str, audiences: &[Name], now: SystemTime) -> Result<(), Refusal> {
        if !self.claims_issuer(issuer) {
            return Err(Refusal::UnknownIssuer);
        }
        let now = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let skew = CLOCK_SKEW.as_secs();
        if now.saturating_add(skew) < self.not_before {
            return Err(Refusal::NotYetValid);
        }
        if self
            .expires
            .is_some_and(|expires| now > expires.saturating_add(skew))
        {
            return Err(Refusal::Expired);
        }
        if audiences.is_empty() || self.is_for_one_of(audiences) {
            Ok(())
        } else {
            Err(Refusal::Audience)
        }
    }

    fn is_for_one_of(&self, audiences: &[Name]) -> bool {
        let is_one = |found: &str| {
            let found = bare_audience(found);
            audiences
                .iter()
                .any(|wanted| bare_audience(wanted) == found)
        };
        match self.claims.get("aud") {
            Some(Value::String(found)) => is_one(found),
            Some(Value::Array(found)) => found.iter().filter_map(Value::as_str).any(is_one),
            Some(Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_)) | None => {
                false
            }
        }
    }

    /// Believes it, if one of the issuer's keys has signed it; its claims are the result's then, and the token says nothing any
    /// more. Call [`Self::check`] first: it costs less and says whose keys to take. `space_delimited`: claims whose text is a
    /// list, besides `scope` and `permission`.
    ///
    /// # Errors
    /// [`Refusal::NoKey`] where the set has no key of this name and algorithm, [`Refusal::Signature`] where none that fits has
    /// signed. Other keys may be tried.
    pub fn verify(&mut self, keys: &KeySet, space_delimited: &[Name]) -> Result<Verified, Refusal> {
        keys.verify(
            self.key_id.as_deref(),
            self.algorithm,
            self.message,
            self.signature,
            &self.signature_bytes,
        )?;
        let claims = std::mem::take(&mut self.claims);
        Ok(Verified::new(claims, self.payload, space_delimited))
    }
}

/// What counts of a header: the algorithm, and the name of the key. Source: RFC 7515 §4.1.
fn read_header(encoded: &str) -> Result<(Algorithm, Option<String>), Refusal> {
    let header = base64::decode(encoded).ok_or(Refusal::HeaderBase64)?;
    let header = json::object(&header).ok_or(Refusal::HeaderJson)?;
    let algorithm = header
        .get("alg")
        .and_then(Value::as_str)
        .ok_or(Refusal::AlgorithmMissing)?;
    let algorithm = Algorithm::of(algorithm).ok_or(Refusal::AlgorithmUnknown)?;
    let key_id = match header.get("kid") {
        None => None,
        Some(Value::String(id)) => Some(id.clone()).filter(|id| !id.is_empty()),
        Some(
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_),
        ) => {
            return Err(Refusal::KeyId);
        }
    };
    // No extension is understood, so whatever it demands is not.
    if header.contains_key("crit") {
        return Err(Refusal::Critical);
    }
    Ok((algorithm, key_id))
}

/// Checks the form of the claims that everybody knows, and returns `nbf` and `exp`. Source: RFC 7519 §4.1.
fn registered(claims: &Map<String, Value>) -> Result<(u64, Option<u64>), Refusal> {
    let texts = [
        ("iss", Refusal::IssuerText),
        ("sub", Refusal::SubjectText),
        ("jti", Refusal::TokenIdText),
    ];
    for (name, refusal) in texts {
        if claims.get(name).is_some_and(|value| !value.is_string()) {
            return Err(refusal);
        }
    }
    date(claims, "iat", Refusal::IssuedNumber, Refusal::IssuedRange)?;
    let not_before = date(
        claims,
        "nbf",
        Refusal::NotBeforeNumber,
        Refusal::NotBeforeRange,
    )?;
    let expires = date(claims, "exp", Refusal::ExpiryNumber, Refusal::ExpiryRange)?;
    let audiences_are_texts = match claims.get("aud") {
        None | Some(Value::String(_)) => true,
        Some(Value::Array(list)) => list.iter().all(Value::is_string),
        Some(Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_)) => false,
    };
    if !audiences_are_texts {
        return Err(Refusal::AudienceText);
    }
    Ok((not_before.unwrap_or(0), expires))
}

/// Whole seconds since 1970; parts of one are cut. Source: RFC 7519 §2, NumericDate.
fn date(
    claims: &Map<String, Value>,
    name: &str,
    no_number: Refusal,
    out_of_range: Refusal,
) -> Result<Option<u64>, Refusal> {
    let number = match claims.get(name) {
        None => return Ok(None),
        Some(Value::Number(number)) => number,
        Some(
            Value::Null | Value::Bool(_) | Value::String(_) | Value::Array(_) | Value::Object(_),
        ) => {
            return Err(no_number);
        }
    };
    if let Some(seconds) = number.as_u64() {
        return Ok(Some(seconds));
    }
    number
        .as_f64()
        .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
        .map(|since| Some(since.as_secs()))
        .ok_or(out_of_range)
}

/// An audience without the scheme before it and the slash behind it. Source: Envoy, to whom `https://example.com/` and
/// `example.com` are the same.
fn bare_audience(text: &str) -> &str {
    let bare = text
        .strip_prefix("https://")
        .or_else(|| text.strip_prefix("http://"))
        .unwrap_or(text);
    bare.strip_suffix('/').unwrap_or(bare)
}
