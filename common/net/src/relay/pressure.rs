//! What the process holds for readers that are slower than their peers, on connections without a window of their own.
//!
//! In: what a blocked direction holds. Out: how much the next read may take. Never: a lock; a count on the way of a connection that is not
//! blocked; a refusal: with a smaller read every connection goes on.
//!
//! **Bound:** [`MANY_BYTES`], one read of every worker, and then [`SMALL_BYTES`] for each further blocked direction.

use std::sync::atomic::{AtomicUsize, Ordering};

use crate::chunk;

/// From here on reads are small. Units: bytes.
pub const MANY_BYTES: usize = 128 * 1024 * 1024;
/// A small read: one that is copied, so that it keeps no buffer. Units: bytes.
const SMALL_BYTES: usize = chunk::MAX_COPIED_BYTES;

static HELD: AtomicUsize = AtomicUsize::new(0);

/// One direction's share.
#[derive(Debug, Default)]
pub(super) struct Held(usize);

impl Held {
    /// Says what is held now.
    pub(super) fn set(&mut self, bytes: usize) {
        if bytes > self.0 {
            HELD.fetch_add(bytes - self.0, Ordering::Relaxed);
        } else if bytes < self.0 {
            HELD.fetch_sub(self.0 - bytes, Ordering::Relaxed);
        }
        self.0 = bytes;
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.set(0);
    }
}

/// How much a read may take that would like to take `wanted`.
pub(super) fn limit(wanted: usize) -> usize {
    if HELD.load(Ordering::Relaxed) < MANY_BYTES {
        wanted
    } else {
        wanted.min(SMALL_BYTES)
    }
}

#[cfg(test)]
mod tests;
