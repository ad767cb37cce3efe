//! The Kubernetes and Istio objects that the controller understands, as values: what every source delivers and
//! everything above a source reads.
//!
//! **Shape**: only fields that have an effect here, each already validated; where an object came from is not part
//! of it. Two objects that mean the same are equal. Never: text that still has to be parsed, a line number.

mod access_log;
mod authentication;
mod authorization;
mod authorizer;
mod cors;
pub mod destination_rule;
mod entry;
pub mod envoy_filter;
mod export;
mod gateway;
mod headers;
mod matching;
mod mesh;
mod meta;
mod pod;
pub mod route;
mod service;
mod slice;
mod topology;
pub mod traffic_policy;
mod unread;
pub mod virtual_service;

use std::{fmt, sync::Arc};

pub use access_log::{AccessLog, LogFormat};
pub use authentication::{
    JwtHeader, JwtKeys, JwtRule, MutualTls, PeerAuthentication, RequestAuthentication,
};
pub use authorization::{
    Action, AuthorizationPolicy, Condition, Operation, PolicyRule, Source, TargetRef,
};
pub use authorizer::{
    Authorizer, AuthorizerBody, AuthorizerProtocol, AuthorizerService, HttpAuthorizer,
};
pub use cors::{Cors, CorsOrigin, UnmatchedPreflights};
pub use destination_rule::DestinationRule;
pub use entry::{Address, Endpoint, EntryPort, Location, Resolution, ServiceEntry, WorkloadEntry};
pub use envoy_filter::{EnvoyFilter, LocalRateLimit, Patch};
pub use export::{Export, ExportTo};
pub use gateway::{
    AllowedNamespaces, ClientSwitches, Gateway, GatewayAddressValue, GatewayClass, Listener,
};
pub use headers::{HeaderEdit, HeaderEdits};
pub use matching::{Share, StringMatch, ValueMatches};
pub use mesh::{
    EntryVisibility, MESH_CONFIG, MeshConfig, PathNormalization, Visibility, VisibilityPolicy,
};
pub use meta::{LabelSelector, Labels, Meta, Operator, OwnerReference, Requirement, Selector};
pub use pod::{ContainerPort, Namespace, Node, Phase, Pod, ServiceAccount};
pub use service::{
    AppProtocol, IpFamily, IpFamilyPolicy, Service, ServicePort, ServiceType, TargetPort,
    TrafficDistribution,
};
pub use slice::{EndpointSlice, SliceEndpoint, SlicePort};
pub use topology::{ForwardClientCert, GatewayTopology};
pub use traffic_policy::TrafficPolicy;
pub use unread::UnreadPolicy;
pub use virtual_service::VirtualService;

/// The kinds of objects, as `kind` spells them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[expect(missing_docs, reason = "the names are the documentation")]
pub enum Kind {
    Namespace,
    Node,
    Pod,
    Service,
    EndpointSlice,
    ServiceAccount,
    WorkloadEntry,
    ServiceEntry,
    Gateway,
    GatewayClass,
    AuthorizationPolicy,
    PeerAuthentication,
    ConfigMap,
    VirtualService,
    DestinationRule,
    HttpRoute,
    GrpcRoute,
    TlsRoute,
    TcpRoute,
    ReferenceGrant,
    RequestAuthentication,
    TrafficPolicy,
    EnvoyFilter,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 23] = [
        Self::Namespace,
        Self::Node,
        Self::Pod,
        Self::Service,
        Self::EndpointSlice,
        Self::ServiceAccount,
        Self::WorkloadEntry,
        Self::ServiceEntry,
        Self::Gateway,
        Self::GatewayClass,
        Self::AuthorizationPolicy,
        Self::PeerAuthentication,
        Self::ConfigMap,
        Self::VirtualService,
        Self::DestinationRule,
        Self::HttpRoute,
        Self::GrpcRoute,
        Self::TlsRoute,
        Self::TcpRoute,
        Self::ReferenceGrant,
        Self::RequestAuthentication,
        Self::TrafficPolicy,
        Self::EnvoyFilter,
    ];

    /// The kind as `kind` spells it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Namespace => "Namespace",
            Self::Node => "Node",
            Self::Pod => "Pod",
            Self::Service => "Service",
            Self::EndpointSlice => "EndpointSlice",
            Self::ServiceAccount => "ServiceAccount",
            Self::WorkloadEntry => "WorkloadEntry",
            Self::ServiceEntry => "ServiceEntry",
            Self::Gateway => "Gateway",
            Self::GatewayClass => "GatewayClass",
            Self::AuthorizationPolicy => "AuthorizationPolicy",
            Self::PeerAuthentication => "PeerAuthentication",
            Self::ConfigMap => "ConfigMap",
            Self::VirtualService => "VirtualService",
            Self::DestinationRule => "DestinationRule",
            Self::HttpRoute => "HTTPRoute",
            Self::GrpcRoute => "GRPCRoute",
            Self::TlsRoute => "TLSRoute",
            Self::TcpRoute => "TCPRoute",
            Self::ReferenceGrant => "ReferenceGrant",
            Self::RequestAuthentication => "RequestAuthentication",
            Self::TrafficPolicy => "TrafficPolicy",
            Self::EnvoyFilter => "EnvoyFilter",
        }
    }

    /// Whether objects of this kind have no namespace.
    #[must_use]
    pub fn is_cluster_scoped(self) -> bool {
        matches!(self, Self::Namespace | Self::Node | Self::GatewayClass)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What names an object. **Shape**: `namespace` is empty for objects of the whole cluster.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ObjectKey {
    /// Its kind.
    pub kind: Kind,
    /// `metadata.namespace`.
    pub namespace: Arc<str>,
    /// `metadata.name`.
    pub name: Arc<str>,
}

impl ObjectKey {
    /// Names an object.
    #[must_use]
    pub fn new(kind: Kind, namespace: impl Into<Arc<str>>, name: impl Into<Arc<str>>) -> Self {
        Self {
            kind,
            namespace: namespace.into(),
            name: name.into(),
        }
    }
}

impl fmt::Display for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.namespace.is_empty() {
            write!(f, "{} {}", self.kind, self.name)
        } else {
            write!(f, "{} {}/{}", self.kind, self.namespace, self.name)
        }
    }
}

