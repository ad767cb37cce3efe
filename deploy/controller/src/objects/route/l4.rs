//! `gateway.networking.k8s.io` TCPRoute and TLSRoute.

use super::{super::Meta, BackendRef, ParentRef};

/// Where connections go.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TcpRoute {
    /// `metadata`.
    pub meta: Meta,
    /// `spec.parentRefs`.
    pub parents: Vec<ParentRef>,
    /// `spec.rules`: at least one.
    pub rules: Vec<L4Rule>,
}

/// Where connections go whose TLS is not ended here, by the name that they ask for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsRoute {
    /// `metadata`.
    pub meta: Meta,
    /// `spec.parentRefs`.
    pub parents: Vec<ParentRef>,
    /// `spec.hostnames`, in lower case: names, or `*.` and one. Empty (in the older versions only) is every name.
    pub hostnames: Vec<String>,
    /// `spec.rules`: at least one.
    pub rules: Vec<L4Rule>,
}

/// One of `spec.rules[]`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct L4Rule {
    /// `name`.
    pub name: Option<String>,
    /// `backendRefs`. Empty, or none of them valid: connections are refused.
    pub backends: Vec<L4Backend>,
}

/// One of `backendRefs[]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct L4Backend {
    /// What it is.
    pub backend: BackendRef,
    /// `weight`, relative to the others'. Absent: 1; at most 1,000,000.
    pub weight: u32,
}
