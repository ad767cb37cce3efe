//! A relayed end as a socket, and an upgraded connection as a relayed end.
//!
//! In: a [`Duplex`] end (a stream of a tunnel), or what hyper hands out after an upgrade. Out: the reading and writing
//! traits of tokio and hyper, or a [`Duplex`] end. Never: sends an empty frame; copies more than once each way.

use std::{
    fmt,
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::BytesMut;
use hyper::rt::ReadBufCursor;
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use net::{
    chunk,
    relay::{Duplex, Queue, Read},
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// What one write takes, and so what is held while the end is blocked. The size of a tunnel's DATA frame. Units: bytes.
const MAX_WRITE_BYTES: usize = 64 * 1024;
/// Up to this size a write goes through a buffer that the connection keeps, so that heads cost no allocation. Units:
/// bytes.
const MAX_STAGED_BYTES: usize = 4 * 1024;

/// A [`Duplex`] end that is read and written like a socket.
pub struct DuplexIo<D> {
    end: D,
    /// What has arrived and was not read.
    read: Queue,
    /// What was written and not taken.
    write: Queue,
    staged: BytesMut,
    is_ended: bool,
    is_finished: bool,
}

impl<D: Duplex> DuplexIo<D> {
    /// Takes an end.
    #[must_use]
    pub fn new(end: D) -> Self {
        Self {
            end,
            read: Queue::default(),
            write: Queue::default(),
            staged: BytesMut::new(),
            is_ended: false,
            is_finished: false,
        }
    }

    /// The end.
    pub fn end(&self) -> &D {
        &self.end
    }

    /// Ends both directions as a failure that the peer can see.
    pub fn reset(&mut self) {
        self.end.reset();
    }

    /// Hands what has arrived to `take`, which is told how much it may be at most.
    fn poll_take(
        &mut self,
        cx: &mut Context<'_>,
        mut room: usize,
        mut take: impl FnMut(&[u8]),
    ) -> Poll<io::Result<()>> {
        if self.read.is_empty() && room > 0 {
            if self.is_ended {
                return Poll::Ready(Ok(()));
            }
            match ready!(self.end.poll_read(cx, &mut self.read))? {
                Read::Some => {}
                Read::End => {
                    self.is_ended = true;
                    return Poll::Ready(Ok(()));
                }
            }
        }
        let before = self.read.len();
        while room > 0
            && let Some(bytes) = self.read.pop(room)
        {
            take(&bytes);
            room -= bytes.len();
        }
        self.end.consumed(before - self.read.len());
        Poll::Ready(Ok(()))
    }

    fn poll_put(
        &mut self,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.write.len() >= MAX_WRITE_BYTES {
            ready!(self.end.poll_write(cx, &mut self.write))?;
        }
        let length: usize = slices.iter().map(|slice| slice.len()).sum();
        let length = length.min(MAX_WRITE_BYTES);
        if length == 0 {
            return Poll::Ready(Ok(0));
        }
        let mut large = BytesMut::new();
        let buffer = if length <= MAX_STAGED_BYTES {
            // It is used again once all that was split off has left.
            if self.staged.capacity() < length {
                self.staged.reserve(MAX_STAGED_BYTES);
            }
            &mut self.staged
        } else {
            large.reserve(length);
            &mut large
        };
        let mut left = length;
        for slice in slices {
            let part = &slice[..left.min(slice.len())];
            buffer.extend_from_slice(part);
            left -= part.len();
        }
        let bytes = buffer.split().freeze();
        self.write.push(bytes);
        match self.end.poll_write(cx, &mut self.write) {
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Ready(Ok(())) | Poll::Pending => Poll::Ready(Ok(length)),
        }
    }

    fn poll_empty(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.write.is_empty() {
            Poll::Ready(Ok(()))
        } else {
            self.end.poll_write(cx, &mut self.write)
        }
    }

    fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_empty(cx))?;
        if !self.is_finished {
            ready!(self.end.poll_finish(cx))?;
            self.is_finished = true;
        }
        Poll::Ready(Ok(()))
    }
}

impl<D: Duplex + Unpin> AsyncRead for DuplexIo<D> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let room = buf.remaining();
        self.get_mut()
            .poll_take(cx, room, |bytes| buf.put_slice(bytes))
    }
}

