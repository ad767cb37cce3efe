//! Whom a CUSTOM policy asks.

use std::time::Duration;

use super::authorization::TextMatch;
use crate::{name::Name, route::Backend};

/// An external authorizer. Source: MeshConfig `extensionProviders[].envoyExtAuthzHttp` and `envoyExtAuthzGrpc`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExternalAuthorization {
    /// The provider's name.
    pub provider: Name,
    /// Who answers.
    pub backend: Backend,
    /// What is spoken.
    pub protocol: Protocol,
    /// For the answer.
    pub timeout: Duration,
    /// Whether requests go on while nobody answers.
    pub fail_open: bool,
    /// What they are answered with otherwise.
    pub status_on_error: u16,
    /// `None`: bodies are not sent.
    pub include_body: Option<IncludeBody>,
}

/// What is spoken with an authorizer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// The request's head as a request of its own: 200 lets it pass.
    Http(Box<HttpCheck>),
    /// `envoy.service.auth.v3.Authorization`.
    Grpc,
}

/// How an authorizer is asked by HTTP. Names of headers are lower case.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HttpCheck {
    /// Before the request's own path.
    pub path_prefix: Name,
    /// Headers that are sent beside Host, Method, Path, Content-Length and Authorization.
    pub include_headers: Vec<TextMatch>,
    /// Headers that are sent with every question.
    pub additional_headers: Vec<(Name, Name)>,
    /// Headers of an answer that lets pass: for the request, in the place of those that it has.
    pub upstream_on_allow: Vec<TextMatch>,
    /// Headers of an answer that refuses: for the client.
    pub downstream_on_deny: Vec<TextMatch>,
    /// Headers of an answer that lets pass: for the client's response.
    pub downstream_on_allow: Vec<TextMatch>,
}

/// How much of a body an authorizer sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IncludeBody {
    /// Units: bytes.
    pub max_bytes: u32,
    /// Whether a longer body is cut, rather than answered with 413.
    pub allow_partial: bool,
    /// gRPC: whether it is sent as bytes rather than text.
    pub as_bytes: bool,
}
