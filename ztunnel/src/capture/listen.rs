//! Accepting the captured connections of one pod and giving each to a worker.
//!
//! In: listeners in a pod's namespace. Out: one task per connection that sets it up, and carries it if it is a tunnel, on the least loaded worker.
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
use net::{
    accept::Acceptor,
    drain::Phase,
    socket::{self, LivePeer},
    worker::Load,
};
use socket2::SockRef;
use telemetry::{Direction, SocketGuard};
use tokio::{sync::watch, task::AbortHandle};

use crate::{inbound, outbound, pod::Pod, proxy::Proxy};

/// Connections that are accepted before those that were get on, and other listeners' too. What sets a connection up takes several times
/// what it holds afterwards, and a full queue of them at once would leave holes of that size between those that stay.
const MAX_BURST: usize = 16;

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
    /// Where it was going. Unknown where it is over already.
    pub destination: io::Result<SocketAddr>,
    /// The pod.
    pub pod: Arc<Pod>,
    /// The worker that serves it.
    pub worker: usize,
    /// What it counts for while it is open.
    pub counted: Counted,
}

impl Captured {
    /// Where it was going, for people to read; where that is not known its peer, for want of anything else.
    #[must_use]
    pub fn reported(&self) -> SocketAddr {
        *self.destination.as_ref().unwrap_or(&self.peer)
    }
}

/// What a connection counts for while it is open.
#[derive(Debug)]
pub struct Counted {
    _load: Load,
    _socket: SocketGuard,
    /// From when it is accepted, and not from when its task runs: until then others might borrow its address.
    _address: Option<Box<LivePeer>>,
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
    let mut accepted: usize = 0;
    loop {
        if accepted == MAX_BURST {
            accepted = 0;
            tokio::task::yield_now().await;
        }
        let (socket, peer) = acceptor.accept().await?;
        accepted += 1;
        let destination = if steered {
            socket.local_addr().map(socket::canonical)
        } else {
            socket::original_destination(&socket)
        };
        if steered && !destination.as_ref().is_ok_and(|to| is_steered(*to)) {
            // A process of the pod that has found the port. Its socket may be gone by now, and goes in either case.
            drop(SockRef::from(&socket).set_linger(Some(Duration::ZERO)));
            tracing::debug!(pod = %pod.info.name, %peer, "connection to the listener itself");
            continue;
        }
        // A probe of our own: it has nothing to say, and is not counted.
        let local = || destination.as_ref().ok().copied();
        if kind == Kind::Hbone && pod.expected.confirm(peer, local) {
            continue;
        }
        let worker = proxy.workers.least_loaded(home);
        let captured = Captured {
            socket,
            peer,
            destination,
            pod: Arc::clone(pod),
            worker: worker.index(),
            counted: Counted {
                _load: worker.load(),
                _socket: proxy.telemetry.socket(kind.direction()),
                _address: match kind {
                    Kind::Plaintext => pod.ports.keep(peer).map(Box::new),
                    Kind::Outbound | Kind::Hbone => None,
                },
            },
        };
        let proxy = Arc::clone(proxy);
        match kind {
            Kind::Outbound => worker.spawn(outbound::serve(proxy, captured)),
            Kind::Plaintext => worker.spawn(inbound::serve_plaintext(proxy, captured)),
            Kind::Hbone => worker.spawn(inbound::serve_tunnel(proxy, captured)),
        };
    }
}
