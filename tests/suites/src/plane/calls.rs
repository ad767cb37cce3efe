//! New connections, one after the other, for as long as something changes.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use lab::Pod;

use crate::policy::{Call, PATIENCE, Seen};

/// Between two calls. Each leaves a port that cannot be used for a minute, and a machine has 27,000.
const PAUSE: Duration = Duration::from_millis(5);
/// Calls that count as going on.
const STEPS: u64 = 5;

/// A thread that calls, each time on a new connection, and expects an answer each time.
#[derive(Debug)]
pub struct Calls {
    stop: Arc<AtomicBool>,
    answered: Arc<AtomicU64>,
    thread: JoinHandle<Result<()>>,
}

impl Calls {
    /// Begins, and returns after the first answers.
    ///
    /// # Errors
    ///
    /// When nobody answers.
    pub fn start(from: &Arc<Pod>, to: SocketAddr) -> Result<Self> {
        let (stop, answered) = (
            Arc::new(AtomicBool::new(false)),
            Arc::new(AtomicU64::new(0)),
        );
        let (from, ends, counts) = (Arc::clone(from), Arc::clone(&stop), Arc::clone(&answered));
        let thread = std::thread::spawn(move || {
            while !ends.load(Ordering::SeqCst) {
                let number = counts.load(Ordering::SeqCst);
                let seen = Call::open(&from, to)
                    .and_then(|mut call| call.ping())
                    .with_context(|| format!("call {number}"))?;
                ensure!(seen == Seen::Answered, "call {number} was closed");
                counts.fetch_add(1, Ordering::SeqCst);
                std::thread::sleep(PAUSE);
            }
            Ok(())
        });
        let calls = Self {
            stop,
            answered,
            thread,
        };
        calls.goes_on()?;
        Ok(calls)
    }

    /// Waits until some more have been answered.
    ///
    /// # Errors
    ///
    /// When one failed, or none is answered in time.
    pub fn goes_on(&self) -> Result<()> {
        let before = self.answered.load(Ordering::SeqCst);
        let over = || self.thread.is_finished();
        lab::until("calls to go on", PATIENCE, || {
            over() || self.answered.load(Ordering::SeqCst) >= before + STEPS
        })?;
        ensure!(!over(), "a call has failed; finish() tells why");
        Ok(())
    }

    /// Ends, and answers how many calls were answered, which is all.
    ///
    /// # Errors
    ///
    /// The first that failed.
    pub fn finish(self) -> Result<u64> {
        self.stop.store(true, Ordering::SeqCst);
        match self.thread.join() {
            Ok(result) => result?,
            Err(_panic) => bail!("the calls panicked"),
        }
        Ok(self.answered.load(Ordering::SeqCst))
    }
}
