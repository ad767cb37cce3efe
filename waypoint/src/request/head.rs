//! The head of a request on its way through.
//!
//! In: a head as the engine read it. Out: what it says, wherever HTTP/1.1 and HTTP/2 write it; the head, changed. Never:
//! copies what is only to be read.

use http::{
    HeaderMap, HeaderValue, Uri,
    header::HOST,
    uri::{Authority, PathAndQuery, Scheme},
};

use crate::filter::envoy::X_FORWARDED_PROTO;

/// Whom a request names. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub enum Named {
    /// Nobody.
    #[default]
    Nobody,
    /// By `:authority`, or by the target of HTTP/1.1.
    Target(Authority),
    /// By `host`.
    Host(HeaderValue),
}

impl Named {
    /// Whom a head names. The target wins (RFC 9112 §3.2.2).
    #[must_use]
    pub fn of(uri: &Uri, headers: &HeaderMap) -> Self {
        match (uri.authority(), headers.get(HOST)) {
            (Some(authority), _) => Self::Target(authority.clone()),
            (None, Some(host)) => Self::Host(host.clone()),
            (None, None) => Self::Nobody,
        }
    }

    /// As text; empty where nobody is named.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Nobody => "",
            Self::Target(authority) => authority.as_str(),
            Self::Host(host) => host.to_str().unwrap_or_default(),
        }
    }
}

/// The scheme that the client used, as the outermost proxy says.
#[must_use]
pub fn scheme(headers: &HeaderMap) -> &'static str {
    headers.get(X_FORWARDED_PROTO).map_or("http", scheme_of)
}

/// The same, of what its header says.
#[must_use]
pub fn scheme_of(said: &HeaderValue) -> &'static str {
    if said.as_bytes().eq_ignore_ascii_case(b"https") {
        "https"
    } else {
        "http"
    }
}

/// The path and query; `/` where there is none.
#[must_use]
pub fn path_and_query(uri: &Uri) -> PathAndQuery {
    uri.path_and_query()
        .cloned()
        .unwrap_or_else(|| PathAndQuery::from_static("/"))
}

/// Another path and query for a target. It stays as it is where they do not fit together.
pub fn set_path(uri: &mut Uri, path: PathAndQuery) {
    let mut parts = std::mem::take(uri).into_parts();
    if parts.authority.is_some() && parts.scheme.is_none() {
        parts.scheme = Some(Scheme::HTTP);
    }
    parts.path_and_query = Some(path);
    *uri = Uri::from_parts(parts).unwrap_or_default();
}

/// Names somebody else: in `host`, of which the next hop makes what it needs.
pub fn set_authority(uri: &mut Uri, headers: &mut HeaderMap, authority: HeaderValue) {
    if uri.authority().is_some() {
        let path = path_and_query(uri);
        *uri = Uri::from(path);
    }
    headers.insert(HOST, authority);
}
