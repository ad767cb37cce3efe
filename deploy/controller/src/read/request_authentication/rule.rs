//! `jwtRules[]`: one issuer, its keys, and where its tokens are.

use std::time::Duration;

use http::Uri;
use yaml::{
    Cursor, Error, Object,
    scalar::{checked, text},
};

use crate::{
    objects::{JwtHeader, JwtKeys, JwtRule},
    read::{duration, field, header},
};

const FIELDS: &[&str] = &[
    "audiences",
    "forwardOriginalToken",
    "fromCookies",
    "fromHeaders",
    "fromParams",
    "issuer",
    "jwks",
    "jwksUri",
    "outputClaimToHeaders",
    "outputPayloadToHeader",
    "spaceDelimitedClaims",
    "timeout",
];

const RULE: &str = "a rule with issuer";
const TEXT: &str = "a text that is not empty";
const JWKS_URI: &str = "a URL of http or https with a host";

/// Source: Istio, `JWTRule.timeout`.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(5);
/// More than an issuer has audiences, and a request has places for a token.
const MAX_VALUES: usize = 256;

/// A field that is not known refuses the rule: without it more tokens could be good.
pub(super) fn rule(at: &Cursor<'_>) -> Result<JwtRule, Error> {
    let object = at.exact_object(RULE, FIELDS)?;
    let keys = keys(&object)?;
    let issuer = field::text(&object, "issuer", text)?.unwrap_or_default();
    if issuer.is_empty() && !matches!(keys, JwtKeys::Uri(_)) {
        return Err(object.missing("issuer", "an issuer, or jwksUri"));
    }
    Ok(JwtRule {
        issuer,
        audiences: texts(&object, "audiences")?,
        keys,
        from_headers: field::list_up_to(
            &object,
            "fromHeaders",
            "a list of headers with name and prefix",
            MAX_VALUES,
            from_header,
        )?,
        from_params: texts(&object, "fromParams")?,
        from_cookies: texts(&object, "fromCookies")?,
        output_payload_to_header: field::text(&object, "outputPayloadToHeader", text)?,
        forward_original_token: field::switch(&object, "forwardOriginalToken")?,
        output_claim_to_headers: field::list_up_to(
            &object,
            "outputClaimToHeaders",
            "a list of headers with header and claim",
            MAX_VALUES,
            output_claim,
        )?,
        timeout: object
            .nullable("timeout", duration::positive)?
            .unwrap_or(DEFAULT_TIMEOUT),
        space_delimited_claims: texts(&object, "spaceDelimitedClaims")?,
    })
}

/// Source: Istio: of `jwks` and `jwksUri` the former counts.
fn keys(object: &Object<'_>) -> Result<JwtKeys, Error> {
    let inline = field::text(object, "jwks", text)?;
    let uri = field::text(object, "jwksUri", |at| {
        checked(at, JWKS_URI, is_jwks_uri).map(str::to_owned)
    })?;
    Ok(match (inline, uri) {
        (Some(inline), None) => JwtKeys::Inline(inline),
        (Some(inline), Some(_)) => {
            object.nullable("jwksUri", |at| {
                at.warn("no effect beside jwks");
                Ok(())
            })?;
            JwtKeys::Inline(inline)
        }
        (None, Some(uri)) => JwtKeys::Uri(uri),
        (None, None) => JwtKeys::Discovery,
    })
}

fn is_jwks_uri(text: &str) -> bool {
    let Ok(uri) = text.parse::<Uri>() else {
        return false;
    };
    matches!(uri.scheme_str(), Some("http" | "https"))
        && uri.host().is_some_and(|host| !host.is_empty())
        // A name and a password would be sent to nobody and shown to whoever sees the configuration.
        && uri.authority().is_some_and(|at| !at.as_str().contains('@'))
}

fn from_header(at: &Cursor<'_>) -> Result<JwtHeader, Error> {
    let object = at.exact_object("a header with name and prefix", &["name", "prefix"])?;
    Ok(JwtHeader {
        name: object.required("name", TEXT, some)?,
        prefix: field::text(&object, "prefix", text)?.unwrap_or_default(),
    })
}

fn output_claim(at: &Cursor<'_>) -> Result<(String, String), Error> {
    const HEADER: &str = "the name of a header";
    let object = at.exact_object("a header with header and claim", &["claim", "header"])?;
    let header = object.required("header", HEADER, |at| {
        checked(at, HEADER, header::is_name).map(str::to_owned)
    })?;
    Ok((header, object.required("claim", TEXT, some)?))
}

fn texts(object: &Object<'_>, name: &'static str) -> Result<Vec<String>, Error> {
    field::list_up_to(object, name, "a list of texts", MAX_VALUES, some)
}

fn some(at: &Cursor<'_>) -> Result<String, Error> {
    checked(at, TEXT, |text| !text.is_empty()).map(str::to_owned)
}
