//! One rule of HTTP: when it holds and what it does.

use std::{sync::Arc, time::Duration};

use super::{
    behavior::{Cors, Fault},
    edit::{HeaderEdits, Redirect, Rewrite},
    forward::{Forward, Mirror},
    retry::Retry,
    text::{HostMatch, PathMatch, StringMatch},
};
use crate::name::Name;

/// One rule of HTTP. Source: VirtualService `http[]`, HTTPRoute and GRPCRoute `rules[]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpRule {
    /// What the access log calls it; may be empty.
    pub name: Name,
    /// **Shape:** any of them; none: always.
    pub matches: Vec<HttpMatch>,
    /// What is done.
    pub action: Action,
    /// Edits of the request, after those of the backend.
    pub request_headers: HeaderEdits,
    /// Edits of the response, after those of the backend.
    pub response_headers: HeaderEdits,
    /// What becomes of path and authority, unless the backend has its own.
    pub rewrite: Option<Rewrite>,
    /// Copies of the request.
    pub mirrors: Vec<Mirror>,
    /// How requests of other origins are answered.
    pub cors: Option<Cors>,
    /// Delays and failures on purpose.
    pub fault: Option<Fault>,
    /// From the end of the request to the end of its response, with all retries; time in which the request waits for a
    /// connection counts, time in which its client is still sending does not. `None`: as long as it takes.
    pub timeout: Option<Duration>,
    /// `None`: as the waypoint's settings say.
    pub retry: Option<Retry>,
}

impl HttpRule {
    /// A rule that always matches and does nothing else.
    #[must_use]
    pub fn new(action: Action) -> Self {
        Self {
            name: Name::default(),
            matches: Vec::new(),
            action,
            request_headers: HeaderEdits::default(),
            response_headers: HeaderEdits::default(),
            rewrite: None,
            mirrors: Vec::new(),
            cors: None,
            fault: None,
            timeout: None,
            retry: None,
        }
    }
}

/// What is done with a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// It is sent on.
    Forward(Forward),
    /// It is answered with a redirect.
    Redirect(Redirect),
    /// It is answered.
    Respond(DirectResponse),
}

/// A fixed answer. Source: VirtualService `directResponse`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DirectResponse {
    /// From 200 to 599.
    pub status: u16,
    /// May be empty.
    pub body: Arc<[u8]>,
}

/// A condition on a request. **Shape:** all that is given must hold; the default always holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HttpMatch {
    /// Of the path without query.
    pub path: Option<PathMatch>,
    /// **Shape:** all of them.
    pub headers: Vec<HeaderMatch>,
    /// **Shape:** all of them.
    pub query: Vec<QueryMatch>,
    /// Of the method.
    pub method: Option<StringMatch>,
    /// Of the scheme.
    pub scheme: Option<StringMatch>,
    /// Of the authority in lower case, with its port where it has one.
    pub authority: Option<StringMatch>,
    /// Of the authority without port. **Shape:** any of them; none: all. Source: HTTPRoute `hostnames`.
    pub hostnames: Vec<HostMatch>,
    /// **Shape:** all of them.
    pub claims: Vec<ClaimMatch>,
}

/// A condition on a claim of the request's verified token. Source: VirtualService header `@request.auth.claims`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimMatch {
    /// The way into it. **Shape:** at least one name.
    pub claim: Vec<Name>,
    /// Of one of its texts. `None`: it has one.
    pub value: Option<StringMatch>,
    /// Must not hold. What is not there does not hold. Source: VirtualService `withoutHeaders`.
    pub invert: bool,
}

/// A condition on a header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeaderMatch {
    /// Lower case; or `:method`, `:path`, `:scheme`, `:authority`.
    pub name: Arc<str>,
    /// Of its values, joined by a comma. `None`: it is there, be it empty.
    pub value: Option<StringMatch>,
    /// Must not hold. What is not there does not hold. Source: VirtualService `withoutHeaders`.
    pub invert: bool,
}

/// A condition on a query parameter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueryMatch {
    /// Compared after percent-decoding, case and all. The first parameter of the name counts.
    pub name: Arc<str>,
    /// Of its value after percent-decoding. `None`: it is there, be it empty.
    pub value: Option<StringMatch>,
}
