//! How much of all requests' bodies is kept for another attempt.
//!
//! In: a frame that is to be kept. Out: whether it may be. Never: waits.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// What is kept of all bodies at once. Reason: a thousandth of the requests that a waypoint can have under way would fill its memory
/// with the largest bodies that are kept; a request that is not kept is sent once. Units: bytes.
const MAX_KEPT_BYTES: usize = 64 * 1024 * 1024;
/// What a frame costs beside its bytes: its handle, and its part of what it was read into. Units: bytes.
const FRAME_BYTES: usize = 128;

/// All requests of the process share it.
pub(super) static BUDGET: Budget = Budget::new(MAX_KEPT_BYTES);

/// So much may be kept.
#[derive(Debug)]
pub(super) struct Budget {
    max: usize,
    kept: AtomicUsize,
}

/// What one body has taken of it. It is given back when this is dropped.
#[derive(Debug)]
pub(super) struct Share {
    budget: &'static Budget,
    bytes: usize,
}

impl Budget {
    pub(super) const fn new(max: usize) -> Self {
        Self {
            max,
            kept: AtomicUsize::new(0),
        }
    }

    pub(super) fn share(&'static self) -> Share {
        Share {
            budget: self,
            bytes: 0,
        }
    }

    #[cfg(test)]
    pub(super) fn kept(&self) -> usize {
        self.kept.load(Relaxed)
    }
}

impl Share {
    /// Takes as much as a frame costs, if that is left.
    pub(super) fn keep(&mut self, frame: usize) -> bool {
        let cost = frame.saturating_add(FRAME_BYTES);
        let before = self.budget.kept.fetch_add(cost, Relaxed);
        if before.saturating_add(cost) > self.budget.max {
            self.budget.kept.fetch_sub(cost, Relaxed);
            return false;
        }
        self.bytes += cost;
        true
    }

    /// Gives back what a frame that was kept has cost.
    pub(super) fn let_go(&mut self, frame: usize) {
        let cost = frame.saturating_add(FRAME_BYTES).min(self.bytes);
        self.bytes -= cost;
        self.budget.kept.fetch_sub(cost, Relaxed);
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.budget.kept.fetch_sub(self.bytes, Relaxed);
    }
}
