//! What waypoints are told: routes, backend policies, subsets and settings.
//!
//! In: a service, the objects that are about it in any order, and a [`Lookup`] for what they name. Out: messages of
//! `ambit.waypoint.v1`, and conditions. Never: finds out which objects are about what, keeps anything.
//!
//! How the index uses it:
//!
//! 1. [`route_table`] for each port of a service that has a waypoint, again when one of its [`Sources`] changes or
//!    what they name.
//! 2. [`effective`] DestinationRules of a service, then [`backend_policies`] of the service and [`subsets_of`] each
//!    workload that serves it. What [`Lookup::backend`] answers is [`Effective::usability`].
//! 3. [`settings()`] for each Gateway that is a waypoint.
//! 4. [`status`]: the conditions of each object by itself. They look at everything that the object names.
//!
//! What is decided here, where Istio and the Gateway API leave it open or differ:
//!
//! * HTTPRoutes and GRPCRoutes of the service's own namespace take the place of the `http` of VirtualServices on the
//!   ports they are attached to; TLSRoutes that of `tls`, TCPRoutes that of `tcp`. The two are never mixed.
//!   (Istio takes the first object it finds, routes of the Gateway API before others.)
//! * Several VirtualServices for one host are one list: the oldest first, what matches everything last. Of
//!   `*.example.com` and `a.example.com` only the more specific counts. (Istio's waypoints take one of them.)
//! * A match that asks for what a waypoint cannot know of its client (`sourceLabels`)
//!   never holds: the rule is then for fewer requests than was asked for, never for more. (Istio's waypoints leave the
//!   question out, and a rule for testers is a rule for everybody.) `sourceNamespace` is known and holds.
//! * A rule with a filter that is not supported answers 500; a request never passes as if the filter were not there.
//! * A DestinationRule that asks for TLS or a tunnel to endpoints is not enforced yet: its
//!   backends answer 503, its own service 403. Nothing leaves in the clear that should not.
//!
//! Reading order: `facts` (what is asked), `scope` (which object is about which host), `virtual_service` and
//! `http_route` with `precedence` (rules), `destination` (where they lead), `stream` (TLS and TCP), `backend`, `settings`,
//! `status`.

mod backend;
mod convert;
mod destination;
mod edits;
mod facts;
mod filters;
mod http_route;
mod matches;
mod notes;
mod precedence;
mod retry;
mod scope;
mod settings;
pub mod status;
mod stream;
mod subset;
mod virtual_service;

pub(crate) use convert::micros;
pub(super) use matches::of_http_route;
pub(super) use notes::message;

pub use backend::{Effective, backend_policies, effective};
pub use facts::{Lookup, PortFacts, ServiceFacts, Usability};
pub use scope::{covers, overlap, resolve};
pub use settings::settings;
pub use subset::subsets_of;

use std::collections::{BTreeMap, BTreeSet};

use wire::proto::waypoint::{HttpRoutes, RouteTable};

use super::mesh::Mesh;
use crate::objects::{
    VirtualService,
    route::{GrpcRoute, HttpRoute, TcpRoute, TlsRoute},
};
use facts::At;
use notes::Notes;

/// The type of the condition of Istio's objects that waypoints take: as istiod words it.
pub const WAYPOINT_ACCEPTED: &str = "WaypointAccepted";

/// The objects that may be about a service, in any order. Some more do no harm: what is not attached to the service, or
/// not in force for its waypoint, is left out here.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sources<'a> {
    /// Those of which a host overlaps with the service's ([`overlap`] of [`resolve`]).
    pub virtual_services: &'a [&'a VirtualService],
    /// Those with the service among their parents, from all namespaces.
    pub http_routes: &'a [&'a HttpRoute],
    /// As `http_routes`.
    pub grpc_routes: &'a [&'a GrpcRoute],
    /// As `http_routes`.
    pub tls_routes: &'a [&'a TlsRoute],
    /// As `http_routes`.
    pub tcp_routes: &'a [&'a TcpRoute],
    /// Policies for the service that its waypoint cannot enforce, `<kind> <namespace>/<name>`.
    pub unenforced: &'a [String],
}

/// The routes of one port of a service; `None` where it has no such port. A table may say nothing: requests and connections
/// then go to the service itself as they come. There is one all the same, so that a waypoint can tell that from a table that it
/// has not been told of.
#[must_use]
pub fn route_table(
    service: &ServiceFacts<'_>,
    port: u16,
    sources: &Sources<'_>,
    lookup: &dyn Lookup,
    mesh: &Mesh<'_>,
) -> Option<RouteTable> {
    let at = At {
        service,
        port: service.port(port)?,
        lookup,
        mesh,
    };
    let mut unenforced: BTreeSet<String> = sources.unenforced.iter().cloned().collect();
    if let Usability::Unenforced(policy) = lookup.backend(service, port, "") {
        unenforced.insert(policy);
    }
    let virtual_services = scope::in_order(sources.virtual_services, service, mesh);
    let (http, consumers) = http(&virtual_services, sources, &at);
    Some(RouteTable {
        service: service.key(),
        port: port.into(),
        unenforced: unenforced.into_iter().collect(),
        http,
        consumers,
        tls: stream::tls(&virtual_services, sources.tls_routes, &at),
        tcp: stream::tcp(&virtual_services, sources.tcp_routes, &at),
        grpc_web: at.port.is_grpc_web(),
        policies: None,
        client_address: None,
    })
}

/// The rules for everybody, and those for clients of a namespace.
fn http(
    virtual_services: &[scope::Claim<'_>],
    sources: &Sources<'_>,
    at: &At<'_>,
) -> (Option<HttpRoutes>, BTreeMap<String, HttpRoutes>) {
    if !at.port.may_be_http() {
        return (None, BTreeMap::new());
    }
    let mut notes = Notes::default();
    let mut of_routes = http_route::by_namespace(sources, at, &mut notes);
    let own = of_routes.remove(at.service.namespace);
    let mut consumers = of_routes;
    let http = match own {
        Some(routes) => Some(routes),
        None => {
            let namespaces = virtual_service::source_namespaces(virtual_services, at);
            for namespace in namespaces {
                let rules =
                    virtual_service::http(virtual_services, Some(namespace), at, &mut notes);
                if let Some(rules) = rules {
                    consumers.entry(namespace.to_owned()).or_insert(rules);
                }
            }
            virtual_service::http(virtual_services, None, at, &mut notes)
        }
    };
    (http, consumers)
}

#[cfg(test)]
mod tests;
