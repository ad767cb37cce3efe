//! Accepting the captured connections of one pod and giving each to a worker.
//!
//! In: listeners in a pod's namespace. Out: one task per connection, on the least loaded worker.
//! Never: reads from a connection.
//!
//! Tasks: one per listener, spread over the workers. It ends when its pod drains, and closes the listener then.

use std::{
    io,
    net::{SocketAddr, TcpListener, TcpStream},
    sync::Arc,
};

use net::{accept::Acceptor, drain::Phase};
use telemetry::Direction;

use crate::{pod::Pod, proxy::Proxy};

/// A connection that was accepted in a pod's namespace.
#[derive(Debug)]
pub struct Captured {
    /// The socket, of no runtime yet.
    pub socket: TcpStream,
    /// Its peer.
    pub peer: SocketAddr,
    /// The pod.
    pub pod: Arc<Pod>,
    /// The worker that serves it.
    pub worker: usize,
}

/// Serves one listener: `handle` is called for every connection, on the worker that it was given to.
pub fn spawn<F>(
    proxy: &Arc<Proxy>,
    pod: &Arc<Pod>,
    listener: TcpListener,
    home: usize,
    direction: Direction,
    handle: impl Fn(Arc<Proxy>, Captured) -> F + Copy + Send + 'static,
) where
    F: Future<Output = ()> + Send + 'static,
{
    let (proxy, pod) = (Arc::clone(proxy), Arc::clone(pod));
    let home = proxy.workers.nth(home).index();
    proxy.workers.clone().nth(home).spawn(async move {
        let mut draining = pod.draining();
        let result = tokio::select! {
            result = accept(&proxy, &pod, listener, home, direction, handle) => result,
            () = draining.reached(Phase::Draining) => Ok(()),
        };
        if let Err(error) = result {
            tracing::error!(pod = %pod.info.name, namespace = %pod.info.namespace, %error, "listener failed");
        }
    });
}

async fn accept<F>(
    proxy: &Arc<Proxy>,
    pod: &Arc<Pod>,
    listener: TcpListener,
    home: usize,
    direction: Direction,
    handle: impl Fn(Arc<Proxy>, Captured) -> F + Copy + Send + 'static,
) -> io::Result<()>
where
    F: Future<Output = ()> + Send + 'static,
{
    let acceptor = Acceptor::new(listener)?;
    loop {
        let (socket, peer) = acceptor.accept().await?;
        let worker = proxy.workers.least_loaded(home);
        let captured = Captured {
            socket,
            peer,
            pod: Arc::clone(pod),
            worker: worker.index(),
        };
        let counted = (worker.load(), proxy.telemetry.socket(direction));
        let proxy = Arc::clone(proxy);
        worker.spawn(async move {
            let _counted = counted;
            handle(proxy, captured).await;
        });
    }
}
