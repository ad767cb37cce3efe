//! What of a request decides about its endpoint, where equal requests are to meet the same one.
//!
//! In: the backend's policy and a request. Out: a hash, and the cookie that a client gets so that it comes back.
//! Never: chooses the endpoint; hashes otherwise than [`decision::hash`], which is Envoy's way.
//!
//! Source: DestinationRule `consistentHash`; Envoy's route `hash_policy`.

use std::net::IpAddr;

use http::{HeaderMap, HeaderName, HeaderValue, header::COOKIE};
use mesh::backend::{HashCookie, HashKey};

/// Values of one header that are hashed. Reason: nobody has as many, and they are sorted.
const MAX_VALUES: usize = 64;

/// What a request has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Affinity {
    /// The hash of its key; `None`: it has none, and any endpoint will do.
    pub hash: Option<u64>,
    /// A cookie that was made for the client, as `set-cookie` says it.
    pub cookie: Option<HeaderValue>,
}

/// The parts of a request that may be a key.
#[derive(Clone, Copy, Debug)]
pub struct Parts<'a> {
    /// Its headers.
    pub headers: &'a HeaderMap,
    /// Its authority.
    pub authority: &'a str,
    /// Its query, as it was sent.
    pub query: Option<&'a str>,
    /// The client.
    pub client: IpAddr,
}

/// Finds the key of a request.
#[must_use]
pub fn of(key: &HashKey, parts: &Parts<'_>, random: &mut fastrand::Rng) -> Affinity {
    let hash = match key {
        HashKey::Header(name) => header(name, parts),
        HashKey::Cookie(cookie) => return by_cookie(cookie, parts.headers, random),
        HashKey::SourceIp => Some(decision::hash::source_ip(parts.client)),
        HashKey::QueryParameter(name) => parts
            .query
            .and_then(|query| parameter(query, name))
            .map(|value| decision::hash::value(value.as_bytes())),
    };
    Affinity { hash, cookie: None }
}

fn header(name: &str, parts: &Parts<'_>) -> Option<u64> {
    if matches!(name, ":authority" | "host") {
        return Some(decision::hash::value(parts.authority.as_bytes()));
    }
    let name = HeaderName::from_bytes(name.as_bytes()).ok()?;
    let all = parts.headers.get_all(name);
    let mut values: Vec<&[u8]> = all
        .iter()
        .take(MAX_VALUES)
        .map(HeaderValue::as_bytes)
        .collect();
    decision::hash::header(&mut values)
}

fn by_cookie(wanted: &HashCookie, headers: &HeaderMap, random: &mut fastrand::Rng) -> Affinity {
    if let Some(value) = cookie(headers, &wanted.name) {
        return Affinity {
            hash: Some(decision::hash::value(value.as_bytes())),
            cookie: None,
        };
    }
    let Some(ttl) = wanted.ttl else {
        return Affinity::default();
    };
    // Envoy makes it of the connection's addresses. Through a gateway, all clients would have the same.
    let value = format!("{:016x}", random.u64(..));
    let mut text = format!("{}=\"{value}\"", wanted.name);
    if !ttl.is_zero() {
        text.push_str(&format!("; Max-Age={}", ttl.as_secs()));
    }
    if !wanted.path.is_empty() {
        text.push_str(&format!("; Path={}", wanted.path));
    }
    for (name, value) in &wanted.attributes {
        text.push_str("; ");
        text.push_str(name);
        if !value.is_empty() {
            text.push('=');
            text.push_str(value);
        }
    }
    text.push_str("; HttpOnly");
    Affinity {
        hash: Some(decision::hash::value(value.as_bytes())),
        cookie: HeaderValue::from_str(&text).ok(),
    }
}

/// The value of a cookie, without the quotes that it may have (RFC 6265 §4.1.1).
fn cookie<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    headers
        .get_all(COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'))
        .filter_map(|pair| pair.split_once('='))
        .find(|(key, _)| key.trim() == name)
        .map(|(_, value)| {
            let value = value.trim();
            let inner = value.strip_prefix('"').and_then(|v| v.strip_suffix('"'));
            inner.unwrap_or(value)
        })
}

/// The first value of a parameter, as it is written.
fn parameter<'q>(query: &'q str, name: &str) -> Option<&'q str> {
    query.split('&').find_map(|pair| {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        (key == name).then_some(value)
    })
}

#[cfg(test)]
mod tests;
