//! Conditions of routes of the Gateway API.

use super::{
    ACCEPTED, Condition, NO_WAYPOINT, PARTIALLY_INVALID, UNSUPPORTED_VALUE, accepted, resolved,
};
use crate::{
    objects::{
        Meta,
        route::{GrpcRoute, HttpRoute, ParentRef, TcpRoute, TlsRoute},
    },
    render::{
        mesh::Mesh,
        routing::{
            facts::{At, Lookup, PortFacts, ServiceFacts},
            http_route::{self, means},
            notes::{Notes, message},
            stream,
        },
    },
};

/// The parent is not there, or has no such port. Source: `RouteReasonNoMatchingParent`.
const NO_MATCHING_PARENT: &str = "NoMatchingParent";
/// The parent does not take such routes. Source: `RouteReasonNotAllowedByListeners`.
const NOT_ALLOWED: &str = "NotAllowedByListeners";

/// What is asked of a port of a parent.
type Takes = fn(&PortFacts<'_>) -> bool;

/// What compiling a route for one port comes to: its notes, and whether anything of it is in force.
type Compile<'a> = dyn Fn(&At<'_>, &mut Notes) -> usize + 'a;

/// The conditions of an HTTPRoute; none where no parent is a service.
#[must_use]
pub fn http_route(route: &HttpRoute, lookup: &dyn Lookup, mesh: &Mesh<'_>) -> Vec<Condition> {
    let kind = Kind {
        takes: |it| it.may_be_http(),
        consumers: true,
        rules: route.rules.len(),
    };
    let compile =
        |at: &At<'_>, notes: &mut Notes| http_route::of_http_route(route, at, notes).len();
    conditions(&route.parents, &route.meta, &kind, &compile, lookup, mesh)
}

/// The conditions of a GRPCRoute.
#[must_use]
pub fn grpc_route(route: &GrpcRoute, lookup: &dyn Lookup, mesh: &Mesh<'_>) -> Vec<Condition> {
    let kind = Kind {
        takes: |it| it.may_be_http(),
        consumers: true,
        rules: route.rules.len(),
    };
    let compile =
        |at: &At<'_>, notes: &mut Notes| http_route::of_grpc_route(route, at, notes).len();
    conditions(&route.parents, &route.meta, &kind, &compile, lookup, mesh)
}

/// The conditions of a TLSRoute.
#[must_use]
pub fn tls_route(route: &TlsRoute, lookup: &dyn Lookup, mesh: &Mesh<'_>) -> Vec<Condition> {
    let kind = Kind {
        takes: |it| it.may_be_tls(),
        consumers: false,
        rules: route.rules.len(),
    };
    let compile = |at: &At<'_>, notes: &mut Notes| stream::tls_of_route(route, at, notes).len();
    conditions(&route.parents, &route.meta, &kind, &compile, lookup, mesh)
}

/// The conditions of a TCPRoute.
#[must_use]
pub fn tcp_route(route: &TcpRoute, lookup: &dyn Lookup, mesh: &Mesh<'_>) -> Vec<Condition> {
    let kind = Kind {
        takes: |it| it.may_be_tcp(),
        consumers: false,
        rules: route.rules.len(),
    };
    let compile = |at: &At<'_>, notes: &mut Notes| stream::tcp_of_route(route, at, notes).len();
    conditions(&route.parents, &route.meta, &kind, &compile, lookup, mesh)
}

/// What the kinds of routes differ in.
struct Kind {
    takes: Takes,
    /// A route of another namespace is for clients of that one.
    consumers: bool,
    rules: usize,
}

fn conditions(
    parents: &[ParentRef],
    meta: &Meta,
    kind: &Kind,
    compile: &Compile<'_>,
    lookup: &dyn Lookup,
    mesh: &Mesh<'_>,
) -> Vec<Condition> {
    let ours: Vec<_> = parents.iter().filter(|it| is_ours(it)).collect();
    let mut all: Vec<Condition> = Vec::new();
    for parent in &ours {
        for mut condition in of_parent(parent, meta, kind, compile, lookup, mesh) {
            if ours.len() > 1 && !(condition.status && condition.reason == condition.kind) {
                condition.message = format!("{}: {}", called(parent), condition.message);
            }
            if !all.contains(&condition) {
                all.push(condition);
            }
        }
    }
    all
}

/// Whether waypoints are responsible for a parent.
fn is_ours(parent: &ParentRef) -> bool {
    matches!(
        (parent.group.as_str(), parent.kind.as_str()),
        ("", "Service") | ("networking.istio.io", "ServiceEntry")
    )
}

fn called(parent: &ParentRef) -> String {
    let ParentRef { kind, name, .. } = parent;
    let name = match &parent.namespace {
        Some(namespace) => format!("{namespace}/{name}"),
        None => name.clone(),
    };
    match (parent.port, &parent.section) {
        (Some(port), _) => format!("{kind} {name}:{port}"),
        (None, Some(section)) => format!("{kind} {name}:{section}"),
        (None, None) => format!("{kind} {name}"),
    }
}

fn of_parent(
    parent: &ParentRef,
    meta: &Meta,
    kind: &Kind,
    compile: &Compile<'_>,
    lookup: &dyn Lookup,
    mesh: &Mesh<'_>,
) -> Vec<Condition> {
    let namespace = parent.namespace.as_deref().unwrap_or(&meta.namespace);
    let found: Option<ServiceFacts<'_>> = if parent.kind == "Service" {
        lookup.service(namespace, &parent.name)
    } else {
        lookup.entry(namespace, &parent.name)
    };
    let refused = |reason, message: String| Condition {
        kind: ACCEPTED,
        status: false,
        reason,
        message,
    };
    let Some(service) = found else {
        let what = &parent.kind;
        let text = format!("there is no {what} {namespace}/{}", parent.name);
        return vec![refused(NO_MATCHING_PARENT, text)];
    };
    let named: Vec<_> = service
        .ports
        .iter()
        .filter(|it| means(parent, **it))
        .collect();
    if named.is_empty() {
        let text = format!("service {} has no such port", service.hostname);
        return vec![refused(NO_MATCHING_PARENT, text)];
    }
    let taken: Vec<_> = named.into_iter().filter(|it| (kind.takes)(it)).collect();
    let mut notes = Notes::default();
    for port in &taken {
        let at = At {
            service: &service,
            port: **port,
            lookup,
            mesh,
        };
        compile(&at, &mut notes);
    }
    let mut all = Vec::new();
    let remark = service.waypoint.is_none().then_some(NO_WAYPOINT);
    let is_consumer = *meta.namespace != *service.namespace;
    if taken.is_empty() {
        let text = format!(
            "what service {} speaks there is not routed by it",
            service.hostname
        );
        return vec![refused(NOT_ALLOWED, text)];
    } else if is_consumer && !kind.consumers {
        let text = "a route of another namespace would be for clients of that one, which only routes of HTTP can tell";
        all.push(refused(UNSUPPORTED_VALUE, text.to_owned()));
    } else if !notes.refused.is_empty() && notes.refused.len() >= kind.rules {
        all.push(refused(UNSUPPORTED_VALUE, message(&notes.refused)));
    } else {
        all.push(accepted(ACCEPTED, &notes, remark));
        if !notes.refused.is_empty() {
            all.push(Condition {
                kind: PARTIALLY_INVALID,
                status: true,
                reason: UNSUPPORTED_VALUE,
                message: format!("Dropped Rule: {}", message(&notes.refused)),
            });
        }
    }
    all.push(resolved(&notes));
    all
}
