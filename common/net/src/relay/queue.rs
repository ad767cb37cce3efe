//! Bytes between a read and a write.
//!
//! In: chunks as they were read. Out: slices for one `writev`, or chunks of a size that is asked for.
//! Never: a copy of a large chunk, or of any that does not have to wait.

use std::{cell::Cell, collections::VecDeque, io::IoSlice, ops::RangeInclusive};

use bytes::{Buf as _, Bytes, BytesMut};

use crate::chunk;

/// What one direction holds while its destination is slow. Units: bytes.
pub const MAX_QUEUED_BYTES: usize = 256 * 1024;
/// Slices of one `writev`; more than this gains nothing.
pub(super) const MAX_SLICES: usize = 32;
/// Up to this size a chunk is copied to the end of the one before it. Units: bytes.
const MAX_CRUMB_BYTES: usize = 1024;
/// What crumbs are gathered in, at most. Units: bytes.
const MAX_GATHERED_BYTES: usize = 16 * 1024;
/// What copies are put into, one behind the other: so large that the allocator gives it back to the system when the last of them
/// has left ([`crate::limits::give_memory_back`]), and only what is written counts. Units: bytes.
const SLAB_BYTES: usize = chunk::MAX_CHUNK_BYTES;

thread_local! {
    /// What the next queue of this worker puts its chunks into: an empty one keeps no room for them.
    static SPARE: Cell<VecDeque<Chunk>> = const { Cell::new(VecDeque::new()) };
}

/// Bytes on their way, oldest first.
#[derive(Debug, Default)]
pub struct Queue {
    chunks: VecDeque<Chunk>,
    bytes: usize,
    /// How many of the first chunks [`Queue::own`] has seen.
    seen: usize,
    /// What is left of the slab that the next copies go to; there while something waits.
    slab: Option<Box<BytesMut>>,
}

#[derive(Debug)]
struct Chunk {
    bytes: Bytes,
    /// Whether it keeps no more memory than it has bytes. Others may be a part of a far larger buffer.
    exact: bool,
}

impl Chunk {
    /// What it keeps of memory, if it came from a socket. Units: bytes.
    fn cost(&self) -> usize {
        match self.bytes.len() {
            length if self.exact || length <= chunk::MAX_COPIED_BYTES => length,
            length => chunk::MAX_CHUNK_BYTES.max(length),
        }
    }

    fn own(&mut self, sizes: &RangeInclusive<usize>, slab: &mut Option<Box<BytesMut>>) {
        let length = self.bytes.len();
        if self.exact || !sizes.contains(&length) {
            return;
        }
        let mut slab_with_room = slab
            .take_if(|slab| slab.capacity() >= length)
            .unwrap_or_else(|| Box::new(BytesMut::with_capacity(SLAB_BYTES.max(length))));
        slab_with_room.extend_from_slice(&self.bytes);
        self.bytes = slab_with_room.split().freeze();
        self.exact = true;
        *slab = Some(slab_with_room);
    }
}

impl Queue {
    /// Adds bytes at the end. Crumbs are gathered, so that a queue of them costs what it holds.
    pub fn push(&mut self, bytes: Bytes) {
        if bytes.is_empty() {
            return;
        }
        if self.bytes == 0 {
            self.chunks = SPARE.take();
        }
        self.bytes += bytes.len();
        if bytes.len() <= MAX_CRUMB_BYTES
            && let Some(last) = self
                .chunks
                .pop_back_if(|last| last.bytes.len() + bytes.len() <= MAX_GATHERED_BYTES)
        {
            let gathered = gather(last, &bytes);
            let whole = gathered.is_ok();
            self.chunks.push_back(gathered.unwrap_or_else(|last| last));
            if whole {
                return;
            }
        }
        self.chunks.push_back(Chunk {
            bytes,
            exact: false,
        });
    }

    /// Takes at most `limit` bytes of the first chunk, without a copy.
    pub fn pop(&mut self, limit: usize) -> Option<Bytes> {
        let first = self.chunks.front_mut()?;
        let taken = if first.bytes.len() <= limit {
            self.seen = self.seen.saturating_sub(1);
            self.chunks.pop_front()?.bytes
        } else {
            first.bytes.split_to(limit)
        };
        self.take_off(taken.len());
        Some(taken)
    }

    /// The bytes that it holds.
    #[must_use]
    pub fn len(&self) -> usize {
        self.bytes
    }

    /// Whether it holds none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.bytes == 0
    }

    /// Whether no more should be added before some were written.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.bytes >= MAX_QUEUED_BYTES || self.chunks.len() >= MAX_SLICES
    }

    /// The first chunks, as many as one `writev` takes. Answers how many there are.
    pub(super) fn slices<'q>(&'q self, slices: &mut [IoSlice<'q>; MAX_SLICES]) -> usize {
        let pairs = slices.iter_mut().zip(&self.chunks);
        pairs
            .map(|(slot, chunk)| *slot = IoSlice::new(&chunk.bytes))
            .count()
    }

    /// The only chunk, if there is just one.
    pub(super) fn single(&self) -> Option<&Bytes> {
        let first = self.chunks.front().filter(|_| self.chunks.len() == 1);
        first.map(|chunk| &chunk.bytes)
    }

    /// For bytes that have to wait: copies chunks of these sizes out of the larger buffers that they keep, each once.
    pub(super) fn own(&mut self, sizes: &RangeInclusive<usize>) {
        // The first one may have become small since.
        if let Some(first) = self.chunks.front_mut() {
            first.own(sizes, &mut self.slab);
        }
        for chunk in self.chunks.range_mut(self.seen..) {
            chunk.own(sizes, &mut self.slab);
        }
        self.seen = self.chunks.len();
    }

    /// What it costs the process: a large chunk keeps the whole buffer that it was read into. Units: bytes.
    pub(super) fn footprint(&self) -> usize {
        self.chunks.iter().map(Chunk::cost).sum()
    }

    fn take_off(&mut self, bytes: usize) {
        self.bytes -= bytes;
        if self.bytes == 0 {
            self.slab = None;
            self.seen = 0;
            let mut chunks = std::mem::take(&mut self.chunks);
            if chunks.capacity() <= 2 * MAX_SLICES {
                chunks.clear();
                SPARE.set(chunks);
            }
        }
    }

    pub(super) fn advance(&mut self, mut written: usize) {
        self.take_off(written);
        while let Some(first) = self.chunks.front_mut() {
            if first.bytes.len() > written {
                first.bytes.advance(written);
                return;
            }
            written -= first.bytes.len();
            self.chunks.pop_front();
            self.seen = self.seen.saturating_sub(1);
        }
    }
}

/// Adds a crumb to what came before it, or gives that back where it would have to be copied for it.
fn gather(last: Chunk, crumb: &Bytes) -> Result<Chunk, Chunk> {
    let exact = last.exact;
    let mut gathered = match last.bytes.try_into_mut() {
        Ok(gathered) => gathered,
        // Two crumbs of a buffer that others use too.
        Err(last) if last.len() <= MAX_CRUMB_BYTES => {
            let mut gathered = BytesMut::with_capacity(2 * MAX_CRUMB_BYTES);
            gathered.extend_from_slice(&last);
            gathered
        }
        Err(bytes) => return Err(Chunk { bytes, exact }),
    };
    gathered.extend_from_slice(crumb);
    Ok(Chunk {
        bytes: gathered.freeze(),
        exact,
    })
}

#[cfg(test)]
mod tests;
