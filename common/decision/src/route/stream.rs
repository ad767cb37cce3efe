//! Connections whose requests are not looked at.

use std::net::IpAddr;

use mesh::route::{TcpRoute, TlsRoute};

/// Where the routes of a port lead a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream<'a, R> {
    /// There are none: to the service itself.
    Unrouted,
    /// There.
    Route(&'a R),
    /// Nowhere: it is closed.
    Nowhere,
}

/// The first route for a server name. `None`: the client says none, which only a route for all takes.
#[must_use]
pub fn tls<'a>(routes: &'a [TlsRoute], server_name: Option<&str>) -> Stream<'a, TlsRoute> {
    let lower = server_name.map(str::to_ascii_lowercase);
    first(routes, |route| route.matches(lower.as_deref()))
}

/// The first route for a client and a destination; `None` where the destination was no address.
#[must_use]
pub fn tcp(
    routes: &[TcpRoute],
    source: IpAddr,
    destination: Option<IpAddr>,
) -> Stream<'_, TcpRoute> {
    let (source, destination) = (
        source.to_canonical(),
        destination.map(|ip| ip.to_canonical()),
    );
    first(routes, |route| route.matches(source, destination))
}

fn first<R>(routes: &[R], matches: impl Fn(&R) -> bool) -> Stream<'_, R> {
    match routes.iter().find(|route| matches(route)) {
        Some(route) => Stream::Route(route),
        None if routes.is_empty() => Stream::Unrouted,
        None => Stream::Nowhere,
    }
}
