//! The end of a connection that we close: its client is to have read the last answer before the connection is gone.
//!
//! In: a connection. Out: the same; after the last byte, what the client still sends is read and thrown away, for a short
//! while. Never: keeps a connection for a client that has ended its side.
//!
//! A stream of a tunnel that is dropped before its client has ended it is reset, and a reset may overtake what the client's
//! ztunnel has not yet passed on. Source: RFC 9112 §9.6; Envoy's `delayed_close_timeout`.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use hyper::rt::{Read, ReadBuf, ReadBufCursor, Write};
use tokio::time::Sleep;

/// How long it waits for the client to end its side.
const TIMEOUT_LINGER: Duration = Duration::from_secs(1);
/// What is thrown away at most. Units: bytes.
const MAX_LINGER_BYTES: usize = 1024 * 1024;
/// What is thrown away at once. Units: bytes.
const LINGER_READ_BYTES: usize = 4096;

/// A connection that is closed gently.
#[derive(Debug)]
pub(super) struct Linger<I, P> {
    io: I,
    discarded: usize,
    timer: Option<Pin<Box<Sleep>>>,
    /// Its place, which is taken until it is dropped, whatever it has become.
    _place: P,
}

impl<I, P> Linger<I, P> {
    pub(super) fn new(io: I, place: P) -> Self {
        Self {
            io,
            discarded: 0,
            timer: None,
            _place: place,
        }
    }
}

impl<I: Read + Unpin, P> Linger<I, P> {
    fn poll_discard(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let timer = self
            .timer
            .get_or_insert_with(|| Box::pin(tokio::time::sleep(TIMEOUT_LINGER)));
        if Future::poll(timer.as_mut(), cx).is_ready() {
            return Poll::Ready(());
        }
        let mut bytes = [0; LINGER_READ_BYTES];
        while self.discarded < MAX_LINGER_BYTES {
            let mut buffer = ReadBuf::new(&mut bytes);
            let read = ready!(Pin::new(&mut self.io).poll_read(cx, buffer.unfilled()));
            let count = buffer.filled().len();
            if read.is_err() || count == 0 {
                break;
            }
            self.discarded += count;
        }
        Poll::Ready(())
    }
}

impl<I: Read + Unpin, P: Unpin> Read for Linger<I, P> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        cursor: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(cx, cursor)
    }
}

impl<I: Read + Write + Unpin, P: Unpin> Write for Linger<I, P> {
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
        ready!(Pin::new(&mut self.io).poll_shutdown(cx))?;
        ready!(self.poll_discard(cx));
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests;
