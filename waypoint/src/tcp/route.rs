//! Which backend a connection goes to.
//!
//! In: a session, the routes of its port. Out: a backend. Never: an endpoint.

use std::sync::Arc;

use decision::{
    route::{self, stream::Stream},
    waypoint::Target,
};
use mesh::{
    Name, Snapshot,
    route::{Backend, RouteKey, RouteTable, Target as RouteTarget, WeightedBackend},
};

use super::{Book, Cluster, Failure, Session};
use crate::detect::Protocol;

/// The first policy that this connection might break and whose word cannot be told by its bytes.
pub(crate) fn unenforced(session: &Session, snapshot: &Snapshot) -> Option<Name> {
    let own = &session.proxy.own;
    let settings = snapshot.waypoint_settings(&own.namespace, &own.gateway);
    let of_waypoint = settings.and_then(|settings| settings.unenforced.first());
    of_waypoint
        .or_else(|| table(session, snapshot)?.unenforced.first())
        .cloned()
}

fn table<'a>(session: &Session, snapshot: &'a Snapshot) -> Option<&'a Arc<RouteTable>> {
    let service = session.target.service()?;
    snapshot.routes(&RouteKey::new(service.key(), session.target.port()))
}

/// Finds the backend.
pub(super) fn route(session: &Session, book: &mut Book) -> Result<Arc<Cluster>, Failure> {
    let snapshot = session.proxy.view.load();
    if let Some(policy) = unenforced(session, &snapshot) {
        return Err(Failure::Unenforced(policy));
    }
    let service = match &session.target {
        Target::Service { service, .. } => service,
        Target::Workload {
            workload,
            address,
            port,
        } => {
            let found = session
                .proxy
                .clusters
                .workload(workload, (*address, *port).into());
            return found
                .ok_or(Failure::NoCluster)
                .inspect(|cluster| book.aimed(cluster));
        }
    };
    // The controller sends one for every port that we stand before: without it nobody knows what holds.
    let table = table(session, &snapshot).ok_or(Failure::NoTable)?;
    let chosen = chosen(session, table, book)?;
    let own;
    let backend = match chosen {
        Some(backend) => backend,
        None => {
            own = Backend::new(service.key(), session.target.port());
            &own
        }
    };
    let found = session.proxy.clusters.get(backend);
    found
        .ok_or(Failure::NoCluster)
        .inspect(|cluster| book.aimed(cluster))
}

/// What the routes say; `None`: nothing.
fn chosen<'a>(
    session: &Session,
    table: &'a RouteTable,
    book: &mut Book,
) -> Result<Option<&'a Backend>, Failure> {
    let by_name = match session.protocol {
        Protocol::Tls => route::stream::tls(&table.tls, session.sni.as_deref()),
        Protocol::Tcp | Protocol::Http1 | Protocol::Http2 => Stream::Unrouted,
    };
    let (name, backends) = match by_name {
        Stream::Route(route) => (&route.name, &route.backends),
        Stream::Nowhere => return Err(Failure::NoRoute),
        Stream::Unrouted => {
            let destination = session.destination.map(|destination| destination.ip());
            match route::stream::tcp(&table.tcp, session.client.ip(), destination) {
                Stream::Route(route) => (&route.name, &route.backends),
                Stream::Nowhere => return Err(Failure::NoRoute),
                Stream::Unrouted => return Ok(None),
            }
        }
    };
    book.routed(name);
    match route::weighted(backends, fastrand::u64(..)).map(target) {
        Some(RouteTarget::Backend(backend)) => Ok(Some(backend)),
        Some(RouteTarget::Missing(missing)) => {
            book.missing(&missing.name);
            Err(Failure::NoCluster)
        }
        None => Err(Failure::NoCluster),
    }
}

fn target(backend: &WeightedBackend) -> &RouteTarget {
    &backend.target
}
