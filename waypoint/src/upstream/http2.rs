//! One exchange over HTTP/2, and the connection that carries many of them.
//!
//! In: a request, a connection with a free stream. Out: a response whose body gives the stream back.
//! Never: sends a request again that the endpoint may have acted on.
//!
//! Tasks, both on the worker that dialled: one per connection, which ends when the endpoint closes or does not answer a
//! PING, when the pool has let go of the connection and its last stream has ended, or by `HostPool::let_go`; and one
//! per request whose response begins before its body has ended, which ends with the body, the stream or the response.
//! Neither holds anything that anyone waits for, so dropping them is safe.
//!
//! The engine is `h2` and not hyper's client on top of it: that one makes a task and two channels of every request, does
//! not tell what a peer's GOAWAY spared, and leaves connections of many small messages to be ended by h2's budget.

use std::{
    fmt, io,
    net::SocketAddr,
    pin::Pin,
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering},
    },
    task::Poll,
    time::Instant,
};

use bytes::Bytes;
use h2::{
    Reason, RecvStream,
    client::{Builder, SendRequest},
};
use hbone::Early;
use http::{HeaderName, Request, Response, Uri, Version, header, request, uri};
use http_body::Body as _;
use mesh::backend::ConnectionPool;
use net::relay::TcpEnd;
use parking_lot::Mutex;
use tokio::{sync::Notify, task::AbortHandle};

use crate::{
    body::Body,
    upstream::{
        dial,
        error::{Cause, ConnectError, SendError},
        http1::{Failed, shorter},
        pool::{HostPool, Member, Via},
        socket::Socket,
    },
};

mod drive;
mod upload;

use drive::{drive, tend};
use upload::Upload;

/// What an endpoint may send on one stream before it is read. Units: bytes.
const STREAM_WINDOW: u32 = 1024 * 1024;
/// What it may send on one connection: the windows of all streams that endpoints usually allow, so that a client that
/// has stopped to read stalls nobody else. Units: bytes.
const CONNECTION_WINDOW: u32 = 256 * 1024 * 1024;
/// The largest frame that is accepted. It is handed on when it is complete, so larger ones would add delay. Units: bytes.
const MAX_FRAME_BYTES: u32 = 64 * 1024;
/// What a stream holds for a connection that is slower than its client. Units: bytes.
const MAX_SEND_BUFFER_BYTES: usize = 256 * 1024;
/// What h2 lets small unread DATA frames cost before it ends the connection: an endpoint that streams small messages
/// means no harm, and the windows bound memory. Units: bytes.
const DATA_FRAME_BUDGET: usize = 16 * 1024 * 1024;
/// The longest head of a response, as HTTP/2 counts it. Units: bytes.
const MAX_RESPONSE_HEAD_BYTES: u32 = 64 * 1024;

/// A connection as its pool knows it.
pub(super) struct Shared {
    sender: SendRequest<Bytes>,
    facts: Arc<Facts>,
}

/// What is known of one connection.
#[derive(Debug)]
struct Facts {
    member: Member,
    local: Option<SocketAddr>,
    /// Streams that are open.
    streams: AtomicUsize,
    /// How many requests it has carried.
    requests: AtomicU32,
    /// No stream may be added.
    is_leaving: AtomicBool,
    idle_since: Mutex<Instant>,
    /// The connection is to look whether it has ended: h2 does not wake it for the last handle.
    nudge: Notify,
}

impl Facts {
    fn leave(&self) {
        self.is_leaving.store(true, Ordering::Relaxed);
        self.nudge.notify_one();
    }
}

impl Shared {
    pub(super) fn number(&self) -> u64 {
        self.facts.member.number()
    }

    /// Whether it carries nothing.
    pub(super) fn is_resting(&self) -> bool {
        self.facts.streams.load(Ordering::Relaxed) == 0
    }

    pub(super) fn is_open(&self) -> bool {
        !self.facts.is_leaving.load(Ordering::Relaxed)
    }

    /// A stream, if there is room for one more.
    pub(super) fn lease(&self, pool: &Arc<HostPool>, limits: &ConnectionPool) -> Option<Lease> {
        let facts = &self.facts;
        if !self.is_open() {
            return None;
        }
        let allowed = limits.max_concurrent_streams.unwrap_or(u32::MAX);
        let allowed = usize::try_from(allowed).unwrap_or(usize::MAX);
        let allowed = allowed.min(self.sender.current_max_send_streams());
        // Only this worker adds streams.
        if facts.streams.load(Ordering::Relaxed) >= allowed {
            return None;
        }
        facts.streams.fetch_add(1, Ordering::Relaxed);
        let requests = facts.requests.fetch_add(1, Ordering::Relaxed) + 1;
        if limits
            .max_requests_per_connection
            .is_some_and(|max| requests >= max)
        {
            facts.leave();
        }
        Some(Lease {
            sender: self.sender.clone(),
            slot: Slot {
                facts: Arc::clone(facts),
                pool: Arc::downgrade(pool),
            },
        })
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.facts.leave();
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared")
            .field("facts", &self.facts)
            .finish_non_exhaustive()
    }
}

