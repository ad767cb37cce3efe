//! One connection after its handshake: HTTP/2 with limits, until it is old, idle, unresponsive or told to go.

use std::{
    net::SocketAddr,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use grpc::service::ca::istio_certificate_service_server::IstioCertificateService;
use hyper::{server::conn::http2, service::service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use net::drain::{Drain, Draining, Phase};
use tokio::{
    net::TcpStream,
    sync::Notify,
    time::{Instant, MissedTickBehavior, interval, sleep_until},
};
use tokio_rustls::server::TlsStream;

use super::dispatch::Dispatch;

/// How old a connection gets, so that clients spread over servers again. Source: Istio `keepaliveMaxServerConnectionAge`.
const AGE: Duration = Duration::from_secs(30 * 60);
/// By how much that varies either way, in percent: those that came together shall not go together.
const AGE_SPREAD: u32 = 10;
/// How long requests may take to end after the connection was told to.
const GRACE: Duration = Duration::from_secs(30);
/// How often it is looked whether a connection is of use.
const IDLE_TICK: Duration = Duration::from_secs(15);
/// Ticks without a request, for one that never had one, and for one that had.
const MAX_IDLE_NEW: u32 = 1;
const MAX_IDLE_USED: u32 = 4;
const PING: Duration = Duration::from_secs(10);
const PING_DEADLINE: Duration = Duration::from_secs(20);
/// Requests of one connection at a time: a proxy has one xDS stream and asks for a few certificates beside it.
const MAX_REQUESTS: u32 = 16;
/// What a peer may send ahead, on one stream and on all. Only a returning client sends much.
const STREAM_WINDOW: u32 = 256 * 1024;
const CONNECTION_WINDOW: u32 = 1024 * 1024;
/// What HTTP/2 may hold of a response that the peer does not take.
const MAX_SEND_BUFFER: usize = 128 * 1024;
/// A token and what a peer adds.
const MAX_HEADERS: u32 = 16 * 1024;
/// Streams that a peer may open and reset before we have looked at them. Source: CVE-2023-44487.
const MAX_RESETS: usize = 20;
/// Streams that we may have to reset over the life of a connection. Source: RUSTSEC-2024-0003.
const MAX_ERROR_RESETS: usize = 64;

/// What the requests of one connection have in common.
#[derive(Debug)]
pub(crate) struct Connection {
    peer: SocketAddr,
    /// Requests whose response is not over.
    open: AtomicUsize,
    /// Requests that ever came.
    came: AtomicU64,
    drain: Drain,
    cut: Notify,
}

/// A request that is open as long as this lives.
#[derive(Debug)]
pub(super) struct Open(Arc<Connection>);

impl Connection {
    pub(crate) fn new(peer: SocketAddr) -> Self {
        Self {
            peer,
            open: AtomicUsize::new(0),
            came: AtomicU64::new(0),
            drain: Drain::default(),
            cut: Notify::new(),
        }
    }

    /// The other end.
    pub(crate) fn peer(&self) -> SocketAddr {
        self.peer
    }

    /// Tells when streams are to end so that the connection can.
    pub(crate) fn draining(&self) -> Draining {
        self.drain.listen()
    }

    /// How many requests are open, this one included.
    pub(crate) fn requests(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }

    /// Ends the connection at once, with everything on it.
    pub(crate) fn cut(&self) {
        self.cut.notify_one();
    }

    /// Asks the streams to end.
    pub(crate) fn drain(&self) {
        self.drain.advance(Phase::Draining);
    }

    /// Waits for [`Self::cut`].
    pub(crate) async fn was_cut(&self) {
        self.cut.notified().await;
    }

    pub(super) fn enter(self: &Arc<Self>) -> Open {
        self.open.fetch_add(1, Ordering::Relaxed);
        self.came.fetch_add(1, Ordering::Relaxed);
        Open(Arc::clone(self))
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::Relaxed);
    }
}

fn builder() -> http2::Builder<TokioExecutor> {
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .keep_alive_interval(PING)
        .keep_alive_timeout(PING_DEADLINE)
        .max_concurrent_streams(MAX_REQUESTS)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_send_buf_size(MAX_SEND_BUFFER)
        .max_header_list_size(MAX_HEADERS)
        .max_pending_accept_reset_streams(MAX_RESETS)
        .max_local_error_reset_streams(MAX_ERROR_RESETS);
    builder
}

/// The age at which a connection is recycled, `draw` of 0 to 1 within its spread.
fn age(draw: f64) -> Duration {
    let spread = AGE * AGE_SPREAD / 100;
    AGE - spread + (spread * 2).mul_f64(draw.clamp(0.0, 1.0))
}

/// Counts ticks on which nothing was asked of a connection.
#[derive(Debug, Default)]
struct Idleness {
    came: u64,
    ticks: u32,
}

impl Idleness {
    /// Whether it has been idle for too long.
    fn tick(&mut self, connection: &Connection) -> bool {
        let came = connection.came.load(Ordering::Relaxed);
        if connection.requests() > 0 || came != self.came {
            *self = Self { came, ticks: 0 };
            return false;
        }
        self.ticks += 1;
        let limit = if came == 0 {
            MAX_IDLE_NEW
        } else {
            MAX_IDLE_USED
        };
        self.ticks >= limit
    }
}

/// Serves a connection until it ends.
pub(super) async fn run<A: IstioCertificateService>(
    stream: TlsStream<TcpStream>,
    peer: SocketAddr,
    dispatch: Dispatch<A>,
    mut process: Draining,
) {
    let connection = Arc::new(Connection::new(peer));
    let shared = Arc::clone(&connection);
    let service = service_fn(move |request| dispatch.clone().answer(request, Arc::clone(&shared)));
    let mut serving = pin!(builder().serve_connection(TokioIo::new(stream), service));
    let mut ends = Instant::now() + age(fastrand::f64());
    let mut idleness = Idleness::default();
    let mut ticks = interval(IDLE_TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks.reset();
    let mut ending = false;
    loop {
        let reason = tokio::select! {
            ended = &mut serving => {
                if let Err(error) = ended {
                    tracing::debug!(%peer, %error, "connection broke");
                }
                return;
            }
            () = connection.was_cut() => {
                tracing::debug!(%peer, "connection cut");
                return;
            }
            () = sleep_until(ends) => {
                if ending {
                    tracing::debug!(%peer, "connection cut: its requests did not end");
                    return;
                }
                "its age"
            }
            () = process.reached(if ending { Phase::Cut } else { Phase::Draining }) => {
                if ending {
                    return;
                }
                "the process ends"
            }
            _ = ticks.tick(), if !ending => {
                if !idleness.tick(&connection) {
                    continue;
                }
                "it is idle"
            }
        };
        tracing::debug!(%peer, reason, "connection told to end");
        ending = true;
        ends = Instant::now() + GRACE;
        // First the streams, which would not end by themselves, then no new ones.
        connection.drain();
        serving.as_mut().graceful_shutdown();
    }
}

#[cfg(test)]
mod tests;
