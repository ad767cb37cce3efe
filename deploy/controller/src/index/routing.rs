//! Objects of routing: what each is about, and what it names.
//!
//! In: an object. Out: [`Key`]s, by which the store finds what a change touches. Never: whether what is named exists.

use std::sync::Arc;

use crate::{
    objects::{
        DestinationRule, EnvoyFilter, Kind, Meta, RequestAuthentication, TargetRef, TrafficPolicy,
        VirtualService,
        route::{
            BackendRef, Filter, GrpcRoute, HttpRoute, L4Rule, ParentRef, ReferenceGrant, TcpRoute,
            TlsRoute,
        },
        virtual_service::{Destination, HttpAction},
    },
    render::{mesh::Mesh, routing},
};

/// One object of any kind that says where requests go, or what is done with endpoints.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Routing {
    VirtualService(Arc<VirtualService>),
    DestinationRule(Arc<DestinationRule>),
    HttpRoute(Arc<HttpRoute>),
    GrpcRoute(Arc<GrpcRoute>),
    TlsRoute(Arc<TlsRoute>),
    TcpRoute(Arc<TcpRoute>),
    ReferenceGrant(Arc<ReferenceGrant>),
    RequestAuthentication(Arc<RequestAuthentication>),
    TrafficPolicy(Arc<TrafficPolicy>),
    EnvoyFilter(Arc<EnvoyFilter>),
}

/// What an object is about or names.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Key {
    /// A service, by its hostname.
    Host(Box<str>),
    /// Services by a pattern of hostnames: all of them have to be looked at.
    Pattern,
    /// A ServiceEntry, by namespace and name.
    Entry(Box<str>, Box<str>),
    /// The ReferenceGrants of a namespace.
    Grants(Box<str>),
    /// A Gateway, by namespace and name.
    Gateway(Box<str>, Box<str>),
    /// A GatewayClass.
    Class(Box<str>),
}

impl Key {
    /// The ServiceEntry of this metadata.
    pub(super) fn entry(meta: &Meta) -> Self {
        Self::Entry((*meta.namespace).into(), (*meta.name).into())
    }

    /// The Gateway of this metadata.
    pub(super) fn gateway(meta: &Meta) -> Self {
        Self::Gateway((*meta.namespace).into(), (*meta.name).into())
    }
}

impl Routing {
    /// Its kind.
    pub(super) fn kind(&self) -> Kind {
        match self {
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
        }
    }

    /// Its metadata.
    pub(super) fn meta(&self) -> &Meta {
        match self {
            Self::VirtualService(it) => &it.meta,
            Self::DestinationRule(it) => &it.meta,
            Self::HttpRoute(it) => &it.meta,
            Self::GrpcRoute(it) => &it.meta,
            Self::TlsRoute(it) => &it.meta,
            Self::TcpRoute(it) => &it.meta,
            Self::ReferenceGrant(it) => &it.meta,
            Self::RequestAuthentication(it) => &it.meta,
            Self::TrafficPolicy(it) => &it.meta,
            Self::EnvoyFilter(it) => &it.meta,
        }
    }

    /// It, if it is a DestinationRule.
    pub(super) fn destination_rule(&self) -> Option<&DestinationRule> {
        if let Self::DestinationRule(it) = self {
            Some(it)
        } else {
            None
        }
    }

    /// It, if it is a TrafficPolicy.
    pub(super) fn traffic_policy(&self) -> Option<&TrafficPolicy> {
        if let Self::TrafficPolicy(it) = self {
            Some(it)
        } else {
            None
        }
    }

    /// It, if it is a RequestAuthentication.
    pub(super) fn request_authentication(&self) -> Option<&RequestAuthentication> {
        if let Self::RequestAuthentication(it) = self {
            Some(it)
        } else {
            None
        }
    }

    /// It, if it is a ReferenceGrant.
    pub(super) fn reference_grant(&self) -> Option<&ReferenceGrant> {
        if let Self::ReferenceGrant(it) = self {
            Some(it)
        } else {
            None
        }
    }

    /// What it is about, each once.
    pub(super) fn about(&self, mesh: &Mesh<'_>) -> Vec<Key> {
        let namespace = &*self.meta().namespace;
        let mut keys: Vec<Key> = match self {
            Self::VirtualService(it) => {
                let hosts = it.hosts.iter();
                hosts.map(|host| hostname(host, namespace, mesh)).collect()
            }
            Self::DestinationRule(it) => vec![hostname(&it.host, namespace, mesh)],
            Self::HttpRoute(it) => parents(&it.parents, namespace, mesh),
            Self::GrpcRoute(it) => parents(&it.parents, namespace, mesh),
            Self::TlsRoute(it) => parents(&it.parents, namespace, mesh),
            Self::TcpRoute(it) => parents(&it.parents, namespace, mesh),
            Self::ReferenceGrant(_) => vec![Key::Grants(namespace.into())],
            Self::RequestAuthentication(it) => targets(&it.targets, namespace, mesh),
            Self::TrafficPolicy(it) => targets(&it.targets, namespace, mesh),
            Self::EnvoyFilter(it) => targets(&it.targets, namespace, mesh),
        };
        keys.sort_unstable();
        keys.dedup();
        keys
    }

