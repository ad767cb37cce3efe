//! Headers by which Envoy's family talks about a request: who may say them, and what we say.
//!
//! In: heads. Out: heads in which no client speaks for a proxy, every request has an id, and the backend knows the
//! scheme. Never: trusts a client with a header that a proxy acts upon.
//!
//! Source: Envoy's HTTP header manipulation, Istio's `proxyHeaders` with its defaults.

use std::sync::LazyLock;

use http::{HeaderMap, HeaderName, HeaderValue, header::SERVER};

/// Which request this is, for people and for logs.
pub const X_REQUEST_ID: HeaderName = telemetry::trace::REQUEST_ID;
/// The scheme that the client used, as the outermost proxy saw it.
pub const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
/// How often the request was sent, this time included.
pub const X_ENVOY_ATTEMPT_COUNT: HeaderName = HeaderName::from_static("x-envoy-attempt-count");
/// The path before it was rewritten, with its query.
pub const X_ENVOY_ORIGINAL_PATH: HeaderName = HeaderName::from_static("x-envoy-original-path");
/// How long the backend took until its first byte. Units: milliseconds.
pub const X_ENVOY_UPSTREAM_SERVICE_TIME: HeaderName =
    HeaderName::from_static("x-envoy-upstream-service-time");
/// Says that a limit was met, not that the backend failed.
pub const X_ENVOY_OVERLOADED: HeaderName = HeaderName::from_static("x-envoy-overloaded");
/// Where the client is, as the gateway saw it by which it came into the mesh.
pub const X_ENVOY_EXTERNAL_ADDRESS: HeaderName =
    HeaderName::from_static("x-envoy-external-address");
/// Who vouched for the client, which only the proxy that saw its certificate can say.
pub const X_FORWARDED_CLIENT_CERT: HeaderName = HeaderName::from_static("x-forwarded-client-cert");

/// What the family calls itself, so that tools that look for it find it.
const SERVER_NAME: HeaderValue = HeaderValue::from_static("istio-envoy");

/// Takes out of a request what only a proxy may say: everything that begins with `x-envoy-`, and the client's own word
/// on its certificate. With `_` for `-` too: CGI, WSGI and their kin cannot tell these apart.
///
/// `x-envoy-external-address` stays here: a gateway at the edge sets it, nothing here acts upon it, and the backend wants to know. Where a
/// policy says who may speak of clients, `request::client` sets or removes it. `x-envoy-original-path` does not: the access log shows it in the place of the
/// path, so a client could hide what it asked for.
pub fn sanitize(headers: &mut HeaderMap) {
    remove(headers, is_of_proxies);
}

/// Takes headers of some names out.
pub fn remove(headers: &mut HeaderMap, is_one: impl Fn(&HeaderName) -> bool) {
    // Usually there is none, and nothing is collected.
    if headers.keys().any(&is_one) {
        let names: Vec<HeaderName> = headers.keys().filter(|n| is_one(n)).cloned().collect();
        for name in names {
            headers.remove(name);
        }
    }
}

/// Whether a name is another, `_` being the same as `-`.
#[must_use]
pub fn is_alike(found: &HeaderName, name: &HeaderName) -> bool {
    let (found, name) = (found.as_str(), name.as_str());
    found.len() == name.len() && begins_alike(found, name)
}

/// Whether a name begins as another does, `_` being the same as `-`.
#[must_use]
pub fn begins_alike(found: &str, prefix: &str) -> bool {
    let plain = |byte: u8| if byte == b'_' { b'-' } else { byte };
    found.len() >= prefix.len()
        && found
            .bytes()
            .zip(prefix.bytes())
            .all(|(found, wanted)| plain(found) == plain(wanted))
}

fn is_of_proxies(name: &HeaderName) -> bool {
    (begins_alike(name.as_str(), "x-envoy-") && *name != X_ENVOY_EXTERNAL_ADDRESS)
        || is_alike(name, &X_FORWARDED_CLIENT_CERT)
}

/// Gives the request an id and a scheme where it has none. Returns what says the scheme.
pub fn identify<'h>(headers: &'h mut HeaderMap, random: &mut fastrand::Rng) -> &'h HeaderValue {
    let id = || telemetry::trace::request_id([random.u64(..), random.u64(..)]);
    headers.entry(X_REQUEST_ID).or_insert_with(id);
    let scheme = || HeaderValue::from_static("http");
    headers.entry(X_FORWARDED_PROTO).or_insert_with(scheme)
}

/// The value of [`X_ENVOY_ATTEMPT_COUNT`] for an attempt, from 1.
#[must_use]
pub fn attempt_count(attempt: u32) -> HeaderValue {
    const FIRST: [HeaderValue; 3] = [
        HeaderValue::from_static("1"),
        HeaderValue::from_static("2"),
        HeaderValue::from_static("3"),
    ];
    usize::try_from(attempt)
        .ok()
        .and_then(|attempt| FIRST.get(attempt.wrapping_sub(1)).cloned())
        .unwrap_or_else(|| HeaderValue::from(attempt))
}

/// What every response says of us.
pub fn finish_response(headers: &mut HeaderMap) {
    headers.insert(SERVER, SERVER_NAME);
}

/// The value of [`X_ENVOY_UPSTREAM_SERVICE_TIME`]; the short ones, which are nearly all, are made once.
#[must_use]
pub fn service_time(elapsed: std::time::Duration) -> HeaderValue {
    static FIRST: LazyLock<Vec<HeaderValue>> =
        LazyLock::new(|| (0..256_u64).map(HeaderValue::from).collect());
    let milliseconds = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX);
    usize::try_from(milliseconds)
        .ok()
        .and_then(|at| FIRST.get(at).cloned())
        .unwrap_or_else(|| HeaderValue::from(milliseconds))
}

#[cfg(test)]
mod tests;