/// A stream that is not open yet.
pub(super) struct Lease {
    sender: SendRequest<Bytes>,
    slot: Slot,
}

impl Lease {
    pub(super) fn local(&self) -> Option<SocketAddr> {
        self.slot.facts.local
    }
}

impl fmt::Debug for Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lease")
            .field("slot", &self.slot)
            .finish_non_exhaustive()
    }
}

/// One stream's place.
#[derive(Debug)]
pub(super) struct Slot {
    facts: Arc<Facts>,
    pool: Weak<HostPool>,
}

impl Drop for Slot {
    fn drop(&mut self) {
        let is_last = self.facts.streams.fetch_sub(1, Ordering::Relaxed) == 1;
        let pool = self.pool.upgrade();
        if is_last {
            *self.facts.idle_since.lock() = net::clock::now();
        }
        if self.facts.is_leaving.load(Ordering::Relaxed) {
            if let Some(pool) = &pool {
                pool.retire(self.facts.member.number());
            }
            self.facts.nudge.notify_one();
        }
        if let Some(pool) = pool {
            pool.wake();
        }
    }
}

/// Makes a connection.
pub(super) async fn connect(
    pool: &Arc<HostPool>,
    via: &Via<'_>,
    member: Member,
) -> Result<Shared, ConnectError> {
    let limits = via.limits;
    let opened = dial::open(
        via.cluster.shared(),
        via.worker,
        via.host,
        pool.lane(),
        dial::Limits::of(limits),
        &mut Early::<TcpEnd>::none(),
    )
    .await?;
    let preface = Builder::new()
        .initial_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_frame_size(MAX_FRAME_BYTES)
        .max_header_list_size(MAX_RESPONSE_HEAD_BYTES)
        .max_send_buffer_size(MAX_SEND_BUFFER_BYTES)
        .data_frame_budget(DATA_FRAME_BUDGET)
        .enable_push(false)
        .handshake::<_, Bytes>(Socket::from(opened.transport));
    let (sender, mut connection) = match tokio::time::timeout(limits.connect_timeout, preface).await
    {
        Ok(Ok(made)) => made,
        Ok(Err(error)) => {
            return Err(ConnectError::Preface(Arc::new(io::Error::other(error))));
        }
        Err(_elapsed) => return Err(ConnectError::TimedOut(limits.connect_timeout)),
    };
    let (number, ending) = (member.number(), member.ending());
    let facts = Arc::new(Facts {
        member,
        local: opened.local,
        streams: AtomicUsize::new(0),
        requests: AtomicU32::new(0),
        is_leaving: AtomicBool::new(false),
        idle_since: Mutex::new(net::clock::now()),
        nudge: Notify::new(),
    });
    let tending = tend(
        Arc::downgrade(pool),
        Arc::clone(&facts),
        connection.ping_pong(),
        ConnectionPool {
            max_connection_duration: shorter(limits.max_connection_duration, opened.valid_for),
            ..*limits
        },
    );
    let task = tokio::spawn(drive(
        connection,
        Arc::clone(&facts),
        tending,
        ending,
        via.host.name(),
    ));
    pool.opened(number, opened.peer, task.abort_handle());
    Ok(Shared { sender, facts })
}

/// A request's body that is still on its way; dropping it ends it.
#[derive(Debug)]
pub(super) struct Uploading(AbortHandle);

