//! The witnesses: that a ztunnel is still the one that was started, and that others get on with their work.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use lab::{Machine, Ztunnel, eventually, until};

use super::DEADLINE;

/// Requests that a load must make before it counts as going on.
const STEPS: u64 = 20;

/// A ztunnel and what it was at the beginning.
#[derive(Debug)]
pub struct Witness<'a> {
    ztunnel: &'a Ztunnel,
    id: u32,
    resident_bytes: u64,
}

impl<'a> Witness<'a> {
    /// Looks at a ztunnel that runs.
    ///
    /// # Errors
    /// When it does not.
    pub fn of(ztunnel: &'a Ztunnel) -> Result<Self> {
        Ok(Self {
            ztunnel,
            id: ztunnel.id(),
            resident_bytes: ztunnel.memory()?.resident_bytes,
        })
    }

    /// Whether it still runs, is the same process, and nothing in it has panicked.
    ///
    /// # Errors
    /// When not so.
    pub fn unharmed(&self) -> Result<()> {
        if !self.ztunnel.is_running() || self.ztunnel.id() != self.id {
            bail!("ztunnel is gone:\n{}", self.ztunnel.log_tail());
        }
        let log = self.ztunnel.log();
        let bad = log
            .lines()
            .find(|line| line.contains("panicked at") || line.contains("stack backtrace"));
        match bad {
            Some(line) => bail!("ztunnel panicked: {line}\n{}", self.ztunnel.log_tail()),
            None => Ok(()),
        }
    }

    /// Whether it has never held more than `bytes` above what it held at the beginning.
    ///
    /// # Errors
    /// When it did.
    pub fn bounded(&self, bytes: u64) -> Result<()> {
        let memory = self.ztunnel.memory()?;
        let grown = memory.highest_bytes.saturating_sub(self.resident_bytes);
        if grown > bytes {
            bail!(
                "ztunnel grew from {} to {} KiB at its highest, expected at most {} KiB more",
                self.resident_bytes >> 10,
                memory.highest_bytes >> 10,
                bytes >> 10
            );
        }
        Ok(())
    }
}

/// Runs `action` and waits for a log line with all of `texts` that was not there before.
///
/// # Errors
/// The action's, or when no such line comes.
pub fn told_anew<T>(
    ztunnel: &Ztunnel,
    texts: &[&str],
    action: impl FnOnce() -> Result<T>,
) -> Result<T> {
    let before = ztunnel.log_lines(texts).len();
    let value = action()?;
    eventually("a new line in the log", DEADLINE, || {
        if ztunnel.log_lines(texts).len() > before {
            return Ok(());
        }
        bail!(
            "none with {texts:?}; the log ends with\n{}",
            ztunnel.log_tail()
        )
    })?;
    Ok(value)
}

/// Requests that go on in the background: one connection that stays, and a new one for every other request.
#[derive(Debug)]
pub struct Load {
    stop: Arc<AtomicBool>,
    done: Arc<AtomicU64>,
    thread: Option<JoinHandle<Result<Result<()>>>>,
}

impl Load {
    /// Begins to ask an HTTP server from a machine.
    ///
    /// # Errors
    /// When the thread cannot be started or the first request fails.
    pub fn start(from: &Machine, to: SocketAddr) -> Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let done = Arc::new(AtomicU64::new(0));
        let (ask_stop, count) = (Arc::clone(&stop), Arc::clone(&done));
        let thread = from.thread(move || run(to, &ask_stop, &count))?;
        let load = Self {
            stop,
            done,
            thread: Some(thread),
        };
        load.goes_on()?;
        Ok(load)
    }

    /// How many requests have been answered.
    pub fn count(&self) -> u64 {
        self.done.load(Ordering::Relaxed)
    }

    /// Waits until more requests have been answered from now on.
    ///
    /// # Errors
    /// When one fails, or they stand still.
    pub fn goes_on(&self) -> Result<()> {
        let before = self.count();
        let ended = || self.thread.as_ref().is_none_or(JoinHandle::is_finished);
        until("requests in the background", DEADLINE, || {
            ended() || self.count() >= before + STEPS
        })?;
        if ended() {
            bail!(
                "the load in the background ended after {} requests",
                self.count()
            );
        }
        Ok(())
    }

    /// Ends it and answers how many requests there were.
    ///
    /// # Errors
    /// The first request that failed.
    pub fn stop(mut self) -> Result<u64> {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            match thread.join() {
                Ok(result) => result?.context("the load in the background")?,
                Err(_panic) => bail!("the load in the background panicked"),
            }
        }
        Ok(self.count())
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

fn run(to: SocketAddr, stop: &AtomicBool, count: &AtomicU64) -> Result<()> {
    let mut staying = connect(to)?;
    while !stop.load(Ordering::Relaxed) {
        let number = count.load(Ordering::Relaxed);
        get(&mut staying)
            .with_context(|| format!("request {number} on the connection that stays"))?;
        let mut fresh = connect(to).with_context(|| format!("connection for request {number}"))?;
        get(&mut fresh).with_context(|| format!("request {number} on a new connection"))?;
        count.fetch_add(2, Ordering::Relaxed);
        // A load, not a flood: it has the two cores of whatever it watches.
        std::thread::sleep(Duration::from_millis(2));
    }
    Ok(())
}

fn connect(to: SocketAddr) -> Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&to, DEADLINE)?;
    stream.set_read_timeout(Some(DEADLINE))?;
    stream.set_write_timeout(Some(DEADLINE))?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// One request; nginx answers `hello from POD`.
fn get(stream: &mut TcpStream) -> Result<()> {
    stream.write_all(b"GET / HTTP/1.1\r\nhost: load\r\n\r\n")?;
    let mut answer = Vec::new();
    let mut buffer = [0; 1024];
    while !answer.ends_with(b"\n") || !answer.windows(10).any(|bytes| bytes == b"hello from") {
        match stream.read(&mut buffer)? {
            0 => bail!("ended after {:?}", String::from_utf8_lossy(&answer)),
            count => answer.extend_from_slice(buffer.get(..count).unwrap_or_default()),
        }
    }
    if !answer.starts_with(b"HTTP/1.1 200 ") {
        bail!("answered {:?}", String::from_utf8_lossy(&answer));
    }
    Ok(())
}
