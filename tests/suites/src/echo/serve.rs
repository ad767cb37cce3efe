//! Connections, and what all of them share.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body::Body as _;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use parking_lot::Mutex;
use socket2::SockRef;
use tokio::sync::{Notify, watch};

use super::body::Body;
use super::seen::{MAX_SEEN, Seen};
use super::switches::{Fault, Switches};
use super::{grpc, paths};

/// The largest head that is taken: more than any proxy before it lets through.
const MAX_HEAD_BYTES: u32 = 512 * 1024;

/// What all connections share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) pod: String,
    pub(super) switches: Mutex<Switches>,
    pub(super) requests: AtomicU64,
    pub(super) active: AtomicU64,
    pub(super) most_active: AtomicU64,
    pub(super) checks: AtomicU64,
    pub(super) connections: AtomicU64,
    pub(super) open: AtomicU64,
    seen: Mutex<VecDeque<Seen>>,
    /// Moves on when every connection is to be reset.
    epoch: watch::Sender<u64>,
}

impl Shared {
    pub(super) fn new(pod: &str) -> Self {
        Self {
            pod: pod.to_owned(),
            switches: Mutex::default(),
            requests: AtomicU64::new(0),
            active: AtomicU64::new(0),
            most_active: AtomicU64::new(0),
            checks: AtomicU64::new(0),
            connections: AtomicU64::new(0),
            open: AtomicU64::new(0),
            seen: Mutex::default(),
            epoch: watch::Sender::new(0),
        }
    }

    pub(super) fn cut_all(&self) {
        self.epoch.send_modify(|epoch| *epoch += 1);
    }

    pub(super) fn last(&self, count: usize) -> Vec<Seen> {
        let seen = self.seen.lock();
        let skip = seen.len().saturating_sub(count);
        seen.iter().skip(skip).cloned().collect()
    }

    pub(super) fn forget(&self) {
        let mut seen = self.seen.lock();
        seen.clear();
        for counter in [
            &self.requests,
            &self.most_active,
            &self.checks,
            &self.connections,
        ] {
            counter.store(0, Ordering::SeqCst);
        }
    }

    fn remember(&self, request: Seen) {
        let mut seen = self.seen.lock();
        if seen.len() == MAX_SEEN {
            seen.pop_front();
        }
        seen.push_back(request);
        self.requests.fetch_add(1, Ordering::SeqCst);
    }

    fn enter(self: &Arc<Self>) -> Active {
        let now = self.active.fetch_add(1, Ordering::SeqCst) + 1;
        self.most_active.fetch_max(now, Ordering::SeqCst);
        Active(Arc::clone(self))
    }
}

/// A request that is being answered.
struct Active(Arc<Shared>);

impl Drop for Active {
    fn drop(&mut self) {
        self.0.active.fetch_sub(1, Ordering::SeqCst);
    }
}

/// An open connection.
struct Open(Arc<Shared>);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Accepts until its task is aborted; connections are tasks of their own.
pub(super) async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    let Ok(listener) = tokio::net::TcpListener::from_std(listener) else {
        return;
    };
    loop {
        match listener.accept().await {
            Ok((stream, client)) => {
                shared.connections.fetch_add(1, Ordering::SeqCst);
                shared.open.fetch_add(1, Ordering::SeqCst);
                let open = Open(Arc::clone(&shared));
                tokio::spawn(async move {
                    // A connection that breaks is what the suites look for, at its other end.
                    let _ = serve(stream, client, &open.0).await;
                    drop(open);
                });
            }
            // Out of descriptors for a moment.
            Err(_) => tokio::time::sleep(Duration::from_millis(5)).await,
        }
    }
}

async fn serve(
    stream: tokio::net::TcpStream,
    client: SocketAddr,
    shared: &Arc<Shared>,
) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let stream = stream.into_std()?;
    let socket = stream.try_clone()?;
    let stream = tokio::net::TcpStream::from_std(stream)?;
    let reset = Arc::new(Notify::new());
    let mut epoch = shared.epoch.subscribe();
    let service = service_fn(|request| {
        let (shared, reset) = (Arc::clone(shared), Arc::clone(&reset));
        async move { Ok::<_, Infallible>(answer(&shared, client, &reset, request).await) }
    });
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .max_buf_size(usize::try_from(MAX_HEAD_BYTES).unwrap_or(usize::MAX));
    builder
        .http2()
        .max_header_list_size(MAX_HEAD_BYTES)
        .max_concurrent_streams(10_000);
    let mut serving = Box::pin(builder.serve_connection(TokioIo::new(stream), service));
    tokio::select! {
        // Refused requests are answered by hyper.
        _ = &mut serving => {}
        () = reset.notified() => reset_on_close(&socket)?,
        _ = epoch.changed() => reset_on_close(&socket)?,
    }
    drop(serving);
    drop(socket);
    Ok(())
}

/// RST in the place of FIN, when the last descriptor goes.
fn reset_on_close(socket: &TcpStream) -> std::io::Result<()> {
    SockRef::from(socket).set_linger(Some(Duration::ZERO))
}

async fn answer(
    shared: &Arc<Shared>,
    client: SocketAddr,
    reset: &Notify,
    request: Request<Incoming>,
) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let mut response = if paths::is_check(&parts) {
        shared.checks.fetch_add(1, Ordering::SeqCst);
        let sick = shared.switches.lock().sick;
        paths::check(&parts, sick)
    } else {
        let seen = Seen::new(&parts, client);
        shared.remember(seen.clone());
        let active = shared.enter();
        let (fault, header, delay) = {
            let mut switches = shared.switches.lock();
            (switches.next(), switches.header, switches.delay)
        };
        if !delay.is_zero() {
            tokio::time::sleep(delay).await;
        }
        let response = match fault {
            None => paths::answer(shared, seen, &parts, body).await,
            Some(Fault::Status(status)) => {
                paths::drain(&seen, body).await;
                paths::failed(status, header)
            }
            Some(Fault::Grpc(status)) => {
                paths::drain(&seen, body).await;
                grpc::failed(status, header)
            }
            Some(Fault::Reset) => {
                reset.notify_one();
                std::future::pending().await
            }
        };
        drop(active);
        response
    };
    if let Ok(pod) = shared.pod.parse() {
        response.headers_mut().insert("x-pod", pod);
    }
    // hyper leaves it to the service to send no body in HTTP/2.
    let bodiless = [StatusCode::NO_CONTENT, StatusCode::NOT_MODIFIED];
    if bodiless.contains(&response.status()) {
        *response.body_mut() = Body::Whole(None);
    } else if parts.method == Method::HEAD {
        if let Some(length) = response.body().size_hint().exact() {
            let headers = response.headers_mut();
            headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
        }
        *response.body_mut() = Body::Whole(None);
    }
    response
}
