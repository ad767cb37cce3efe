//! `filters[]` of HTTPRoute and GRPCRoute.

use super::{
    super::{Cors, HeaderEdit, Share},
    BackendRef,
};

/// One of `filters[]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Filter {
    /// `RequestHeaderModifier`.
    RequestHeaders(HeaderEdit),
    /// `ResponseHeaderModifier`.
    ResponseHeaders(HeaderEdit),
    /// `RequestMirror`.
    Mirror(RequestMirror),
    /// `RequestRedirect`.
    Redirect(RequestRedirect),
    /// `URLRewrite`.
    Rewrite(UrlRewrite),
    /// `CORS`.
    Cors(Cors),
    /// One that the API has and the waypoint has not: `ExtensionRef`, `ExternalAuth`. A request to its rule is never
    /// served as if it were not there.
    Unsupported {
        /// Its `type`.
        kind: String,
    },
}

/// `requestMirror`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestMirror {
    /// `backendRef`.
    pub backend: BackendRef,
    /// `percent` or `fraction`; all where neither is there.
    pub share: Share,
}

/// `requestRedirect`. What is absent stays as it is in the request, except for the port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestRedirect {
    /// `scheme`: `http` or `https`.
    pub scheme: Option<String>,
    /// `hostname`.
    pub hostname: Option<String>,
    /// `path`.
    pub path: Option<PathChange>,
    /// `port`. Absent: with `scheme` the well-known port of it, otherwise that of the listener.
    pub port: Option<u16>,
    /// `statusCode`: 301, 302, 303, 307 or 308. Absent: 302.
    pub code: u16,
}

/// `urlRewrite`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UrlRewrite {
    /// `hostname`.
    pub hostname: Option<String>,
    /// `path`.
    pub path: Option<PathChange>,
}

/// `path` of a redirect or a rewrite.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PathChange {
    /// `ReplaceFullPath`.
    Full(String),
    /// `ReplacePrefixMatch`: takes the place of the prefix, of which the rule's only match is one.
    Prefix(String),
}
