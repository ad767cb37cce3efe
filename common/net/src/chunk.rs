//! Where bytes from sockets are read into: large buffers, few of them, none while nothing moves.
//!
//! Every worker keeps one scratch buffer to read into. Small reads are copied out of it; a large read takes the
//! buffer along as [`Bytes`], and when the last reader drops those the buffer returns to its worker's shelf.
//! So an idle connection owns no buffer, and a busy one causes no page faults. A shelf is as long as there are buffers lent: it is short
//! again when they have come back.

use std::{
    cell::RefCell,
    io,
    pin::Pin,
    sync::atomic::{AtomicUsize, Ordering},
    task::{Context, Poll, ready},
};

use bytes::{BufMut as _, Bytes};
use socket2::SockRef;
use tokio::{
    io::{AsyncRead, Interest},
    net::TcpStream,
};
use tokio_util::io::poll_read_buf;

/// The largest single read. Units: bytes. A TCP leg costs a third less CPU at 256 KiB than at 64 KiB.
pub const MAX_CHUNK_BYTES: usize = 256 * 1024;
/// Reads up to this size are copied: cheaper than handing a whole buffer around. Units: bytes.
pub const MAX_COPIED_BYTES: usize = 8 * 1024;
/// Buffers that a worker keeps for reuse, whatever is lent.
const MIN_SHELVED: usize = 8;
/// Those that it keeps at most.
const MAX_SHELVED: usize = 64;

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
        let room = lent().clamp(MIN_SHELVED, MAX_SHELVED);
        if shelf.len() < room {
            shelf.push(buffer);
        } else {
            shelf.truncate(room);
        }
    });
}

static LENT: AtomicUsize = AtomicUsize::new(0);

/// A buffer on loan.
struct Loan(Vec<u8>);

impl Loan {
    fn new(buffer: Vec<u8>) -> Self {
        LENT.fetch_add(1, Ordering::Relaxed);
        Self(buffer)
    }
}

/// How many buffers of [`MAX_CHUNK_BYTES`] the process has lent to what was read and is still kept.
#[must_use]
pub fn lent() -> usize {
    LENT.load(Ordering::Relaxed)
}

impl AsRef<[u8]> for Loan {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl Drop for Loan {
    fn drop(&mut self) {
        LENT.fetch_sub(1, Ordering::Relaxed);
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
    if result.is_pending() {
        put_back(buffer);
        return Poll::Pending;
    }
    let bytes = hand_out(buffer);
    result.map_ok(|_length| bytes)
}

/// [`poll_read`] for a socket that somebody else looks at as well.
///
/// # Errors
/// What the socket answers.
pub fn poll_receive(
    socket: &TcpStream,
    cx: &mut Context<'_>,
    limit: usize,
) -> Poll<io::Result<Bytes>> {
    loop {
        ready!(socket.poll_read_ready(cx))?;
        let mut buffer = take();
        let room = limit.min(buffer.capacity());
        let received = receive(socket, &mut buffer, room);
        if received.is_ok() {
            return Poll::Ready(Ok(hand_out(buffer)));
        }
        put_back(buffer);
        match received {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            result => return Poll::Ready(result.map(|()| Bytes::new())),
        }
    }
}

fn receive(socket: &TcpStream, buffer: &mut Vec<u8>, room: usize) -> io::Result<()> {
    let mut received = None;
    let result = socket.try_io(Interest::READABLE, || {
        let length = SockRef::from(socket).recv(&mut buffer.spare_capacity_mut()[..room])?;
        received = Some(length);
        if (1..room).contains(&length) {
            // Nothing is left: the runtime is told now what one more system call would say.
            return Err(io::ErrorKind::WouldBlock.into());
        }
        Ok(())
    });
    let Some(length) = received else {
        return result;
    };
    #[expect(
        unsafe_code,
        reason = "the kernel has written into a buffer that nobody had set to zero"
    )]
    // SAFETY: the buffer was empty, and the kernel says that it wrote `length` bytes to its start, which is no more than it had room for.
    unsafe {
        buffer.set_len(length);
    }
    Ok(())
}

/// What was read, as a buffer on loan or, if it is little, as a copy.
fn hand_out(buffer: Vec<u8>) -> Bytes {
    if buffer.len() > MAX_COPIED_BYTES {
        return Bytes::from_owner(Loan::new(buffer));
    }
    let bytes = Bytes::copy_from_slice(&buffer);
    put_back(buffer);
    bytes
}

#[cfg(test)]
mod tests;
