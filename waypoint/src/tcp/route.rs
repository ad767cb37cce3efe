//! Which backend a connection goes to.
//!
//! In: a session, the routes of its port. Out: a backend. Never: an endpoint.

use std::{net::IpAddr, sync::Arc};

use decision::{
    route::{self, stream::Stream},
    waypoint::Target,
};
use mesh::route::{Backend, RouteTable, Target as RouteTarget, WeightedBackend};

use super::{Book, Cluster, Failure, Session};
use crate::detect::Protocol;

/// Finds the backend.
pub(super) fn route(
    session: &Session,
    client: IpAddr,
    book: &mut Book,
) -> Result<Arc<Cluster>, Failure> {
    let snapshot = session.proxy.view.load();
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
    let table = session.table(&snapshot).ok_or(Failure::NoTable)?;
    let chosen = chosen(session, client, table, book)?;
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
    client: IpAddr,
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
            match route::stream::tcp(&table.tcp, client, destination) {
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
