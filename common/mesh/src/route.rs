//! Where the requests and connections of one service port go.
//!
//! In: routes in the order in which they are tried; who wins was resolved elsewhere. Out: the same, with what can
//! be prepared prepared: expressions compiled, rules indexed.
//! Never: a request is changed, answered or sent.
//!
//! Reading order: [`text`] and [`pattern`] (how texts match), [`substitution`], [`rule`] (one rule of HTTP), [`forward`] (where it
//! leads), [`edit`] (what it changes), [`behavior`] (CORS, faults), [`retry`], [`stream`] (TLS and TCP), then
//! [`rules`] (all rules of a port, and how the first that matches is found).

use std::{collections::BTreeMap, fmt};

use crate::{
    access::{ClientAddress, Policies},
    name::{Name, Namespace},
    service::ServiceKey,
};

pub mod behavior;
pub mod edit;
pub mod forward;
mod index;
mod paths;
pub mod pattern;
pub mod retry;
pub mod rule;
pub mod rules;
pub mod stream;
pub mod substitution;
mod syntax;
pub mod text;

pub use behavior::{Abort, AbortStatus, Cors, Delay, Fault, Share};
pub use edit::{
    HeaderEdits, HeaderText, PathRedirect, PathRewrite, Redirect, RedirectPort, Rewrite,
};
pub use forward::{Backend, Forward, Mirror, Missing, Target, WeightedBackend};
pub use pattern::{Pattern, PatternError};
pub use retry::{Retry, RetryOn};
pub use rule::{Action, ClaimMatch, DirectResponse, HeaderMatch, HttpMatch, HttpRule, QueryMatch};
pub use rules::{Claims, Facts, Found, HttpRules};
pub use stream::{TcpRoute, TlsRoute};
pub use substitution::{RegexRewrite, RewriteError};
pub use text::{HostMatch, PathKind, PathMatch, StringMatch};

/// What a route table is named by, written `<namespace>/<hostname>:<port>`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RouteKey {
    /// The service.
    pub service: ServiceKey,
    /// Its port.
    pub port: u16,
}

impl RouteKey {
    /// Names a port of a service.
    #[must_use]
    pub fn new(service: ServiceKey, port: u16) -> Self {
        Self { service, port }
    }
}

impl fmt::Display for RouteKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.service, self.port)
    }
}

/// The routes of one port of one service. An empty table leads to the service itself; a port without a table is refused.
/// Source: `ambit.waypoint.v1.RouteTable`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouteTable {
    /// What it is named by.
    pub key: RouteKey,
    /// Policies that hold for this port and that the waypoint cannot enforce, written `<kind> <namespace>/<name>`.
    /// If there is one, every request is refused and every connection ended.
    pub unenforced: Vec<Name>,
    /// Routes of HTTP. `None`: requests go to the service itself. There, but without a rule that matches: 404.
    pub http: Option<HttpRules>,
    /// In the place of `http` for clients of a namespace. Source: GEP-1426, consumer routes.
    pub consumers: BTreeMap<Namespace, HttpRules>,
    /// Routes by server name. **Shape:** the first that matches; without any, to the service itself.
    pub tls: Vec<TlsRoute>,
    /// Routes of TCP. **Shape:** as `tls`.
    pub tcp: Vec<TcpRoute>,
    /// Whether gRPC-Web requests become gRPC.
    pub grpc_web: bool,
    /// What is asked of who comes, besides what the settings say.
    pub policies: Policies,
    /// Whose word counts for the client's address; `None`: as the settings say.
    pub client_address: Option<ClientAddress>,
}

impl RouteTable {
    /// A table that says nothing.
    #[must_use]
    pub fn new(key: RouteKey) -> Self {
        Self {
            key,
            unenforced: Vec::new(),
            http: None,
            consumers: BTreeMap::new(),
            tls: Vec::new(),
            tcp: Vec::new(),
            grpc_web: false,
            policies: Policies::default(),
            client_address: None,
        }
    }

    /// The rules for clients of a namespace; `None`: requests go to the service itself.
    #[must_use]
    pub fn http_for(&self, client_namespace: &str) -> Option<&HttpRules> {
        self.consumers.get(client_namespace).or(self.http.as_ref())
    }
}

#[cfg(test)]
mod tests;
