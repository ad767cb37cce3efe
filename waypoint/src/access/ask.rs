//! A question of our own to a backend of the mesh: of an authorizer, of a rate limiter, for the keys of tokens.
//!
//! In: a backend, a request whose body is at hand, how long all of it may take. Out: the answer. Never: speaks for a client:
//! what is asked goes out under the waypoint's own identity; asks again what somebody may have acted on.
//!
//! What is sent, how an endpoint is chosen and what is judged of it is the backend's affair ([`crate::upstream`]), so its policy
//! (limits, ejection, versions of HTTP) holds here as for requests. A question that no endpoint has looked at goes to another one,
//! [`MAX_TRIES`] in all. **Where all endpoints are left out, one is asked all the same**: what has them ejected may be the doing of a client, and
//! whoever asks must not take that for an outage.
//!
//! Connections belong to workers: [`http()`], [`whole`] and [`Grpc`] are to be used on the thread of the `worker` that they
//! are given, which is where requests are served. [`in_background`] may be called from anywhere.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode, header::HOST, request};
use http_body_util::{BodyExt as _, Limited};
use mesh::route::Backend;
use tokio::time::{Instant, timeout_at};

use crate::{
    body::{Body, BodyError},
    proxy::Proxy,
    request::head::Named,
    upstream::{Ask, Cluster, NoHost, Overflow, SendError, Worker},
};

mod grpc;
mod held;

pub use grpc::Grpc;
use held::Held;

