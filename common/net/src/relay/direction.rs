//! One way of a relay: from a source to a sink, by reads and writes or, in bulk between two sockets, by splices.
//!
//! In: two ends, how far the other way is. Out: ready when the source has ended and the sink knows it.
//! Never: a read while something waits to be written, unless the source has a window of its own; a large buffer for few bytes that wait.

use std::{
    cell::Cell,
    io,
    ops::RangeInclusive,
    task::{Context, Poll, ready},
};

use tokio::net::TcpStream;

use super::{Duplex, Queue, Read, pipe::Pipe, pressure::Held};
use crate::{chunk, worker};

/// Turns of one direction before other tasks of the worker get theirs.
const MAX_TURNS: usize = 16;
/// What one direction moves before that. Units: bytes.
const MAX_TURN_BYTES: u64 = 1024 * 1024;
/// A read of this size shows bulk: from then on a pipe is worth its system calls. Units: bytes.
const BULK_BYTES: usize = 64 * 1024;
/// A splice that moves less shows that the bulk is over. Units: bytes.
const SPARSE_BYTES: usize = 8 * 1024;

/// What is copied while it waits, of a socket: these keep a buffer that is four times as large, or more. Units: bytes.
const OWNED: RangeInclusive<usize> = chunk::MAX_COPIED_BYTES + 1..=chunk::MAX_CHUNK_BYTES / 4;
/// The same of an end with a window: its engine reads frames of all streams into one buffer, which is as large as the largest
/// of them, and any part of it keeps the whole. Units: bytes.
const OWNED_WINDOWED: RangeInclusive<usize> = 1..=256 * 1024;

#[derive(Debug, Default)]
pub(super) struct Direction {
    queue: Queue,
    /// There while bulk is moved; never beside bytes in the queue.
    pipe: Option<Pipe>,
    state: State,
    bulk: bool,
    /// What waits for a slow sink, as the process counts it.
    held: Held,
}

#[derive(Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Open,
    /// The source has ended; what is queued still goes.
    Ending,
    Ended,
}

/// Which end of a direction failed.
pub(super) enum Failed {
    Source(io::Error),
    Sink(io::Error),
}

impl Direction {
    pub(super) fn has_ended(&self) -> bool {
        self.state == State::Ended
    }

    pub(super) fn poll<S: Duplex>(
        &mut self,
        cx: &mut Context<'_>,
        source: &mut impl Duplex,
        sink: &mut S,
        other_ended: bool,
        count: impl Fn(u64),
    ) -> Poll<Result<(), Failed>> {
        let moved = Cell::new(0);
        let count = |bytes: u64| {
            moved.set(moved.get() + bytes);
            count(bytes);
        };
        for _ in 0..MAX_TURNS {
            if moved.get() >= MAX_TURN_BYTES {
                break;
            }
            if !self.queue.is_empty() {
                let before = self.queue.len();
                let result = sink.poll_write(cx, &mut self.queue);
                let written = before - self.queue.len();
                if written > 0 {
                    count(written as u64);
                    source.consumed(written);
                }
                match result {
                    Poll::Ready(result) => result.map_err(Failed::Sink)?,
                    Poll::Pending => return self.poll_blocked(cx, source),
                }
                self.held.set(0);
            }
            if self.pipe.is_some()
                && let Some(socket) = sink.socket()
            {
                match self.poll_drain(cx, socket, count) {
                    Poll::Ready(drained) => drained?,
                    Poll::Pending => return self.poll_blocked(cx, source),
                }
            }
            match self.state {
                State::Open => {
                    let sockets = source.socket().zip(sink.socket());
                    let read = match sockets.filter(|_| self.bulk) {
                        Some((from, _to)) => match self.poll_fill(cx, from) {
                            Some(read) => ready!(read)?,
                            None => ready!(self.poll_read(cx, source))?,
                        },
                        None => ready!(self.poll_read(cx, source))?,
                    };
                    if read == Read::End {
                        self.state = State::Ending;
                    }
                }
                State::Ending => {
                    if !(S::DROP_FINISHES && other_ended) {
                        ready!(sink.poll_finish(cx)).map_err(Failed::Sink)?;
                    }
                    self.state = State::Ended;
                    return Poll::Ready(Ok(()));
                }
                State::Ended => return Poll::Ready(Ok(())),
            }
        }
        worker::give_way(cx);
        Poll::Pending
    }

    fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        source: &mut impl Duplex,
    ) -> Poll<Result<Read, Failed>> {
        let read = ready!(source.poll_read(cx, &mut self.queue)).map_err(Failed::Source)?;
        self.bulk = self.queue.len() >= BULK_BYTES;
        Poll::Ready(Ok(read))
    }

    /// Moves what has arrived into a pipe. `None` where there is none to be had.
    fn poll_fill(
        &mut self,
        cx: &mut Context<'_>,
        from: &TcpStream,
    ) -> Option<Poll<Result<Read, Failed>>> {
        let mut pipe = Pipe::take()?;
        Some(match pipe.poll_fill(cx, from) {
            Poll::Ready(Ok(0)) => Poll::Ready(Ok(Read::End)),
            Poll::Ready(Ok(moved)) => {
                self.bulk = moved >= SPARSE_BYTES;
                self.pipe = Some(pipe);
                Poll::Ready(Ok(Read::Some))
            }
            Poll::Ready(Err(error)) => Poll::Ready(Err(Failed::Source(error))),
            // The pipe goes back: a connection that waits holds none.
            Poll::Pending => Poll::Pending,
        })
    }

    /// Moves what is in the pipe on; ready when nothing is, and the pipe has gone back.
    fn poll_drain(
        &mut self,
        cx: &mut Context<'_>,
        to: &TcpStream,
        count: impl Fn(u64),
    ) -> Poll<Result<(), Failed>> {
        while let Some(pipe) = self.pipe.as_mut().filter(|pipe| !pipe.is_empty()) {
            let moved = ready!(pipe.poll_drain(cx, to)).map_err(Failed::Sink)?;
            count(moved as u64);
        }
        self.pipe = None;
        Poll::Ready(Ok(()))
    }

    /// The sink is blocked; it wakes us when it is not.
    fn poll_blocked(
        &mut self,
        cx: &mut Context<'_>,
        source: &mut impl Duplex,
    ) -> Poll<Result<(), Failed>> {
        let meanwhile = self.poll_meanwhile(cx, source);
        if source.has_window() {
            self.queue.own(&OWNED_WINDOWED);
        } else {
            self.queue.own(&OWNED);
            self.held.set(self.queue.footprint());
        }
        meanwhile
    }

    /// What there is to see of a source while its sink is blocked: never ready but with its failure.
    fn poll_meanwhile(
        &mut self,
        cx: &mut Context<'_>,
        source: &mut impl Duplex,
    ) -> Poll<Result<(), Failed>> {
        while self.state == State::Open {
            match source.poll_read_ahead(cx, &mut self.queue) {
                Poll::Ready(Ok(Read::Some)) => {}
                Poll::Ready(Ok(Read::End)) => self.state = State::Ending,
                Poll::Ready(Err(error)) => return Poll::Ready(Err(Failed::Source(error))),
                Poll::Pending => {
                    let failed = source.poll_failed(cx);
                    return failed.map(|error| Err(Failed::Source(error)));
                }
            }
        }
        Poll::Pending
    }
}
