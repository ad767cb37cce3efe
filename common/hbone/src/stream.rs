//! One relayed connection inside a tunnel.
//!
//! In: bytes of an application. Out: DATA frames, and back. Never: sends an empty DATA frame but the last
//! (some peers count them as an attack).

use std::{
    io,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use h2::{Reason, RecvStream, SendStream};
use identity::PeerCertificate;
use net::relay::{Duplex, Queue, Read};

use crate::{held::Held, tunnel::Slot};

/// The largest DATA frame that is sent. A peer hands a frame on only when it is complete, so larger ones would
/// add delay and push the working set out of the cache. Units: bytes.
const MAX_DATA_BYTES: usize = 64 * 1024;

/// A CONNECT stream whose request was answered with 200.
#[derive(Debug)]
pub struct Stream {
    send: SendStream<Bytes>,
    recv: RecvStream,
    /// What was read of it and has not left.
    held: Held,
    /// Keeps the place in the tunnel's count of streams.
    slot: Slot,
}

impl Stream {
    pub(crate) fn new(send: SendStream<Bytes>, recv: RecvStream, slot: Slot) -> Self {
        Self {
            send,
            recv,
            held: Held::default(),
            slot,
        }
    }

    /// Who is at the other end of the tunnel.
    #[must_use]
    pub fn peer(&self) -> &Arc<PeerCertificate> {
        self.slot.peer()
    }

    fn hold(&mut self, bytes: Bytes, queue: &mut Queue) -> io::Result<()> {
        let fits = self.held.add(bytes.len());
        queue.push(bytes);
        if fits {
            Ok(())
        } else {
            Err(io::Error::other(
                "too many bytes are held for slow applications",
            ))
        }
    }
}

fn failed(error: h2::Error) -> io::Error {
    if error.is_io() {
        return error
            .into_io()
            .unwrap_or_else(|| io::ErrorKind::BrokenPipe.into());
    }
    if error.is_reset() {
        return io::Error::new(io::ErrorKind::ConnectionReset, error);
    }
    io::Error::other(error)
}

impl Duplex for Stream {
    /// A stream that is dropped before its last frame is reset.
    const DROP_FINISHES: bool = false;

    fn poll_read(&mut self, cx: &mut Context<'_>, queue: &mut Queue) -> Poll<io::Result<Read>> {
        let before = queue.len();
        while !queue.is_full() {
            match self.recv.poll_data(cx) {
                Poll::Ready(Some(Ok(bytes))) => self.hold(bytes, queue)?,
                Poll::Ready(Some(Err(error))) => return Poll::Ready(Err(failed(error))),
                Poll::Ready(None) if queue.len() == before => return Poll::Ready(Ok(Read::End)),
                Poll::Pending if queue.len() == before => return Poll::Pending,
                Poll::Ready(None) | Poll::Pending => break,
            }
        }
        Poll::Ready(Ok(Read::Some))
    }

    fn has_window(&self) -> bool {
        true
    }

    fn poll_read_ahead(
        &mut self,
        cx: &mut Context<'_>,
        queue: &mut Queue,
    ) -> Poll<io::Result<Read>> {
        // The window bounds it, and the process's count. An engine that is left with many small frames ends the tunnel for all its streams.
        match ready!(self.recv.poll_data(cx)) {
            Some(Ok(bytes)) => self.hold(bytes, queue)?,
            Some(Err(error)) => return Poll::Ready(Err(failed(error))),
            None => return Poll::Ready(Ok(Read::End)),
        }
        Poll::Ready(Ok(Read::Some))
    }

    fn consumed(&mut self, bytes: usize) {
        self.held.take(bytes);
        // It fails only when the stream is gone, and then nobody waits for the window.
        drop(self.recv.flow_control().release_capacity(bytes));
    }

    fn poll_write(&mut self, cx: &mut Context<'_>, queue: &mut Queue) -> Poll<io::Result<()>> {
        while !queue.is_empty() {
            // First: capacity that is reserved and not used is taken from other streams.
            ready!(self.slot.unsent().poll_room(cx));
            let mut capacity = self.send.capacity();
            if capacity == 0 {
                self.send.reserve_capacity(queue.len());
                capacity = match ready!(self.send.poll_capacity(cx)) {
                    Some(result) => result.map_err(failed)?,
                    None => return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
                };
            }
            if let Some(bytes) = (capacity > 0)
                .then(|| queue.pop(capacity.min(MAX_DATA_BYTES)))
                .flatten()
            {
                let counted = self.slot.unsent().count(bytes);
                self.send.send_data(counted, false).map_err(failed)?;
            }
        }
        Poll::Ready(Ok(()))
    }

    fn poll_finish(&mut self, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(self.send.send_data(Bytes::new(), true).map_err(failed))
    }

    fn reset(&mut self) {
        // RFC 9113 §8.5: a TCP error is signalled so.
        self.send.send_reset(Reason::CONNECT_ERROR);
    }
}
