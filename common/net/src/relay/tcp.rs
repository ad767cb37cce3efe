//! A socket as one end of a relay.
//!
//! In: a connected socket. Out: reads that grow with what comes, writes of all that waits, a reset that is seen while nothing is read.
//! Never: a buffer of its own.

use std::{
    io::{self, IoSlice},
    net::Shutdown,
    sync::Arc,
    task::{Context, Poll, ready},
};

use socket2::SockRef;
use tokio::net::TcpStream;

use self::watch::Watch;
use super::{Duplex, Queue, Read, pressure, queue::MAX_SLICES};
use crate::{chunk, socket};

mod watch;

/// A TCP socket as one end of a relay.
#[derive(Debug)]
pub struct TcpEnd {
    /// Shared with nobody but the watch.
    stream: Arc<TcpStream>,
    /// Grows while reads fill it, so that a quiet connection never faults in a large buffer.
    read_limit: usize,
    watch: Watch,
}

/// What a connection is first read with. Units: bytes.
const FIRST_READ_BYTES: usize = 16 * 1024;

impl TcpEnd {
    /// Takes a connected socket.
    #[must_use]
    pub fn new(stream: TcpStream) -> Self {
        Self {
            stream: Arc::new(stream),
            read_limit: FIRST_READ_BYTES,
            watch: Watch::default(),
        }
    }

    /// Waits until there is something to read.
    ///
    /// # Errors
    /// When the socket has failed.
    pub async fn readable(&self) -> io::Result<()> {
        self.stream.readable().await
    }
}

impl Duplex for TcpEnd {
    const DROP_FINISHES: bool = true;

    fn poll_read(&mut self, cx: &mut Context<'_>, queue: &mut Queue) -> Poll<io::Result<Read>> {
        let limit = pressure::limit(self.read_limit);
        let bytes = ready!(chunk::poll_receive(&self.stream, cx, limit))?;
        if bytes.is_empty() {
            return Poll::Ready(Ok(Read::End));
        }
        if bytes.len() == self.read_limit {
            self.read_limit = (self.read_limit * 4).min(chunk::MAX_CHUNK_BYTES);
        } else if bytes.len() < FIRST_READ_BYTES / 4 {
            self.read_limit = FIRST_READ_BYTES;
        }
        queue.push(bytes);
        Poll::Ready(Ok(Read::Some))
    }

    fn poll_failed(&mut self, cx: &mut Context<'_>) -> Poll<io::Error> {
        self.watch.poll(cx, &self.stream)
    }

    fn consumed(&mut self, _bytes: usize) {}

    fn poll_write(&mut self, cx: &mut Context<'_>, queue: &mut Queue) -> Poll<io::Result<()>> {
        while !queue.is_empty() {
            ready!(self.stream.poll_write_ready(cx))?;
            let result = if let Some(chunk) = queue.single() {
                self.stream.try_write(chunk)
            } else {
                let mut slices = [IoSlice::new(&[]); MAX_SLICES];
                let count = queue.slices(&mut slices);
                self.stream.try_write_vectored(&slices[..count])
            };
            match result {
                Ok(written) => queue.advance(written),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
        Poll::Ready(Ok(()))
    }

    fn poll_finish(&mut self, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match SockRef::from(&*self.stream).shutdown(Shutdown::Write) {
            // The peer has gone meanwhile: there is nobody left to tell.
            Err(error) if error.kind() == io::ErrorKind::NotConnected => Poll::Ready(Ok(())),
            result => Poll::Ready(result),
        }
    }

    fn reset(&mut self) {
        socket::reset_on_close(&self.stream);
    }

    fn socket(&self) -> Option<&TcpStream> {
        Some(&self.stream)
    }
}
