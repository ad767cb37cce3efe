//! Backends, and what stands before a client.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
    },
};

use http::{Request, Response, Version};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo};
use parking_lot::Mutex;
use tokio::net::TcpListener;

use super::{Kit, PATIENCE};
use crate::{body::Body, request};

/// The next address of loopback that nobody has, so that endpoints differ in more than their port.
fn loopback() -> SocketAddr {
    static NEXT: AtomicU8 = AtomicU8::new(1);
    let last = NEXT.fetch_add(1, Ordering::Relaxed).max(1);
    SocketAddr::new(IpAddr::V4(Ipv4Addr::new(127, 0, 0, last)), 0)
}

/// An address at which nobody listens.
pub(in crate::request) async fn nobody() -> SocketAddr {
    let listener = TcpListener::bind(loopback()).await.unwrap();
    listener.local_addr().unwrap()
}

/// A backend; an error of `handler` breaks its connection.
pub(in crate::request) async fn backend<F, R>(version: Version, handler: F) -> SocketAddr
where
    F: Fn(Request<Incoming>) -> R + Clone + Send + 'static,
    R: Future<Output = io::Result<Response<Body>>> + Send + 'static,
{
    let listener = TcpListener::bind(loopback()).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((tcp, _)) = listener.accept().await {
            let handler = handler.clone();
            tokio::spawn(async move {
                let service = service_fn(handler);
                let io = TokioIo::new(tcp);
                if version == Version::HTTP_2 {
                    let builder = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
                    drop(builder.serve_connection(io, service).await);
                } else {
                    let builder = hyper::server::conn::http1::Builder::new();
                    drop(builder.serve_connection(io, service).with_upgrades().await);
                }
            });
        }
    });
    address
}

/// Counts calls.
#[derive(Clone, Debug, Default)]
pub(in crate::request) struct Calls(Arc<Mutex<u32>>);

impl Calls {
    /// The number of this one, from 1.
    pub(in crate::request) fn next(&self) -> u32 {
        let mut count = self.0.lock();
        *count += 1;
        *count
    }

    pub(in crate::request) fn count(&self) -> u32 {
        *self.0.lock()
    }

    pub(in crate::request) async fn reach(&self, count: u32) {
        let waiting = async {
            while self.count() < count {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(PATIENCE, waiting).await.unwrap();
    }
}

/// A client's connection through the waypoint, as the engine serves it.
pub(in crate::request) async fn front(kit: &Kit, version: Version) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let session = Arc::clone(&kit.session);
    tokio::spawn(async move {
        while let Ok((tcp, _)) = listener.accept().await {
            let session = Arc::clone(&session);
            tokio::spawn(async move {
                let service = service_fn(move |request: Request<Incoming>| {
                    let session = Arc::clone(&session);
                    async move {
                        let request = request.map(Body::Incoming);
                        let response = request::serve(&session, request, None).await;
                        Ok::<_, std::convert::Infallible>(response)
                    }
                });
                let io = TokioIo::new(tcp);
                if version == Version::HTTP_2 {
                    let mut builder =
                        hyper::server::conn::http2::Builder::new(TokioExecutor::new());
                    builder.enable_connect_protocol();
                    drop(builder.serve_connection(io, service).await);
                } else {
                    let builder = hyper::server::conn::http1::Builder::new();
                    drop(builder.serve_connection(io, service).with_upgrades().await);
                }
            });
        }
    });
    address
}
