//! What the client's and the server's side of a tunnel share: the count of its streams and its keep-alive.

use std::{
    future::Future as _,
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::{Duration, Instant},
};

use h2::{Ping, PingPong};
use identity::PeerCertificate;
use parking_lot::Mutex;
use tokio::time::{Sleep, sleep};

use crate::{settings::Settings, unsent::Unsent};

/// How many streams a tunnel carries, and since when none.
#[derive(Debug)]
pub(crate) struct Usage {
    /// Who is at the other end.
    peer: Arc<PeerCertificate>,
    streams: AtomicUsize,
    /// Set once no stream may be added any more.
    closed: AtomicBool,
    idle_since: Mutex<Instant>,
    unsent: Arc<Unsent>,
}

impl Usage {
    pub(crate) fn new(peer: Arc<PeerCertificate>) -> Arc<Self> {
        Arc::new(Self {
            peer,
            streams: AtomicUsize::new(0),
            closed: AtomicBool::new(false),
            idle_since: Mutex::new(net::clock::now()),
            unsent: Arc::default(),
        })
    }

    /// A place for one more stream, if fewer than `limit` are there.
    pub(crate) fn reserve(self: &Arc<Self>, limit: usize) -> Option<Slot> {
        if self.is_closed() {
            return None;
        }
        self.streams
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |streams| {
                (streams < limit).then_some(streams + 1)
            })
            .ok()
            .map(|_before| Slot(Arc::clone(self)))
    }

    pub(crate) fn peer(&self) -> &Arc<PeerCertificate> {
        &self.peer
    }

    pub(crate) fn streams(&self) -> usize {
        self.streams.load(Ordering::Acquire)
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    pub(crate) fn close(&self) {
        self.closed.store(true, Ordering::Release);
    }

    /// How long there has been no stream.
    pub(crate) fn idle_for(&self, now: Instant) -> Option<Duration> {
        (self.streams() == 0).then(|| now.saturating_duration_since(*self.idle_since.lock()))
    }
}

/// The place of one stream.
#[derive(Debug)]
pub(crate) struct Slot(Arc<Usage>);

impl Slot {
    pub(crate) fn peer(&self) -> &Arc<PeerCertificate> {
        self.0.peer()
    }

    pub(crate) fn unsent(&self) -> &Arc<Unsent> {
        &self.0.unsent
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        if self.0.streams.fetch_sub(1, Ordering::AcqRel) == 1 {
            *self.0.idle_since.lock() = net::clock::now();
        }
    }
}

/// PINGs a tunnel and says when its peer has stopped to answer.
///
/// ```text
///   Resting --ping_interval--> Waiting --pong--> Resting
///                                 '--ping_timeout--> dead
/// ```
#[derive(Debug)]
pub(crate) struct KeepAlive {
    ping: Option<PingPong>,
    timer: Pin<Box<Sleep>>,
    state: State,
    interval: Duration,
    timeout: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Resting,
    Waiting,
}

/// What the passing of time means for a tunnel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tick {
    /// A PING was sent: the connection must be polled again, and this is the time to look whether it is idle.
    Pinged,
}

impl KeepAlive {
    pub(crate) fn new(ping: Option<PingPong>, settings: &Settings) -> Self {
        Self {
            ping,
            timer: Box::pin(sleep(settings.ping_interval)),
            state: State::Resting,
            interval: settings.ping_interval,
            timeout: settings.ping_timeout,
        }
    }

    fn rest(&mut self, state: State, duration: Duration) {
        self.state = state;
        self.timer.set(sleep(duration));
    }

    /// # Errors
    /// `TimedOut` when the peer is dead.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Tick>> {
        if self.state == State::Waiting
            && let Some(ping) = &mut self.ping
            && ping.poll_pong(cx).is_ready()
        {
            // An error here is the connection's and shows there.
            self.rest(State::Resting, self.interval);
        }
        if self.timer.as_mut().poll(cx).is_pending() {
            return Poll::Pending;
        }
        match self.state {
            State::Waiting => Poll::Ready(Err(io::Error::new(
                io::ErrorKind::TimedOut,
                "no answer to PING",
            ))),
            State::Resting => {
                if self
                    .ping
                    .as_mut()
                    .is_some_and(|ping| ping.send_ping(Ping::opaque()).is_ok())
                {
                    self.rest(State::Waiting, self.timeout);
                } else {
                    self.rest(State::Resting, self.interval);
                }
                Poll::Ready(Ok(Tick::Pinged))
            }
        }
    }
}
