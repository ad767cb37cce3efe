//! Accepting connections that another worker may serve.

use std::{
    io,
    net::{SocketAddr, TcpListener as StdListener, TcpStream as StdStream},
    time::Duration,
};

use tokio::io::{Interest, unix::AsyncFd};

use crate::socket::canonical;

/// Rest after the process has run out of descriptors or memory: accepting again at once would spin.
const PAUSE_EXHAUSTED: Duration = Duration::from_millis(50);

/// A listener on the worker that made it. What it accepts belongs to no runtime yet.
#[derive(Debug)]
pub struct Acceptor {
    listener: AsyncFd<StdListener>,
}

impl Acceptor {
    /// Takes a non-blocking listener. Must be called inside the runtime that will accept.
    ///
    /// # Errors
    /// When the listener cannot be registered.
    pub fn new(listener: StdListener) -> io::Result<Self> {
        #[expect(
            unsafe_code,
            reason = "the only way to accept sockets that belong to no runtime yet"
        )]
        // SAFETY: a std listener owns its descriptor, answers the same one always, and closes it only when dropped,
        // which AsyncFd does after it has left the reactor.
        let listener = unsafe { AsyncFd::register_with_interest(listener, Interest::READABLE)? };
        Ok(Self { listener })
    }

    /// The next connection, non-blocking, and its peer. Cancel-safe. A peer that is gone before it is accepted,
    /// and a shortage of descriptors, are waited out.
    ///
    /// # Errors
    /// When the listener itself is broken.
    pub async fn accept(&self) -> io::Result<(StdStream, SocketAddr)> {
        loop {
            match self
                .listener
                .async_io(Interest::READABLE, StdListener::accept)
                .await
            {
                Ok((stream, peer)) => {
                    stream.set_nonblocking(true)?;
                    return Ok((stream, canonical(peer)));
                }
                Err(error) => match error.raw_os_error() {
                    Some(
                        nix::libc::EMFILE
                        | nix::libc::ENFILE
                        | nix::libc::ENOBUFS
                        | nix::libc::ENOMEM,
                    ) => {
                        tracing::warn!(%error, "cannot accept connections");
                        tokio::time::sleep(PAUSE_EXHAUSTED).await;
                    }
                    // accept(2): errors of the new connection, not of the listener.
                    Some(
                        nix::libc::ECONNABORTED
                        | nix::libc::EPERM
                        | nix::libc::EPROTO
                        | nix::libc::ENETDOWN
                        | nix::libc::ENETUNREACH
                        | nix::libc::EHOSTDOWN
                        | nix::libc::EHOSTUNREACH
                        | nix::libc::ENONET
                        | nix::libc::ENOPROTOOPT
                        | nix::libc::EOPNOTSUPP
                        | nix::libc::EINTR,
                    ) => {}
                    _ => return Err(error),
                },
            }
        }
    }
}
