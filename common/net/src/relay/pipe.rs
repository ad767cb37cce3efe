//! Pipes, through which the kernel moves bytes from one socket to another without showing them to us.
//!
//! In: two sockets. Out: how much has moved. Never: more pipes than [`MAX_PIPES`]; a pipe with something in it on the shelf; a fill of a pipe
//! that is not empty, for then "would block" would not say which side is meant.
//!
//! A pipe costs two system calls to make and one to enlarge, which is more than a short connection takes; so every worker keeps some.

use std::{
    cell::RefCell,
    io,
    os::fd::OwnedFd,
    sync::atomic::{AtomicUsize, Ordering},
    task::{Context, Poll, ready},
    thread::AccessError,
};

use nix::{
    fcntl::{FcntlArg, OFlag, SpliceFFlags, fcntl, splice},
    unistd::pipe2,
};
use tokio::{io::Interest, net::TcpStream};

/// What one pipe is asked to hold: the most that the kernel lets anybody have. Units: bytes.
pub const MAX_PIPE_BYTES: usize = 1024 * 1024;
/// Pipes of the process. Who gets none copies: a third slower, and bounded by the sockets.
pub const MAX_PIPES: usize = 256;
/// Pipes that a worker keeps for reuse.
const MAX_SHELVED: usize = 8;

static PIPES: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    static SHELF: RefCell<Vec<Ends>> = const { RefCell::new(Vec::new()) };
}

/// The two ends of a pipe, counted.
#[derive(Debug)]
struct Ends {
    reader: OwnedFd,
    writer: OwnedFd,
}

impl Drop for Ends {
    fn drop(&mut self) {
        PIPES.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Ends {
    fn make() -> Option<Self> {
        let counted = PIPES.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |count| {
            (count < MAX_PIPES).then_some(count + 1)
        });
        counted.ok()?;
        let Ok((reader, writer)) = pipe2(OFlag::O_CLOEXEC | OFlag::O_NONBLOCK) else {
            PIPES.fetch_sub(1, Ordering::Relaxed);
            return None;
        };
        // A smaller one works as well: what a user's pipes may hold has a bound of its own.
        let bytes = i32::try_from(MAX_PIPE_BYTES).unwrap_or(i32::MAX);
        let _enlarged: nix::Result<i32> = fcntl(&writer, FcntlArg::F_SETPIPE_SZ(bytes));
        Some(Self { reader, writer })
    }
}

/// A pipe on loan. It goes back to its worker when it is dropped empty.
#[derive(Debug)]
pub(super) struct Pipe {
    /// `None` only while it is dropped.
    ends: Option<Ends>,
    bytes: usize,
}

impl Pipe {
    /// An empty pipe, or `None` where there are too many.
    pub(super) fn take() -> Option<Self> {
        let shelved = SHELF.with_borrow_mut(Vec::pop);
        let ends = shelved.or_else(Ends::make)?;
        Some(Self {
            ends: Some(ends),
            bytes: 0,
        })
    }

    pub(super) fn is_empty(&self) -> bool {
        self.bytes == 0
    }

    /// Moves what a socket has into the pipe, which must be empty. 0: the socket's peer has ended.
    pub(super) fn poll_fill(
        &mut self,
        cx: &mut Context<'_>,
        from: &TcpStream,
    ) -> Poll<io::Result<usize>> {
        let Some(ends) = &self.ends else {
            return Poll::Ready(Ok(0));
        };
        loop {
            ready!(from.poll_read_ready(cx))?;
            let moved = from.try_io(Interest::READABLE, || {
                move_bytes(from, &ends.writer, MAX_PIPE_BYTES)
            });
            match moved {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Ok(moved) => {
                    self.bytes = moved;
                    return Poll::Ready(Ok(moved));
                }
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }

    /// Moves what is in the pipe into a socket, once. Answers how much went.
    pub(super) fn poll_drain(
        &mut self,
        cx: &mut Context<'_>,
        to: &TcpStream,
    ) -> Poll<io::Result<usize>> {
        let Some(ends) = &self.ends else {
            return Poll::Ready(Ok(0));
        };
        loop {
            ready!(to.poll_write_ready(cx))?;
            let moved = to.try_io(Interest::WRITABLE, || {
                move_bytes(&ends.reader, to, self.bytes)
            });
            match moved {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Ok(0) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Ok(moved) => {
                    self.bytes -= moved;
                    return Poll::Ready(Ok(moved));
                }
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }
}

impl Drop for Pipe {
    fn drop(&mut self) {
        let Some(ends) = self.ends.take().filter(|_| self.bytes == 0) else {
            return;
        };
        // The thread may be ending, and its shelf be gone: then the pipe is closed.
        let _closed: Result<(), AccessError> = SHELF.try_with(|shelf| {
            let mut shelf = shelf.borrow_mut();
            if shelf.len() < MAX_SHELVED {
                shelf.push(ends);
            }
        });
    }
}

/// How many pipes this worker keeps.
#[cfg(test)]
pub(super) fn shelved() -> usize {
    SHELF.with_borrow(Vec::len)
}

fn move_bytes(
    from: impl std::os::fd::AsFd,
    to: impl std::os::fd::AsFd,
    most: usize,
) -> io::Result<usize> {
    let flags = SpliceFFlags::SPLICE_F_MOVE | SpliceFFlags::SPLICE_F_NONBLOCK;
    loop {
        match splice(&from, None, &to, None, most, flags) {
            Err(nix::errno::Errno::EINTR) => {}
            result => return Ok(result?),
        }
    }
}

#[cfg(test)]
mod tests;
