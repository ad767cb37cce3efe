//! Bytes between a read and a write.
//!
//! In: chunks as they were read. Out: slices for one `writev`, or chunks of a size that is asked for. Never: a copy of a large chunk.

use std::{collections::VecDeque, io::IoSlice};

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

/// Bytes on their way, oldest first.
#[derive(Debug, Default)]
pub struct Queue {
    chunks: VecDeque<Bytes>,
    bytes: usize,
}

impl Queue {
    /// Adds bytes at the end. Crumbs are gathered, so that a queue of them costs what it holds.
    pub fn push(&mut self, chunk: Bytes) {
        if chunk.is_empty() {
            return;
        }
        self.bytes += chunk.len();
        if chunk.len() <= MAX_CRUMB_BYTES
            && let Some(last) = self
                .chunks
                .pop_back_if(|last| last.len() + chunk.len() <= MAX_GATHERED_BYTES)
        {
            match last.try_into_mut() {
                Ok(mut gathered) => {
                    gathered.extend_from_slice(&chunk);
                    return self.chunks.push_back(gathered.freeze());
                }
                // Two crumbs of a buffer that others use too.
                Err(last) if last.len() <= MAX_CRUMB_BYTES => {
                    let mut gathered = BytesMut::with_capacity(2 * MAX_CRUMB_BYTES);
                    gathered.extend_from_slice(&last);
                    gathered.extend_from_slice(&chunk);
                    return self.chunks.push_back(gathered.freeze());
                }
                Err(last) => self.chunks.push_back(last),
            }
        }
        self.chunks.push_back(chunk);
    }

    /// Takes at most `limit` bytes of the first chunk, without a copy.
    pub fn pop(&mut self, limit: usize) -> Option<Bytes> {
        let first = self.chunks.front_mut()?;
        let taken = if first.len() <= limit {
            self.chunks.pop_front()?
        } else {
            first.split_to(limit)
        };
        self.bytes -= taken.len();
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
            .map(|(slot, chunk)| *slot = IoSlice::new(chunk))
            .count()
    }

    /// The only chunk, if there is just one.
    pub(super) fn single(&self) -> Option<&Bytes> {
        self.chunks.front().filter(|_| self.chunks.len() == 1)
    }

    /// What it costs the process: a large chunk keeps the whole buffer that it was read into. Units: bytes.
    pub(super) fn footprint(&self) -> usize {
        let cost = |chunk: &Bytes| match chunk.len() {
            length if length > chunk::MAX_COPIED_BYTES => chunk::MAX_CHUNK_BYTES.max(length),
            length => length,
        };
        self.chunks.iter().map(cost).sum()
    }

    pub(super) fn advance(&mut self, mut written: usize) {
        self.bytes -= written;
        while let Some(first) = self.chunks.front_mut() {
            if first.len() > written {
                first.advance(written);
                return;
            }
            written -= first.len();
            self.chunks.pop_front();
        }
    }
}

#[cfg(test)]
mod tests;
