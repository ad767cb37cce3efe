//! The load generator: a server in one pod, clients in another, both threads of this process.
//!
//! In: a scenario's numbers. Out: what passed, counted where it arrived, and samples of how long it
//! took. Never: a runtime; more threads, connections or samples than its `MAX_*` say.
//!
//! Threads: one per server (epoll), one per side of a bulk stream (blocking), one per client of
//! requests or connections (epoll), or of connections one at a time (blocking). The controller sleeps through the window and
//! reads counters.

pub(crate) mod bulk;
pub(crate) mod connections;
pub(crate) mod dials;
pub(crate) mod idle;
pub(crate) mod requests;
pub(crate) mod server;

use std::io;
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicU8, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::statistics::percentile;

/// Bytes of one write and of one read in bulk.
pub(crate) const CHUNK: usize = 128 * 1024;

/// Bytes of a request, in one write.
pub(crate) const REQUEST: usize = 100;

/// Bytes of its answer, in one write.
pub(crate) const ANSWER: usize = 1024;

/// How long a connection may stand still before it counts as broken.
pub(crate) const STALL: Duration = Duration::from_secs(10);

/// How often a loop that waits looks whether it is to stop.
const LOOK: Duration = Duration::from_millis(100);

/// The most samples of one window; at more than a million requests per second the rest would go.
const MAX_SAMPLES: usize = 1 << 22;

/// Samples for which room is made at once, so that the first second does not grow vectors.
const SAMPLES: usize = 1 << 18;

/// The same, where there is a vector for each connection.
const SAMPLES_EACH: usize = 1 << 14;

/// What controller and generator threads of one block share.
#[derive(Debug, Default)]
pub(crate) struct Gauge {
    /// 0 while it warms up.
    phase: AtomicU8,
    ready: AtomicUsize,
    done: AtomicU64,
    failed: AtomicU64,
}

const MEASURING: u8 = 1;
const STOPPING: u8 = 2;

impl Gauge {
    /// The window opens: samples count from now on.
    pub(crate) fn measure(&self) {
        self.phase.store(MEASURING, Ordering::Relaxed);
    }

    /// The window is closed: nothing new is begun.
    pub(crate) fn stop(&self) {
        self.phase.store(STOPPING, Ordering::Relaxed);
    }

    /// How many units (bytes, requests, connections) have passed so far.
    pub(crate) fn done(&self) -> u64 {
        self.done.load(Ordering::Relaxed)
    }

    /// How many failed.
    pub(crate) fn failed(&self) -> u64 {
        self.failed.load(Ordering::Relaxed)
    }

    /// How many threads are connected and about to load.
    pub(crate) fn ready(&self) -> usize {
        self.ready.load(Ordering::Acquire)
    }

    fn is_stopping(&self) -> bool {
        self.phase.load(Ordering::Relaxed) == STOPPING
    }

    fn is_measuring(&self) -> bool {
        self.phase.load(Ordering::Relaxed) == MEASURING
    }

    fn set_ready(&self) {
        self.ready.fetch_add(1, Ordering::Release);
    }

    fn count(&self, units: usize) {
        self.done.fetch_add(units as u64, Ordering::Relaxed);
    }

    fn fail(&self) {
        self.failed.fetch_add(1, Ordering::Relaxed);
    }
}

/// How long things took, in nanoseconds.
#[derive(Debug)]
pub(crate) struct Samples {
    nanos: Vec<u32>,
}

impl Samples {
    fn new() -> Self {
        Self {
            nanos: Vec::with_capacity(SAMPLES),
        }
    }

    /// Where each connection has samples of its own.
    fn of_many() -> Self {
        Self {
            nanos: Vec::with_capacity(SAMPLES_EACH),
        }
    }

    fn median(&mut self) -> Option<u32> {
        percentile(&mut self.nanos, 500)
    }

    /// More than 4.2 s counts as 4.2 s.
    fn push(&mut self, took: Duration) {
        if self.nanos.len() < MAX_SAMPLES {
            self.nanos
                .push(u32::try_from(took.as_nanos()).unwrap_or(u32::MAX));
        }
    }

    /// The samples.
    pub(crate) fn into_nanos(self) -> Vec<u32> {
        self.nanos
    }
}

/// Ends a loop in which nothing has happened for [`STALL`].
#[derive(Debug)]
struct Watchdog {
    last: Instant,
}

impl Watchdog {
    fn new() -> Self {
        Self {
            last: Instant::now(),
        }
    }

    fn alive(&mut self) {
        self.last = Instant::now();
    }

    fn check(&self, what: &str) -> io::Result<()> {
        if self.last.elapsed() < STALL {
            return Ok(());
        }
        Err(io::Error::new(
            io::ErrorKind::TimedOut,
            format!("{what}: nothing passed for {STALL:?}"),
        ))
    }
}

/// A blocking connection that never blocks longer than [`STALL`].
///
/// # Errors
///
/// When it is not established in that time.
pub(crate) fn connect(address: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&address, STALL)?;
    stream.set_read_timeout(Some(STALL))?;
    stream.set_write_timeout(Some(STALL))?;
    stream.set_nodelay(true)?;
    Ok(stream)
}
