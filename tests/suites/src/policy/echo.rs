//! An application that sends back what it receives and counts who reaches it.
//!
//! Threads: one per port and one per connection; they end with the application or the connection.

use std::io;
use std::net::{Ipv6Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use anyhow::{Context as _, Result};
use lab::Machine;
use socket2::{Domain, SockRef, Socket, Type};

/// Connections that may wait to be accepted.
const BACKLOG: i32 = 4096;
/// Threads here do little.
const STACK_BYTES: usize = 128 << 10;

/// A running application, on IPv4 and IPv6. Dropping it closes its ports.
#[derive(Debug)]
pub struct Echo {
    listeners: Vec<TcpListener>,
    accepted: Arc<AtomicUsize>,
}

impl Echo {
    /// Starts it.
    ///
    /// # Errors
    ///
    /// When a port is taken.
    pub fn start(machine: &Machine, ports: &[u16]) -> Result<Self> {
        let accepted = Arc::new(AtomicUsize::new(0));
        let mut listeners = Vec::new();
        for port in ports {
            let listener = machine
                .run(|| listen(*port))?
                .with_context(|| format!("listen on port {port} of {}", machine.name()))?;
            let (own, accepted) = (listener.try_clone()?, Arc::clone(&accepted));
            spawn(move || serve(&own, &accepted))?;
            listeners.push(listener);
        }
        Ok(Self {
            listeners,
            accepted,
        })
    }

    /// How many connections have reached it.
    pub fn accepted(&self) -> usize {
        self.accepted.load(Ordering::SeqCst)
    }
}

impl Drop for Echo {
    fn drop(&mut self) {
        for listener in &self.listeners {
            // Wakes accept(2); one that has failed already is as good.
            let _ = SockRef::from(listener).shutdown(Shutdown::Both);
        }
    }
}

fn listen(port: u16) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::IPV6, Type::STREAM, None)?;
    socket.set_only_v6(false)?;
    socket.set_reuse_address(true)?;
    socket.bind(&SocketAddr::from((Ipv6Addr::UNSPECIFIED, port)).into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

fn serve(listener: &TcpListener, accepted: &AtomicUsize) {
    while let Ok((stream, _)) = listener.accept() {
        accepted.fetch_add(1, Ordering::SeqCst);
        // Without a thread the connection closes, and whoever waits for its echo says so.
        let _ = spawn(move || echo(&stream));
    }
}

fn echo(stream: &TcpStream) {
    let (mut from, mut to) = (stream, stream);
    // A connection that is cut is what the suites look for, at its other end.
    let _ = stream.set_nodelay(true);
    let _ = io::copy(&mut from, &mut to);
    let _ = stream.shutdown(Shutdown::Write);
}

fn spawn(work: impl FnOnce() + Send + 'static) -> io::Result<()> {
    thread::Builder::new()
        .stack_size(STACK_BYTES)
        .spawn(work)
        .map(drop)
}
