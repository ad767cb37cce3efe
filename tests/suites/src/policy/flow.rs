//! Calls that go on while something changes.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;

use anyhow::{Result, bail, ensure};
use lab::Pod;

use super::{Call, PATIENCE, Seen};

/// A thread that calls, one connection after the other, and keeps one open besides.
#[derive(Debug)]
pub struct Flow {
    stop: Arc<AtomicBool>,
    answered: Arc<AtomicUsize>,
    thread: JoinHandle<Result<()>>,
}

impl Flow {
    /// Begins, and returns after the first answer. The connection that is kept open stays the same.
    ///
    /// # Errors
    ///
    /// When nobody answers.
    pub fn start(from: &Arc<Pod>, to: SocketAddr) -> Result<Self> {
        let mut kept = Call::open(from, to)?;
        ensure!(kept.ping()? == Seen::Answered, "refused from the start");
        let (stop, answered) = (
            Arc::new(AtomicBool::new(false)),
            Arc::new(AtomicUsize::new(1)),
        );
        let (from, ends, counts) = (Arc::clone(from), Arc::clone(&stop), Arc::clone(&answered));
        let thread = std::thread::spawn(move || {
            while !ends.load(Ordering::SeqCst) {
                let seen = Call::open(&from, to)?.ping()?;
                if (seen, kept.ping()?) != (Seen::Answered, Seen::Answered) {
                    bail!(
                        "after {} answers a call was {seen:?}, and the kept one is perhaps cut",
                        counts.load(Ordering::SeqCst)
                    );
                }
                counts.fetch_add(1, Ordering::SeqCst);
            }
            Ok(())
        });
        Ok(Self {
            stop,
            answered,
            thread,
        })
    }

    /// Waits until it has been answered a few times more.
    ///
    /// # Errors
    ///
    /// When it has ended, or is not answered in time.
    pub fn goes_on(&self) -> Result<()> {
        let before = self.answered.load(Ordering::SeqCst);
        let over = || self.thread.is_finished();
        lab::until("the flow to go on", PATIENCE, || {
            over() || self.answered.load(Ordering::SeqCst) > before + 5
        })?;
        ensure!(!over(), "the flow has broken; finish() tells why");
        Ok(())
    }

    /// Ends it.
    ///
    /// # Errors
    ///
    /// When a call failed meanwhile.
    pub fn finish(self) -> Result<()> {
        self.stop.store(true, Ordering::SeqCst);
        match self.thread.join() {
            Ok(result) => result,
            Err(_panic) => bail!("the flow panicked"),
        }
    }
}
