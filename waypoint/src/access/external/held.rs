//! What is held of bodies for authorizers: gathered, and counted for as long as anybody has some of it.
//!
//! In: pieces of a body. Out: all of it in one, within a [`Budget`]. Never: holds on to what a piece was read into; counts less than there is.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use bytes::Bytes;
use http::StatusCode;
use telemetry::http::Details;

use crate::request::reply::Reply;

/// The least room that is made for a body. Reason: many come in small pieces. Units: bytes.
const MIN_ROOM: usize = 1024;

/// Bytes that may be held.
#[derive(Debug)]
pub(super) struct Budget {
    max: usize,
    taken: AtomicUsize,
}

impl Budget {
    pub(super) const fn new(max: usize) -> Self {
        Self {
            max,
            taken: AtomicUsize::new(0),
        }
    }

    #[cfg(test)]
    pub(super) fn taken(&self) -> usize {
        self.taken.load(Relaxed)
    }
}

/// What somebody has taken of it, until this is dropped.
#[derive(Debug)]
pub(super) struct Share {
    budget: &'static Budget,
    bytes: usize,
}

impl Share {
    pub(super) fn of(budget: &'static Budget) -> Self {
        Self { budget, bytes: 0 }
    }

    pub(super) fn take(&mut self, bytes: usize) -> Result<(), Reply> {
        let before = self.budget.taken.fetch_add(bytes, Relaxed);
        if before.saturating_add(bytes) > self.budget.max {
            self.budget.taken.fetch_sub(bytes, Relaxed);
            let mut reply = Reply::new(StatusCode::SERVICE_UNAVAILABLE, Details::OVERLOAD);
            reply.overloaded = true;
            return Err(reply);
        }
        self.bytes += bytes;
        Ok(())
    }

    /// Gives back what is more than `bytes`.
    fn shrink(&mut self, bytes: usize) {
        let more = self.bytes.saturating_sub(bytes);
        self.bytes -= more;
        self.budget.taken.fetch_sub(more, Relaxed);
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.shrink(0);
    }
}

/// What has come so far. It is copied: a frame of one byte can hold on to all that was read from its connection at once.
pub(super) struct Gathered {
    pub(super) bytes: Vec<u8>,
    share: Share,
}

impl Gathered {
    pub(super) fn new(budget: &'static Budget) -> Self {
        Self {
            bytes: Vec::new(),
            share: Share::of(budget),
        }
    }

    pub(super) fn add(&mut self, data: &[u8]) -> Result<(), Reply> {
        let (length, room) = (self.bytes.len(), self.bytes.capacity());
        let wanted = length.saturating_add(data.len());
        if wanted > room {
            // Twice as much, so that a body of many pieces is not copied with each.
            let room_now = wanted.max(room.saturating_mul(2)).max(MIN_ROOM);
            self.share.take(room_now.saturating_sub(room))?;
            self.bytes.reserve_exact(room_now - length);
        }
        self.bytes.extend_from_slice(data);
        Ok(())
    }

    /// All of it, which counts for as long as anybody has some of it.
    pub(super) fn whole(self) -> Bytes {
        let Self {
            mut bytes,
            mut share,
        } = self;
        bytes.shrink_to_fit();
        share.shrink(bytes.capacity());
        Bytes::from_owner(Counted {
            bytes,
            _share: share,
        })
    }
}

/// Bytes, and their share.
struct Counted {
    bytes: Vec<u8>,
    _share: Share,
}

impl AsRef<[u8]> for Counted {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}
