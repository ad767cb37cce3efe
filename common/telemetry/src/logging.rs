//! Logs: the lines of the access log and of the process, one format, one writer thread.
//!
//! In: finished access log lines, and the process's own `tracing` events. Out: bytes on one sink, in order.
//! Never: blocks or allocates per line on the connection path; waits for a slow reader of the sink.
//!
//! **Tasks:** one thread, `log`, ended when the last [`Logging`] is dropped, after it has written what is queued.
//!
//! Reading order: [`mod@line`] (the two formats), [`queue`] (the bound and the thread), [`directives`] (levels),
//! [`layer`] (process logs).

use std::{
    cell::RefCell,
    fmt,
    io::{self, Write},
    str::FromStr,
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering::Relaxed},
    },
    time::{Duration, SystemTime},
};

use parking_lot::Mutex;
use tracing::{Dispatch, Level};
use tracing_subscriber::{Registry, filter::Targets, layer::SubscriberExt as _, reload};

pub(crate) mod directives;
pub(crate) mod layer;
pub(crate) mod line;
pub(crate) mod queue;

pub use directives::{Directives, InvalidDirective};

use line::Line;
use queue::Queue;

/// How a log line is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// Tab-separated head, then `key=value`.
    #[default]
    Text,
    /// One JSON object of flat keys.
    Json,
}

/// A text that is not the name of a log format.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a log format: expected plain or json")]
pub struct InvalidFormat {
    /// The text.
    pub text: String,
}

impl FromStr for Format {
    type Err = InvalidFormat;

    /// Reads `LOG_FORMAT`: `json`, or `plain`, `text` or nothing.
    fn from_str(text: &str) -> Result<Self, InvalidFormat> {
        match text.to_ascii_lowercase().as_str() {
            "json" => Ok(Self::Json),
            "" | "plain" | "text" => Ok(Self::Text),
            _ => Err(InvalidFormat {
                text: text.to_owned(),
            }),
        }
    }
}

/// Who writes a line. Process lines keep a reserve of the queue, so that a flood of connections does not hide
/// why it came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scope {
    /// The access log.
    Access,
    /// Everything else.
    Process,
}

impl Scope {
    pub(crate) const ALL: [Self; 2] = [Self::Access, Self::Process];

    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Access => "access",
            Self::Process => "process",
        }
    }

    pub(crate) const fn index(self) -> usize {
        self as usize
    }
}

/// The log of a process. Cheap to clone; the last clone to go ends the writer.
#[derive(Clone)]
pub struct Logging(Arc<Inner>);

struct Inner {
    queue: Arc<Queue>,
    format: Format,
    wall: WallClock,
    /// The most detailed level that the access log shows; 0 for none.
    access: AtomicU8,
    levels: Mutex<Levels>,
    filter: reload::Handle<Targets, Registry>,
    dispatch: Dispatch,
}

struct Levels {
    initial: Directives,
    current: Directives,
}

/// Where log lines get their time from; `net::clock::wall` outside tests.
pub type WallClock = fn() -> SystemTime;

/// The longest time that the last [`Logging`] waits for a sink that does not take its lines.
const TIMEOUT_LAST_FLUSH: Duration = Duration::from_secs(1);

/// Formatting buffers above this size are not kept. Units: bytes.
const MAX_KEPT_BUFFER_BYTES: usize = 16 * 1024;

thread_local! {
    /// The line being formatted on this thread, kept for its capacity.
    static BUFFER: RefCell<String> = const { RefCell::new(String::new()) };
}

impl Logging {
    /// Starts the writer thread over `sink` and prepares, but does not install, the process's subscriber.
    ///
    /// # Errors
    /// When no thread can be started.
    pub fn start(
        format: Format,
        directives: Directives,
        sink: Box<dyn Write + Send>,
        wall: WallClock,
    ) -> io::Result<Self> {
        let queue = Queue::start(sink)?;
        let (filter, handle) = reload::Layer::new(directives.targets());
        let lines = layer::Lines {
            queue: Arc::clone(&queue),
            format,
            wall,
        };
        let dispatch = Dispatch::new(tracing_subscriber::registry().with(filter).with(lines));
        let access = AtomicU8::new(rank_of(&directives));
        let levels = Mutex::new(Levels {
            initial: directives.clone(),
            current: directives,
        });
        Ok(Self(Arc::new(Inner {
            queue,
            format,
            wall,
            access,
            levels,
            filter: handle,
            dispatch,
        })))
    }