/// One object.
#[derive(Clone, Debug, PartialEq)]
#[expect(missing_docs, reason = "the names are the documentation")]
pub enum Object {
    Namespace(Arc<Namespace>),
    Node(Arc<Node>),
    Pod(Arc<Pod>),
    Service(Arc<Service>),
    EndpointSlice(Arc<EndpointSlice>),
    ServiceAccount(Arc<ServiceAccount>),
    WorkloadEntry(Arc<WorkloadEntry>),
    ServiceEntry(Arc<ServiceEntry>),
    Gateway(Arc<Gateway>),
    GatewayClass(Arc<GatewayClass>),
    AuthorizationPolicy(Arc<AuthorizationPolicy>),
    PeerAuthentication(Arc<PeerAuthentication>),
    /// The ConfigMap `istio` of the root namespace; other ConfigMaps are not delivered.
    MeshConfig(Arc<MeshConfig>),
    VirtualService(Arc<VirtualService>),
    DestinationRule(Arc<DestinationRule>),
    HttpRoute(Arc<route::HttpRoute>),
    GrpcRoute(Arc<route::GrpcRoute>),
    TlsRoute(Arc<route::TlsRoute>),
    TcpRoute(Arc<route::TcpRoute>),
    ReferenceGrant(Arc<route::ReferenceGrant>),
    RequestAuthentication(Arc<RequestAuthentication>),
    TrafficPolicy(Arc<TrafficPolicy>),
    EnvoyFilter(Arc<EnvoyFilter>),
    /// In the place of a policy; its key is the policy's.
    Unread(Arc<UnreadPolicy>),
}

impl Object {
    /// The metadata.
    #[must_use]
    pub fn meta(&self) -> &Meta {
        match self {
            Self::Namespace(object) => &object.meta,
            Self::Node(object) => &object.meta,
            Self::Pod(object) => &object.meta,
            Self::Service(object) => &object.meta,
            Self::EndpointSlice(object) => &object.meta,
            Self::ServiceAccount(object) => &object.meta,
            Self::WorkloadEntry(object) => &object.meta,
            Self::ServiceEntry(object) => &object.meta,
            Self::Gateway(object) => &object.meta,
            Self::GatewayClass(object) => &object.meta,
            Self::AuthorizationPolicy(object) => &object.meta,
            Self::PeerAuthentication(object) => &object.meta,
            Self::MeshConfig(object) => &object.meta,
            Self::VirtualService(object) => &object.meta,
            Self::DestinationRule(object) => &object.meta,
            Self::HttpRoute(object) => &object.meta,
            Self::GrpcRoute(object) => &object.meta,
            Self::TlsRoute(object) => &object.meta,
            Self::TcpRoute(object) => &object.meta,
            Self::ReferenceGrant(object) => &object.meta,
            Self::RequestAuthentication(object) => &object.meta,
            Self::TrafficPolicy(object) => &object.meta,
            Self::EnvoyFilter(object) => &object.meta,
            Self::Unread(object) => &object.meta,
        }
    }

    /// The kind.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            Self::Namespace(_) => Kind::Namespace,
            Self::Node(_) => Kind::Node,
            Self::Pod(_) => Kind::Pod,
            Self::Service(_) => Kind::Service,
            Self::EndpointSlice(_) => Kind::EndpointSlice,
            Self::ServiceAccount(_) => Kind::ServiceAccount,
            Self::WorkloadEntry(_) => Kind::WorkloadEntry,
            Self::ServiceEntry(_) => Kind::ServiceEntry,
            Self::Gateway(_) => Kind::Gateway,
            Self::GatewayClass(_) => Kind::GatewayClass,
            Self::AuthorizationPolicy(_) => Kind::AuthorizationPolicy,
            Self::PeerAuthentication(_) => Kind::PeerAuthentication,
            Self::MeshConfig(_) => Kind::ConfigMap,
            Self::VirtualService(_) => Kind::VirtualService,
            Self::DestinationRule(_) => Kind::DestinationRule,
            Self::HttpRoute(_) => Kind::HttpRoute,
            Self::GrpcRoute(_) => Kind::GrpcRoute,
            Self::TlsRoute(_) => Kind::TlsRoute,
            Self::TcpRoute(_) => Kind::TcpRoute,
            Self::ReferenceGrant(_) => Kind::ReferenceGrant,
            Self::RequestAuthentication(_) => Kind::RequestAuthentication,
            Self::TrafficPolicy(_) => Kind::TrafficPolicy,
            Self::EnvoyFilter(_) => Kind::EnvoyFilter,
            Self::Unread(object) => object.kind,
        }
    }

    /// What names it.
    #[must_use]
    pub fn key(&self) -> ObjectKey {
        let meta = self.meta();
        ObjectKey::new(
            self.kind(),
            Arc::clone(&meta.namespace),
            Arc::clone(&meta.name),
        )
    }
}

/// One change of the objects, as a source tells it.
#[derive(Clone, Debug, PartialEq)]
pub enum Update {
    /// The object is there, as it is now.
    Put(Object),
    /// It is there no more.
    Delete(ObjectKey),
}
