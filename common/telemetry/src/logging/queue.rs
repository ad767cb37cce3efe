//! The bounded queue between those who log and the thread that writes.
//!
//! **Shape:** one buffer of bytes that is appended to under a lock and swapped for an empty one by the writer.
//! A line costs one copy and no allocation; the writer is woken once per batch.

use std::{
    fmt,
    io::{self, Write},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    thread,
    time::Duration,
};

use parking_lot::{Condvar, Mutex, MutexGuard};

use super::Scope;

/// How much may wait to be written. About 2,000 lines: 0.1 s of 20,000 connections per second. Units: bytes.
pub(crate) const MAX_QUEUED_BYTES: usize = 1024 * 1024;

/// How much of that access log lines may fill; the rest is for the process. Units: bytes.
pub(crate) const MAX_QUEUED_ACCESS_BYTES: usize = MAX_QUEUED_BYTES / 4 * 3;

/// Above this, the writer stops gathering and writes. Units: bytes.
const ENOUGH_BYTES: usize = MAX_QUEUED_BYTES / 4;

/// How long the writer gathers lines before it writes them, so that a busy proxy makes a hundred writes a second
/// and not thousands.
const GATHER: Duration = Duration::from_millis(10);

/// Buffers above this size are given back after a burst. Units: bytes.
const MAX_KEPT_BUFFER_BYTES: usize = 64 * 1024;

/// Lines on their way to a sink.
pub(crate) struct Queue {
    state: Mutex<State>,
    /// The writer has something to do.
    wake: Condvar,
    /// All is written.
    idle: Condvar,
    dropped: [AtomicU64; Scope::ALL.len()],
}

#[derive(Default)]
struct State {
    buffer: Vec<u8>,
    lines: [u64; Scope::ALL.len()],
    writer: Writer,
    /// Whoever waits wants what is queued written now.
    hurry: bool,
    closed: bool,
}

/// What the writer is doing.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Writer {
    /// Nothing, until it is woken.
    #[default]
    Parked,
    /// Gathering lines.
    Gathering,
    /// Writing what it gathered.
    Writing,
}

impl Queue {
    /// Starts the writer over `sink`.
    pub(crate) fn start(sink: Box<dyn Write + Send>) -> io::Result<Arc<Self>> {
        let queue = Arc::new(Self {
            state: Mutex::default(),
            wake: Condvar::new(),
            idle: Condvar::new(),
            dropped: [const { AtomicU64::new(0) }; Scope::ALL.len()],
        });
        let writer = Arc::clone(&queue);
        thread::Builder::new()
            .name("log".to_owned())
            .spawn(move || writer.run(sink))?;
        Ok(queue)
    }

    /// Queues a line, or counts it as dropped.
    pub(crate) fn push(&self, scope: Scope, line: &[u8]) {
        let bound = match scope {
            Scope::Access => MAX_QUEUED_ACCESS_BYTES,
            Scope::Process => MAX_QUEUED_BYTES,
        };
        let mut state = self.state.lock();
        let before = state.buffer.len();
        if before + line.len() > bound || state.closed {
            drop(state);
            self.count_dropped(scope, 1);
            return;
        }
        state.buffer.extend_from_slice(line);
        state.lines[scope.index()] += 1;
        let wake = match state.writer {
            Writer::Parked => before == 0,
            Writer::Gathering => before < ENOUGH_BYTES && state.buffer.len() >= ENOUGH_BYTES,
            Writer::Writing => false,
        };
        drop(state);
        if wake {
            self.wake.notify_one();
        }
    }

    /// Waits until all is written; returns whether it is.
    pub(crate) fn flush(&self, timeout: Duration) -> bool {
        let mut state = self.state.lock();
        state.hurry = true;
        self.wake.notify_one();
        let busy = |state: &mut State| !state.buffer.is_empty() || state.writer == Writer::Writing;
        !self
            .idle
            .wait_while_for(&mut state, busy, timeout)
            .timed_out()
    }

    /// Takes no more lines; the writer ends once it has written what is queued.
    pub(crate) fn close(&self) {
        self.state.lock().closed = true;
        self.wake.notify_one();
    }

    /// How many lines of a scope were lost.
    pub(crate) fn dropped(&self, scope: Scope) -> u64 {
        self.dropped[scope.index()].load(Relaxed)
    }

    fn count_dropped(&self, scope: Scope, lines: u64) {
        self.dropped[scope.index()].fetch_add(lines, Relaxed);
    }

    fn run(&self, mut sink: Box<dyn Write + Send>) {
        let mut batch = Vec::new();
        loop {
            let mut state = self.state.lock();
            if !self.gather(&mut state) {
                return;
            }
            std::mem::swap(&mut state.buffer, &mut batch);
            let lines = std::mem::take(&mut state.lines);
            state.writer = Writer::Writing;
            drop(state);
            if sink.write_all(&batch).and_then(|()| sink.flush()).is_err() {
                // Nobody reads. There is nowhere to say so but in the count.
                for scope in Scope::ALL {
                    self.count_dropped(scope, lines[scope.index()]);
                }
            }
            batch.clear();
            batch.shrink_to(MAX_KEPT_BUFFER_BYTES);
        }
    }

    /// Waits for lines, and a little longer for more; returns whether there are any.
    fn gather(&self, state: &mut MutexGuard<'_, State>) -> bool {
        while state.buffer.is_empty() {
            state.writer = Writer::Parked;
            state.hurry = false;
            self.idle.notify_all();
            if state.closed {
                return false;
            }
            self.wake.wait(state);
        }
        state.writer = Writer::Gathering;
        let more =
            |state: &mut State| state.buffer.len() < ENOUGH_BYTES && !state.hurry && !state.closed;
        self.wake.wait_while_for(state, more, GATHER);
        true
    }
}

impl fmt::Debug for Queue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Queue").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
