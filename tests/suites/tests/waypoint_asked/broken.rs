//! A server in the place of an authorizer that answers nothing that anybody could understand.
//!
//! In: a pod and a port. Out: connections that are reset, or that yield bytes of no protocol. It ends with its value.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context as _, Result};
use lab::{Pod, eventually};
use socket2::{Domain, SockRef, Socket, Type};
use suites::policy::PATIENCE;

/// What it does once something was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Resets the connection.
    Reset,
    /// Answers with bytes that are no HTTP.
    Garbage,
    /// Begins to answer, and ends the connection.
    Half,
}

/// It runs until it is dropped.
pub(crate) struct Broken {
    pod: Arc<Pod>,
    port: u16,
    ends: Arc<AtomicBool>,
    thread: Option<JoinHandle<Result<()>>>,
}

impl Broken {
    /// Starts it, once the port is free.
    pub(crate) fn start(pod: &Arc<Pod>, port: u16, kind: Kind) -> Result<Self> {
        let listener = eventually("a free port", PATIENCE, || pod.run(|| listen(port))?)?;
        let ends = Arc::new(AtomicBool::new(false));
        let ended = Arc::clone(&ends);
        let thread = pod.thread(move || {
            while let Ok((stream, _)) = listener.accept() {
                if ended.load(Ordering::SeqCst) {
                    return;
                }
                // What becomes of one connection is its client's affair.
                let _ = answer(stream, kind);
            }
        })?;
        Ok(Self {
            pod: Arc::clone(pod),
            port,
            ends,
            thread: Some(thread),
        })
    }
}

impl Drop for Broken {
    fn drop(&mut self) {
        self.ends.store(true, Ordering::SeqCst);
        let to = SocketAddr::from((Ipv4Addr::LOCALHOST, self.port));
        // It wakes the thread, which waits for a connection.
        let _ = self.pod.run(|| TcpStream::connect(to));
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
    let address = SocketAddr::from((Ipv6Addr::UNSPECIFIED, port));
    socket.bind(&address.into()).context("bind")?;
    socket.listen(1024)?;
    Ok(socket.into())
}

fn answer(mut stream: TcpStream, kind: Kind) -> Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    let mut some = [0; 4096];
    let _asked = stream.read(&mut some)?;
    match kind {
        Kind::Reset => SockRef::from(&stream).set_linger(Some(Duration::ZERO))?,
        Kind::Garbage => stream.write_all(b"\x16\x03\x01 no protocol \r\n\r\n\0\0\0")?,
        Kind::Half => stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf")?,
    }
    Ok(())
}
