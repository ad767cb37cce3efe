//! Bytes both ways between two ends until both directions have ended.
//!
//! In: two [`Duplex`] ends. Out: how it ended. Never: knows what the ends are, logs, decides.
//!
//! ```text
//!   downstream ──read──▶ queue (<= MAX_QUEUED_BYTES) ──write──▶ upstream
//!   downstream ◀─write── queue (<= MAX_QUEUED_BYTES) ◀──read── upstream
//! ```
//! An end with flow control of its own is read beyond that while the other is blocked, up to what it lets its peer
//! send: see [`Duplex::poll_read_ahead`].
//!
//! Half-close is kept: the end of one direction is passed on and the other goes on. A failure of either end
//! resets both.

use std::{
    collections::VecDeque,
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::{Buf as _, Bytes, BytesMut};
use tokio::{io::AsyncWrite as _, net::TcpStream};

use crate::{chunk, socket};

/// What one direction holds while its destination is slow. Units: bytes.
pub const MAX_QUEUED_BYTES: usize = 256 * 1024;
/// Slices of one `writev`; more than this gains nothing.
const MAX_SLICES: usize = 32;
/// Up to this size a chunk is copied to the end of the one before it. Units: bytes.
const MAX_CRUMB_BYTES: usize = 1024;
/// What crumbs are gathered in, at most. Units: bytes.
const MAX_GATHERED_BYTES: usize = 16 * 1024;
/// Turns of one direction before other tasks of the worker get theirs.
const MAX_TURNS: usize = 16;

/// Bytes on their way, oldest first.
#[derive(Debug, Default)]
pub struct Queue {
    chunks: VecDeque<Bytes>,
    bytes: usize,
}

impl Queue {
    /// Adds bytes at the end. Crumbs are gathered, so that a queue of them costs what it holds.
    pub fn push(&mut self, chunk: Bytes) {
        if chunk.is_empty() {
            return;
        }
        self.bytes += chunk.len();
        if chunk.len() <= MAX_CRUMB_BYTES
            && let Some(last) = self
                .chunks
                .pop_back_if(|last| last.len() + chunk.len() <= MAX_GATHERED_BYTES)
        {
            match last.try_into_mut() {
                Ok(mut gathered) => {
                    gathered.extend_from_slice(&chunk);
                    return self.chunks.push_back(gathered.freeze());
                }
                // Two crumbs of a buffer that others use too.
                Err(last) if last.len() <= MAX_CRUMB_BYTES => {
                    let mut gathered = BytesMut::with_capacity(2 * MAX_CRUMB_BYTES);
                    gathered.extend_from_slice(&last);
                    gathered.extend_from_slice(&chunk);
                    return self.chunks.push_back(gathered.freeze());
                }
                Err(last) => self.chunks.push_back(last),
            }
        }
        self.chunks.push_back(chunk);
    }

    /// Takes at most `limit` bytes of the first chunk, without a copy.
    pub fn pop(&mut self, limit: usize) -> Option<Bytes> {
        let first = self.chunks.front_mut()?;
        let taken = if first.len() <= limit {
            self.chunks.pop_front()?
        } else {
            first.split_to(limit)
        };
        self.bytes -= taken.len();
        Some(taken)
    }

    /// The bytes that it holds.
    #[must_use]
    pub fn len(&self) -> usize {
        self.bytes
    }

    /// Whether it holds none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.bytes == 0
    }

    /// Whether no more should be added before some were written.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.bytes >= MAX_QUEUED_BYTES || self.chunks.len() >= MAX_SLICES
    }

    fn advance(&mut self, mut written: usize) {
        self.bytes -= written;
        while let Some(first) = self.chunks.front_mut() {
            if first.len() > written {
                first.advance(written);
                return;
            }
            written -= first.len();
            self.chunks.pop_front();
        }
    }
}

/// What a read found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Read {
    /// Bytes, now in the queue.
    Some,
    /// The end: no more will come.
    End,
}

