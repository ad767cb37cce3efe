//! One exchange over HTTP/1.1, and the connection that carries it.
//!
//! In: a request, an idle connection. Out: a response whose body gives the connection back, or an error that says whether
//! the request may be sent again. Never: sends it again itself; keeps a connection on which a request is not sent to its end.
//!
//! Tasks: one per connection, on the worker that dialled. It ends when the endpoint closes, when the pool has let go of
//! the connection and its last exchange has ended, or by `HostPool::let_go`. It holds nothing that anyone waits for,
//! so dropping it is safe.
//!
//! The codec is hyper's.

use std::{
    fmt,
    net::SocketAddr,
    pin::Pin,
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, AtomicU8, AtomicU32, Ordering},
    },
    task::{Context, Poll},
    time::{Duration, Instant},
};

use bytes::Bytes;
use hbone::Early;
use http::{HeaderValue, Method, Request, Response, Uri, Version, header, request};
use http_body::{Body as HttpBody, Frame, SizeHint};
use hyper::{
    body::Incoming,
    client::conn::http1::{Builder, SendRequest},
};
use hyper_util::rt::TokioIo;
use net::relay::TcpEnd;
use parking_lot::Mutex;

use crate::{
    body::{Body, BodyError},
    upstream::{
        dial,
        error::{Cause, ConnectError, SendError},
        pool::{HostPool, Member, Via},
        socket::Socket,
    },
};

/// The longest head of a response. Source: Envoy's `max_response_headers_kb`, 60 KiB. Units: bytes.
pub(super) const MAX_RESPONSE_HEAD_BYTES: usize = 60 * 1024;
const CHUNKED: HeaderValue = HeaderValue::from_static("chunked");

/// A connection that can carry a request.
pub(super) struct Idle {
    sender: SendRequest<Upload>,
    facts: Arc<Facts>,
    since: Instant,
}

/// What is known of one connection.
#[derive(Debug)]
pub(super) struct Facts {
    member: Member,
    local: Option<SocketAddr>,
    /// How many requests it has carried.
    requests: AtomicU32,
    /// It is not to be kept.
    is_leaving: AtomicBool,
    upload: AtomicU8,
    /// Why the request could not be read to its end.
    broken: Mutex<Option<BodyError>>,
}

/// How far a request's body has got.
mod upload {
    /// There is none, or it was sent.
    pub(super) const DONE: u8 = 0;
    /// Nothing was asked of it.
    pub(super) const WHOLE: u8 = 1;
    /// Something of it was asked for.
    pub(super) const BEGUN: u8 = 2;
}

impl Idle {
    pub(super) fn number(&self) -> u64 {
        self.facts.member.number()
    }

    pub(super) fn since(&self) -> Instant {
        self.since
    }

    pub(super) fn is_closed(&self) -> bool {
        self.sender.is_closed()
    }

    /// Waits until the last exchange is at its end in any respect; `false`: with the connection.
    pub(super) async fn is_ready(&mut self) -> bool {
        self.sender.is_ready() || self.sender.ready().await.is_ok()
    }

    pub(super) fn local(&self) -> Option<SocketAddr> {
        self.facts.local
    }

    /// Whether it can be given back, now that the response has ended; `requests` is how many it may carry.
    pub(super) fn is_fit(&self, requests: Option<u32>) -> bool {
        let facts = &self.facts;
        !self.sender.is_closed()
            && !facts.is_leaving.load(Ordering::Relaxed)
            && facts.upload.load(Ordering::Relaxed) == upload::DONE
            && requests.is_none_or(|max| facts.requests.load(Ordering::Relaxed) < max)
    }

    /// As it is given back.
    pub(super) fn rested(mut self) -> Self {
        self.since = net::clock::now();
        self
    }
}

impl fmt::Debug for Idle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Idle")
            .field("facts", &self.facts)
            .finish_non_exhaustive()
    }
}

