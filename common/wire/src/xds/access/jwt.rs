//! `ambit.waypoint.v1.RequestAuthentication`: whose tokens are believed.

use std::time::Duration;

use mesh::{
    Name,
    access::jwt::{JwtRule, KeySource, RequestAuthentication},
};

use super::{header, key, text, time_or, way};
use crate::{
    proto::waypoint as proto,
    xds::{
        error::{Fault, each},
        names::Names,
        route::scalar,
    },
};

/// For the keys' host to answer. Source: RequestAuthentication, `timeout`.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(5);
/// The longest set of keys that is delivered. Units: bytes. Reason: no object of Kubernetes is longer.
const MAX_JWKS_BYTES: usize = 1 << 20;

pub(super) fn policy(
    read: &proto::RequestAuthentication,
    names: &mut Names,
) -> Result<RequestAuthentication, Fault> {
    Ok(RequestAuthentication {
        key: key(&read.namespace, &read.name, names)?,
        rules: each("rules", &read.rules, rule)?,
    })
}

fn rule(read: &proto::JwtRule) -> Result<JwtRule, Fault> {
    let texts = |field, read: &[String]| each(field, read, |read| text("", read));
    Ok(JwtRule {
        issuer: text("issuer", &read.issuer)?,
        audiences: texts("audiences", &read.audiences)?,
        keys: keys(read.keys.as_ref())?,
        from_headers: each("from_headers", &read.from_headers, |read| {
            let prefix = scalar::text("prefix", &read.prefix)?;
            Ok((header("name", &read.name)?, Name::from(&*prefix)))
        })?,
        from_params: texts("from_params", &read.from_params)?,
        from_cookies: texts("from_cookies", &read.from_cookies)?,
        output_payload_to_header: match &*read.output_payload_to_header {
            "" => None,
            name => Some(header("output_payload_to_header", name)?),
        },
        forward_original_token: read.forward_original_token,
        output_claim_to_headers: each(
            "output_claim_to_headers",
            &read.output_claim_to_headers,
            |read| Ok((header("header", &read.header)?, way("claim", &read.claim)?)),
        )?,
        timeout: time_or(read.timeout_us, DEFAULT_TIMEOUT),
        space_delimited_claims: texts("space_delimited_claims", &read.space_delimited_claims)?,
    })
}

fn keys(read: Option<&proto::jwt_rule::Keys>) -> Result<KeySource, Fault> {
    use proto::jwt_rule::Keys;
    match read {
        None => Ok(KeySource::Discovery),
        // Whoever verifies tokens reads it; it may have several lines.
        Some(Keys::Jwks(set)) if (1..=MAX_JWKS_BYTES).contains(&set.len()) => {
            Ok(KeySource::Inline(Name::from(&**set)))
        }
        Some(Keys::Jwks(set)) => {
            let found = format!("{} bytes", set.len());
            Err(Fault::new("jwks", found, "from 1 to 1048576 bytes"))
        }
        Some(Keys::JwksUri(uri)) => {
            let scheme = uri.split_once("://").map(|(scheme, _)| scheme);
            if matches!(scheme, Some("http" | "https")) {
                let uri = scalar::target("jwks_uri", uri)?;
                Ok(KeySource::Uri(Name::from(&*uri)))
            } else {
                let expected = "a URI that begins with http:// or https://";
                Err(Fault::text("jwks_uri", uri, expected))
            }
        }
    }
}
