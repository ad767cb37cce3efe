//! Every way that a connection may take through or past the mesh, in one lab.
//!
//! In: who captures. Out: a lab with a pod of each kind, and the routes between them.
//!
//! ```text
//!   node 1: client, near                 node 2: server, stranger (not in the mesh)
//!   outside: no mesh knows it
//! ```

use std::net::{IpAddr, SocketAddr};
use std::ops::Deref;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use lab::{Addresses, Capture, Lab, Machine, Pod, PodSpec, ServiceSpec};

use super::{Pair, listen, pair};

/// Where applications listen in every machine.
pub const PORT: u16 = 7000;

/// The port under which the services `near` and `server` offer it.
pub const SERVICE_PORT: u16 = 700;

/// The lab.
///
/// # Errors
///
/// When it cannot be built.
pub fn lab(name: &str, capture: Capture) -> Result<Lab> {
    let service = |name: &str| {
        ServiceSpec::new(name)
            .port(SERVICE_PORT, PORT)
            .backend(name)
    };
    Lab::builder(name)
        .pod(PodSpec::new("client"))
        .pod(PodSpec::new("near"))
        .pod(PodSpec::new("server").node(1))
        .pod(PodSpec::new("stranger").node(1).not_enrolled())
        .service(service("near"))
        .service(service("server"))
        .capture(capture)
        .outside()
        .build()
}

/// One machine with its addresses.
#[derive(Clone, Debug)]
pub enum Place<'l> {
    /// A pod.
    Pod(Arc<Pod>),
    /// The host outside.
    Outside(&'l Lab),
}

impl Place<'_> {
    /// Its addresses, IPv4 first.
    pub fn ips(&self) -> [IpAddr; 2] {
        let addresses: Addresses = match self {
            Self::Pod(pod) => pod.addresses(),
            Self::Outside(lab) => lab.outside_addresses(),
        };
        addresses.both()
    }
}

impl Deref for Place<'_> {
    type Target = Machine;
    fn deref(&self) -> &Machine {
        match self {
            Self::Pod(pod) => pod,
            Self::Outside(lab) => lab.outside(),
        }
    }
}

/// How the bytes go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Through a tunnel.
    Hbone,
    /// Between two pods of a node, without one.
    Joined,
    /// Plain, into a pod of the mesh.
    PlainInbound,
    /// Plain, out of a pod of the mesh.
    PlainOutbound,
}

/// One way from a client to a server.
#[derive(Clone, Debug)]
pub struct Route<'l> {
    /// For messages.
    pub name: String,
    /// How the bytes go.
    pub kind: Kind,
    /// Who dials.
    pub from: Place<'l>,
    /// What is dialled; the port may be a service's.
    pub to: SocketAddr,
    /// Who listens on [`PORT`].
    pub at: Place<'l>,
    /// Whom the server is to take for its client.
    pub client: IpAddr,
}

impl Route<'_> {
    /// Another port of the pod that is reached, at its own address of the family that is dialled.
    pub fn own(&self, port: u16) -> SocketAddr {
        let [ip4, ip6] = self.at.ips();
        SocketAddr::new(if self.to.is_ipv4() { ip4 } else { ip6 }, port)
    }

    /// A connection on this way that has carried something, to a listener of its own on `port` of the pod that is reached.
    ///
    /// # Errors
    ///
    /// When it is not made, or carries nothing.
    pub fn open(&self, port: u16) -> Result<Pair> {
        let open = || -> Result<Pair> {
            let listener = listen(&self.at, port)?;
            let mut pair = pair(&self.from, self.own(port), &listener)?;
            pair.exchange("before")?;
            Ok(pair)
        };
        open().with_context(|| self.name.clone())
    }
}

/// All of them, IPv4 and IPv6: to pods by their own and by service addresses, across nodes in both
/// directions and on one node, and in and out of the mesh on either node.
pub fn all(lab: &Lab) -> Vec<Route<'_>> {
    let pod = |name: &str| Place::Pod(lab.pod(name));
    let outside = Place::Outside(lab);
    let ways = [
        (
            "client",
            pod("client"),
            "server",
            pod("server"),
            Kind::Hbone,
        ),
        (
            "server",
            pod("server"),
            "client",
            pod("client"),
            Kind::Hbone,
        ),
        ("client", pod("client"), "near", pod("near"), Kind::Joined),
        (
            "outside",
            outside.clone(),
            "server",
            pod("server"),
            Kind::PlainInbound,
        ),
        (
            "outside",
            outside.clone(),
            "client",
            pod("client"),
            Kind::PlainInbound,
        ),
        (
            "stranger",
            pod("stranger"),
            "client",
            pod("client"),
            Kind::PlainInbound,
        ),
        (
            "client",
            pod("client"),
            "outside",
            outside.clone(),
            Kind::PlainOutbound,
        ),
        (
            "server",
            pod("server"),
            "outside",
            outside,
            Kind::PlainOutbound,
        ),
        (
            "client",
            pod("client"),
            "stranger",
            pod("stranger"),
            Kind::PlainOutbound,
        ),
    ];
    let services = [
        ("client", "server", Kind::Hbone),
        ("server", "near", Kind::Hbone),
        ("client", "near", Kind::Joined),
    ];
    let mut routes = Vec::new();
    for (source, from, target, at, kind) in ways {
        for (client, ip) in from.ips().into_iter().zip(at.ips()) {
            routes.push(Route {
                name: format!("{source} -> {target} at {ip}"),
                kind,
                from: from.clone(),
                to: SocketAddr::new(ip, PORT),
                at: at.clone(),
                client,
            });
        }
    }
    for (source, target, kind) in services {
        let from = pod(source);
        for (client, ip) in from.ips().into_iter().zip(lab.vip(target).both()) {
            routes.push(Route {
                name: format!("{source} -> service {target} at {ip}"),
                kind,
                from: from.clone(),
                to: SocketAddr::new(ip, SERVICE_PORT),
                at: pod(target),
                client,
            });
        }
    }
    routes
}