/// How many endpoints are tried. Reason: one that has just gone is often one of a few; a backend that is down is to be found
/// out soon.
pub const MAX_TRIES: usize = 3;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// The mesh has no such backend.
    #[error("port {port} of {service} is not known")]
    Unknown {
        /// `<namespace>/<hostname>`.
        service: String,
        /// The port.
        port: u16,
    },
    /// It has no endpoint that may be asked.
    #[error(transparent)]
    NoHost(#[from] NoHost),
    /// A limit of its connection pool.
    #[error(transparent)]
    Overflow(#[from] Overflow),
    /// Its connections are all in use, and none came free in time.
    #[error("no connection came free within {} ms", .0.as_millis())]
    NoRoom(Duration),
    /// It was asked and did not answer.
    #[error(transparent)]
    Send(#[from] SendError),
    /// It is asked by gRPC, and answers with a status of HTTP that gRPC does not have.
    #[error("status is {0}, and gRPC has 200")]
    Status(StatusCode),
    /// It did not answer in time, or not to the end.
    #[error("no answer within {} ms", .0.as_millis())]
    TimedOut(Duration),
    /// gRPC is asked of a port that speaks HTTP/1.1.
    #[error("{0} is declared as HTTP/1.1, and gRPC needs HTTP/2")]
    NotHttp2(Arc<str>),
    /// The answer has begun and broke off.
    #[error("the answer broke off")]
    Body(#[source] BodyError),
    /// The answer is longer than anyone reads.
    #[error("the answer has more than {0} bytes")]
    TooLong(usize),
    /// What is to be asked could not be put together.
    #[error("the question broke off")]
    Question(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The worker has gone, as the process ends.
    #[error("the worker ended")]
    Ended,
}

/// Asks by HTTP. The version is what the backend's port is declared to speak, else the `request`'s. The authority is that of
/// the request's target, else its `host`, else the backend's `<hostname>:<port>`. `timeout` is for all of the answer: one whose body
/// goes on after it breaks off with [`BodyError::Filter`].
///
/// # Errors
/// When there is no answer. Any status is one.
pub async fn http(
    proxy: &Proxy,
    worker: &Arc<Worker>,
    backend: &Backend,
    request: Request<Bytes>,
    timeout: Duration,
) -> Result<Response<Body>, AskError> {
    let cluster = cluster(proxy, backend)?;
    let (mut head, body) = request.into_parts();
    name(&mut head, backend);
    exchange(&cluster, worker, &head, &body, timeout).await
}

/// The same, with the whole body of the answer.
///
/// # Errors
/// The same, and when the answer has more than `max_bytes`, or breaks off.
pub async fn whole(
    proxy: &Proxy,
    worker: &Arc<Worker>,
    backend: &Backend,
    request: Request<Bytes>,
    timeout: Duration,
    max_bytes: usize,
) -> Result<Response<Bytes>, AskError> {
    let response = http(proxy, worker, backend, request, timeout).await?;
    let (head, body) = response.into_parts();
    let body = collect(body, timeout, max_bytes).await?;
    Ok(Response::from_parts(head, body))
}

/// The same, from any thread: the first worker asks. Dropping the future does not end the question, its time does.
///
/// # Errors
/// The same.
pub async fn in_background(
    proxy: &Arc<Proxy>,
    backend: Backend,
    request: Request<Bytes>,
    timeout: Duration,
    max_bytes: usize,
) -> Result<Response<Bytes>, AskError> {
    let thread = proxy.workers.nth(0);
    // Not the thread's own, which only the thread can reach. What it connects is in the cluster's pool, which hears of revocations.
    let worker = Worker::new(
        thread.index(),
        Arc::clone(&proxy.hbone),
        proxy.draining.clone(),
    );
    let proxy = Arc::clone(proxy);
    let asking = async move { whole(&proxy, &worker, &backend, request, timeout, max_bytes).await };
    thread.spawn(asking).await.map_err(|_| AskError::Ended)?
}

fn cluster(proxy: &Proxy, backend: &Backend) -> Result<Arc<Cluster>, AskError> {
    let cluster = proxy.clusters.get(backend);
    cluster.ok_or_else(|| AskError::Unknown {
        service: backend.service.to_string(),
        port: backend.port,
    })
}

/// Gives a head that names nobody the backend's name.
fn name(head: &mut request::Parts, backend: &Backend) {
    if !Named::of(&head.uri, &head.headers).as_str().is_empty() {
        return;
    }
    let name = format!("{}:{}", backend.service.hostname, backend.port);
    // A hostname of the mesh has no byte that a header may not have.
    if let Ok(name) = HeaderValue::try_from(name) {
        head.headers.insert(HOST, name);
    }
}

/// Sends a question to one endpoint after the other, until one has looked at it.
async fn exchange(
    cluster: &Arc<Cluster>,
    worker: &Arc<Worker>,
    head: &request::Parts,
    body: &Bytes,
    timeout: Duration,
) -> Result<Response<Body>, AskError> {
    let end = Instant::now() + timeout;
    let late = || {
        cluster.stats().upstream_rq_timeout.increment();
        AskError::TimedOut(timeout)
    };
    let permit = cluster.request()?;
    timeout_at(end, cluster.warmed())
        .await
        .map_err(|_| late())?;
    let mut tried = Vec::new();
    loop {
        let pick = cluster.pick(&Ask {
            tried: &tried,
            ..Ask::default()
        });
        let pick = match pick {
            Ok(pick) => pick,
            Err(nobody) => cluster.pick_left_out(&tried).ok_or(nobody)?,
        };
        let host = Arc::clone(pick.host());
        let mut reached = None;
        let body = Body::Full(body.clone());
        let sending = cluster.send_noting(worker.itself(), pick, head, body, &mut reached);
        match timeout_at(end, sending).await {
            Ok(Ok(sent)) => {
                let hold = |body| Body::boxed(Held::new(body, permit, end, timeout));
                return Ok(sent.response.map(hold));
            }
            Ok(Err(error)) if tried.len() + 1 < MAX_TRIES && is_untouched(&error) => {
                tracing::debug!(cluster = %cluster.name(), %error, "asking another endpoint");
                tried.push(host);
            }
            Ok(Err(error)) => return Err(error.into()),
            Err(_elapsed) => {
                let late = late();
                match reached {
                    // Most of the time went by in the pool, before the endpoint was asked: any flood brings that about.
                    Some(since)
                        if end.duration_since(since) < timeout / 2 && host.is_connected() =>
                    {
                        return Err(AskError::NoRoom(timeout));
                    }
                    Some(_) => cluster.timed_out(&host),
                    None if host.is_connected() => return Err(AskError::NoRoom(timeout)),
                    None => {}
                }
                return Err(late);
            }
        }
    }
}

/// Whether no endpoint has looked at the question.
fn is_untouched(error: &SendError) -> bool {
    error.is_connect_failure() || error.is_refused_stream()
}

/// All of an answer's body, as [`whole`] reads it.
///
/// # Errors
/// When it has more than `max_bytes`, or breaks off. `timeout` is for words only: the body of [`http()`] ends by itself.
pub async fn collect(body: Body, timeout: Duration, max_bytes: usize) -> Result<Bytes, AskError> {
    match Limited::new(body, max_bytes).collect().await {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) => Err(match error.downcast::<BodyError>() {
            Ok(error) => broken(*error, timeout),
            // The one other error of `Limited`.
            Err(_length) => AskError::TooLong(max_bytes),
        }),
    }
}

/// Whether the body of an answer broke off because its time was over.
#[must_use]
pub fn is_late(error: &BodyError) -> bool {
    match error {
        BodyError::Filter(reason) => reason.is::<held::Late>(),
        BodyError::Downstream(_) | BodyError::Upstream(_) => false,
    }
}

/// Why an answer is not whole.
fn broken(error: BodyError, timeout: Duration) -> AskError {
    if is_late(&error) {
        AskError::TimedOut(timeout)
    } else {
        AskError::Body(error)
    }
}
