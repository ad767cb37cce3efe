//! Serving a connection of HTTP: the engine, its limits, and when it is asked to leave.
//!
//! In: a session and its connection. Out: each request to [`crate::request`], in order on HTTP/1, each by itself on HTTP/2.
//! Never: hands on a request that has more than one meaning without saying so; keeps a client that is to leave.
//!
//! Tasks: on HTTP/2 one per stream; they end with their stream, or with the worker. An upgraded connection belongs to whoever
//! answered 101.
//!
//! **Half-close:** a client of HTTP/1 that ends its side has gone (flag DC), as for Envoy and nginx: it is the
//! only sign there is that an answer is not waited for any more.

use std::{
    convert::Infallible,
    future::poll_fn,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    task::Poll,
};

use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use hyper::{
    body::{Body as _, Incoming},
    server::conn::{http1, http2},
    service::service_fn,
};
use hyper_util::rt::TokioExecutor;
use net::{
    drain::{Draining, Phase},
    relay::Duplex,
};

mod checks;
mod linger;

use crate::{
    accept::Place,
    body::Body,
    detect::{Peeked, Protocol},
    drain::{Departure, TIMEOUT_IDLE, Why},
    http1::{Gate, Guard, Refusal},
    io::DuplexIo,
    rarely::rarely,
    request,
    session::{Session, Told},
};
use linger::Linger;

/// What a client of HTTP/2 may send on one stream before it is read. A cluster's round trip times its bandwidth fits. Units: bytes.
const STREAM_WINDOW: u32 = 1024 * 1024;
/// The same for a connection. The engine closes a connection of which unread small frames "cost" half of this; with less, a few
/// streams of small messages to a backend that stands still would end all others. Units: bytes.
const CONNECTION_WINDOW: u32 = 32 * 1024 * 1024;
/// Streams that a client may have open at once on one connection.
const MAX_STREAMS: u32 = 1000;
/// What the engine decodes of one head: more than what is accepted, so that the refusal is ours and reaches the log. Units: bytes.
const MAX_DECODED_HEAD_BYTES: u32 = 128 * 1024;
/// Streams that a client may have given up before we have looked at them: many cancel at once and mean no harm, none do so for
/// ever (CVE-2023-44487).
const MAX_PENDING_RESETS: usize = 200;
/// What a response holds for a client that is slow. Units: bytes.
const MAX_SEND_BUFFER_BYTES: usize = 256 * 1024;
/// What the engine holds of a connection of HTTP/1 each way: more than the largest head. Units: bytes.
const MAX_BUFFER_BYTES: usize = 128 * 1024;

const CLOSE: HeaderValue = HeaderValue::from_static("close");

/// What one connection's requests share.
struct Conversation {
    session: Arc<Session>,
    /// The next response is the last one.
    leaving: AtomicBool,
    /// Requests that came. **Shape:** on HTTP/1 the number of the next one.
    requests: AtomicU64,
    /// The version of the last snapshot in which the target was ours.
    admitted: AtomicU64,
}

/// Ends of a connection.
pub(crate) struct Ends {
    /// When it is asked to leave.
    pub(crate) departure: Departure,
    /// The process.
    pub(crate) draining: Draining,
}

/// Serves a connection to its end, or until it goes on as something else.
pub(crate) async fn serve<D>(session: Arc<Session>, connection: Peeked<D>, place: Place, ends: Ends)
where
    D: Duplex + Send + Unpin + 'static,
{
    let conversation = Arc::new(Conversation {
        admitted: AtomicU64::new(session.proxy.view.version()),
        session,
        leaving: AtomicBool::new(false),
        requests: AtomicU64::new(0),
    });
    let io = Linger::new(DuplexIo::new(connection), place);
    match conversation.session.protocol {
        Protocol::Http2 => serve2(conversation, io, ends).await,
        Protocol::Http1 | Protocol::Tls | Protocol::Tcp => serve1(conversation, io, ends).await,
    }
}

async fn serve1<D: Duplex + Send + Unpin + 'static>(
    conversation: Arc<Conversation>,
    io: Linger<DuplexIo<Peeked<D>>, Place>,
    ends: Ends,
) {
    let (guard, gate) = Guard::new(io);
    let at = Arc::clone(&conversation);
    let service = service_fn(move |request| {
        let (at, gate) = (Arc::clone(&at), Arc::clone(&gate));
        async move { Ok::<_, Infallible>(at.answer1(&gate, request).await) }
    });
    let mut builder = http1::Builder::new();
    builder
        // The guard has one, which does not run while the connection is idle.
        .header_read_timeout(None)
        .max_buf_size(MAX_BUFFER_BYTES);
    let mut connection = pin!(builder.serve_connection(guard, service).with_upgrades());
    let Ends {
        departure,
        mut draining,
    } = ends;
    let session = Arc::clone(&conversation.session);
    let mut leave = pin!(rarely(leave(departure, &session)));
    let mut forbidden = pin!(rarely(session.ending.told(Told::Unenforced)));
    let mut cut = pin!(rarely(draining.reached(Phase::Cut)));
    let mut flipped = pin!(rarely(session.flips.changed(session.flips.epoch())));
    let mut idle = pin!(tokio::time::sleep(TIMEOUT_IDLE));
    let (mut leaving, mut closing) = (false, false);
    loop {
        tokio::select! {
            result = connection.as_mut() => return ended(&conversation.session, result),
            why = leave.as_mut(), if !leaving => {
                // The next response says so; a client that asks for none is let go later.
                leaving = true;
                conversation.leaving.store(true, Ordering::Relaxed);
                idle.as_mut().reset(tokio::time::Instant::now() + why.grace());
            }
            () = idle.as_mut(), if leaving && !closing => {
                closing = true;
                connection.as_mut().graceful_shutdown();
            }
            // The request under way looks again when the connection is polled, which is next.
            epoch = flipped.as_mut() => flipped.set(rarely(session.flips.changed(epoch))),
            // What is open was let in before: it must not go on.
            _told = forbidden.as_mut() => return,
            () = cut.as_mut() => return,
        }
    }
}

