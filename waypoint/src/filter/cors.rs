//! Requests of other origins (CORS).
//!
//! In: what a rule allows, and a request. Out: the answer to a preflight, or what the answer of the backend is to say.
//! Never: judges; [`decision::route::cors`] does, this makes headers of it.

use decision::route::cors::{self, CrossOrigin};
use http::{
    HeaderMap, HeaderName, HeaderValue, Method,
    header::{
        ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS,
        ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS,
        ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_HEADERS, ACCESS_CONTROL_REQUEST_METHOD,
        ORIGIN,
    },
};
use mesh::route::Cors;

/// What becomes of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It goes on, and nothing is said.
    Pass,
    /// It goes on; its answer gets these, in the place of those that it has.
    Allow(HeaderMap),
    /// It is answered with 200 and these.
    Answer(HeaderMap),
}

/// Looks at a request. Costs one look-up where it is none of another origin.
#[must_use]
pub fn judge(cors: &Cors, method: &Method, headers: &HeaderMap) -> Verdict {
    let value = |name: HeaderName| headers.get(name).map(HeaderValue::as_bytes);
    let Some(origin) = value(ORIGIN) else {
        return Verdict::Pass;
    };
    let request = CrossOrigin {
        method: method.as_str(),
        origin: Some(origin),
        request_method: value(ACCESS_CONTROL_REQUEST_METHOD),
        request_headers: value(ACCESS_CONTROL_REQUEST_HEADERS),
    };
    match cors::judge(cors, &request) {
        cors::Verdict::Pass => Verdict::Pass,
        cors::Verdict::Decline => Verdict::Answer(HeaderMap::new()),
        cors::Verdict::Allow(allowed) => {
            let mut said = whom(allowed.origin, allowed.credentials);
            put(
                &mut said,
                ACCESS_CONTROL_EXPOSE_HEADERS,
                allowed.expose_headers,
            );
            Verdict::Allow(said)
        }
        cors::Verdict::Preflight(preflight) => {
            let mut said = whom(preflight.origin, preflight.credentials);
            put(&mut said, ACCESS_CONTROL_ALLOW_METHODS, preflight.methods);
            put(&mut said, ACCESS_CONTROL_ALLOW_HEADERS, preflight.headers);
            if let Some(seconds) = preflight.max_age {
                said.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from(seconds));
            }
            Verdict::Answer(said)
        }
    }
}

fn whom(origin: &[u8], credentials: bool) -> HeaderMap {
    let mut said = HeaderMap::new();
    put(&mut said, ACCESS_CONTROL_ALLOW_ORIGIN, Some(origin));
    if credentials {
        said.insert(
            ACCESS_CONTROL_ALLOW_CREDENTIALS,
            HeaderValue::from_static("true"),
        );
    }
    said
}

/// What cannot be a header's value is not said.
fn put(said: &mut HeaderMap, name: HeaderName, value: Option<&[u8]>) {
    if let Some(value) = value.and_then(|value| HeaderValue::from_bytes(value).ok()) {
        said.insert(name, value);
    }
}

#[cfg(test)]
mod tests;
