//! The listener of the control plane: xDS and certificates on one port, TLS 1.3 and HTTP/2.
//!
//! In: a listening socket, the server's certificate as it is at the moment, the two services. Out: connections, each in
//! a task of its own. Never: lets one peer wait for another, or take more than its share of connections and handshakes.
//!
//! Tasks: one per connection, owned by [`serve`]; HTTP/2 spawns one per request.

use std::{
    collections::HashMap,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use arc_swap::ArcSwap;
use grpc::service::ca::istio_certificate_service_server::IstioCertificateService;
use net::drain::{Drain, Phase};
use parking_lot::Mutex;
use rustls::ServerConfig;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Notify,
    task::JoinSet,
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

use crate::{quota::Quota, xds};

mod connection;
mod dispatch;

pub(crate) use connection::Connection;
use dispatch::Dispatch;

/// Connections at a time: one per proxy, and twice as many while they are recycled.
const MAX_CONNECTIONS: usize = 8_192;
/// Of one address: many proxies may come through one gateway, but nobody takes all places.
const MAX_CONNECTIONS_PER_ADDRESS: usize = 1_024;
/// Handshakes at a time; each holds some tens of kilobytes.
const MAX_HANDSHAKES: usize = 1_024;
/// Of one address.
const MAX_HANDSHAKES_PER_ADDRESS: usize = 64;
/// How long a handshake may take.
const HANDSHAKE_DEADLINE: Duration = Duration::from_secs(10);
/// Rest after the process has run out of descriptors: accepting again at once would spin.
const PAUSE_EXHAUSTED: Duration = Duration::from_millis(50);
/// How long connections may take to end when the process does.
const STOP_GRACE: Duration = Duration::from_secs(5);
/// What both sides must agree on. Source: RFC 9113, 3.2.
const ALPN_H2: &[u8] = b"h2";

/// Who is on the other end of a request's connection. **Shape**: an extension of each request, for the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer(pub SocketAddr);

impl std::fmt::Display for Peer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

/// Serves both services until `stop` is notified; then connections are told to go, and cut if they do not.
pub async fn serve<A: IstioCertificateService>(
    listener: TcpListener,
    tls: Arc<ArcSwap<ServerConfig>>,
    xds: xds::Service,
    ca: A,
    stop: Arc<Notify>,
) {
    let dispatch = Dispatch::new(xds, ca);
    let places = Arc::new(Places::default());
    let drain = Drain::default();
    let quota = Quota::default();
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            Some(_) = connections.join_next(), if !connections.is_empty() => continue,
            () = stop.notified() => break,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(PAUSE_EXHAUSTED).await;
                continue;
            }
        };
        let Some(place) = Place::take(&places, peer.ip()) else {
            if let Some(left_out) = quota.take(net::clock::now()) {
                tracing::warn!(%peer, left_out, "connection refused: too many");
            }
            continue;
        };
        let (tls, dispatch) = (tls.load_full(), dispatch.clone());
        let process = drain.listen();
        connections.spawn(async move {
            if let Some(stream) = handshake(stream, peer, tls, &place).await {
                connection::run(stream, peer, dispatch, process).await;
            }
            drop(place);
        });
    }
    drop(listener);
    drain.advance(Phase::Draining);
    let all = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(STOP_GRACE, all).await.is_err() {
        drain.advance(Phase::Cut);
    }
    connections.shutdown().await;
}

/// Brings TLS up; `None` if the peer cannot, or takes too long.
async fn handshake(
    stream: TcpStream,
    peer: SocketAddr,
    tls: Arc<ServerConfig>,
    place: &Place,
) -> Option<TlsStream<TcpStream>> {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%peer, %error, "connection gone before its handshake");
        return None;
    }
    let accepted = TlsAcceptor::from(tls).accept(stream);
    let stream = match tokio::time::timeout(HANDSHAKE_DEADLINE, accepted).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => {
            tracing::debug!(%peer, %error, "handshake failed");
            return None;
        }
        Err(_) => {
            tracing::debug!(%peer, "handshake took more than {} s", HANDSHAKE_DEADLINE.as_secs());
            return None;
        }
    };
    place.shaken();
    if stream.get_ref().1.alpn_protocol() != Some(ALPN_H2) {
        tracing::debug!(%peer, "connection refused: it does not speak h2");
        return None;
    }
    Some(stream)
}

/// How many connections there are, and of whom.
#[derive(Debug, Default)]
struct Places(Mutex<Counts>);

#[derive(Debug, Default)]
struct Counts {
    all: Share,
    addresses: HashMap<IpAddr, Share>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Share {
    connections: usize,
    handshakes: usize,
}

/// A connection's place; it is free again when this goes.
#[derive(Debug)]
struct Place {
    places: Arc<Places>,
    address: IpAddr,
    /// Whether it still is in its handshake.
    shaking: Mutex<bool>,
}

impl Place {
    fn take(places: &Arc<Places>, address: IpAddr) -> Option<Self> {
        let address = address.to_canonical();
        let mut counts = places.0.lock();
        let all = counts.all;
        let own = counts.addresses.get(&address).copied().unwrap_or_default();
        let free = all.connections < MAX_CONNECTIONS
            && all.handshakes < MAX_HANDSHAKES
            && own.connections < MAX_CONNECTIONS_PER_ADDRESS
            && own.handshakes < MAX_HANDSHAKES_PER_ADDRESS;
        if !free {
            return None;
        }
        for share in counts.shares(address) {
            share.connections += 1;
            share.handshakes += 1;
        }
        drop(counts);
        Some(Self {
            places: Arc::clone(places),
            address,
            shaking: Mutex::new(true),
        })
    }

    /// The handshake is over.
    fn shaken(&self) {
        if std::mem::replace(&mut *self.shaking.lock(), false) {
            for share in self.places.0.lock().shares(self.address) {
                share.handshakes -= 1;
            }
        }
    }
}

impl Counts {
    fn shares(&mut self, address: IpAddr) -> [&mut Share; 2] {
        [&mut self.all, self.addresses.entry(address).or_default()]
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.shaken();
        let mut counts = self.places.0.lock();
        for share in counts.shares(self.address) {
            share.connections -= 1;
        }
        if counts
            .addresses
            .get(&self.address)
            .is_some_and(|share| share.connections == 0)
        {
            counts.addresses.remove(&self.address);
        }
    }
}

#[cfg(test)]
mod tests;
