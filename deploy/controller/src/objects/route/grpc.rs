//! `gateway.networking.k8s.io/v1 GRPCRoute`.

use std::collections::BTreeMap;

use super::{
    super::{Meta, StringMatch},
    Backend, Filter, ParentRef,
};

/// Where gRPC calls go.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GrpcRoute {
    /// `metadata`.
    pub meta: Meta,
    /// `spec.parentRefs`.
    pub parents: Vec<ParentRef>,
    /// `spec.hostnames`, as those of an HTTPRoute.
    pub hostnames: Vec<String>,
    /// `spec.rules`.
    pub rules: Vec<GrpcRule>,
}

/// One of `spec.rules[]`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GrpcRule {
    /// `name`.
    pub name: Option<String>,
    /// `matches`: OR; at least one.
    pub matches: Vec<GrpcMatch>,
    /// `filters`, in order: neither a redirect nor a rewrite.
    pub filters: Vec<Filter>,
    /// `backendRefs`. Empty: `UNAVAILABLE` for all calls.
    pub backends: Vec<Backend>,
    /// `sessionPersistence` is there; it is not supported.
    pub session_persistence: bool,
}

/// One of `matches[]`: the AND of its fields.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GrpcMatch {
    /// `method`; `None` is every one.
    pub method: Option<GrpcMethodMatch>,
    /// `headers` by name in lower case; of several with one name the first counts. Never a prefix.
    pub headers: BTreeMap<String, StringMatch>,
}

/// `method`: at least one of its fields. Never a prefix; either both are regexes or none is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GrpcMethodMatch {
    /// `service`, such as `helloworld.Greeter`.
    pub service: Option<StringMatch>,
    /// `method`, such as `SayHello`.
    pub method: Option<StringMatch>,
}
