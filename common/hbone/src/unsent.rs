//! What a tunnel holds of its applications while the network is slower than they are.
//!
//! In: bytes on their way to the engine. Out: the same, counted until the engine lets go of them; whether there is room for more.
//! Never: a stream that waits for another stream's reader: what is in the engine has its window, and waits for the socket alone.
//!
//! Each stream alone is bounded by [`crate::settings::MAX_SEND_BUFFER_BYTES`]. This is the bound on their sum.
//!
//! ```text
//!   room ──▶ full (>= limit) ──the engine lets go──▶ room, and everybody who waits is woken
//! ```
//! **Bound:** [`MAX_TUNNEL_BYTES`] and a frame for each tunnel; once the process holds [`MANY_BYTES`], [`FEW_BYTES`] and a frame for each
//! further one.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, Waker},
};

use bytes::Bytes;
use net::chunk;
use parking_lot::Mutex;

/// What one tunnel holds. Units: bytes.
pub(crate) const MAX_TUNNEL_BYTES: usize = 8 * 1024 * 1024;
/// From here on tunnels hold few. Units: bytes.
pub(crate) const MANY_BYTES: usize = 128 * 1024 * 1024;
/// What a tunnel holds while the process holds much: more than its socket takes at once. Units: bytes.
pub(crate) const FEW_BYTES: usize = 512 * 1024;

static UNSENT: AtomicUsize = AtomicUsize::new(0);

/// One tunnel's share.
#[derive(Debug, Default)]
pub(crate) struct Unsent {
    bytes: AtomicUsize,
    /// Streams that wait for room: at most as many as the tunnel has.
    waiting: Mutex<Vec<Waker>>,
}

impl Unsent {
    fn has_room(&self) -> bool {
        let limit = if UNSENT.load(Ordering::Acquire) < MANY_BYTES {
            MAX_TUNNEL_BYTES
        } else {
            FEW_BYTES
        };
        self.bytes.load(Ordering::Acquire) < limit
    }

    /// Ready when a stream may give one more frame to the engine.
    pub(crate) fn poll_room(&self, cx: &mut Context<'_>) -> Poll<()> {
        if self.has_room() {
            return Poll::Ready(());
        }
        let mut waiting = self.waiting.lock();
        // Under the lock: who lets go now finds the waker.
        if self.has_room() {
            return Poll::Ready(());
        }
        if !waiting.iter().any(|waker| waker.will_wake(cx.waker())) {
            waiting.push(cx.waker().clone());
        }
        Poll::Pending
    }

    /// Counts bytes for as long as anybody keeps them.
    pub(crate) fn count(self: &Arc<Self>, bytes: Bytes) -> Bytes {
        // More than a copy: a part of a buffer, which it keeps.
        let cost = match bytes.len() {
            length if length > chunk::MAX_COPIED_BYTES => chunk::MAX_CHUNK_BYTES,
            length => length,
        };
        self.bytes.fetch_add(cost, Ordering::AcqRel);
        UNSENT.fetch_add(cost, Ordering::AcqRel);
        Bytes::from_owner(Counted {
            bytes,
            cost,
            tunnel: Arc::clone(self),
        })
    }
}

/// Bytes that the engine keeps.
struct Counted {
    bytes: Bytes,
    cost: usize,
    tunnel: Arc<Unsent>,
}

impl AsRef<[u8]> for Counted {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.tunnel.bytes.fetch_sub(self.cost, Ordering::AcqRel);
        UNSENT.fetch_sub(self.cost, Ordering::AcqRel);
        if self.tunnel.has_room() {
            let waiting = std::mem::take(&mut *self.tunnel.waiting.lock());
            waiting.into_iter().for_each(Waker::wake);
        }
    }
}

#[cfg(test)]
mod tests;
