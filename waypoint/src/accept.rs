//! From a socket to a session: tunnels, what is asked for in them, and what it speaks.
//!
//! ```text
//! :15008 ─▶ TLS, client's identity ─▶ CONNECT ─▶ decision::waypoint ─┬─▶ 200 ─▶ detect ─┬─▶ serve (HTTP)
//!                                                  │                 │                  └─▶ tcp
//!                                                  └─▶ 400, 401, 503 └─ declared TCP ─▶ tcp ─▶ 200, 503
//! ```
//! In: accepted sockets. Out: sessions. Never: an identity from anywhere but the handshake; a session before the
//! configuration is whole, or for something that this waypoint does not stand before.
//!
//! Tasks: one that accepts; one per tunnel, on the least loaded worker; one per CONNECT, on its tunnel's. A tunnel's task ends with
//! the tunnel, and its streams' tasks find their streams reset. [`Arrivals::follow`] is one more, of the control runtime.

use std::{
    io,
    net::{SocketAddr, TcpListener, TcpStream as StdStream},
    sync::Arc,
};

use hbone::server::Incoming;
use mesh::Snapshot;
use net::{accept::Acceptor, drain::Phase, relay::Duplex};
use telemetry::Direction;
use tokio::sync::watch;
use wire::connect::ConnectHead;

pub(crate) mod admit;
mod error;
mod handshakes;
mod loads;
mod open;
mod proxied;
mod report;
mod tunnel;

pub use loads::Place;

use crate::{
    detect::{self, Declared, Peeked, Protocol, Undecided},
    drain::{Departure, Replicas},
    proxy::Proxy,
    serve, tcp, upstream,
};
use admit::Admitted;
use handshakes::Handshakes;
use loads::Loads;
use open::Open;
use proxied::Proxying;
use tunnel::Tunnel;

/// Everything that tunnels share.
#[derive(Debug)]
pub struct Arrivals {
    proxy: Arc<Proxy>,
    /// **Shape:** by number of the worker.
    workers: Box<[Arc<upstream::Worker>]>,
    loads: Arc<Loads>,
    open: Arc<Open>,
    replicas: watch::Sender<Replicas>,
    handshakes: Handshakes,
}

impl Arrivals {
    /// Nothing has arrived. `workers` has one for each of the proxy's, in their order.
    #[must_use]
    pub fn new(proxy: Arc<Proxy>, workers: Vec<Arc<upstream::Worker>>) -> Arc<Self> {
        let count = proxy.workers.count();
        debug_assert_eq!(workers.len(), count, "a worker of upstream for each");
        Arc::new(Self {
            loads: Loads::new(count),
            open: Open::new(count),
            replicas: watch::Sender::default(),
            handshakes: Handshakes::default(),
            workers: workers.into(),
            proxy,
        })
    }

    /// Accepts tunnels until the process is at its end: while it drains, too, because those who do not know that yet still
    /// come, and are to be sent on in order.
    pub fn listen(self: &Arc<Self>, listener: TcpListener) {
        let this = Arc::clone(self);
        self.proxy.workers.nth(0).spawn(async move {
            let mut draining = this.proxy.draining.clone();
            let result = tokio::select! {
                result = this.accept(listener) => result,
                () = draining.reached(Phase::Cut) => Ok(()),
            };
            if let Err(error) = result {
                tracing::error!(%error, "listener failed");
            }
        });
    }

    async fn accept(self: &Arc<Self>, listener: TcpListener) -> io::Result<()> {
        let acceptor = Acceptor::new(listener)?;
        loop {
            let (socket, peer) = acceptor.accept().await?;
            let worker = self.proxy.workers.least_loaded(0);
            let (index, load) = (worker.index(), worker.load());
            let counted = (load, self.proxy.telemetry.socket(Direction::Through));
            let this = Arc::clone(self);
            worker.spawn(async move {
                let _counted = counted;
                tunnel::serve(this, socket, peer, index).await;
            });
        }
    }

    /// Connections in tunnels that are open: of HTTP, of TCP, and those of which it is not known yet.
    #[must_use]
    pub fn streams(&self) -> usize {
        self.loads.all().iter().map(|load| load.streams).sum()
    }