    /// Makes this the log of the process: `tracing` events of every thread come here.
    ///
    /// # Errors
    /// When the process has one already.
    pub fn install(&self) -> Result<(), tracing::dispatcher::SetGlobalDefaultError> {
        tracing::dispatcher::set_global_default(self.dispatch())
    }

    /// What `tracing` events are given to, for those who do not [`install`](Self::install) it.
    #[must_use]
    pub fn dispatch(&self) -> Dispatch {
        self.0.dispatch.clone()
    }

    /// The levels in force, as [`Self::set_level`] reads them.
    #[must_use]
    pub fn level(&self) -> String {
        self.0.levels.lock().current.to_string()
    }

    /// Changes levels: those of the targets that `directives` names, or the common one, or both. Others stay.
    ///
    /// **Shape:** `access:debug,info`: `target:level`, `target=level` or a bare level, separated by commas.
    ///
    /// # Errors
    /// When `directives` cannot be read; then nothing changes.
    pub fn set_level(&self, directives: &str) -> Result<(), InvalidDirective> {
        let mut levels = self.0.levels.lock();
        let merged = levels.current.merged(directives)?;
        self.enforce(&mut levels, merged);
        Ok(())
    }

    /// Goes back to the levels that the process was started with.
    pub fn reset(&self) {
        let mut levels = self.0.levels.lock();
        let initial = levels.initial.clone();
        self.enforce(&mut levels, initial);
    }

    fn enforce(&self, levels: &mut Levels, directives: Directives) {
        self.0.access.store(rank_of(&directives), Relaxed);
        // While a process has one subscriber, what call sites remember of it is asked of the default of this
        // thread. It fails only once the subscriber is gone, and then nobody is left to filter for.
        tracing::dispatcher::with_default(&self.0.dispatch, || {
            drop(self.0.filter.reload(directives.targets()));
        });
        levels.current = directives;
    }

    /// Waits until all that was logged before has been given to the sink, at most for `timeout`.
    /// Returns whether it has.
    pub fn flush(&self, timeout: Duration) -> bool {
        self.0.queue.flush(timeout)
    }

    /// How many lines of the access log and of the process were lost, because the sink did not take them in time.
    #[must_use]
    pub fn dropped(&self) -> (u64, u64) {
        (
            self.0.queue.dropped(Scope::Access),
            self.0.queue.dropped(Scope::Process),
        )
    }

    pub(crate) fn queue(&self) -> Arc<Queue> {
        Arc::clone(&self.0.queue)
    }

    /// Whether the access log shows lines of `level`.
    pub(crate) fn shows_access(&self, level: Level) -> bool {
        directives::rank(level) <= self.0.access.load(Relaxed)
    }

    /// Writes one line of an access log that has a form of its own, with its end. Levels do not matter.
    pub(crate) fn raw(&self, line: impl FnOnce(&mut String)) {
        write(&self.0.queue, Scope::Access, line);
    }

    /// Writes one line of the access log.
    pub(crate) fn access(&self, level: Level, message: &str, fields: impl FnOnce(&mut Line<'_>)) {
        write(&self.0.queue, Scope::Access, |buffer| {
            let mut line = Line::begin(
                buffer,
                self.0.format,
                (self.0.wall)(),
                level,
                "access",
                message,
            );
            fields(&mut line);
            line.end();
        });
    }
}

/// Formats a line in the buffer of the thread and queues it.
fn write(queue: &Queue, scope: Scope, format: impl FnOnce(&mut String)) {
    let finish = |buffer: &mut String| {
        buffer.clear();
        format(buffer);
        queue.push(scope, buffer.as_bytes());
        if buffer.capacity() > MAX_KEPT_BUFFER_BYTES {
            *buffer = String::new();
        }
    };
    BUFFER.with(|buffer| match buffer.try_borrow_mut() {
        Ok(mut buffer) => finish(&mut buffer),
        // Formatting a value has logged something itself.
        Err(_) => finish(&mut String::new()),
    });
}

fn rank_of(directives: &Directives) -> u8 {
    directives
        .level_of("access")
        .into_level()
        .map_or(0, directives::rank)
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.queue.close();
        self.queue.flush(TIMEOUT_LAST_FLUSH);
    }
}

impl fmt::Debug for Logging {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Logging")
            .field("format", &self.0.format)
            .field("level", &self.level())
            .finish_non_exhaustive()
    }
}

/// An error with the chain of its sources, joined by `: `. For texts that are made once, such as log lines.
#[derive(Clone, Copy, Debug)]
pub struct Chain<'a>(pub &'a (dyn std::error::Error + 'a));

impl fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)?;
        let mut source = self.0.source();
        while let Some(error) = source {
            write!(f, ": {error}")?;
            source = error.source();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
