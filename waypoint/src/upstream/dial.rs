//! A connection to an endpoint: a stream of a tunnel, or plain TCP where there is no tunnel.
//!
//! In: an endpoint, the worker's tunnels, our certificate, the [`Lane`]. Out: bytes both ways, after what the endpoint is told of the
//! client. Never: sends a byte to a peer that is not the endpoint's own workload; tries again.

use std::{
    io,
    net::SocketAddr,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use hbone::{Early, TunnelKey};
use http::{Method, Request, Version};
use identity::PeerCertificate;
use mesh::backend::{ConnectionPool, TcpKeepalive};
use net::relay::{Duplex, Queue, Read, TcpEnd};
use socket2::SockRef;
use telemetry::http::ClusterStats;
use tokio::{
    io::AsyncWriteExt as _,
    net::{TcpSocket, TcpStream},
};
use wire::principal;

use crate::upstream::{
    Worker,
    behalf::Lane,
    breaker::Place,
    cluster::Pick,
    clusters::Shared,
    error::ConnectError,
    host::{Host, Way},
};

/// What the kernel holds of a connection beyond what is in flight. Units: bytes.
const MAX_UNSENT_BYTES: u32 = 1024 * 1024;

/// What a connection goes through.
#[derive(Debug)]
pub(super) enum Transport {
    /// A socket.
    Tcp(TcpStream),
    /// A stream of a tunnel.
    Hbone(hbone::Stream),
}

/// A connection that was made.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) transport: Transport,
    /// Our end, where it is a socket of its own.
    pub(super) local: Option<SocketAddr>,
    /// Whom the tunnel leads to.
    pub(super) peer: Option<Arc<PeerCertificate>>,
    /// How long both certificates of the tunnel still hold: new requests are not to be sent on the word of one that
    /// has expired.
    pub(super) valid_for: Option<Duration>,
}

/// How a connection is made.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// How long it may take.
    pub(super) time: Duration,
    /// How a socket is kept alive.
    pub(super) keepalive: Option<TcpKeepalive>,
}

impl Limits {
    pub(super) fn of(pool: &ConnectionPool) -> Self {
        Self {
            time: pool.connect_timeout,
            keepalive: pool.keepalive,
        }
    }
}

/// Connects. What `early` yields meanwhile goes ahead, if it is through a tunnel and nothing else goes first.
pub(super) async fn open<D: Duplex>(
    shared: &Shared,
    worker: &Worker,
    host: &Host,
    lane: Option<&Lane>,
    limits: Limits,
    early: &mut Early<'_, D>,
) -> Result<Opened, ConnectError> {
    let header = lane.and_then(|lane| lane.header(host.address()));
    let named = match lane.map_or(Ok(None), Lane::name) {
        Ok(named) => named,
        Err(error) => return Err(ConnectError::Announce(Arc::new(io::Error::other(error)))),
    };
    let mut nothing = Early::none();
    let early = if header.is_some() {
        &mut nothing
    } else {
        early
    };
    let opened = async {
        let mut opened = match host.way() {
            Way::Plain => {
                let socket = tcp(host.address(), limits.keepalive)
                    .await
                    .map_err(|error| ConnectError::Tcp(Arc::new(error)))?;
                Opened {
                    local: socket.local_addr().ok(),
                    transport: Transport::Tcp(socket),
                    peer: None,
                    valid_for: None,
                }
            }
            Way::Hbone {
                peer,
                authority,
                expected,
            } => {
                let credential = shared.store.fetch(&shared.own.identity).await;
                let credential = credential.map_err(ConnectError::Identity)?;
                let key = TunnelKey {
                    source: shared.own.identity.clone(),
                    generation: credential.generation(),
                    source_ip: shared.own.instance_ip,
                    peer: *peer,
                    expected: expected.clone(),
                };
                let dial = || {
                    let (peer, config) = (key.peer, credential.client_config(&key.expected));
                    let (not_after, settings) = (credential.not_after(), Arc::clone(&shared.hbone));
                    async move {
                        let tcp = tcp(peer, None)
                            .await
                            .map_err(net::socket::ConnectError::Io)?;
                        hbone::client::handshake(tcp, config, not_after, &settings).await
                    }
                };
                // As Envoy: nothing but the authority, and the client where it is to be told.
                let request = || {
                    let mut request = Request::new(());
                    *request.method_mut() = Method::CONNECT;
                    *request.uri_mut() = authority.clone();
                    *request.version_mut() = Version::HTTP_2;
                    if let Some(client) = &named {
                        request
                            .headers_mut()
                            .insert(principal::NAME, client.clone());
                    }
                    request
                };
                let (stream, _answer) = worker
                    .tunnels()
                    .open(&key, dial, request, early)
                    .await
                    .map_err(|error| ConnectError::Hbone(Arc::new(error)))?;
                // A list that came before the tunnel was noted anywhere has found nothing to cut.
                if let Some(refusal) = shared.store.revocation(stream.peer()) {
                    return Err(ConnectError::Revoked(Arc::new(refusal)));
                }
                let expires = stream.peer().not_after.min(credential.not_after());
                let left = expires.duration_since(net::clock::wall());
                Opened {
                    local: None,
                    valid_for: Some(left.unwrap_or_default()),
                    peer: Some(Arc::clone(stream.peer())),
                    transport: Transport::Hbone(stream),
                }
            }
        };
        if let Some(header) = header {
            let announced = announce(&mut opened.transport, header).await;
            announced.map_err(|error| ConnectError::Announce(Arc::new(error)))?;
        }
        Ok(opened)
    };
    timely(limits.time, opened).await
}

