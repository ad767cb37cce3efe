//! Bytes both ways between two ends until both directions have ended.
//!
//! In: two [`Duplex`] ends. Out: how it ended. Never: knows what the ends are, logs, decides.
//!
//! ```text
//!   downstream ──read──▶ queue (<= MAX_QUEUED_BYTES) ──write──▶ upstream
//!   downstream ◀─write── queue (<= MAX_QUEUED_BYTES) ◀──read── upstream
//!
//!   two sockets, in bulk:  ──splice──▶ pipe (<= MAX_PIPE_BYTES) ──splice──▶
//! ```
//! An end with flow control of its own is read beyond that while the other is blocked, up to what it lets its peer
//! send: see [`Duplex::poll_read_ahead`].
//!
//! Half-close is kept: the end of one direction is passed on and the other goes on. A failure of either end
//! resets both. It is seen, too, while what the end has sent waits for the other one: after a reset TCP promises nothing of that. An end
//! that finished first and was reset then has said all, and all of it is delivered.
//!
//! Reading order: [`queue`], [`direction`] (one way), [`tcp`] (a socket as an end), [`pipe`] (what splices), [`pressure`] (what the process
//! holds for slow readers).

use std::{
    io,
    task::{Context, Poll},
};

use tokio::net::TcpStream;

mod direction;
mod pipe;
mod pressure;
mod queue;
mod tcp;

use direction::{Direction, Failed};
pub use pipe::{MAX_PIPE_BYTES, MAX_PIPES};
pub use pressure::MANY_BYTES;
pub use queue::{MAX_QUEUED_BYTES, Queue};
pub use tcp::TcpEnd;

/// What a read found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Read {
    /// Bytes, now in the queue.
    Some,
    /// The end: no more will come.
    End,
}

/// One end of a relayed connection: bytes in, bytes out, each side ends by itself.
pub trait Duplex {
    /// Whether dropping an end whose other direction has ended finishes this one, as closing a socket does.
    const DROP_FINISHES: bool;

    /// Appends what has arrived to `queue`.
    ///
    /// # Errors
    /// When the end has failed; it is then to be reset.
    fn poll_read(&mut self, cx: &mut Context<'_>, queue: &mut Queue) -> Poll<io::Result<Read>>;
    /// Whether its peer is held back by [`Duplex::consumed`] and not by being read. Such an end is read ahead, and bounds
    /// and counts by itself what is held of it.
    fn has_window(&self) -> bool {
        false
    }
    /// Takes what has arrived while the other end is blocked. Only for an end that [has a window](Duplex::has_window): there, what is not
    /// read costs its engine more than it costs the queue, and a reset hides behind it.
    ///
    /// # Errors
    /// As [`Duplex::poll_read`].
    fn poll_read_ahead(
        &mut self,
        _cx: &mut Context<'_>,
        _queue: &mut Queue,
    ) -> Poll<io::Result<Read>> {
        Poll::Pending
    }
    /// Ready when the end has failed, for as long as it is not read because the other end is blocked. An end that
    /// [`Duplex::poll_read_ahead`] reads shows it there.
    fn poll_failed(&mut self, _cx: &mut Context<'_>) -> Poll<io::Error> {
        Poll::Pending
    }
    /// Says that `bytes` of what was read have left for good, so that the peer may send more.
    fn consumed(&mut self, bytes: usize);
    /// Writes from `queue` as much as is taken; ready only when the queue is empty. Answers through `written`.
    ///
    /// # Errors
    /// When the end has failed; it is then to be reset.
    fn poll_write(&mut self, cx: &mut Context<'_>, queue: &mut Queue) -> Poll<io::Result<()>>;
    /// Says that nothing more will be written.
    ///
    /// # Errors
    /// When the end has failed.
    fn poll_finish(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>>;
    /// Ends both directions as a failure that the peer can see.
    fn reset(&mut self);
    /// The socket, where bytes pass through this end as they are: between two sockets the kernel can move them.
    fn socket(&self) -> Option<&TcpStream> {
        None
    }
}

/// Counts bytes while they move.
pub trait Meter {
    /// Bytes from downstream to upstream.
    fn upward(&self, bytes: u64);
    /// Bytes from upstream to downstream.
    fn downward(&self, bytes: u64);
}

/// Which end failed.
#[derive(Debug, thiserror::Error)]
pub enum RelayError {
    /// The end that opened the connection.
    #[error("client disconnected before all data was written: {0}")]
    Downstream(io::Error),
    /// The end that was connected to.
    #[error("destination disconnected before all data was written: {0}")]
    Upstream(io::Error),
}

/// How far both directions are.
#[derive(Debug, Default)]
pub struct Relay {
    upward: Direction,
    downward: Direction,
}

impl Relay {
    /// Relays until both directions have ended. The caller is to drop both ends then: that finishes an end for which
    /// [`Duplex::DROP_FINISHES`] says so, and spares a system call.
    ///
    /// # Errors
    /// When either end fails; both have been reset then.
    pub fn poll<D: Duplex, U: Duplex>(
        &mut self,
        cx: &mut Context<'_>,
        downstream: &mut D,
        upstream: &mut U,
        meter: &impl Meter,
    ) -> Poll<Result<(), RelayError>> {
        let Self { upward, downward } = self;
        let mut turn = || {
            let up = upward
                .poll(cx, downstream, upstream, downward.has_ended(), |bytes| {
                    meter.upward(bytes);
                })
                .map_err(|failed| match failed {
                    Failed::Source(error) => RelayError::Downstream(error),
                    Failed::Sink(error) => RelayError::Upstream(error),
                })?;
            let down = downward
                .poll(cx, upstream, downstream, upward.has_ended(), |bytes| {
                    meter.downward(bytes);
                })
                .map_err(|failed| match failed {
                    Failed::Source(error) => RelayError::Upstream(error),
                    Failed::Sink(error) => RelayError::Downstream(error),
                })?;
            if up.is_ready() && down.is_ready() {
                Poll::Ready(Ok(()))
            } else {
                Poll::Pending
            }
        };
        let turn = turn();
        if let Poll::Ready(Err(_)) = &turn {
            downstream.reset();
            upstream.reset();
        }
        turn
    }
}

/// [`Relay::poll`] as a future.
///
/// # Errors
/// As there.
pub async fn relay<D: Duplex, U: Duplex>(
    downstream: &mut D,
    upstream: &mut U,
    meter: &impl Meter,
) -> Result<(), RelayError> {
    let mut relay = Relay::default();
    std::future::poll_fn(|cx| relay.poll(cx, downstream, upstream, meter)).await
}

#[cfg(test)]
mod tests;
