//! Whose tokens are believed.

use std::time::Duration;

use crate::{PolicyKey, name::Name};

/// One policy. Source: RequestAuthentication.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestAuthentication {
    /// Its name.
    pub key: PolicyKey,
    /// A token of one of them passes.
    pub rules: Vec<JwtRule>,
}

/// One issuer. Names of headers are lower case. Source: `jwtRules[]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JwtRule {
    /// `iss`.
    pub issuer: Name,
    /// Of which `aud` must have one. None: any.
    pub audiences: Vec<Name>,
    /// Where its keys are.
    pub keys: KeySource,
    /// Headers and prefixes that tokens are taken from.
    pub from_headers: Vec<(Name, Name)>,
    /// Query parameters that tokens are taken from.
    pub from_params: Vec<Name>,
    /// Cookies that tokens are taken from. If none of the three is given: `Authorization: Bearer` and `access_token`.
    pub from_cookies: Vec<Name>,
    /// Gets the token's payload, base64url.
    pub output_payload_to_header: Option<Name>,
    /// Whether the token goes on with the request.
    pub forward_original_token: bool,
    /// Headers that get claims, and the ways into these.
    pub output_claim_to_headers: Vec<(Name, Vec<Name>)>,
    /// For the keys' host to answer.
    pub timeout: Duration,
    /// Claims whose text is a list, besides `scope` and `permission`.
    pub space_delimited_claims: Vec<Name>,
}

/// Where an issuer's keys are.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum KeySource {
    /// Here: a JWK set (RFC 7517).
    Inline(Name),
    /// There, by `http` or `https`.
    Uri(Name),
    /// Where the issuer says. Source: OpenID Connect Discovery 1.0, section 4.
    Discovery,
}
