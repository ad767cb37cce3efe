//! Where requests are sent.

use std::{fmt, time::Duration};

use super::{
    behavior::Share,
    edit::{HeaderEdits, Redirect, Rewrite},
};
use crate::{name::Name, service::ServiceKey};

/// Backends that share requests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Forward {
    /// **Shape:** each gets its weight's part of the sum.
    pub backends: Vec<WeightedBackend>,
    /// The answer where no backend has a weight: 500 for a route of the Gateway API, 503 otherwise.
    pub fallback_status: u16,
}

/// One of several backends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WeightedBackend {
    /// 0: nothing is sent there.
    pub weight: u32,
    /// What it is.
    pub target: Target,
    /// Edits of the request, before those of the rule.
    pub request_headers: HeaderEdits,
    /// Edits of the response, before those of the rule.
    pub response_headers: HeaderEdits,
    /// In the place of the rule's.
    pub rewrite: Option<Rewrite>,
    /// Requests are answered so, and not sent.
    pub redirect: Option<Redirect>,
    /// Beside the rule's.
    pub mirrors: Vec<Mirror>,
    /// For one attempt. Source: HTTPRoute `timeouts.backendRequest`.
    pub timeout: Option<Duration>,
}

impl WeightedBackend {
    /// A backend that nothing else is said of.
    #[must_use]
    pub fn new(weight: u32, target: Target) -> Self {
        Self {
            weight,
            target,
            request_headers: HeaderEdits::default(),
            response_headers: HeaderEdits::default(),
            rewrite: None,
            redirect: None,
            mirrors: Vec::new(),
            timeout: None,
        }
    }
}

/// What a route leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// Endpoints.
    Backend(Backend),
    /// Nothing.
    Missing(Missing),
}

/// One port of a service, or of a subset of its endpoints.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Backend {
    /// The service.
    pub service: ServiceKey,
    /// Its port.
    pub port: u16,
    /// The subset of its endpoints; empty for all of them.
    pub subset: Name,
}

impl Backend {
    /// All endpoints of a port.
    #[must_use]
    pub fn new(service: ServiceKey, port: u16) -> Self {
        Self {
            service,
            port,
            subset: Name::default(),
        }
    }
}

/// Written `<namespace>/<hostname>:<port>`, and `/<subset>` where there is one.
impl fmt::Display for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.service, self.port)?;
        if self.subset.is_empty() {
            Ok(())
        } else {
            write!(f, "/{}", self.subset)
        }
    }
}

/// A backend that somebody named and that does not exist.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Missing {
    /// The answer: 503 for a VirtualService, 500 for a route of the Gateway API.
    pub status: u16,
    /// What was named.
    pub name: Name,
}

/// A copy of requests goes there, and its answer nowhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mirror {
    /// Where it goes.
    pub backend: Backend,
    /// Of how many requests.
    pub share: Share,
    /// Whether `-shadow` is appended to its host. Source: Istio, in contrast to the Gateway API.
    pub shadow_host: bool,
}