    /// What it names beside that, each once.
    pub(super) fn names(&self, mesh: &Mesh<'_>) -> Vec<Key> {
        let namespace = &*self.meta().namespace;
        let mut keys = Vec::new();
        let mut to = |destination: &Destination| {
            keys.push(hostname(&destination.host, namespace, mesh));
        };
        match self {
            Self::VirtualService(it) => {
                for rule in &it.http {
                    if let HttpAction::Route(destinations) = &rule.action {
                        destinations.iter().for_each(|it| to(&it.destination));
                    }
                    rule.mirrors.iter().for_each(|it| to(&it.destination));
                }
                let tls = it.tls.iter().flat_map(|it| &it.destinations);
                let tcp = it.tcp.iter().flat_map(|it| &it.destinations);
                tls.chain(tcp).for_each(|it| to(&it.destination));
            }
            Self::HttpRoute(it) => {
                for rule in &it.rules {
                    filters(&rule.filters, namespace, mesh, &mut keys);
                    for of in &rule.backends {
                        backend(&of.backend, namespace, mesh, &mut keys);
                        filters(&of.filters, namespace, mesh, &mut keys);
                    }
                }
            }
            Self::GrpcRoute(it) => {
                for rule in &it.rules {
                    filters(&rule.filters, namespace, mesh, &mut keys);
                    for of in &rule.backends {
                        backend(&of.backend, namespace, mesh, &mut keys);
                        filters(&of.filters, namespace, mesh, &mut keys);
                    }
                }
            }
            Self::TlsRoute(it) => rules(&it.rules, namespace, mesh, &mut keys),
            Self::TcpRoute(it) => rules(&it.rules, namespace, mesh, &mut keys),
            Self::TrafficPolicy(it) => {
                let services = it.global_limits().map(|limit| &limit.service);
                keys.extend(services.map(|host| hostname(host, namespace, mesh)));
            }
            Self::DestinationRule(_)
            | Self::ReferenceGrant(_)
            | Self::RequestAuthentication(_)
            | Self::EnvoyFilter(_) => {}
        }
        keys.sort_unstable();
        keys.dedup();
        keys
    }
}

/// What the targets of a policy of `namespace` are.
pub(super) fn targets(targets: &[TargetRef], namespace: &str, mesh: &Mesh<'_>) -> Vec<Key> {
    let of = |target: &TargetRef| {
        let name = || target.name.as_str().into();
        match (target.group.as_str(), target.kind.as_str()) {
            ("" | "core", "Service") => Some(Key::Host(
                mesh.hostname(namespace, &target.name).into_boxed_str(),
            )),
            ("networking.istio.io", "ServiceEntry") => Some(Key::Entry(namespace.into(), name())),
            ("gateway.networking.k8s.io", "Gateway") => {
                Some(Key::Gateway(namespace.into(), name()))
            }
            ("gateway.networking.k8s.io", "GatewayClass") => Some(Key::Class(name())),
            (_, _) => None,
        }
    };
    targets.iter().filter_map(of).collect()
}

/// A host as an object of `namespace` writes it.
fn hostname(host: &str, namespace: &str, mesh: &Mesh<'_>) -> Key {
    let host = routing::resolve(host, namespace, mesh);
    if host.starts_with('*') {
        Key::Pattern
    } else {
        Key::Host(host.into_boxed_str())
    }
}

fn parents(parents: &[ParentRef], namespace: &str, mesh: &Mesh<'_>) -> Vec<Key> {
    let of = |parent: &ParentRef| {
        let namespace = parent.namespace.as_deref().unwrap_or(namespace);
        object((&parent.group, &parent.kind), namespace, &parent.name, mesh)
    };
    parents.iter().filter_map(of).collect()
}

fn object(
    (group, kind): (&str, &str),
    namespace: &str,
    name: &str,
    mesh: &Mesh<'_>,
) -> Option<Key> {
    match (group, kind) {
        ("" | "core", "Service") => {
            Some(Key::Host(mesh.hostname(namespace, name).into_boxed_str()))
        }
        ("networking.istio.io", "ServiceEntry") => Some(Key::Entry(namespace.into(), name.into())),
        ("networking.istio.io", "Hostname") => Some(Key::Host(name.into())),
        (_, _) => None,
    }
}

fn backend(reference: &BackendRef, own: &str, mesh: &Mesh<'_>, keys: &mut Vec<Key>) {
    let namespace = reference.namespace.as_deref().unwrap_or(own);
    if namespace != own {
        keys.push(Key::Grants(namespace.into()));
    }
    let kind = (reference.group.as_str(), reference.kind.as_str());
    keys.extend(object(kind, namespace, &reference.name, mesh));
}

fn filters(filters: &[Filter], namespace: &str, mesh: &Mesh<'_>, keys: &mut Vec<Key>) {
    for filter in filters {
        match filter {
            Filter::Mirror(it) => backend(&it.backend, namespace, mesh, keys),
            Filter::RequestHeaders(_)
            | Filter::ResponseHeaders(_)
            | Filter::Redirect(_)
            | Filter::Rewrite(_)
            | Filter::Cors(_)
            | Filter::Unsupported { .. } => {}
        }
    }
}

fn rules(rules: &[L4Rule], namespace: &str, mesh: &Mesh<'_>, keys: &mut Vec<Key>) {
    for of in rules.iter().flat_map(|rule| &rule.backends) {
        backend(&of.backend, namespace, mesh, keys);
    }
}
