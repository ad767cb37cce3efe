//! Accepting the captured connections of one pod and giving each to a worker.
//!
//! In: listeners in a pod's namespace. Out: one task per connection, on the least loaded worker.
//! Never: reads from a connection; lets a process of the pod ask the proxy for loopback.
//!
//! Tasks: one per listener, spread over the workers. It ends when its pod drains or it is aborted, and closes the listener then.

use std::{
    io,
    net::{SocketAddr, TcpListener, TcpStream},
    sync::Arc,
    time::Duration,
};

use ebpf_loader::is_steered;
use net::{accept::Acceptor, drain::Phase, socket};
use socket2::SockRef;
use telemetry::Direction;
use tokio::{sync::watch, task::AbortHandle};

use crate::{inbound, outbound, pod::Pod, proxy::Proxy};

/// What comes to a listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// What the pod sends.
    Outbound,
    /// What comes to it in plain.
    Plaintext,
    /// Tunnels to it.
    Hbone,
}

impl Kind {
    fn direction(self) -> Direction {
        match self {
            Self::Outbound => Direction::Outbound,
            Self::Plaintext | Self::Hbone => Direction::Inbound,
        }
    }
}

/// A listener in a pod's namespace.
#[derive(Debug)]
pub struct Door {
    /// What comes to it.
    pub kind: Kind,
    /// The socket.
    pub listener: TcpListener,
    /// Whether only what the kernel steers to it may come, with the address that it was going to as its own.
    pub steered: bool,
}

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

/// Serves one listener, from the worker `home`; each connection goes to a worker of its own. `open` is dropped once the listener is
/// closed.
pub fn spawn(
    proxy: &Arc<Proxy>,
    pod: &Arc<Pod>,
    door: Door,
    home: usize,
    open: watch::Receiver<()>,
) -> AbortHandle {
    let (proxy, pod) = (Arc::clone(proxy), Arc::clone(pod));
    let home = proxy.workers.nth(home).index();
    let task = proxy.workers.clone().nth(home).spawn(async move {
        let _open = open;
        let mut draining = pod.draining();
        let result = tokio::select! {
            result = accept(&proxy, &pod, door, home) => result,
            () = draining.reached(Phase::Draining) => Ok(()),
        };
        if let Err(error) = result {
            tracing::error!(pod = %pod.info.name, namespace = %pod.info.namespace, %error, "listener failed");
        }
    });
    task.abort_handle()
}

async fn accept(proxy: &Arc<Proxy>, pod: &Arc<Pod>, door: Door, home: usize) -> io::Result<()> {
    let Door {
        kind,
        listener,
        steered,
    } = door;
    let acceptor = Acceptor::new(listener)?;
    loop {
        let (socket, peer) = acceptor.accept().await?;
        if steered && !socket.local_addr().is_ok_and(is_steered) {
            // A process of the pod that has found the port. Its socket may be gone by now, and goes in either case.
            drop(SockRef::from(&socket).set_linger(Some(Duration::ZERO)));
            tracing::debug!(pod = %pod.info.name, %peer, "connection to the listener itself");
            continue;
        }
        // A probe of our own: it has nothing to say, and is not counted.
        let local = || socket::original_destination(&socket).ok();
        if kind == Kind::Hbone && pod.expected.confirm(peer, local) {
            continue;
        }
        let worker = proxy.workers.least_loaded(home);
        let captured = Captured {
            socket,
            peer,
            pod: Arc::clone(pod),
            worker: worker.index(),
        };
        let counted = (worker.load(), proxy.telemetry.socket(kind.direction()));
        // From now on, and not from when its task runs: until then others may borrow its address.
        let kept = match kind {
            Kind::Plaintext => pod.ports.keep(peer),
            Kind::Outbound | Kind::Hbone => None,
        };
        let proxy = Arc::clone(proxy);
        worker.spawn(async move {
            let _counted = counted;
            let _kept = kept;
            match kind {
                Kind::Outbound => outbound::serve(proxy, captured).await,
                Kind::Plaintext => inbound::serve_plaintext(proxy, captured).await,
                Kind::Hbone => inbound::serve_tunnel(proxy, captured).await,
            }
        });
    }
}