/// Makes a connection.
pub(super) async fn connect(
    pool: &Arc<HostPool>,
    via: &Via<'_>,
    member: Member,
) -> Result<Idle, ConnectError> {
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
    let socket = TokioIo::new(Socket::from(opened.transport));
    let (sender, connection) = Builder::new()
        .max_header_size(MAX_RESPONSE_HEAD_BYTES)
        .writev(true)
        .handshake(socket)
        .await
        // It only makes values.
        .map_err(|_never| ConnectError::Ended)?;
    let (number, ending) = (member.number(), member.ending());
    let facts = Arc::new(Facts {
        member,
        local: opened.local,
        requests: AtomicU32::new(0),
        is_leaving: AtomicBool::new(false),
        upload: AtomicU8::new(upload::DONE),
        broken: Mutex::new(None),
    });
    let tending = tend(
        Arc::downgrade(pool),
        Arc::clone(&facts),
        limits.idle_timeout,
        shorter(limits.max_connection_duration, opened.valid_for),
    );
    let host = via.host.name();
    let task = tokio::spawn(async move {
        tokio::select! {
            result = connection.with_upgrades() => match result {
                Ok(()) => tracing::debug!(%host, "connection ended"),
                Err(error) => tracing::debug!(%host, %error, "connection failed"),
            },
            () = tending => {}
        }
        drop(ending);
    });
    pool.opened(number, opened.peer, task.abort_handle());
    Ok(Idle {
        sender,
        facts,
        since: net::clock::now(),
    })
}

/// Retires a connection that has long been idle, or is old. Never returns: it ends with the connection.
async fn tend(
    pool: Weak<HostPool>,
    facts: Arc<Facts>,
    idle: Option<Duration>,
    oldest: Option<Duration>,
) {
    let born = net::clock::now();
    let end = oldest.map(|oldest| born + oldest);
    let mut wake = first(idle.map(|idle| born + idle), end);
    while let Some(until) = wake {
        tokio::time::sleep_until(until.into()).await;
        let Some(pool) = pool.upgrade() else {
            break;
        };
        let now = net::clock::now();
        let since = pool.idle_since(facts.member.number());
        let is_idle = since
            .zip(idle)
            .is_some_and(|(since, idle)| since + idle <= now);
        if is_idle || end.is_some_and(|end| end <= now) {
            facts.is_leaving.store(true, Ordering::Relaxed);
            pool.retire(facts.member.number());
            break;
        }
        wake = first(idle.map(|idle| since.unwrap_or(now) + idle), end);
    }
    std::future::pending::<()>().await;
}

/// The earlier of two moments.
pub(super) fn first(a: Option<Instant>, b: Option<Instant>) -> Option<Instant> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}

/// The shorter of two times.
pub(super) fn shorter(a: Option<Duration>, b: Option<Duration>) -> Option<Duration> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}

/// An exchange that failed.
#[derive(Debug)]
pub(super) struct Failed {
    pub(super) error: SendError,
    /// What is still whole of the request's body, if it may be sent again: nothing of the request was sent, or the
    /// connection was one that had been idle and the method says that it does no harm.
    pub(super) again: Option<Body>,
}

/// Sends a request and waits for the head of its response.
pub(super) async fn exchange(
    mut idle: Idle,
    is_reused: bool,
    address: SocketAddr,
    head: &request::Parts,
    body: Body,
) -> Result<(Response<Incoming>, Idle), Failed> {
    let request = match head_of(head) {
        Ok(request) => request,
        Err(error) => {
            return Err(Failed { error, again: None });
        }
    };
    let facts = Arc::clone(&idle.facts);
    facts.requests.fetch_add(1, Ordering::Relaxed);
    let is_empty = body.is_end_stream();
    let state = if is_empty {
        upload::DONE
    } else {
        upload::WHOLE
    };
    facts.upload.store(state, Ordering::Relaxed);
    let is_counted = body.size_hint().exact().is_some();
    let upload = Upload {
        body,
        facts: (!is_empty).then(|| Arc::clone(&facts)),
    };
    let (mut head_parts, ()) = request.into_parts();
    if !is_empty && !is_counted && !head_parts.headers.contains_key(header::CONTENT_LENGTH) {
        // Of some methods the codec takes such a body for none, and what was sent would be lost.
        head_parts
            .headers
            .insert(header::TRANSFER_ENCODING, CHUNKED);
    }
    let request = Request::from_parts(head_parts, upload);
    match idle.sender.try_send_request(request).await {
        Ok(response) => Ok((response, idle)),
        Err(mut error) => {
            let unsent = error.take_message().map(|request| request.into_body().body);
            let error = error.into_error();
            // The endpoint may have acted on it. RFC 9110 §9.2.2 allows to repeat what is idempotent all the same where the
            // connection broke, and RFC 9112 §9.3.1 has idle ones closed at any moment. A body is not there any more.
            let is_stale = is_reused && is_empty && head.method.is_idempotent() && is_end(&error);
            let sent = unsent.is_none();
            Err(Failed {
                error: fault(address, error, &facts, sent),
                again: unsent.or(is_stale.then_some(Body::Empty)),
            })
        }
    }
}

