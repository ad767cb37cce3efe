//! Requests over one connection to a control plane.
//!
//! In: a byte stream. Out: a service that the generated clients use. Never: opens a second connection; when
//! this one has ended, every request says so and its user connects again.
//!
//! **Tasks**: those of one connection, which move its frames. They end when the connection does, and when the
//! last [`Channel`] and the last [`Answer`] are dropped, even if a request's body never ends.

use std::{
    fmt,
    path::PathBuf,
    pin::{Pin, pin},
    sync::{Arc, OnceLock},
    task::{Context, Poll},
    time::Duration,
};

use http::{
    HeaderMap, HeaderValue, Request, Response, Uri,
    header::{AUTHORIZATION, HeaderName},
    uri::PathAndQuery,
};
use hyper::{
    body::{Bytes, Frame, Incoming, SizeHint},
    client::conn::http2::{Builder, SendRequest},
    rt::Executor,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    sync::{oneshot, watch},
    time::timeout,
};
use tonic::{Code, Status, body::Body};

use crate::{
    ConnectError, Endpoint, TokenError,
    connect::{Stream, Target},
    status, token,
};

/// Unread bytes of one stream: a push of many resources need not wait for each round trip, and this is all
/// that a slow reader makes us hold. Source: Istio HBONE's values.
const STREAM_WINDOW: u32 = 4 << 20;

/// The same for the connection.
const CONNECTION_WINDOW: u32 = 16 << 20;

/// The largest frame that we take: fewer, larger pieces of a large push.
const MAX_FRAME: u32 = 1 << 20;

/// The most bytes of an answer's headers.
const MAX_HEADER_BYTES: u32 = 16 << 10;

/// The most bytes of ours that wait for one stream's window.
const MAX_SEND_BUFFER: usize = 1 << 20;

/// How often a connection with an open request is probed: a peer that vanished without a word must be noticed. Servers
/// written in Go take more than one probe in 15 s, or one on an idle connection, for an attack. Source: Istio's ztunnel.
const PING_INTERVAL: Duration = Duration::from_secs(30);

/// How long the answer to a probe may take.
const PING_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a connection that nobody uses any more may take to say goodbye.
const CLOSE_TIME: Duration = Duration::from_secs(1);

/// Names the cluster of a request. Source: Istio agents.
const CLUSTER: HeaderName = HeaderName::from_static("clusterid");

/// One connection to a control plane. Clones share it; it closes when all of them and all answers are dropped.
#[derive(Clone)]
pub struct Channel {
    sender: SendRequest<Body>,
    shared: Arc<Shared>,
}

struct Shared {
    target: Target,
    token: Option<PathBuf>,
    /// All that does not change between requests.
    headers: HeaderMap,
    /// Why the connection ended; set once it has.
    ended: OnceLock<String>,
    /// Its end tells the task that nobody uses the connection.
    _used: oneshot::Sender<()>,
}

/// Why a request got no answer. It is the source of the [`Status`] that a client sees.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// There is no token to send.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// The cluster's name cannot be sent, or the request's path.
    #[error("request has {part} that cannot be sent")]
    Request {
        /// Which part.
        part: &'static str,
    },
    /// The connection is gone.
    #[error("connection to {address} has ended: {reason}")]
    Ended {
        /// Where to.
        address: String,
        /// What ended it.
        reason: String,
    },
    /// The connection broke under the request, or the server refused it.
    #[error("request to {address} failed")]
    Failed {
        /// Where to.
        address: String,
        /// Why.
        #[source]
        source: hyper::Error,
    },
}

impl From<CallError> for Status {
    fn from(error: CallError) -> Self {
        let code = match &error {
            CallError::Token(_) => Code::Unauthenticated,
            CallError::Request { .. } => Code::Internal,
            CallError::Ended { .. } | CallError::Failed { .. } => Code::Unavailable,
        };
        let mut status = Self::new(code, status::chain(&error));
        status.set_source(Arc::new(error));
        status
    }
}

