//! The adaptor between a connection and the HTTP/1 engine.
//!
//! In: a connection. Out: the same connection, of which the engine reads only what the framer lets pass. Never: touches what is
//! written.
//!
//! What has to wait is held here; an idle connection holds nothing. Reads go through a buffer of the thread, since a
//! connection has none of its own.

use std::{
    cell::Cell,
    io::{self, IoSlice},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::{Buf as _, BytesMut};
use hyper::rt::{Read, ReadBuf, ReadBufCursor, Write};
use tokio::time::Sleep;

use super::{
    Refusal,
    framer::{Framer, Stop},
    gate::Gate,
};

/// What is read at once. Units: bytes.
const READ_BYTES: usize = 16 * 1024;
/// What is held for a request whose answer may switch protocols: it is read at all only to notice a client that leaves.
/// Units: bytes.
const MAX_AWAITING_BYTES: usize = 16 * 1024;
/// A head that has begun must have ended then. Source: what nginx waits by default.
const TIMEOUT_HEAD: Duration = Duration::from_secs(60);
/// What the engine is given in the place of a head that was refused.
const STAND_IN: &[u8] = b"GET / HTTP/1.1\r\nhost: refused\r\nconnection: close\r\n\r\n";

thread_local! {
    static SCRATCH: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// A connection behind the guard.
#[derive(Debug)]
pub struct Guard<I> {
    io: I,
    framer: Framer,
    gate: Arc<Gate>,
    /// What was read and not yet given on.
    held: BytesMut,
    /// How much of it may pass.
    passed: usize,
    phase: Phase,
    /// Runs while a head has begun and not ended.
    timer: Option<Pin<Box<Sleep>>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Open,
    /// The client ends here; what is held still counts.
    Ended,
    /// Something was refused: nothing is read any more.
    Refused,
}

/// What a read brought.
enum Brought {
    /// Bytes, which are held now.
    Held,
    /// So many bytes, which were given on at once.
    Given,
    End,
}

impl<I> Guard<I> {
    /// Guards a connection. The gate is for whoever serves its requests.
    #[must_use]
    pub fn new(io: I) -> (Self, Arc<Gate>) {
        let gate = Arc::<Gate>::default();
        let guard = Self {
            io,
            framer: Framer::new(),
            gate: Arc::clone(&gate),
            held: BytesMut::new(),
            passed: 0,
            phase: Phase::Open,
            timer: None,
        };
        (guard, gate)
    }

    /// Puts the request that stands for what was refused in the place of everything that would have followed.
    fn refuse(&mut self, refusal: Refusal) {
        self.gate.refuse(self.framer.heads(), refusal);
        self.held.clear();
        self.held.extend_from_slice(STAND_IN);
        self.passed = STAND_IN.len();
        self.phase = Phase::Refused;
        self.timer = None;
    }

    /// Looks at what is held.
    fn judge(&mut self) -> io::Result<()> {
        match self.framer.advance(&self.held) {
            Ok(passed) => self.passed = passed,
            Err(Stop::Head(refusal)) => self.refuse(refusal),
            Err(Stop::Body(refusal)) => {
                self.phase = Phase::Refused;
                return Err(io::Error::new(io::ErrorKind::InvalidData, refusal));
            }
        }
        Ok(())
    }

    fn give(&mut self, cursor: &mut ReadBufCursor<'_>) {
        let count = self.passed.min(cursor.remaining()).min(self.held.len());
        if let Some(bytes) = self.held.get(..count) {
            cursor.put_slice(bytes);
        }
        self.held.advance(count);
        self.passed -= count;
        if self.held.is_empty() {
            // An idle connection holds no memory.
            self.held = BytesMut::new();
        }
    }
}

impl<I: Read + Unpin> Guard<I> {
    /// Reads once.
    fn poll_bring(
        &mut self,
        cx: &mut Context<'_>,
        cursor: &mut ReadBufCursor<'_>,
    ) -> Poll<io::Result<Brought>> {
        let mut scratch = SCRATCH.take();
        scratch.resize(READ_BYTES, 0);
        // What may pass at once must fit.
        let limit = match self.held.is_empty() {
            true => cursor.remaining().min(READ_BYTES),
            false => READ_BYTES,
        };
        let mut buffer = ReadBuf::new(scratch.get_mut(..limit).unwrap_or_default());
        let result = Pin::new(&mut self.io).poll_read(cx, buffer.unfilled());
        let result = match result {
            Poll::Ready(Ok(())) => Poll::Ready(self.take(buffer.filled(), cursor)),
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Pending => Poll::Pending,
        };
        SCRATCH.set(scratch);
        result
    }

    fn take(&mut self, bytes: &[u8], cursor: &mut ReadBufCursor<'_>) -> io::Result<Brought> {
        if bytes.is_empty() {
            return Ok(Brought::End);
        }
        if !self.held.is_empty() {
            self.held.extend_from_slice(bytes);
            return Ok(Brought::Held);
        }
        // The usual way: a whole head, or bytes of a body, which nobody has to hold.
        let passed = match self.framer.advance(bytes) {
            Ok(passed) => passed,
            Err(Stop::Head(refusal)) => {
                self.refuse(refusal);
                return Ok(Brought::Held);
            }
            Err(Stop::Body(refusal)) => {
                self.phase = Phase::Refused;
                return Err(io::Error::new(io::ErrorKind::InvalidData, refusal));
            }
        };
        let (good, rest) = bytes.split_at_checked(passed).unwrap_or((bytes, &[]));
        cursor.put_slice(good);
        self.held.extend_from_slice(rest);
        Ok(if good.is_empty() {
            Brought::Held
        } else {
            Brought::Given
        })
    }

    /// Whether a head takes too long.
    fn poll_overdue(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.phase != Phase::Open || !self.framer.is_mid_head() {
            self.timer = None;
            return Poll::Pending;
        }
        let timer = self
            .timer
            .get_or_insert_with(|| Box::pin(tokio::time::sleep(TIMEOUT_HEAD)));
        Future::poll(timer.as_mut(), cx)
    }

    fn poll_guarded(
        &mut self,
        cx: &mut Context<'_>,
        cursor: &mut ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            if self.passed > 0 {
                self.give(cursor);
                return Poll::Ready(Ok(()));
            }
            if self.phase == Phase::Refused {
                // The answer ends the connection; an end of ours would cut it short.
                return Poll::Pending;
            }
            if self.framer.is_awaiting() {
                match self.gate.has_switched(self.framer.heads() - 1, cx.waker()) {
                    Some(switched) => self.framer.answered(switched),
                    None if self.phase == Phase::Ended || self.held.len() >= MAX_AWAITING_BYTES => {
                        return Poll::Pending;
                    }
                    None => match ready!(self.poll_bring(cx, cursor))? {
                        Brought::Held | Brought::Given => continue,
                        Brought::End => {
                            self.phase = Phase::Ended;
                            if self.held.is_empty() {
                                return Poll::Ready(Ok(()));
                            }
                            continue;
                        }
                    },
                }
            }
            if !self.held.is_empty() {
                self.judge()?;
                if self.passed > 0 {
                    continue;
                }
            }
            if self.phase == Phase::Ended {
                return Poll::Ready(Ok(()));
            }
            match self.poll_bring(cx, cursor) {
                Poll::Ready(Ok(Brought::Given)) => return Poll::Ready(Ok(())),
                Poll::Ready(Ok(Brought::Held)) => {}
                Poll::Ready(Ok(Brought::End)) => self.phase = Phase::Ended,
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => {
                    ready!(self.poll_overdue(cx));
                    self.refuse(Refusal::HeadTimeout);
                }
            }
        }
    }
}

impl<I: Read + Unpin> Read for Guard<I> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        mut cursor: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if cursor.remaining() == 0 {
            return Poll::Ready(Ok(()));
        }
        if this.framer.is_raw() && this.held.is_empty() {
            return Pin::new(&mut this.io).poll_read(cx, cursor);
        }
        this.poll_guarded(cx, &mut cursor)
    }
}

impl<I: Write + Unpin> Write for Guard<I> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests;
