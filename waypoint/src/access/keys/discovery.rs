//! Where an issuer says that its keys are.
//!
//! In: an issuer. Out: the address of its key set. Never: believes a document of another issuer; goes from https to http because a
//! document says so.
//!
//! Source: OpenID Connect Discovery 1.0 §4; Istio does the same where a policy names no keys.

use serde_json::Value;

use super::fetch::{Address, FetchError, Way};

/// Behind the issuer. Source: OpenID Connect Discovery 1.0 §4.1.
const PATH: &str = "/.well-known/openid-configuration";

/// Asks an issuer for the address of its keys.
pub(super) async fn discover(issuer: &str, way: Way<'_>) -> Result<Address, FetchError> {
    let address = Address::parse(&format!("{}{PATH}", issuer.trim_end_matches('/')))?;
    let text = way.get(&address).await?;
    read(issuer, &address, &text)
}

/// What a document says of an issuer's keys.
fn read(issuer: &str, address: &Address, text: &[u8]) -> Result<Address, FetchError> {
    let document: Value = serde_json::from_slice(text).map_err(|_| FetchError::Document)?;
    let text = |name| document.get(name)?.as_str();
    let (Some(found), Some(keys)) = (text("issuer"), text("jwks_uri")) else {
        return Err(FetchError::Document);
    };
    if found != issuer {
        return Err(FetchError::OtherIssuer {
            found: found.chars().take(256).collect(),
            expected: issuer.to_owned(),
        });
    }
    let keys = Address::parse(keys)?;
    if address.is_secure() && !keys.is_secure() {
        return Err(FetchError::Downgrade(keys.to_string()));
    }
    Ok(keys)
}

#[cfg(test)]
mod tests;