/// One end of a relayed connection: bytes in, bytes out, each side ends by itself.
pub trait Duplex {
    /// Whether dropping an end whose other direction has ended finishes this one, as closing a socket does.
    const DROP_FINISHES: bool;

    /// Appends what has arrived to `queue`.
    ///
    /// # Errors
    /// When the end has failed; it is then to be reset.
    fn poll_read(&mut self, cx: &mut Context<'_>, queue: &mut Queue) -> Poll<io::Result<Read>>;
    /// Takes what has arrived while the other end is blocked. Only for an end whose peer is held back by
    /// [`Duplex::consumed`] and not by being read, which bounds what the queue comes to hold: there, what is not read
    /// costs its engine more than it costs the queue, and a reset hides behind it.
    ///
    /// # Errors
    /// As [`Duplex::poll_read`].
    fn poll_read_ahead(
        &mut self,
        _cx: &mut Context<'_>,
        _queue: &mut Queue,
    ) -> Poll<io::Result<Read>> {
        Poll::Pending
    }
    /// Says that `bytes` of what was read have left for good, so that the peer may send more.
    fn consumed(&mut self, bytes: usize);
    /// Writes from `queue` as much as is taken; ready only when the queue is empty. Answers through `written`.
    ///
    /// # Errors
    /// When the end has failed; it is then to be reset.
    fn poll_write(&mut self, cx: &mut Context<'_>, queue: &mut Queue) -> Poll<io::Result<()>>;
    /// Says that nothing more will be written.
    ///
    /// # Errors
    /// When the end has failed.
    fn poll_finish(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>>;
    /// Ends both directions as a failure that the peer can see.
    fn reset(&mut self);
}

/// Counts bytes while they move.
pub trait Meter {
    /// Bytes from downstream to upstream.
    fn upward(&self, bytes: u64);
    /// Bytes from upstream to downstream.
    fn downward(&self, bytes: u64);
}

/// Which end failed.
#[derive(Debug, thiserror::Error)]
pub enum RelayError {
    /// The end that opened the connection.
    #[error("client disconnected before all data was written: {0}")]
    Downstream(io::Error),
    /// The end that was connected to.
    #[error("destination disconnected before all data was written: {0}")]
    Upstream(io::Error),
}

#[derive(Debug, Default)]
struct Direction {
    queue: Queue,
    state: State,
}

#[derive(Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Open,
    /// The source has ended; what is queued still goes.
    Ending,
    Ended,
}

/// Which end of a direction failed.
enum Failed {
    Source(io::Error),
    Sink(io::Error),
}

impl Direction {
    fn poll<S: Duplex>(
        &mut self,
        cx: &mut Context<'_>,
        source: &mut impl Duplex,
        sink: &mut S,
        other_ended: bool,
        count: impl Fn(u64),
    ) -> Poll<Result<(), Failed>> {
        for _ in 0..MAX_TURNS {
            if !self.queue.is_empty() {
                let before = self.queue.len();
                let result = sink.poll_write(cx, &mut self.queue);
                let written = before - self.queue.len();
                if written > 0 {
                    count(written as u64);
                    source.consumed(written);
                }
                match result {
                    Poll::Ready(result) => result.map_err(Failed::Sink)?,
                    Poll::Pending => return self.poll_blocked(cx, source),
                }
            }
            match self.state {
                State::Open => {
                    match ready!(source.poll_read(cx, &mut self.queue)).map_err(Failed::Source)? {
                        Read::Some => {}
                        Read::End => self.state = State::Ending,
                    }
                }
                State::Ending => {
                    if !(S::DROP_FINISHES && other_ended) {
                        ready!(sink.poll_finish(cx)).map_err(Failed::Sink)?;
                    }
                    self.state = State::Ended;
                    return Poll::Ready(Ok(()));
                }
                State::Ended => return Poll::Ready(Ok(())),
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// The sink is blocked; it wakes us when it is not.
    fn poll_blocked(
        &mut self,
        cx: &mut Context<'_>,
        source: &mut impl Duplex,
    ) -> Poll<Result<(), Failed>> {
        while self.state == State::Open {
            match ready!(source.poll_read_ahead(cx, &mut self.queue)).map_err(Failed::Source)? {
                Read::Some => {}
                Read::End => self.state = State::Ending,
            }
        }
        Poll::Pending
    }
}

/// Relays until both directions have ended. The caller is to drop both ends then: that finishes an end for which
/// [`Duplex::DROP_FINISHES`] says so, and spares a system call.
///
/// # Errors
/// When either end fails; both have been reset then.
pub async fn relay<D: Duplex, U: Duplex>(
    downstream: &mut D,
    upstream: &mut U,
    meter: &impl Meter,
) -> Result<(), RelayError> {
    let mut upward = Direction::default();
    let mut downward = Direction::default();
    let result = std::future::poll_fn(|cx| {
        let up = upward
            .poll(
                cx,
                downstream,
                upstream,
                downward.state == State::Ended,
                |bytes| meter.upward(bytes),
            )
            .map_err(|failed| match failed {
                Failed::Source(error) => RelayError::Downstream(error),
                Failed::Sink(error) => RelayError::Upstream(error),
            })?;
        let down = downward
            .poll(
                cx,
                upstream,
                downstream,
                upward.state == State::Ended,
                |bytes| meter.downward(bytes),
            )
            .map_err(|failed| match failed {
                Failed::Source(error) => RelayError::Upstream(error),
                Failed::Sink(error) => RelayError::Downstream(error),
            })?;
        if up.is_ready() && down.is_ready() {
            Poll::Ready(Ok(()))
        } else {
            Poll::Pending
        }
    })
    .await;
    if result.is_err() {
        downstream.reset();
        upstream.reset();
    }
    result
}

/// A TCP socket as one end of a relay.
#[derive(Debug)]
pub struct TcpEnd {
    stream: TcpStream,
    /// Grows while reads fill it, so that a quiet connection never faults in a large buffer.
    read_limit: usize,
}

/// What a connection is first read with. Units: bytes.
const FIRST_READ_BYTES: usize = 16 * 1024;

impl TcpEnd {
    /// Takes a connected socket.
    #[must_use]
    pub fn new(stream: TcpStream) -> Self {
        Self {
            stream,
            read_limit: FIRST_READ_BYTES,
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
        let bytes = ready!(chunk::poll_read(&mut self.stream, cx, self.read_limit))?;
        if bytes.is_empty() {
            return Poll::Ready(Ok(Read::End));
        }
        if bytes.len() == self.read_limit {
            self.read_limit = (self.read_limit * 4).min(chunk::MAX_CHUNK_BYTES);
        }
        queue.push(bytes);
        Poll::Ready(Ok(Read::Some))
    }

    fn consumed(&mut self, _bytes: usize) {}

    fn poll_write(&mut self, cx: &mut Context<'_>, queue: &mut Queue) -> Poll<io::Result<()>> {
        while !queue.is_empty() {
            ready!(self.stream.poll_write_ready(cx))?;
            let result = if queue.chunks.len() == 1 {
                self.stream.try_write(&queue.chunks[0])
            } else {
                let mut slices = [IoSlice::new(&[]); MAX_SLICES];
                let mut count = 0;
                for (slot, chunk) in slices.iter_mut().zip(&queue.chunks) {
                    *slot = IoSlice::new(chunk);
                    count += 1;
                }
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

    fn poll_finish(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match ready!(Pin::new(&mut self.stream).poll_shutdown(cx)) {
            // The peer has gone meanwhile: there is nobody left to tell.
            Err(error) if error.kind() == io::ErrorKind::NotConnected => Poll::Ready(Ok(())),
            result => Poll::Ready(result),
        }
    }

    fn reset(&mut self) {
        socket::reset_on_close(&self.stream);
    }
}

#[cfg(test)]
mod tests;
