//! What routes refer to: parents, which they are attached to, and backends, where requests go.

use super::Filter;

/// One of `parentRefs[]`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ParentRef {
    /// `group`; empty for core. Absent: `gateway.networking.k8s.io`.
    pub group: String,
    /// `kind`. Absent: `Gateway`.
    pub kind: String,
    /// `namespace`; `None` is that of the route.
    pub namespace: Option<String>,
    /// `name`.
    pub name: String,
    /// `sectionName`.
    pub section: Option<String>,
    /// `port`.
    pub port: Option<u16>,
}

/// What a backend is.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BackendRef {
    /// `group`; empty for core, which is also what it is where it is absent.
    pub group: String,
    /// `kind`. Absent: `Service`.
    pub kind: String,
    /// `namespace`; `None` is that of the route.
    pub namespace: Option<String>,
    /// `name`.
    pub name: String,
    /// `port`; a Service has one.
    pub port: Option<u16>,
}

/// One of `backendRefs[]` of an HTTPRoute or a GRPCRoute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Backend {
    /// What it is.
    pub backend: BackendRef,
    /// `weight`, relative to the others'. Absent: 1; at most 1,000,000.
    pub weight: u32,
    /// `filters`, for requests that go to it.
    pub filters: Vec<Filter>,
}
