//! A copy of a body for somebody who may be slower than the one it is meant for.
//!
//! In: the frames of a request as it is sent. Out: a body with the same frames. Never: makes the request wait; a copy that
//! falls behind by more than [`MAX_BEHIND_BYTES`] breaks off.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body as HttpBody, Frame, SizeHint};
use tokio::sync::mpsc;

use crate::body::BodyError;

/// How far a copy may fall behind. Reason: it is held beside the request; what a retry may hold is enough here too.
/// Units: bytes.
pub const MAX_BEHIND_BYTES: usize = 1024 * 1024;
/// The same in frames. Reason: what a frame costs beside its bytes.
const MAX_BEHIND_FRAMES: usize = 256;

/// The copy broke off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the copy of the request broke off")]
pub struct Broken;

/// Where the copy is made.
#[derive(Debug)]
pub struct Tap {
    frames: mpsc::Sender<Item>,
    behind: Arc<AtomicUsize>,
}

/// The copy.
#[derive(Debug)]
pub struct Copy {
    frames: mpsc::Receiver<Item>,
    behind: Arc<AtomicUsize>,
    hint: SizeHint,
    ended: bool,
}

#[derive(Debug)]
enum Item {
    Data(Bytes),
    End(Option<HeaderMap>),
}

/// A copy of a body of which `hint` is known.
#[must_use]
pub fn tap(hint: SizeHint) -> (Tap, Copy) {
    // One more than there may be frames, so that the end always finds a place.
    let (sender, receiver) = mpsc::channel(MAX_BEHIND_FRAMES + 1);
    let behind = Arc::new(AtomicUsize::new(0));
    let tap = Tap {
        frames: sender,
        behind: Arc::clone(&behind),
    };
    let copy = Copy {
        frames: receiver,
        behind,
        hint,
        ended: false,
    };
    (tap, copy)
}

impl Tap {
    /// Copies a frame; `false` once the copy has broken off.
    #[must_use]
    pub fn push(&mut self, data: &Bytes) -> bool {
        if self.frames.capacity() <= 1 || self.behind.load(Relaxed) + data.len() > MAX_BEHIND_BYTES
        {
            return false;
        }
        self.behind.fetch_add(data.len(), Relaxed);
        self.frames.try_send(Item::Data(data.clone())).is_ok()
    }

    /// The body has come to its end. Without this, the copy has broken off.
    pub fn finish(self, trailers: Option<&HeaderMap>) {
        // A copy that nobody reads any more needs no end.
        drop(self.frames.try_send(Item::End(trailers.cloned())));
    }
}

impl HttpBody for Copy {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        if self.ended {
            return Poll::Ready(None);
        }
        match ready!(self.frames.poll_recv(cx)) {
            Some(Item::Data(data)) => {
                self.behind.fetch_sub(data.len(), Relaxed);
                Poll::Ready(Some(Ok(Frame::data(data))))
            }
            Some(Item::End(trailers)) => {
                self.ended = true;
                Poll::Ready(trailers.map(|trailers| Ok(Frame::trailers(trailers))))
            }
            None => {
                self.ended = true;
                Poll::Ready(Some(Err(BodyError::Filter(Box::new(Broken)))))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.ended
    }

    fn size_hint(&self) -> SizeHint {
        self.hint
    }
}

#[cfg(test)]
mod tests;