/// Whether an error is that the connection ended.
fn is_end(error: &hyper::Error) -> bool {
    !error.is_parse() && !error.is_user() && !error.is_timeout()
}

fn fault(address: SocketAddr, error: hyper::Error, facts: &Facts, sent: bool) -> SendError {
    if let Some(broken) = facts.broken.lock().take() {
        return SendError::Request(broken);
    }
    let is_parse = error.is_parse() || error.is_parse_too_large();
    let source = Cause::Http1(error);
    if is_parse {
        SendError::Protocol { address, source }
    } else {
        SendError::Closed {
            address,
            sent,
            source,
        }
    }
}

/// What it means that a response's body broke off.
pub(super) fn late_fault(address: SocketAddr, error: hyper::Error, idle: &Idle) -> SendError {
    fault(address, error, &idle.facts, true)
}

/// The head as HTTP/1.1 writes it: the path alone, and a Host.
fn head_of(head: &request::Parts) -> Result<Request<()>, SendError> {
    let mut request = Request::new(());
    *request.version_mut() = Version::HTTP_11;
    *request.headers_mut() = head.headers.clone();
    request.method_mut().clone_from(&head.method);
    if head.uri.authority().is_some() || head.uri.scheme().is_some() {
        let mut parts = http::uri::Parts::default();
        parts.path_and_query = head.uri.path_and_query().cloned();
        *request.uri_mut() = Uri::from_parts(parts).map_err(|_| SendError::Head("path"))?;
    } else {
        request.uri_mut().clone_from(&head.uri);
    }
    if let Some(authority) = head.uri.authority() {
        let named = request.headers().get(header::HOST);
        if named.is_none_or(|host| host.as_bytes() != authority.as_str().as_bytes()) {
            let host = HeaderValue::from_str(authority.as_str())
                .map_err(|_| SendError::Head("authority"))?;
            request.headers_mut().insert(header::HOST, host);
        }
    } else if !request.headers().contains_key(header::HOST) {
        return Err(SendError::Head("authority"));
    }
    if head.method == Method::CONNECT {
        // It would make a tunnel of the connection, which is nobody's to ask for here.
        return Err(SendError::Head("method"));
    }
    Ok(request)
}

/// A request's body on its way to hyper, which tells the connection how far it has got.
#[derive(Debug)]
pub(super) struct Upload {
    body: Body,
    /// `None`: there is no body.
    facts: Option<Arc<Facts>>,
}

/// The request's body failed; why is in [`Facts`].
#[derive(Debug, thiserror::Error)]
#[error("the request broke off")]
pub(super) struct Broken;

impl HttpBody for Upload {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        let is_end = match &polled {
            Poll::Ready(Some(Ok(_))) => self.body.is_end_stream(),
            Poll::Ready(None) => true,
            Poll::Ready(Some(Err(_))) | Poll::Pending => false,
        };
        if let Some(facts) = &self.facts {
            let state = if is_end { upload::DONE } else { upload::BEGUN };
            facts.upload.store(state, Ordering::Relaxed);
        }
        polled.map(|frame| {
            frame.map(|result| {
                result.map_err(|error| {
                    if let Some(facts) = &self.facts {
                        *facts.broken.lock() = Some(error);
                    }
                    Broken
                })
            })
        })
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests;
