//! The accept loop that the endpoints share, and its limits.
//!
//! A client can cost no more than its connection: heads and bodies are bounded in size, a connection in time,
//! all connections in number. At the limit the oldest one is closed for the new one, so that idle or slow
//! clients, however many, never keep a probe or a scrape from being answered.

use std::{collections::VecDeque, convert::Infallible, time::Duration};

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::{
    body::{Body as _, Incoming},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    net::{TcpListener, TcpStream},
    task::{AbortHandle, JoinSet},
    time,
};

/// How many connections an endpoint serves at once.
pub(crate) const MAX_CONNECTIONS: usize = 64;

/// The largest request head. Units: bytes. Hyper's least.
const MAX_HEAD_BYTES: usize = 8192;

/// The most header fields of a request.
const MAX_HEADERS: usize = 64;

/// The largest request body. No request needs one; some clients send one. Units: bytes.
const MAX_BODY_BYTES: usize = 64 * 1024;

/// How long a client may take to send its request head.
const TIMEOUT_HEAD: Duration = Duration::from_secs(5);

/// How long a connection may take in all; Prometheus gives a scrape as long.
const TIMEOUT_CONNECTION: Duration = Duration::from_secs(10);

/// How long to wait when the process is out of file descriptors.
const ACCEPT_BACKOFF: Duration = Duration::from_millis(100);

/// A whole answer.
pub type Answer = Response<Full<Bytes>>;

/// What answers the requests of an endpoint. Bodies are read and thrown away before it is asked.
pub trait Handler: Clone + Send + Sync + 'static {
    /// Answers one request.
    fn answer(&self, request: Request<()>) -> impl Future<Output = Answer> + Send;
}

/// Serves until it is dropped.
pub async fn serve<H: Handler>(
    listener: TcpListener,
    endpoint: &'static str,
    handler: H,
) -> Infallible {
    let mut connections = JoinSet::new();
    let mut oldest_first: VecDeque<AbortHandle> = VecDeque::new();
    loop {
        let stream = tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => stream,
                Err(error) => {
                    tracing::warn!(endpoint, %error, "a connection could not be accepted");
                    time::sleep(ACCEPT_BACKOFF).await;
                    continue;
                }
            },
            Some(_) = connections.join_next() => continue,
        };
        oldest_first.retain(|connection| !connection.is_finished());
        if oldest_first.len() >= MAX_CONNECTIONS
            && let Some(oldest) = oldest_first.pop_front()
        {
            oldest.abort();
        }
        oldest_first.push_back(connections.spawn(connection(stream, handler.clone())));
    }
}

async fn connection<H: Handler>(stream: TcpStream, handler: H) {
    let service = service_fn(|request| {
        let handler = handler.clone();
        async move { Ok::<_, Infallible>(respond(request, handler).await) }
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(TIMEOUT_HEAD)
        .max_buf_size(MAX_HEAD_BYTES)
        .max_headers(MAX_HEADERS)
        // A connection that waits for its next request is one that can be used to keep others out.
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), service);
    // Neither a client that went away nor one that was too slow is anybody's problem but its own.
    let _ = time::timeout(TIMEOUT_CONNECTION, served).await;
}

async fn respond<H: Handler>(request: Request<Incoming>, handler: H) -> Answer {
    let (head, body) = request.into_parts();
    // Read whole: an answer that overtakes the body can be lost in the reset that follows it.
    let announced = body.size_hint().lower();
    if announced > MAX_BODY_BYTES as u64
        || Limited::new(body, MAX_BODY_BYTES).collect().await.is_err()
    {
        return text(
            StatusCode::PAYLOAD_TOO_LARGE,
            "the request body could not be read or is too large\n",
        );
    }
    handler.answer(Request::from_parts(head, ())).await
}

/// An answer of plain text.
#[must_use]
pub fn text(status: StatusCode, body: impl Into<Bytes>) -> Answer {
    of_type(status, "text/plain; charset=utf-8", body)
}

/// An answer of some content type.
#[must_use]
pub fn of_type(status: StatusCode, content_type: &'static str, body: impl Into<Bytes>) -> Answer {
    let mut answer = Response::new(Full::new(body.into()));
    *answer.status_mut() = status;
    answer.headers_mut().insert(
        header::CONTENT_TYPE,
        header::HeaderValue::from_static(content_type),
    );
    answer
}

/// The answer to a path that is not served.
#[must_use]
pub fn not_found() -> Answer {
    text(StatusCode::NOT_FOUND, "not found\n")
}

/// The answer to a method that a path does not have; `allowed` lists those that it has.
#[must_use]
pub fn wrong_method(allowed: &'static str) -> Answer {
    let mut answer = text(
        StatusCode::METHOD_NOT_ALLOWED,
        format!("method not allowed: use {allowed}\n"),
    );
    answer
        .headers_mut()
        .insert(header::ALLOW, header::HeaderValue::from_static(allowed));
    answer
}

/// Whether a request only reads.
#[must_use]
pub fn reads(method: &Method) -> bool {
    *method == Method::GET || *method == Method::HEAD
}
