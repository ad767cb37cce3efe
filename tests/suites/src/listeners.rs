//! The ports of a server of the suites' own in a pod, and the thread that serves them.
//!
//! Threads: one, a tokio runtime with everything that the server does; it ends with the value.

use std::fmt;
use std::net::{Ipv6Addr, SocketAddr, TcpListener};
use std::pin::Pin;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow};
use lab::{Pod, eventually};
use parking_lot::Mutex;
use socket2::{Domain, Socket, Type};
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio::task::AbortHandle;

use crate::policy::PATIENCE;

/// Connections that may wait to be accepted.
const BACKLOG: i32 = 4096;

type Accepting = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Ports in a pod, open until they are closed. Dropping it ends what serves them.
pub(crate) struct Listeners {
    pod: Arc<Pod>,
    ports: Vec<u16>,
    accept: Box<dyn Fn(TcpListener) -> Accepting + Send + Sync>,
    accepting: Mutex<Vec<AbortHandle>>,
    runtime: Handle,
    end: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl fmt::Debug for Listeners {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Listeners")
            .field("pod", &self.pod.name())
            .field("ports", &self.ports)
            .finish_non_exhaustive()
    }
}

impl Listeners {
    /// Opens ports, on IPv4 and IPv6. `accept` serves one of them until it is dropped; what it spawns goes on.
    ///
    /// # Errors
    ///
    /// When a port is taken or the thread cannot be started.
    pub(crate) fn open<F>(
        pod: &Arc<Pod>,
        ports: &[u16],
        accept: impl Fn(TcpListener) -> F + Send + Sync + 'static,
    ) -> Result<Self>
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .context("a runtime")?;
        let handle = runtime.handle().clone();
        let (end, ended) = oneshot::channel();
        let thread = std::thread::Builder::new()
            .name(format!("in-{}", pod.name()))
            .spawn(move || {
                // The sender's drop is as good as its word.
                let _ = runtime.block_on(ended);
            })
            .context("a thread")?;
        let listeners = Self {
            pod: Arc::clone(pod),
            ports: ports.to_vec(),
            accept: Box::new(move |listener| Box::pin(accept(listener))),
            accepting: Mutex::default(),
            runtime: handle,
            end: Some(end),
            thread: Some(thread),
        };
        listeners.open_again()?;
        Ok(listeners)
    }

    /// The pod that they are in.
    pub(crate) fn pod(&self) -> &Arc<Pod> {
        &self.pod
    }

    /// Closes the ports: new connections are refused, those that are open go on.
    pub(crate) fn close(&self) {
        for task in self.accepting.lock().drain(..) {
            task.abort();
        }
        // The listener goes with its task, on the runtime's thread.
        let closed = || self.ports.iter().all(|port| !self.pod.listens(*port));
        let _ = lab::until("the ports close", PATIENCE, closed);
    }

    /// Opens the ports, if they are closed.
    ///
    /// # Errors
    ///
    /// When one is taken.
    pub(crate) fn open_again(&self) -> Result<()> {
        let mut accepting = self.accepting.lock();
        if !accepting.is_empty() {
            return Ok(());
        }
        for port in &self.ports {
            let what = || format!("port {port} of {}", self.pod.name());
            // A port that was closed a moment ago may still have connections on their way out.
            let listener = eventually("a free port", Duration::from_secs(5), || {
                self.pod.run(|| listen(*port))?.with_context(what)
            })?;
            // The future is made where it runs: what it makes belongs to that runtime.
            let _inside = self.runtime.enter();
            let task = self.runtime.spawn((self.accept)(listener));
            accepting.push(task.abort_handle());
        }
        Ok(())
    }
}

impl Drop for Listeners {
    fn drop(&mut self) {
        drop(self.end.take());
        if let Some(thread) = self.thread.take() {
            // A thread that panicked has said so.
            let _ = thread.join();
        }
    }
}

fn listen(port: u16) -> Result<TcpListener> {
    let socket = Socket::new(Domain::IPV6, Type::STREAM, None)?;
    socket.set_only_v6(false)?;
    socket.set_reuse_address(true)?;
    socket
        .bind(&SocketAddr::from((Ipv6Addr::UNSPECIFIED, port)).into())
        .map_err(|error| anyhow!("bind: {error}"))?;
    socket.listen(BACKLOG)?;
    socket.set_nonblocking(true)?;
    Ok(socket.into())
}
