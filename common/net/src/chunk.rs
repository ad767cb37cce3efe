//! Where bytes from sockets are read into: large buffers, few of them, none while nothing moves.
//!
//! Every worker keeps one scratch buffer to read into. Small reads are copied out of it; a large read takes the
//! buffer along as [`Bytes`], and when the last reader drops those the buffer returns to its worker's shelf.
//! So an idle connection owns no buffer, and a busy one causes no page faults.

use std::{
    cell::RefCell,
    io,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::{BufMut as _, Bytes};
use tokio::io::AsyncRead;
use tokio_util::io::poll_read_buf;

/// The largest single read. Units: bytes. A TCP leg costs a third less CPU at 256 KiB than at 64 KiB.
pub const MAX_CHUNK_BYTES: usize = 256 * 1024;
/// Reads up to this size are copied: cheaper than handing a whole buffer around. Units: bytes.
pub(crate) const MAX_COPIED_BYTES: usize = 8 * 1024;
/// Buffers that a worker keeps for reuse.
const MAX_SHELVED: usize = 8;

thread_local! {
    static SHELF: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
}

fn take() -> Vec<u8> {
    SHELF
        .with_borrow_mut(Vec::pop)
        .unwrap_or_else(|| Vec::with_capacity(MAX_CHUNK_BYTES))
}

fn put_back(mut buffer: Vec<u8>) {
    buffer.clear();
    SHELF.with_borrow_mut(|shelf| {
        if shelf.len() < MAX_SHELVED {
            shelf.push(buffer);
        }
    });
}

/// A buffer on loan.
struct Loan(Vec<u8>);

impl AsRef<[u8]> for Loan {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl Drop for Loan {
    fn drop(&mut self) {
        put_back(std::mem::take(&mut self.0));
    }
}

/// Reads once from `io`, at most `limit` bytes. Empty bytes mean the end of the stream.
///
/// A read that is shorter than it could be spares the system call that would only say that nothing is left.
///
/// # Errors
/// What `io` answers.
pub fn poll_read<R: AsyncRead + Unpin>(
    io: &mut R,
    cx: &mut Context<'_>,
    limit: usize,
) -> Poll<io::Result<Bytes>> {
    let mut buffer = take();
    let result = poll_read_buf(
        Pin::new(io),
        cx,
        &mut (&mut buffer).limit(limit.min(MAX_CHUNK_BYTES)),
    );
    if result.is_ready() && buffer.len() > MAX_COPIED_BYTES {
        return result.map_ok(|_length| Bytes::from_owner(Loan(buffer)));
    }
    let result = result.map_ok(|_length| Bytes::copy_from_slice(&buffer));
    put_back(buffer);
    result
}

#[cfg(test)]
mod tests;
