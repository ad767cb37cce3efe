//! Cross-origin requests.
//!
//! Source: Fetch standard, "CORS protocol"; Envoy, CORS filter.

use mesh::route::{Cors, StringMatch};

/// What a request says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CrossOrigin<'a> {
    /// The method.
    pub method: &'a str,
    /// `origin`.
    pub origin: Option<&'a [u8]>,
    /// `access-control-request-method`.
    pub request_method: Option<&'a [u8]>,
    /// `access-control-request-headers`.
    pub request_headers: Option<&'a [u8]>,
}

/// What is done about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict<'a> {
    /// The request goes on, and its response stays as it is.
    Pass,
    /// The request goes on, and its response gets these, in the place of those that it has.
    Allow(Allowed<'a>),
    /// It is a preflight; it is answered with 200 and these.
    Preflight(Preflight<'a>),
    /// It is a preflight of an origin that is not allowed; it is answered with 200 and nothing.
    Decline,
}

/// What a response allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Allowed<'a> {
    /// `access-control-allow-origin`: the request's own.
    pub origin: &'a [u8],
    /// `access-control-allow-credentials: true`.
    pub credentials: bool,
    /// `access-control-expose-headers`.
    pub expose_headers: Option<&'a [u8]>,
}

/// What the answer to a preflight allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Preflight<'a> {
    /// `access-control-allow-origin`: the request's own.
    pub origin: &'a [u8],
    /// `access-control-allow-credentials: true`.
    pub credentials: bool,
    /// `access-control-allow-methods`.
    pub methods: Option<&'a [u8]>,
    /// `access-control-allow-headers`.
    pub headers: Option<&'a [u8]>,
    /// `access-control-max-age`. **Units:** seconds.
    pub max_age: Option<u64>,
}

/// Judges a request.
#[must_use]
pub fn judge<'a>(cors: &'a Cors, request: &CrossOrigin<'a>) -> Verdict<'a> {
    let given = |value: Option<&'a [u8]>| value.filter(|value| !value.is_empty());
    let Some(origin) = given(request.origin) else {
        return Verdict::Pass;
    };
    let request_method = given(request.request_method).filter(|_| request.method == "OPTIONS");
    let allowed = cors
        .allow_origins
        .iter()
        .any(|wanted| allows(wanted, origin));
    match (request_method, allowed) {
        (None, false) => Verdict::Pass,
        (None, true) => Verdict::Allow(Allowed {
            origin,
            credentials: cors.allow_credentials,
            expose_headers: given(Some(cors.expose_headers.as_bytes())),
        }),
        (Some(_), false) if cors.forward_unmatched => Verdict::Pass,
        (Some(_), false) => Verdict::Decline,
        (Some(method), true) => {
            // With credentials a star is no wildcard, so what is asked for is named.
            let named = |list: &'a str, asked: Option<&'a [u8]>| match list {
                "*" if cors.allow_credentials => given(asked),
                list => given(Some(list.as_bytes())),
            };
            Verdict::Preflight(Preflight {
                origin,
                credentials: cors.allow_credentials,
                methods: named(&cors.allow_methods, Some(method)),
                headers: named(&cors.allow_headers, request.request_headers),
                max_age: cors.max_age,
            })
        }
    }
}

fn allows(wanted: &StringMatch, origin: &[u8]) -> bool {
    matches!(wanted, StringMatch::Exact(text) if &**text == "*") || wanted.matches(origin)
}