/// Starts HTTP/2 over a stream.
pub(crate) async fn start(
    stream: Box<dyn Stream>,
    target: Target,
    endpoint: &Endpoint,
) -> Result<Channel, ConnectError> {
    let mut headers = HeaderMap::new();
    if !endpoint.cluster.is_empty() {
        let value =
            HeaderValue::from_str(&endpoint.cluster).map_err(|_| ConnectError::Cluster {
                cluster: endpoint.cluster.clone(),
            })?;
        headers.insert(CLUSTER, value);
    }
    for (name, value) in &endpoint.headers {
        headers.insert(name.clone(), value.clone());
    }
    let (cut, tasks) = Tasks::new();
    let (sender, connection) = Builder::new(tasks)
        .timer(TokioTimer::new())
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_frame_size(MAX_FRAME)
        .max_header_list_size(MAX_HEADER_BYTES)
        .max_send_buf_size(MAX_SEND_BUFFER)
        .keep_alive_interval(PING_INTERVAL)
        .keep_alive_timeout(PING_TIMEOUT)
        .keep_alive_while_idle(false)
        .handshake(TokioIo::new(stream))
        .await
        .map_err(|source| ConnectError::Http2 {
            host: target.authority.to_string(),
            source,
        })?;
    let (used, unused) = oneshot::channel();
    let shared = Arc::new(Shared {
        target,
        token: endpoint.token.clone(),
        headers,
        ended: OnceLock::new(),
        _used: used,
    });
    let reason = Arc::downgrade(&shared);
    tokio::spawn(async move {
        let mut unused = pin!(unused);
        // Dropped when it has ended: requests that it holds then learn of it.
        let end = {
            let mut connection = pin!(connection);
            tokio::select! {
                end = &mut connection => Some(end),
                _ = &mut unused => None,
            }
        };
        if let Some(end) = end {
            if let Some(shared) = reason.upgrade() {
                let ended = match end {
                    Ok(()) => "the server closed it, or did not answer".to_owned(),
                    Err(error) => status::chain(&error),
                };
                shared.ended.get_or_init(|| ended);
            }
            // The channels may be gone while an answer is still read.
            let _nobody = unused.await;
        }
        // Without open requests it ends by itself; a request that never ends must not hold it.
        if timeout(CLOSE_TIME, cut.closed()).await.is_err() {
            tracing::debug!("connection to the control plane cut: a request had not ended");
        }
    });
    Ok(Channel { sender, shared })
}

/// Runs the tasks of one connection, so that all can be ended with it.
#[derive(Clone)]
struct Tasks(watch::Receiver<()>);

impl Tasks {
    /// The sender's end ends them; it is [`closed`](watch::Sender::closed) when all have ended.
    fn new() -> (watch::Sender<()>, Self) {
        let (cut, tasks) = watch::channel(());
        (cut, Self(tasks))
    }
}

impl<F: Future<Output = ()> + Send + 'static> Executor<F> for Tasks {
    fn execute(&self, task: F) {
        let mut tasks = self.0.clone();
        tokio::spawn(async move {
            tokio::select! {
                () = task => {}
                _cut = tasks.changed() => {}
            }
        });
    }
}

impl Channel {
    /// Whether a request would still be sent; what happens to it is another matter.
    #[must_use]
    pub fn is_open(&self) -> bool {
        !self.sender.is_closed() && self.shared.ended.get().is_none()
    }

    /// The address that requests go to, for messages.
    #[must_use]
    pub fn address(&self) -> String {
        self.shared.target.to_string()
    }

    /// What a broken request is to be called.
    fn failure(&self, error: hyper::Error) -> CallError {
        let address = self.address();
        match self.shared.ended.get() {
            Some(reason) => CallError::Ended {
                address,
                reason: reason.clone(),
            },
            None if error.is_canceled() || error.is_closed() => CallError::Ended {
                address,
                reason: status::chain(&error),
            },
            None => CallError::Failed {
                address,
                source: error,
            },
        }
    }

    /// Sends one request.
    async fn send(mut self, mut request: Request<Body>) -> Result<Response<Answer>, CallError> {
        let shared = Arc::clone(&self.shared);
        let path = request.uri().path_and_query().cloned();
        *request.uri_mut() = Uri::builder()
            .scheme(shared.target.scheme.clone())
            .authority(shared.target.authority.clone())
            .path_and_query(path.unwrap_or_else(|| PathAndQuery::from_static("/")))
            .build()
            .map_err(|_| CallError::Request { part: "a path" })?;
        if let Some(path) = &shared.token {
            let token = token::read(path).await?;
            request.headers_mut().insert(AUTHORIZATION, token);
        }
        for (name, value) in &shared.headers {
            request.headers_mut().insert(name.clone(), value.clone());
        }
        if let Err(error) = self.sender.ready().await {
            return Err(self.failure(error));
        }
        match self.sender.send_request(request).await {
            Ok(answer) => Ok(answer.map(|body| Answer {
                body,
                _shared: shared,
            })),
            Err(error) => Err(self.failure(error)),
        }
    }
}

impl tower_service::Service<Request<Body>> for Channel {
    type Response = Response<Answer>;
    /// Its [`source`](std::error::Error::source) is a [`CallError`].
    type Error = Status;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Status>> + Send>>;

    /// Always ready: a request waits inside its own future.
    fn poll_ready(&mut self, _context: &mut Context<'_>) -> Poll<Result<(), Status>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let channel = self.clone();
        Box::pin(async move { channel.send(request).await.map_err(Status::from) })
    }
}

/// The body of an answer; while it is read, the connection stays.
pub struct Answer {
    body: Incoming,
    _shared: Arc<Shared>,
}

impl hyper::body::Body for Answer {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Answer").finish_non_exhaustive()
    }
}

impl fmt::Debug for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Channel")
            .field("address", &self.address())
            .field("open", &self.is_open())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
