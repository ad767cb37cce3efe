//! What the application is told of a token: headers.
//!
//! In: a believed token, and the rule that believes it. Out: headers of the request. Never: more than one value for a claim: what came with
//! the name of one was made up, and goes even where no token is.
//!
//! Source: Istio `outputPayloadToHeader` and `outputClaimToHeaders`.

use http::{HeaderMap, HeaderValue};
use jwt::Verified;
use mesh::Name;
use serde_json::{Number, Value};

use super::compiled::Rule;
use crate::filter::envoy;

/// Removes what a rule would add, and what an application could take for it.
pub(super) fn clear(rule: &Rule, headers: &mut HeaderMap) {
    let claims = rule.claim_headers.iter().map(|(name, _)| name);
    for name in rule.payload_header.iter().chain(claims) {
        envoy::remove(headers, |found| envoy::is_alike(found, name));
    }
}

/// Adds what a rule tells of a token.
pub(super) fn add(rule: &Rule, token: &Verified, headers: &mut HeaderMap) {
    if let Some(name) = &rule.payload_header
        && let Ok(payload) = HeaderValue::try_from(token.payload())
    {
        headers.append(name, payload);
    }
    for (name, claim) in &rule.claim_headers {
        if let Some(value) = text(token, claim) {
            headers.append(name, value);
        }
    }
}

/// A text, a number or a truth value; what is no header is not told. Source: Envoy `claim_to_headers`.
fn text(token: &Verified, claim: &[Name]) -> Option<HeaderValue> {
    let text = match token.value(claim)? {
        Value::String(text) => text.clone(),
        Value::Bool(value) => value.to_string(),
        Value::Number(number) => digits(number),
        Value::Null | Value::Array(_) | Value::Object(_) => return None,
    };
    if text.is_empty() {
        return None;
    }
    HeaderValue::from_bytes(text.as_bytes()).ok()
}

/// A number, without a fraction where it has none.
fn digits(number: &Number) -> String {
    let text = number.to_string();
    text.strip_suffix(".0").map_or(text.clone(), str::to_owned)
}