impl Drop for Uploading {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// What a response needs until it has ended.
#[derive(Debug)]
pub(super) struct Stream {
    _slot: Slot,
    _uploading: Option<Uploading>,
}

/// Sends a request and waits for the head of its response.
pub(super) async fn exchange(
    lease: Lease,
    address: SocketAddr,
    head: &request::Parts,
    body: Body,
) -> Result<(Response<RecvStream>, Stream), Failed> {
    let request = match head_of(head) {
        Ok(request) => request,
        Err(error) => return Err(Failed { error, again: None }),
    };
    let Lease { sender, slot } = lease;
    let leave = |body, error| {
        // A connection that takes no request any more takes none of the next either.
        slot.facts.leave();
        Failed {
            error: fault(address, error, false),
            again: Some(body),
        }
    };
    let mut sender = match sender.ready().await {
        Ok(sender) => sender,
        Err(error) => return Err(leave(body, error)),
    };
    let is_empty = body.is_end_stream();
    let (mut response, stream) = match sender.send_request(request, is_empty) {
        Ok(sent) => sent,
        Err(error) if error.is_remote() || error.is_io() || error.is_go_away() => {
            return Err(leave(body, error));
        }
        Err(_unfit) => {
            return Err(Failed {
                error: SendError::Head("head"),
                again: None,
            });
        }
    };
    // The connection must be able to end while this stream goes on.
    drop(sender);
    let mut upload = Upload::new(body, stream, is_empty);
    let answer = std::future::poll_fn(|cx| {
        if let Poll::Ready(Err(broken)) = upload.poll(cx) {
            return Poll::Ready(Err(SendError::Request(broken)));
        }
        Pin::new(&mut response).poll(cx).map_err(|error| {
            if error.is_go_away() {
                slot.facts.leave();
            }
            fault(address, error, true)
        })
    })
    .await;
    match answer {
        Ok(response) => {
            let uploading =
                (!upload.is_done).then(|| Uploading(tokio::spawn(upload.finish()).abort_handle()));
            let stream = Stream {
                _slot: slot,
                _uploading: uploading,
            };
            Ok((response, stream))
        }
        Err(error) => {
            let is_spared = matches!(
                &error,
                SendError::Refused {
                    source: Cause::Http2(error),
                    ..
                } if error.is_go_away()
            );
            Err(Failed {
                error,
                again: (is_spared && upload.is_whole).then_some(upload.body),
            })
        }
    }
}

/// What an error of a stream means. Source: RFC 9113 §6.8 and §8.7, what a peer says that it has not processed.
pub(super) fn fault(address: SocketAddr, error: h2::Error, sent: bool) -> SendError {
    let is_refused = error.is_go_away() || error.reason() == Some(Reason::REFUSED_STREAM);
    // The connection is ended from here, because of what the peer has sent.
    let is_broken = error.is_library()
        && error.is_go_away()
        && error
            .reason()
            .is_some_and(|reason| reason != Reason::NO_ERROR);
    let (is_remote, is_reset, is_io) = (error.is_remote(), error.is_reset(), error.is_io());
    let source = Cause::Http2(error);
    if is_remote && is_refused {
        SendError::Refused { address, source }
    } else if is_remote && is_reset {
        SendError::Reset { address, source }
    } else if is_io {
        SendError::Closed {
            address,
            sent,
            source,
        }
    } else if is_remote || is_reset || is_broken {
        SendError::Protocol { address, source }
    } else {
        SendError::Closed {
            address,
            sent,
            source,
        }
    }
}

/// What HTTP/2 has no use for, and may not be sent. Source: RFC 9113 §8.2.2; `host` says the same as `:authority`.
const CONNECTION_HEADERS: [HeaderName; 5] = [
    header::HOST,
    header::CONNECTION,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    HeaderName::from_static("keep-alive"),
];

/// The head as HTTP/2 writes it: scheme, authority and path.
fn head_of(head: &request::Parts) -> Result<Request<()>, SendError> {
    let mut request = Request::new(());
    *request.version_mut() = Version::HTTP_2;
    *request.headers_mut() = head.headers.clone();
    request.method_mut().clone_from(&head.method);
    if head.uri.authority().is_some() && head.uri.scheme().is_some() {
        request.uri_mut().clone_from(&head.uri);
    } else {
        let mut parts = uri::Parts::default();
        parts.scheme = Some(head.uri.scheme().cloned().unwrap_or(uri::Scheme::HTTP));
        parts.authority = match (head.uri.authority(), head.headers.get(header::HOST)) {
            (Some(authority), _) => Some(authority.clone()),
            (None, Some(host)) => Some(
                uri::Authority::try_from(host.as_bytes())
                    .map_err(|_| SendError::Head("authority"))?,
            ),
            (None, None) => return Err(SendError::Head("authority")),
        };
        parts.path_and_query = head.uri.path_and_query().cloned();
        *request.uri_mut() = Uri::from_parts(parts).map_err(|_| SendError::Head("path"))?;
    }
    let headers = request.headers_mut();
    for name in &CONNECTION_HEADERS {
        headers.remove(name);
    }
    // Extended CONNECT (RFC 8441).
    if let Some(protocol) = head.extensions.get::<hyper::ext::Protocol>() {
        let protocol = h2::ext::Protocol::from(protocol.as_str());
        request.extensions_mut().insert(protocol);
    }
    Ok(request)
}
