//! The rules of one policy, ready: names of headers parsed, keys of the policy itself read, issuers looked up.
//!
//! In: a policy as it was delivered. Out: rules, once per worker and version. Never: takes a rule for less than it is: keys that cannot
//! be read are an error for every token.

use std::{sync::Arc, time::Duration, time::Instant};

use http::{HeaderName, header::AUTHORIZATION};
use jwt::{KeySet, Refusal, Symmetric};
use mesh::{
    Name,
    access::{
        RequestAuthentication,
        jwt::{JwtRule, KeySource},
    },
};

use super::place::Place;
use crate::access::keys::{Issuer, Keys, Source};

/// Of `Authorization`. Source: RFC 6750 §2.1, Envoy.
const BEARER: &str = "Bearer ";
/// Source: RFC 6750 §2.3, Envoy.
const ACCESS_TOKEN: &str = "access_token";

/// The rules of one policy.
#[derive(Debug)]
pub(super) struct Compiled {
    pub(super) rules: Vec<Rule>,
}

/// One issuer.
#[derive(Debug)]
pub(super) struct Rule {
    pub(super) issuer: Name,
    pub(super) audiences: Vec<Name>,
    pub(super) keys: RuleKeys,
    pub(super) places: Vec<Place>,
    pub(super) forward: bool,
    pub(super) payload_header: Option<HeaderName>,
    pub(super) claim_headers: Vec<(HeaderName, Vec<Name>)>,
    pub(super) space_delimited: Vec<Name>,
    pub(super) timeout: Duration,
}

/// An issuer's keys.
#[derive(Debug)]
pub(super) enum RuleKeys {
    /// They stand in the policy; or what is said of them there.
    Inline(Result<Arc<KeySet>, Refusal>),
    /// They are fetched.
    Fetched(Arc<Issuer>),
}

impl Compiled {
    pub(super) fn new(policy: &RequestAuthentication, keys: &Keys, now: Instant) -> Self {
        let rules = policy.rules.iter();
        Self {
            rules: rules.map(|rule| read(policy, rule, keys, now)).collect(),
        }
    }
}

fn read(policy: &RequestAuthentication, rule: &JwtRule, keys: &Keys, now: Instant) -> Rule {
    let fetched = |source| match keys.issuer(&source, now) {
        Some(issuer) => RuleKeys::Fetched(issuer),
        None => RuleKeys::Inline(Err(Refusal::Fetch)),
    };
    Rule {
        issuer: rule.issuer.clone(),
        audiences: rule.audiences.clone(),
        keys: match &rule.keys {
            KeySource::Inline(text) => RuleKeys::Inline(inline(policy, rule, text)),
            KeySource::Uri(uri) => fetched(Source::Uri(uri.to_string())),
            KeySource::Discovery => fetched(Source::Discovery(rule.issuer.to_string())),
        },
        places: places(rule),
        forward: rule.forward_original_token,
        payload_header: rule.output_payload_to_header.as_ref().and_then(header),
        claim_headers: rule
            .output_claim_to_headers
            .iter()
            .filter_map(|(name, claim)| Some((header(name)?, claim.clone())))
            .collect(),
        space_delimited: rule.space_delimited_claims.clone(),
        timeout: rule.timeout,
    }
}

fn inline(
    policy: &RequestAuthentication,
    rule: &JwtRule,
    text: &str,
) -> Result<Arc<KeySet>, Refusal> {
    match KeySet::parse(text.as_bytes(), Symmetric::Allowed) {
        Ok(keys) => Ok(Arc::new(keys)),
        Err(error) => {
            tracing::warn!(policy = %policy.key, issuer = %rule.issuer, %error, "keys of a policy cannot be used, tokens of its issuer are refused");
            Err(error.refusal())
        }
    }
}

fn places(rule: &JwtRule) -> Vec<Place> {
    let headers = rule.from_headers.iter().filter_map(|(name, prefix)| {
        Some(Place::Header {
            name: header(name)?,
            prefix: prefix.clone(),
        })
    });
    let params = rule.from_params.iter().cloned().map(Place::Parameter);
    let cookies = rule.from_cookies.iter().cloned().map(Place::Cookie);
    let says_nothing =
        rule.from_headers.is_empty() && rule.from_params.is_empty() && rule.from_cookies.is_empty();
    if says_nothing {
        return vec![
            Place::Header {
                name: AUTHORIZATION,
                prefix: BEARER.into(),
            },
            Place::Parameter(ACCESS_TOKEN.into()),
        ];
    }
    headers.chain(params).chain(cookies).collect()
}

/// A name that is none is the name of no header.
fn header(name: &Name) -> Option<HeaderName> {
    HeaderName::try_from(name.as_str()).ok()
}
