//! A server that answers as a function says.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::fmt;
use std::net::{SocketAddr, TcpListener};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use anyhow::Result;
use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body::Frame;
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use lab::Pod;
use parking_lot::Mutex;
use tokio::sync::watch;

use crate::listeners::Listeners;

/// How many questions are remembered.
const MAX_QUESTIONS: usize = 10_000;

/// What was asked: a request with its whole body.
#[derive(Clone, Debug)]
pub struct Question {
    /// Where it came from.
    pub client: SocketAddr,
    /// It.
    pub request: Request<Bytes>,
}

impl Question {
    /// The first value of a header; empty where it is not there or no text.
    pub fn header(&self, name: &str) -> &str {
        let value = self.request.headers().get(name);
        value.and_then(|it| it.to_str().ok()).unwrap_or_default()
    }
}

/// An answer: a body, perhaps trailers.
#[derive(Debug, Default)]
pub struct Answer {
    /// All of it.
    pub body: Bytes,
    /// After it.
    pub trailers: Option<HeaderMap>,
}

impl From<String> for Answer {
    fn from(text: String) -> Self {
        Self {
            body: text.into(),
            trailers: None,
        }
    }
}

impl http_body::Body for Answer {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let body = std::mem::take(&mut self.body);
        if !body.is_empty() {
            return Poll::Ready(Some(Ok(Frame::data(body))));
        }
        Poll::Ready(self.trailers.take().map(|it| Ok(Frame::trailers(it))))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_empty() && self.trailers.is_none()
    }
}

type Says = Box<dyn Fn(&Question) -> Response<Answer> + Send + Sync>;

struct Shared {
    says: Mutex<Arc<Says>>,
    delay: Mutex<Duration>,
    held: watch::Sender<bool>,
    /// Counts [`Answerer::crash`]es.
    crashes: watch::Sender<u64>,
    asked: Mutex<VecDeque<Question>>,
}

/// A running server, on IPv4 and IPv6. Dropping it ends it and its connections.
pub struct Answerer {
    shared: Arc<Shared>,
    listeners: Listeners,
}

impl fmt::Debug for Answerer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Answerer")
            .field("listeners", &self.listeners)
            .finish_non_exhaustive()
    }
}

impl Answerer {
    /// Starts it; it answers when this returns.
    ///
    /// # Errors
    ///
    /// When the port is taken or the thread cannot be started.
    pub fn start(
        pod: &Arc<Pod>,
        port: u16,
        says: impl Fn(&Question) -> Response<Answer> + Send + Sync + 'static,
    ) -> Result<Self> {
        let shared = Arc::new(Shared {
            says: Mutex::new(Arc::new(Box::new(says))),
            delay: Mutex::default(),
            held: watch::Sender::new(false),
            crashes: watch::Sender::new(0),
            asked: Mutex::default(),
        });
        let for_all = Arc::clone(&shared);
        let listeners = Listeners::open(pod, &[port], move |listener| {
            accept(listener, Arc::clone(&for_all))
        })?;
        Ok(Self { shared, listeners })
    }

    /// Answers otherwise from now on.
    pub fn say(&self, says: impl Fn(&Question) -> Response<Answer> + Send + Sync + 'static) {
        *self.shared.says.lock() = Arc::new(Box::new(says));
    }

    /// How long every answer waits.
    pub fn delay(&self, delay: Duration) {
        *self.shared.delay.lock() = delay;
    }

    /// Holds every answer back, until this is called with `false`. What was asked is remembered at once.
    pub fn hold(&self, held: bool) {
        self.shared.held.send_replace(held);
    }

    /// What was asked, oldest first, since it started or [`Answerer::forget`].
    pub fn asked(&self) -> Vec<Question> {
        self.shared.asked.lock().iter().cloned().collect()
    }

    /// Forgets what was asked.
    pub fn forget(&self) {
        self.shared.asked.lock().clear();
    }

    /// Closes its port: new connections are refused, those that are open go on.
    pub fn stop_listening(&self) {
        self.listeners.close();
    }

    /// The same, and connections that are open end, as those of a process that is killed.
    pub fn crash(&self) {
        self.stop_listening();
        self.shared.crashes.send_modify(|count| *count += 1);
    }

    /// Opens its port, if it is closed.
    ///
    /// # Errors
    ///
    /// When it is taken.
    pub fn listen_again(&self) -> Result<()> {
        self.listeners.open_again()
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    let Ok(listener) = tokio::net::TcpListener::from_std(listener) else {
        return;
    };
    loop {
        let Ok((stream, client)) = listener.accept().await else {
            // Out of descriptors for a moment.
            tokio::time::sleep(Duration::from_millis(5)).await;
            continue;
        };
        let shared = Arc::clone(&shared);
        let mut crashes = shared.crashes.subscribe();
        tokio::spawn(async move {
            let service = service_fn(|request| {
                let shared = Arc::clone(&shared);
                async move { answer(&shared, client, request).await }
            });
            // A connection that breaks is what a test looks for, at its other end.
            let builder = auto::Builder::new(TokioExecutor::new());
            let serving = builder.serve_connection(TokioIo::new(stream), service);
            tokio::select! {
                _ = serving => {}
                _ = crashes.changed() => {}
            }
        });
    }
}

async fn answer(
    shared: &Shared,
    client: SocketAddr,
    request: Request<Incoming>,
) -> Result<Response<Answer>, hyper::Error> {
    let (parts, body) = request.into_parts();
    let body = body.collect().await?.to_bytes();
    let question = Question {
        client,
        request: Request::from_parts(parts, body),
    };
    {
        let mut asked = shared.asked.lock();
        if asked.len() == MAX_QUESTIONS {
            asked.pop_front();
        }
        asked.push_back(question.clone());
    }
    let delay = *shared.delay.lock();
    if !delay.is_zero() {
        tokio::time::sleep(delay).await;
    }
    let mut held = shared.held.subscribe();
    // The sender is as old as the server.
    let _ = held.wait_for(|held| !held).await;
    let says = Arc::clone(&shared.says.lock());
    Ok(says(&question))
}
