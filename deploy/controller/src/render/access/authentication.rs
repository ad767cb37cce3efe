//! RequestAuthentication to `ambit.waypoint.v1.RequestAuthentication` (AZ-06).
//!
//! Source: Istio RequestAuthentication.

use jwt::{KeySet, Symmetric};
use wire::proto::waypoint::{
    ClaimToHeader, JwtHeader, JwtRule as WireRule, RequestAuthentication as Wire, jwt_rule::Keys,
};

use super::{Unenforceable, header};
use crate::{
    objects::{JwtKeys, JwtRule, RequestAuthentication},
    render::routing::micros,
};

/// Headers of a message's framing, or of its connection: another value of these is another message.
const FRAMING: [&str; 9] = [
    "connection",
    "content-length",
    "host",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// A policy as waypoints take it.
///
/// # Errors
/// It cannot be enforced as it is written.
pub fn authentication(policy: &RequestAuthentication) -> Result<Wire, Unenforceable> {
    let rules = policy.rules.iter().enumerate().map(|(index, it)| {
        rule(it).map_err(|error| error.within(format_args!("jwtRules[{index}]")))
    });
    Ok(Wire {
        namespace: policy.meta.namespace.to_string(),
        name: policy.meta.name.to_string(),
        rules: rules.collect::<Result<_, _>>()?,
    })
}

fn rule(it: &JwtRule) -> Result<WireRule, Unenforceable> {
    if it.issuer.is_empty() {
        // Whoever has keys there could speak for any issuer.
        return Err(Unenforceable::field("issuer", "", "an issuer"));
    }
    let keys = match &it.keys {
        JwtKeys::Inline(jwks) => {
            // As waypoints read them.
            KeySet::parse(jwks.as_bytes(), Symmetric::Allowed)
                .map_err(|why| Unenforceable::keys("jwks", why))?;
            Some(Keys::Jwks(jwks.clone()))
        }
        JwtKeys::Uri(uri) => Some(Keys::JwksUri(uri.clone())),
        JwtKeys::Discovery => None,
    };
    let from_headers = it.from_headers.iter().map(|it| {
        Ok(JwtHeader {
            name: header("fromHeaders", &it.name)?,
            prefix: it.prefix.clone(),
        })
    });
    let output_payload = it.output_payload_to_header.as_deref();
    let output_payload = output_payload.map(|it| output("outputPayloadToHeader", it));
    let output_claims = it.output_claim_to_headers.iter().map(|(name, claim)| {
        Ok(ClaimToHeader {
            header: output("outputClaimToHeaders", name)?,
            claim: claim.split('.').map(str::to_owned).collect(),
        })
    });
    Ok(WireRule {
        issuer: it.issuer.clone(),
        audiences: it.audiences.clone(),
        keys,
        from_headers: from_headers.collect::<Result<_, Unenforceable>>()?,
        from_params: it.from_params.clone(),
        from_cookies: it.from_cookies.clone(),
        output_payload_to_header: output_payload.transpose()?.unwrap_or_default(),
        forward_original_token: it.forward_original_token,
        output_claim_to_headers: output_claims.collect::<Result<_, Unenforceable>>()?,
        timeout_us: micros(it.timeout),
        space_delimited_claims: it.space_delimited_claims.clone(),
    })
}

/// A header that a waypoint sets.
fn output(field: &str, name: &str) -> Result<String, Unenforceable> {
    let name = header(field, name)?;
    if FRAMING.contains(&name.as_str()) {
        let expected = "a header that is not of the message's framing";
        return Err(Unenforceable::field(field, &name, expected));
    }
    Ok(name)
}

#[cfg(test)]
mod tests;
