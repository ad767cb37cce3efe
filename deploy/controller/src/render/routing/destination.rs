//! Where rules lead: what is named, and whether it can be had.
//!
//! What is not there stays in its place as [`Missing`], with its weight: its share of requests fails, as in Istio and the
//! Gateway API, and does not go to others.

use wire::proto::waypoint::{Backend, Missing, weighted_backend::Target};

use super::{
    facts::{At, ServiceFacts, Usability},
    notes::Notes,
    scope,
};
use crate::objects::{
    Kind,
    route::{BackendRef, GrantFrom},
    virtual_service::Destination,
};

/// A backend is not there. Source: Gateway API, `RouteReasonBackendNotFound`.
pub(super) const BACKEND_NOT_FOUND: &str = "BackendNotFound";
/// It is of a kind that requests cannot go to. Source: `RouteReasonInvalidKind`.
pub(super) const INVALID_KIND: &str = "InvalidKind";
/// It is in a namespace that did not allow it. Source: `RouteReasonRefNotPermitted`.
pub(super) const REF_NOT_PERMITTED: &str = "RefNotPermitted";

/// What is answered for a VirtualService's destination that is not there. Source: Envoy, `cluster_not_found`.
const STATUS: u32 = 503;

const GATEWAY_API: &str = "gateway.networking.k8s.io";
const ISTIO: &str = "networking.istio.io";

/// What is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Traffic {
    /// Requests.
    Http,
    /// Connections.
    Tcp,
}

impl Traffic {
    fn word(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Tcp => "tcp",
        }
    }
}

/// A backend's name, as Istio calls its clusters: it is what the access log shows.
fn cluster(port: u16, traffic: Traffic, subset: &str, host: &str) -> String {
    let traffic = traffic.word();
    if subset.is_empty() {
        format!("inbound-vip|{port}|{traffic}|{host}")
    } else {
        format!("inbound-vip|{port}|{traffic}/{subset}|{host}")
    }
}

/// A `destination` of a VirtualService of `namespace`.
pub(super) fn of_virtual_service(
    destination: &Destination,
    namespace: &str,
    traffic: Traffic,
    at: &At<'_>,
    notes: &mut Notes,
) -> Target {
    let host = scope::resolve(&destination.host, namespace, at.mesh);
    let found = if host == at.service.hostname {
        Some(at.service.clone())
    } else {
        at.lookup.host(&host, namespace)
    };
    let port = match (destination.port, &found) {
        (Some(port), _) => port,
        // The only port it has, else that of the request. Source: Istio, `Destination.port`.
        (None, Some(service)) => match service.ports.as_slice() {
            [only] => only.number,
            _ => at.port.number,
        },
        (None, None) => at.port.number,
    };
    let missing = |notes: &mut Notes, text: String| {
        notes.unresolved(BACKEND_NOT_FOUND, text);
        Target::Missing(Missing {
            status: STATUS,
            name: cluster(port, traffic, &destination.subset, &host),
        })
    };
    let Some(service) = found else {
        return missing(notes, format!("no service {host}"));
    };
    match usable(&service, port, &destination.subset, at) {
        Ok(backend) => Target::Backend(backend),
        Err(text) => missing(notes, text),
    }
}

/// A port, and a subset or all of a service, or why it cannot be had.
fn usable(
    service: &ServiceFacts<'_>,
    port: u16,
    subset: &str,
    at: &At<'_>,
) -> Result<Backend, String> {
    let host = &service.hostname;
    if service.port(port).is_none() {
        return Err(format!("service {host} has no port {port}"));
    }
    match at.lookup.backend(service, port, subset) {
        Usability::Usable => Ok(Backend {
            service: service.key(),
            port: port.into(),
            subset: subset.to_owned(),
        }),
        Usability::Unknown => Err(format!("service {host} has no subset {subset}")),
        Usability::Unenforced(policy) => {
            Err(format!("{policy} is not enforced for service {host}"))
        }
    }
}

/// The route that names a backend.
#[derive(Clone, Copy, Debug)]
pub(super) struct Route<'a> {
    /// Its kind, as manifests spell it.
    pub(super) kind: &'static str,
    /// Its namespace.
    pub(super) namespace: &'a str,
}

/// A `backendRef` of a route of the Gateway API; `status` is what is answered where it cannot be had.
pub(super) fn of_route(
    reference: &BackendRef,
    route: Route<'_>,
    status: u32,
    at: &At<'_>,
    notes: &mut Notes,
) -> Target {
    match referenced(reference, route, at) {
        Ok(backend) => Target::Backend(backend),
        Err((reason, text)) => {
            notes.unresolved(reason, text);
            Target::Missing(Missing {
                status,
                name: "UnknownService".to_owned(),
            })
        }
    }
}

/// What is referred to, or a reason and a sentence.
fn referenced(
    reference: &BackendRef,
    route: Route<'_>,
    at: &At<'_>,
) -> Result<Backend, (&'static str, String)> {
    let namespace = reference.namespace.as_deref().unwrap_or(route.namespace);
    let BackendRef {
        group, kind, name, ..
    } = reference;
    let lookup = at.lookup;
    let found = match (group.as_str(), kind.as_str()) {
        ("", "Service") => lookup.service(namespace, name),
        (ISTIO, "ServiceEntry") => lookup.entry(namespace, name),
        // It names no object of a namespace, so nothing is crossed. Source: Istio, backendRefs of kind Hostname.
        (ISTIO, "Hostname") => lookup.host(name, route.namespace),
        (group, kind) => {
            let called = if group.is_empty() { "core" } else { group };
            return Err((INVALID_KIND, format!("no backend is a {kind} of {called}")));
        }
    };
    // A hostname is another spelling of a Service, and no way around the permission of its namespace.
    let (namespace, kind, name) = match &found {
        Some(service) if kind == "Hostname" && service.kind == Kind::Service => {
            (service.namespace, "Service", service.name)
        }
        Some(_) | None => (namespace, kind.as_str(), name.as_str()),
    };
    let group = if kind == "Service" {
        ""
    } else {
        group.as_str()
    };
    if namespace != route.namespace && kind != "Hostname" {
        let from = GrantFrom {
            group: GATEWAY_API.to_owned(),
            kind: route.kind.to_owned(),
            namespace: route.namespace.to_owned(),
        };
        if !lookup.is_granted(&from, (group, kind), namespace, name) {
            let text = format!("no ReferenceGrant of {namespace} allows {kind} {name} to be named");
            return Err((REF_NOT_PERMITTED, text));
        }
    }
    let Some(service) = found else {
        return Err((BACKEND_NOT_FOUND, format!("no {kind} {namespace}/{name}")));
    };
    let port = match (reference.port, service.ports.as_slice()) {
        (Some(port), _) => port,
        (None, [only]) if kind != "Service" => only.number,
        (None, _) => {
            let text = format!("no port of {kind} {namespace}/{name} is named");
            return Err((BACKEND_NOT_FOUND, text));
        }
    };
    usable(&service, port, "", at).map_err(|text| (BACKEND_NOT_FOUND, text))
}
