//! What compiling asks of the index: a service, and what objects name.

use std::borrow::Cow;

use crate::{
    objects::{AppProtocol, Kind, Service, ServiceEntry, route::GrantFrom},
    render::mesh::Mesh,
};

/// A service as routes see it: a Service, or one host of a ServiceEntry.
#[derive(Clone, Debug)]
pub struct ServiceFacts<'a> {
    /// [`Kind::Service`] or [`Kind::ServiceEntry`].
    pub kind: Kind,
    /// The object's name.
    pub name: &'a str,
    /// The object's namespace.
    pub namespace: &'a str,
    /// `<name>.<namespace>.svc.<domain>`, or the host; may begin with `*.`.
    pub hostname: Cow<'a, str>,
    /// Its ports.
    pub ports: Vec<PortFacts<'a>>,
    /// The namespace of the waypoint that stands before it.
    pub waypoint: Option<&'a str>,
    /// It has a preference among its endpoints by locality (LB-03): `trafficDistribution` or `internalTrafficPolicy`, its own
    /// or its namespace's.
    pub has_preference: bool,
}

/// One port of a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PortFacts<'a> {
    /// `port`.
    pub number: u16,
    /// `name`; may be empty.
    pub name: &'a str,
    /// What is spoken.
    pub protocol: AppProtocol,
}

impl PortFacts<'_> {
    /// HTTP is spoken, or nobody said what is.
    #[must_use]
    pub fn may_be_http(&self) -> bool {
        match self.protocol {
            AppProtocol::Unknown | AppProtocol::Http11 | AppProtocol::Http2 | AppProtocol::Grpc => {
                true
            }
            AppProtocol::Tcp | AppProtocol::Tls => false,
        }
    }

    /// TLS is spoken to the end, or nobody said what is.
    pub(super) fn may_be_tls(&self) -> bool {
        matches!(self.protocol, AppProtocol::Unknown | AppProtocol::Tls)
    }

    /// Bytes are passed on, at least where nothing better is known of them.
    pub(super) fn may_be_tcp(&self) -> bool {
        self.may_be_tls() || self.protocol == AppProtocol::Tcp
    }

    /// Source: RT-20; the name says it, since both are gRPC otherwise.
    pub(super) fn is_grpc_web(&self) -> bool {
        let name = self.name.to_ascii_lowercase();
        self.may_be_http() && (name == "grpc-web" || name.starts_with("grpc-web-"))
    }
}

impl<'a> ServiceFacts<'a> {
    /// A Service.
    #[must_use]
    pub fn of_service(service: &'a Service, mesh: &Mesh<'_>) -> Self {
        let meta = &service.meta;
        let ports = service.ports.iter().map(|it| PortFacts {
            number: it.port,
            name: &it.name,
            protocol: it.protocol,
        });
        Self {
            kind: Kind::Service,
            name: &meta.name,
            namespace: &meta.namespace,
            hostname: Cow::Owned(mesh.hostname(&meta.namespace, &meta.name)),
            ports: ports.collect(),
            waypoint: None,
            has_preference: service.internal_local || service.distribution.is_some(),
        }
    }

    /// One host of a ServiceEntry.
    #[must_use]
    pub fn of_entry(entry: &'a ServiceEntry, host: &'a str) -> Self {
        let ports = entry.ports.iter().map(|it| PortFacts {
            number: it.number,
            name: &it.name,
            protocol: it.protocol,
        });
        Self {
            kind: Kind::ServiceEntry,
            name: &entry.meta.name,
            namespace: &entry.meta.namespace,
            hostname: Cow::Borrowed(host),
            ports: ports.collect(),
            waypoint: None,
            has_preference: false,
        }
    }

    /// `<namespace>/<hostname>`.
    #[must_use]
    pub fn key(&self) -> String {
        format!("{}/{}", self.namespace, self.hostname)
    }

    /// The group and kind by which references name it.
    pub(in crate::render) fn group_and_kind(&self) -> (&'static str, &'static str) {
        if self.kind == Kind::Service {
            ("", "Service")
        } else {
            ("networking.istio.io", "ServiceEntry")
        }
    }

    /// The port of that number.
    #[must_use]
    pub fn port(&self, number: u16) -> Option<PortFacts<'a>> {
        self.ports.iter().find(|it| it.number == number).copied()
    }

    /// Whose objects are asked whether they are exported: the waypoint's namespace, or that of the service itself.
    pub(super) fn viewer(&self) -> &'a str {
        self.waypoint.unwrap_or(self.namespace)
    }
}

/// Whether requests can be sent to a subset of a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Usability {
    /// They can.
    Usable,
    /// There is no such subset.
    Unknown,
    /// They must not be: this policy, `<kind> <namespace>/<name>`, cannot be enforced.
    Unenforced(String),
}

/// Finds what objects name.
pub trait Lookup {
    /// The Service of a namespace by its name. `None` also for an ExternalName, which has no endpoints.
    fn service(&self, namespace: &str, name: &str) -> Option<ServiceFacts<'_>>;

    /// The first host that is its own of the ServiceEntry of a namespace by its name.
    fn entry(&self, namespace: &str, name: &str) -> Option<ServiceFacts<'_>>;

    /// The service of a hostname, which may be covered by a wildcard, as `namespace` sees it: its own before others that
    /// it may know of.
    fn host(&self, hostname: &str, namespace: &str) -> Option<ServiceFacts<'_>>;

    /// Whether requests can be sent to a subset (empty: all endpoints) of a service: [`super::Effective::usability`] of
    /// its DestinationRules.
    fn backend(&self, service: &ServiceFacts<'_>, port: u16, subset: &str) -> Usability;

    /// Whether a ReferenceGrant of `namespace` allows `from` to name the object `name` of the group and kind `to`.
    fn is_granted(&self, from: &GrantFrom, to: (&str, &str), namespace: &str, name: &str) -> bool;
}

/// The port that rules are compiled for.
#[derive(Clone, Copy)]
pub(super) struct At<'a> {
    /// The service.
    pub(super) service: &'a ServiceFacts<'a>,
    /// The port.
    pub(super) port: PortFacts<'a>,
    /// What is named.
    pub(super) lookup: &'a dyn Lookup,
    /// The settings of the mesh.
    pub(super) mesh: &'a Mesh<'a>,
}