async fn serve2<D: Duplex + Send + Unpin + 'static>(
    conversation: Arc<Conversation>,
    io: Linger<DuplexIo<Peeked<D>>, Place>,
    ends: Ends,
) {
    let at = Arc::clone(&conversation);
    let service = service_fn(move |request| {
        let at = Arc::clone(&at);
        // The engine makes a task of it, and moves it several times on the way.
        Box::pin(async move { Ok::<_, Infallible>(at.answer2(request).await) })
    });
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_concurrent_streams(MAX_STREAMS)
        .max_header_list_size(MAX_DECODED_HEAD_BYTES)
        .max_send_buf_size(MAX_SEND_BUFFER_BYTES)
        .max_pending_accept_reset_streams(MAX_PENDING_RESETS)
        // WebSocket over HTTP/2 (RFC 8441).
        .enable_connect_protocol();
    let mut connection = pin!(builder.serve_connection(io, service));
    let Ends {
        departure,
        mut draining,
    } = ends;
    let session = Arc::clone(&conversation.session);
    let mut leave = pin!(rarely(leave(departure, &session)));
    let mut forbidden = pin!(rarely(session.ending.told(Told::Unenforced)));
    let mut cut = pin!(rarely(draining.reached(Phase::Cut)));
    let mut leaving = false;
    loop {
        tokio::select! {
            result = connection.as_mut() => return ended(&conversation.session, result),
            _why = leave.as_mut(), if !leaving => {
                leaving = true;
                connection.as_mut().graceful_shutdown();
            }
            _told = forbidden.as_mut() => {
                // GOAWAY, as far as it leaves at once: the client may take its requests elsewhere. Streams end with the connection.
                connection.as_mut().graceful_shutdown();
                poll_fn(|cx| {
                    drop(connection.as_mut().poll(cx));
                    Poll::Ready(())
                })
                .await;
                return;
            }
            () = cut.as_mut() => return,
        }
    }
}

/// Waits until the connection is asked to leave.
async fn leave(departure: Departure, session: &Session) -> Why {
    tokio::select! {
        why = departure.asked(|| fastrand::u64(..)) => why,
        _told = session.ending.told(Told::Unserved) => Why::Unserved,
    }
}

fn ended(session: &Session, result: Result<(), hyper::Error>) {
    if let Err(error) = result {
        tracing::debug!(client = %session.client, %error, "connection failed");
    }
}

impl Conversation {
    /// Answers one request of HTTP/1. They come one after the other.
    async fn answer1(&self, gate: &Gate, request: Request<Incoming>) -> Response<Body> {
        let number = self.requests.fetch_add(1, Ordering::Relaxed);
        let refusal = gate.refusal(number).or_else(|| self.unserved());
        let is_connect = request.method() == Method::CONNECT;
        let mut response = request::serve(&self.session, request.map(body), refusal).await;
        let status = response.status();
        let switches =
            status == StatusCode::SWITCHING_PROTOCOLS || (is_connect && status.is_success());
        gate.answered(number, switches);
        if !switches && (refusal.is_some() || self.leaving.load(Ordering::Relaxed)) {
            response.headers_mut().insert(header::CONNECTION, CLOSE);
        }
        response
    }

    /// Answers one request of HTTP/2.
    async fn answer2(&self, request: Request<Incoming>) -> Response<Body> {
        let refusal = checks::head(&request).err().or_else(|| self.unserved());
        request::serve(&self.session, request.map(body), refusal).await
    }

    /// Whether the target is not ours any more. Costs a comparison while the mesh stays as it is.
    fn unserved(&self) -> Option<Refusal> {
        let snapshot = self.session.proxy.view.borrow();
        if self.admitted.load(Ordering::Relaxed) == snapshot.version {
            return None;
        }
        if self.session.readmit(&snapshot).is_err() {
            return Some(Refusal::Unserved);
        }
        self.admitted.store(snapshot.version, Ordering::Relaxed);
        None
    }
}

fn body(body: Incoming) -> Body {
    if body.is_end_stream() {
        Body::Empty
    } else {
        Body::Incoming(body)
    }
}
