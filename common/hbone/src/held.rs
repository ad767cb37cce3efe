//! What the process holds for applications that are slower than their peers.
//!
//! In: bytes that arrived and were not taken yet. Out: whether there is room for more.
//! Never: one count per tunnel: peers choose how many tunnels they open.
//!
//! Stream windows add up, so that a stalled reader stalls nobody else. This is the bound on their sum.

use std::sync::atomic::{AtomicUsize, Ordering};

/// From here on new tunnels are given small windows. Units: bytes.
const MANY_BYTES: usize = 128 * 1024 * 1024;
/// From here on a stream that brings more is reset: better one slow connection than every connection of the node.
/// Units: bytes.
const MAX_HELD_BYTES: usize = 512 * 1024 * 1024;
/// The stream window of tunnels that are opened while much is held. Units: bytes.
const SMALL_WINDOW: u32 = 256 * 1024;

static HELD: AtomicUsize = AtomicUsize::new(0);

/// One stream's share.
#[derive(Debug, Default)]
pub(crate) struct Held(usize);

impl Held {
    /// Adds what has arrived. Answers whether that is still within the bound.
    pub(crate) fn add(&mut self, bytes: usize) -> bool {
        self.0 += bytes;
        HELD.fetch_add(bytes, Ordering::Relaxed) + bytes <= MAX_HELD_BYTES
    }

    /// Takes off what has left.
    pub(crate) fn take(&mut self, bytes: usize) {
        let bytes = bytes.min(self.0);
        self.0 -= bytes;
        HELD.fetch_sub(bytes, Ordering::Relaxed);
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        HELD.fetch_sub(self.0, Ordering::Relaxed);
    }
}

/// The stream window for a tunnel that is opened now.
pub(crate) fn window(configured: u32) -> u32 {
    if HELD.load(Ordering::Relaxed) < MANY_BYTES {
        configured
    } else {
        configured.min(SMALL_WINDOW)
    }
}

#[cfg(test)]
mod tests;
