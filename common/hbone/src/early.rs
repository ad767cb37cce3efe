//! What an application says before its stream is answered.
//!
//! In: an end that is read. Out: DATA frames right behind the request, so that the first bytes need not wait for
//! the answer. Never: more than [`MAX_EARLY_BYTES`] and one read; bytes that could not be said again on another
//! tunnel.
//!
//! The peer is verified before anything is sent, and holds the bytes back until it has admitted the stream.
//! Source: RFC 9113 §8.5 sets no order between them and the answer.

use std::{
    io,
    task::{Context, Poll},
};

use bytes::Bytes;
use h2::SendStream;
use net::relay::{Duplex, Queue, Read};

/// What is sent before the answer. It is kept until then. Units: bytes.
pub const MAX_EARLY_BYTES: usize = 16 * 1024;

/// An end whose first bytes may go ahead.
#[derive(Debug)]
pub struct Early<'a, D> {
    source: Option<&'a mut D>,
    queue: Queue,
    kept: Vec<Bytes>,
    bytes: usize,
}

impl<'a, D: Duplex> Early<'a, D> {
    /// Reads ahead from `source`.
    pub fn of(source: &'a mut D) -> Self {
        Self {
            source: Some(source),
            queue: Queue::default(),
            kept: Vec::new(),
            bytes: 0,
        }
    }

    /// Sends nothing before the answer.
    #[must_use]
    pub fn none() -> Self {
        Self {
            source: None,
            queue: Queue::default(),
            kept: Vec::new(),
            bytes: 0,
        }
    }

    /// How much was sent ahead. Units: bytes.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes as u64
    }

    /// Says again, on another tunnel, what was said already.
    pub(crate) fn repeat(&self, send: &mut SendStream<Bytes>) -> Result<(), h2::Error> {
        self.kept
            .iter()
            .try_for_each(|bytes| send.send_data(bytes.clone(), false))
    }

    /// Sends what there is to say.
    ///
    /// # Errors
    /// The outer one is the source's, the inner one the stream's.
    pub(crate) fn poll_forward(
        &mut self,
        cx: &mut Context<'_>,
        send: &mut SendStream<Bytes>,
    ) -> io::Result<Result<(), h2::Error>> {
        while self.bytes < MAX_EARLY_BYTES
            && let Some(source) = &mut self.source
        {
            match source.poll_read(cx, &mut self.queue) {
                Poll::Pending => break,
                // The relay will find the end again.
                Poll::Ready(Ok(Read::End)) => self.source = None,
                Poll::Ready(Ok(Read::Some)) => {
                    let before = self.bytes;
                    while let Some(bytes) = self.queue.pop(usize::MAX) {
                        self.bytes += bytes.len();
                        self.kept.push(bytes.clone());
                        if let Err(error) = send.send_data(bytes, false) {
                            return Ok(Err(error));
                        }
                    }
                    source.consumed(self.bytes - before);
                }
                Poll::Ready(Err(error)) => return Err(error),
            }
        }
        Ok(Ok(()))
    }
}
