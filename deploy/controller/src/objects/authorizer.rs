//! External authorizers: settings of the mesh that the action CUSTOM names.

use std::{collections::BTreeMap, time::Duration};

/// One of `extensionProviders[]` with `envoyExtAuthzHttp` or `envoyExtAuthzGrpc`. `clearRouteCache` makes no difference: routes
/// are looked for after the authorizer has answered, in any case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Authorizer {
    /// `service`.
    pub service: AuthorizerService,
    /// `port`; not 0.
    pub port: u16,
    /// `timeout`; 600 s where it is absent.
    pub timeout: Duration,
    /// `failOpen`.
    pub fail_open: bool,
    /// `statusOnError`; 403 where it is absent.
    pub status_on_error: u16,
    /// `includeRequestBodyInCheck`.
    pub include_body: Option<AuthorizerBody>,
    /// Which of the two it is.
    pub protocol: AuthorizerProtocol,
}

/// `service`: `<hostname>` or `<namespace>/<hostname>`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuthorizerService {
    /// The namespace, where several services have the hostname.
    pub namespace: Option<String>,
    /// The hostname of a Service or ServiceEntry, in lower case.
    pub hostname: String,
}

/// What is spoken with an authorizer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AuthorizerProtocol {
    /// `envoyExtAuthzHttp`.
    Http(Box<HttpAuthorizer>),
    /// `envoyExtAuthzGrpc`.
    Grpc,
}

/// What only `envoyExtAuthzHttp` has. Lists of headers hold names, `prefix*` and `*suffix`, in lower case, and never `*` alone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HttpAuthorizer {
    /// `pathPrefix`; empty, or a path.
    pub path_prefix: String,
    /// `includeRequestHeadersInCheck`; where there are none, `includeHeadersInCheck`.
    pub include_headers: Vec<String>,
    /// `includeAdditionalHeadersInCheck`; names in lower case.
    pub additional_headers: BTreeMap<String, String>,
    /// `headersToUpstreamOnAllow`.
    pub upstream_on_allow: Vec<String>,
    /// `headersToDownstreamOnDeny`.
    pub downstream_on_deny: Vec<String>,
    /// `headersToDownstreamOnAllow`.
    pub downstream_on_allow: Vec<String>,
}

/// `includeRequestBodyInCheck`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AuthorizerBody {
    /// `maxRequestBytes`; not 0.
    pub max_bytes: u32,
    /// `allowPartialMessage`.
    pub allow_partial: bool,
    /// `packAsBytes`.
    pub as_bytes: bool,
}
