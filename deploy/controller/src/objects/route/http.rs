//! `gateway.networking.k8s.io/v1 HTTPRoute`.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use super::{
    super::{Meta, StringMatch},
    Backend, Filter, ParentRef,
};

/// Where HTTP requests go.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HttpRoute {
    /// `metadata`.
    pub meta: Meta,
    /// `spec.parentRefs`.
    pub parents: Vec<ParentRef>,
    /// `spec.hostnames`, in lower case: names, or `*.` and one. Of no effect where the parent is a Service.
    pub hostnames: Vec<String>,
    /// `spec.rules`; one that matches everything where they are absent.
    pub rules: Vec<HttpRule>,
}

/// One of `spec.rules[]`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HttpRule {
    /// `name`.
    pub name: Option<String>,
    /// `matches`: OR; at least one.
    pub matches: Vec<HttpMatch>,
    /// `filters`, in order.
    pub filters: Vec<Filter>,
    /// `backendRefs`. Empty without a redirect: 500 for all requests.
    pub backends: Vec<Backend>,
    /// `timeouts`.
    pub timeouts: Timeouts,
    /// `retry`.
    pub retry: Option<Retry>,
    /// `sessionPersistence` is there; it is not supported.
    pub session_persistence: bool,
}

/// One of `matches[]`: the AND of its fields.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HttpMatch {
    /// `path`.
    pub path: PathMatch,
    /// `headers` by name in lower case; of several with one name the first counts. Never a prefix.
    pub headers: BTreeMap<String, StringMatch>,
    /// `queryParams` by name; of several with one name the first counts. Never a prefix.
    pub query_params: BTreeMap<String, StringMatch>,
    /// `method`, one of the nine of RFC 9110 and 5789.
    pub method: Option<String>,
}

/// `path`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum PathMatch {
    /// `Exact`.
    Exact(String),
    /// `PathPrefix`: element by element. **Shape**: without a slash at its end, except for `/`.
    Prefix(String),
    /// `RegularExpression`: the whole path. **Shape**: as [`StringMatch::Regex`].
    Regex(String),
}

impl Default for PathMatch {
    fn default() -> Self {
        Self::Prefix("/".to_owned())
    }
}

/// `timeouts`: `None` (also for `0s`) is none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Timeouts {
    /// `request`: the whole, with retries.
    pub request: Option<Duration>,
    /// `backendRequest`: one try. Not longer than `request`.
    pub backend_request: Option<Duration>,
}

/// `retry`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Retry {
    /// `codes`, 400 to 599; empty is the default.
    pub codes: BTreeSet<u16>,
    /// `attempts` beside the first; `None` is the default.
    pub attempts: Option<u32>,
    /// `backoff`: the shortest pause before a retry; `None` is the default.
    pub backoff: Option<Duration>,
}
