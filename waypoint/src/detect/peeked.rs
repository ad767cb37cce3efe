//! A connection whose first bytes were looked at.
//!
//! In: a connection. Out: the same connection: what was read ahead is read first, but for what was taken. Never: lets its peer send
//! more for bytes that were only looked at; hands on what it is to refuse.

use std::{
    io,
    task::{Context, Poll, ready},
};

use bytes::{Buf as _, Bytes, BytesMut};
use net::relay::{Duplex, Queue, Read};
use wire::proxy_protocol::{Beginning, beginning};

/// Room for pieces, to begin with. It grows by doubling, so that each byte is copied a few times at most. Units: bytes.
const GATHER_BYTES: usize = 512;

/// Why a connection is not handed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a PROXY header of a peer that is not trusted with one")]
pub struct UntrustedHeader;

/// A connection that can be looked at.
#[derive(Debug)]
pub struct Peeked<D> {
    inner: D,
    /// What is looked at: the beginning, in one piece, as it came. Usually it is all that is needed, and nothing is copied.
    ahead: Bytes,
    /// The same, gathered from several pieces: then `ahead` is empty.
    gathered: BytesMut,
    /// What was read with it.
    behind: Queue,
    ended: bool,
    /// It is not known yet that it does not begin with a PROXY header, which it may not.
    suspects: bool,
}

impl<D: Duplex> Peeked<D> {
    /// Nothing of it has been read.
    #[must_use]
    pub fn new(inner: D) -> Self {
        Self {
            inner,
            ahead: Bytes::new(),
            gathered: BytesMut::new(),
            behind: Queue::default(),
            ended: false,
            suspects: false,
        }
    }

    /// The same, which fails where it begins with a PROXY header: a peer that nobody trusts with one sends it. Nothing is waited for: bytes that
    /// are the beginning of one are held until more come.
    #[must_use]
    pub fn refusing_proxy_header(inner: D) -> Self {
        Self {
            suspects: true,
            ..Self::new(inner)
        }
    }

    /// What can be looked at.
    #[must_use]
    pub fn peeked(&self) -> &[u8] {
        match self.gathered.is_empty() {
            true => &self.ahead,
            false => &self.gathered,
        }
    }

    /// Whether that is all that will come.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.ended && self.behind.is_empty()
    }

    /// Waits for more to look at. Cancel-safe.
    ///
    /// # Errors
    /// When the connection has failed.
    pub async fn peek_more(&mut self) -> io::Result<()> {
        if self.behind.is_empty() && !self.ended {
            let (inner, behind) = (&mut self.inner, &mut self.behind);
            let read = std::future::poll_fn(|cx| inner.poll_read(cx, behind)).await?;
            self.ended = read == Read::End;
        }
        self.gather();
        self.judge()
    }

    /// Takes so many of the bytes that can be looked at out of the connection.
    pub fn skip(&mut self, bytes: usize) {
        let before = self.peeked().len();
        self.ahead.advance(bytes.min(self.ahead.len()));
        self.gathered.advance(bytes.min(self.gathered.len()));
        self.inner.consumed(before - self.peeked().len());
    }

    /// Looks at the next piece, too.
    fn gather(&mut self) {
        if let Some(next) = self.behind.pop(usize::MAX) {
            if self.peeked().is_empty() {
                self.ahead = next;
            } else {
                if !self.ahead.is_empty() {
                    let first = std::mem::take(&mut self.ahead);
                    self.gathered
                        .reserve((first.len() + next.len()).max(GATHER_BYTES));
                    self.gathered.extend_from_slice(&first);
                }
                self.gathered.extend_from_slice(&next);
            }
        }
    }

    /// Whether it may go on.
    fn judge(&mut self) -> io::Result<()> {
        if !self.suspects {
            return Ok(());
        }
        match beginning(self.peeked()) {
            Beginning::Absent => self.suspects = false,
            Beginning::Possible => self.suspects = !self.has_ended(),
            Beginning::Present => {
                return Err(io::Error::new(io::ErrorKind::InvalidData, UntrustedHeader));
            }
        }
        Ok(())
    }

    /// Ready when it may be handed on.
    fn poll_judged(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.suspects {
            self.judge()?;
            if self.suspects {
                if self.behind.is_empty() {
                    let read = ready!(self.inner.poll_read(cx, &mut self.behind))?;
                    self.ended = read == Read::End;
                }
                self.gather();
            }
        }
        Poll::Ready(Ok(()))
    }

    fn poll_ahead(&mut self, queue: &mut Queue) -> Option<Read> {
        if self.peeked().is_empty() && self.behind.is_empty() {
            return self.ended.then_some(Read::End);
        }
        queue.push(std::mem::take(&mut self.ahead));
        queue.push(std::mem::take(&mut self.gathered).freeze());
        while let Some(next) = self.behind.pop(usize::MAX) {
            queue.push(next);
        }
        Some(Read::Some)
    }
}

impl<D: Duplex> Duplex for Peeked<D> {
    const DROP_FINISHES: bool = D::DROP_FINISHES;

    fn poll_read(&mut self, cx: &mut Context<'_>, queue: &mut Queue) -> Poll<io::Result<Read>> {
        ready!(self.poll_judged(cx))?;
        match self.poll_ahead(queue) {
            Some(read) => Poll::Ready(Ok(read)),
            None => self.inner.poll_read(cx, queue),
        }
    }

    fn poll_read_ahead(
        &mut self,
        cx: &mut Context<'_>,
        queue: &mut Queue,
    ) -> Poll<io::Result<Read>> {
        ready!(self.poll_judged(cx))?;
        match self.poll_ahead(queue) {
            Some(read) => Poll::Ready(Ok(read)),
            None => self.inner.poll_read_ahead(cx, queue),
        }
    }

    fn consumed(&mut self, bytes: usize) {
        self.inner.consumed(bytes);
    }

    fn poll_write(&mut self, cx: &mut Context<'_>, queue: &mut Queue) -> Poll<io::Result<()>> {
        self.inner.poll_write(cx, queue)
    }

    fn poll_finish(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.inner.poll_finish(cx)
    }

    fn reset(&mut self) {
        self.inner.reset();
    }
}