    /// Follows the mesh until it is dropped: ends what this waypoint does not stand before any more, tells connections of new
    /// replicas, and lets metrics of workloads go that have left.
    pub async fn follow(self: Arc<Self>) {
        let mut view = self.proxy.view.clone();
        loop {
            let snapshot = view.load();
            self.open.recheck(&snapshot);
            self.count_replicas(&snapshot);
            let telemetry = &self.proxy.telemetry;
            telemetry.forget_workloads(|uid| snapshot.workload(uid).is_none());
            drop(snapshot);
            if view.changed().await.is_err() {
                return;
            }
        }
    }

    fn count_replicas(&self, snapshot: &Snapshot) {
        let now = snapshot
            .endpoints(&self.proxy.own.service)
            .map_or(0, |endpoints| admit::healthy(endpoints));
        self.replicas.send_if_modified(|replicas| {
            let changed = replicas.now != now;
            if changed {
                *replicas = replicas.becomes(now);
            }
            changed
        });
    }

    /// Carries one admitted CONNECT to its end.
    async fn carry(
        self: &Arc<Self>,
        tunnel: &Tunnel,
        head: &ConnectHead,
        incoming: Incoming,
        admitted: Admitted,
    ) {
        let worker = tunnel.worker();
        let place = self
            .loads
            .stream(worker, self.proxy.workers.nth(worker).load());
        let waits_for_header = admitted.proxying == Proxying::Header;
        if admitted.declared == Declared::Tcp && !waits_for_header {
            // The server may speak first, so nothing of the client is waited for; and its client learns from the answer whether
            // there is a server at all.
            let session = admitted.session(tunnel, Protocol::Tcp, None, None);
            let registered = self.open.register(worker, &session);
            let open = tcp::Opening::new(session);
            match open.connect().await {
                Ok(connected) => match incoming.accept(None) {
                    Ok(stream) => match admitted.proxying {
                        Proxying::Refused => {
                            let stream = Peeked::refusing_proxy_header(stream);
                            connected.relay(stream).await;
                        }
                        Proxying::None | Proxying::Header => connected.relay(stream).await,
                    },
                    Err(error) => connected.abandoned(error),
                },
                Err(()) => incoming.refuse(http::StatusCode::SERVICE_UNAVAILABLE),
            }
            drop((registered, place));
            return;
        }
        // An error is that of a client that has given up meanwhile.
        let Ok(stream) = incoming.accept(None) else {
            return;
        };
        let mut connection = match admitted.proxying {
            Proxying::None | Proxying::Header => Peeked::new(stream),
            Proxying::Refused => Peeked::refusing_proxy_header(stream),
        };
        let mut said = None;
        if waits_for_header {
            match proxied::read(&mut connection, tunnel.addresses().peer).await {
                Ok(proxied) => said = Some(proxied),
                Err(error) => {
                    report::refused(tunnel, Some(head), &error.into());
                    return connection.reset();
                }
            }
        }
        let undecided = match admitted.has_http_rules {
            true => Undecided::Http,
            false => Undecided::Tcp,
        };
        let found = detect::detect(
            &mut connection,
            admitted.declared,
            admitted.timeout,
            undecided,
        )
        .await;
        let found = match found {
            Ok(found) => found,
            Err(error) => {
                if let Some(error) = proxied::refusal(&error) {
                    report::refused(tunnel, Some(head), &error.into());
                }
                return connection.reset();
            }
        };
        let session = admitted.session(tunnel, found.protocol, found.sni, said);
        let registered = self.open.register(worker, &session);
        match session.protocol {
            Protocol::Http1 | Protocol::Http2 => {
                let ends = serve::Ends {
                    departure: Departure::new(
                        self.proxy.draining.clone(),
                        self.replicas.subscribe(),
                        fastrand::u64(..),
                    ),
                    draining: self.proxy.draining.clone(),
                };
                // It may outlive this task as an upgraded connection.
                let place = place.holding(registered);
                Box::pin(serve::serve(session, connection, place, ends)).await;
            }
            Protocol::Tls | Protocol::Tcp => {
                match tcp::Opening::new(session).connect().await {
                    Ok(connected) => connected.relay(connection).await,
                    Err(()) => connection.reset(),
                }
                drop((registered, place));
            }
        }
    }
}

/// What a peer is told apart by in reports.
#[derive(Clone, Copy, Debug)]
struct Addresses {
    peer: SocketAddr,
    local: SocketAddr,
}

#[cfg(test)]
mod tests;