impl<D: Duplex + Unpin> AsyncWrite for DuplexIo<D> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.get_mut().poll_put(cx, &[IoSlice::new(buf)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.get_mut().poll_put(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().poll_empty(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().poll_end(cx)
    }
}

impl<D: Duplex + Unpin> hyper::rt::Read for DuplexIo<D> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        mut buf: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let room = buf.remaining();
        self.get_mut()
            .poll_take(cx, room, |bytes| buf.put_slice(bytes))
    }
}

impl<D: Duplex + Unpin> hyper::rt::Write for DuplexIo<D> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.get_mut().poll_put(cx, &[IoSlice::new(buf)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.get_mut().poll_put(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().poll_empty(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().poll_end(cx)
    }
}

impl<D: fmt::Debug> fmt::Debug for DuplexIo<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DuplexIo")
            .field("end", &self.end)
            .field("unread_bytes", &self.read.len())
            .field("unwritten_bytes", &self.write.len())
            .finish_non_exhaustive()
    }
}

/// A connection after its upgrade, as one end of a relay. What was read past the head comes first.
#[derive(Debug)]
pub struct UpgradedEnd {
    io: TokioIo<Upgraded>,
    /// Whether something was written that may not have left.
    is_unflushed: bool,
}

impl UpgradedEnd {
    /// Takes an upgraded connection.
    #[must_use]
    pub fn new(upgraded: Upgraded) -> Self {
        Self {
            io: TokioIo::new(upgraded),
            is_unflushed: false,
        }
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.is_unflushed {
            ready!(Pin::new(&mut self.io).poll_flush(cx))?;
            self.is_unflushed = false;
        }
        Poll::Ready(Ok(()))
    }
}

impl Duplex for UpgradedEnd {
    const DROP_FINISHES: bool = false;

    fn poll_read(&mut self, cx: &mut Context<'_>, queue: &mut Queue) -> Poll<io::Result<Read>> {
        // The relay asks for nothing once its queue is empty, so what is still to leave is seen to here.
        if let Poll::Ready(Err(error)) = self.poll_flush(cx) {
            return Poll::Ready(Err(error));
        }
        let bytes = ready!(chunk::poll_read(&mut self.io, cx, chunk::MAX_CHUNK_BYTES))?;
        if bytes.is_empty() {
            return Poll::Ready(Ok(Read::End));
        }
        queue.push(bytes);
        Poll::Ready(Ok(Read::Some))
    }

    fn poll_read_ahead(
        &mut self,
        cx: &mut Context<'_>,
        _queue: &mut Queue,
    ) -> Poll<io::Result<Read>> {
        match self.poll_flush(cx) {
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Ready(Ok(())) | Poll::Pending => Poll::Pending,
        }
    }

    fn consumed(&mut self, _bytes: usize) {}

    fn poll_write(&mut self, cx: &mut Context<'_>, queue: &mut Queue) -> Poll<io::Result<()>> {
        while let Some(mut bytes) = queue.pop(MAX_WRITE_BYTES) {
            let result = Pin::new(&mut self.io).poll_write(cx, &bytes);
            let written = match &result {
                Poll::Ready(Ok(written)) => *written,
                Poll::Ready(Err(_)) | Poll::Pending => 0,
            };
            self.is_unflushed |= written > 0;
            if written < bytes.len() {
                // Back to the front.
                let mut rest = std::mem::take(queue);
                queue.push(bytes.split_off(written));
                while let Some(chunk) = rest.pop(usize::MAX) {
                    queue.push(chunk);
                }
            }
            match ready!(result) {
                Ok(0) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Ok(_) => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
        match self.poll_flush(cx) {
            Poll::Ready(result) => Poll::Ready(result),
            // It was taken; the other direction's turns see to the rest.
            Poll::Pending => Poll::Ready(Ok(())),
        }
    }

    fn poll_finish(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_flush(cx))?;
        Pin::new(&mut self.io).poll_shutdown(cx)
    }

    fn reset(&mut self) {
        // Dropping it is all that hyper offers: HTTP/2 resets the stream then, HTTP/1.1 closes the connection.
    }
}

#[cfg(test)]
mod tests;