/// Writes what goes before the first byte.
async fn announce(transport: &mut Transport, header: Bytes) -> io::Result<()> {
    match transport {
        Transport::Tcp(socket) => socket.write_all(&header).await,
        Transport::Hbone(stream) => {
            let mut queue = Queue::default();
            queue.push(header);
            std::future::poll_fn(|cx| stream.poll_write(cx, &mut queue)).await
        }
    }
}

async fn timely<T>(
    limit: Duration,
    opened: impl Future<Output = Result<T, ConnectError>>,
) -> Result<T, ConnectError> {
    match tokio::time::timeout(limit, opened).await {
        Ok(result) => result,
        Err(_elapsed) => Err(ConnectError::TimedOut(limit)),
    }
}

async fn tcp(address: SocketAddr, keepalive: Option<TcpKeepalive>) -> io::Result<TcpStream> {
    let socket = if address.is_ipv4() {
        TcpSocket::new_v4()?
    } else {
        TcpSocket::new_v6()?
    };
    socket.set_nodelay(true)?;
    let options = SockRef::from(&socket);
    options.set_tcp_notsent_lowat(MAX_UNSENT_BYTES)?;
    if let Some(keepalive) = keepalive {
        let mut wanted = socket2::TcpKeepalive::new();
        if let Some(time) = keepalive.time {
            wanted = wanted.with_time(time);
        }
        if let Some(interval) = keepalive.interval {
            wanted = wanted.with_interval(interval);
        }
        if let Some(probes) = keepalive.probes {
            wanted = wanted.with_retries(probes);
        }
        options.set_tcp_keepalive(&wanted)?;
    }
    socket.connect(address).await
}

/// A connection to an endpoint, as one end of a relay. It counts against the backend's limits while it lives.
#[derive(Debug)]
pub struct Connected {
    end: End,
    local: Option<SocketAddr>,
    peer: Option<Arc<PeerCertificate>>,
    pick: Pick,
    stats: Arc<ClusterStats>,
    _place: Place,
}

impl Drop for Connected {
    fn drop(&mut self) {
        self.stats.upstream_cx_active.decrement();
    }
}

#[derive(Debug)]
enum End {
    Tcp(TcpEnd),
    Hbone(hbone::Stream),
}

impl Connected {
    pub(super) fn new(opened: Opened, pick: Pick, stats: Arc<ClusterStats>, place: Place) -> Self {
        stats.upstream_cx_active.increment();
        Self {
            end: match opened.transport {
                Transport::Tcp(socket) => End::Tcp(TcpEnd::new(socket)),
                Transport::Hbone(stream) => End::Hbone(stream),
            },
            local: opened.local,
            peer: opened.peer,
            pick,
            stats,
            _place: place,
        }
    }

    /// The endpoint.
    #[must_use]
    pub fn host(&self) -> &Arc<Host> {
        self.pick.host()
    }

    /// Our end, where it is a socket of its own; a tunnel's stream has none.
    #[must_use]
    pub fn local(&self) -> Option<SocketAddr> {
        self.local
    }

    /// Whom the tunnel leads to; `None` without a tunnel.
    #[must_use]
    pub fn peer(&self) -> Option<&Arc<PeerCertificate>> {
        self.peer.as_ref()
    }
}

impl Duplex for Connected {
    const DROP_FINISHES: bool = false;

    fn poll_read(&mut self, cx: &mut Context<'_>, queue: &mut Queue) -> Poll<io::Result<Read>> {
        match &mut self.end {
            End::Tcp(end) => end.poll_read(cx, queue),
            End::Hbone(end) => end.poll_read(cx, queue),
        }
    }

    fn poll_read_ahead(
        &mut self,
        cx: &mut Context<'_>,
        queue: &mut Queue,
    ) -> Poll<io::Result<Read>> {
        match &mut self.end {
            End::Tcp(end) => end.poll_read_ahead(cx, queue),
            End::Hbone(end) => end.poll_read_ahead(cx, queue),
        }
    }

    fn consumed(&mut self, bytes: usize) {
        match &mut self.end {
            End::Tcp(end) => end.consumed(bytes),
            End::Hbone(end) => end.consumed(bytes),
        }
    }

    fn poll_write(&mut self, cx: &mut Context<'_>, queue: &mut Queue) -> Poll<io::Result<()>> {
        match &mut self.end {
            End::Tcp(end) => end.poll_write(cx, queue),
            End::Hbone(end) => end.poll_write(cx, queue),
        }
    }

    fn poll_finish(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.end {
            End::Tcp(end) => end.poll_finish(cx),
            End::Hbone(end) => end.poll_finish(cx),
        }
    }

    fn reset(&mut self) {
        match &mut self.end {
            End::Tcp(end) => end.reset(),
            End::Hbone(end) => end.reset(),
        }
    }
}
