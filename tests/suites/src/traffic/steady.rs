//! Requests without end, to show that somebody notices nothing.
//!
//! In: a client's machine and the addresses of HTTP servers. Out: how many requests were answered, which were not.
//!
//! Threads: one, in the client's namespace. It ends with the observer.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use anyhow::{Result, anyhow, ensure};
use lab::{Machine, http, until};

use super::PATIENCE;

/// Failures that are remembered; the test has failed with the first.
const MAX_FAILURES: usize = 100;

/// A client that asks again and again, each time on a new connection.
#[derive(Debug)]
pub struct Steady {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<Result<()>>>,
}

#[derive(Debug, Default)]
struct Shared {
    answered: AtomicU64,
    failures: Mutex<Vec<String>>,
    ending: AtomicBool,
}

impl Steady {
    /// Starts to ask for `/` at each of `targets` in turn.
    ///
    /// # Errors
    ///
    /// When the thread cannot be started.
    pub fn start(from: &Machine, targets: impl Into<Vec<SocketAddr>>) -> Result<Self> {
        let targets = targets.into();
        ensure!(!targets.is_empty(), "there is nobody to ask");
        let shared = Arc::new(Shared::default());
        let of_thread = Arc::clone(&shared);
        let thread = from.thread(move || of_thread.ask(&targets))?;
        Ok(Self {
            shared,
            thread: Some(thread),
        })
    }

    /// Waits until so many more requests have been answered.
    ///
    /// # Errors
    ///
    /// When they are not.
    pub fn wait_for(&self, more: u64) -> Result<()> {
        let goal = self.shared.answered.load(Ordering::Relaxed) + more;
        until("the steady requests go on", PATIENCE, || {
            self.shared.answered.load(Ordering::Relaxed) >= goal
        })
    }

    /// Ends, and tells the requests that failed.
    ///
    /// # Errors
    ///
    /// When the thread has ended before.
    pub fn end(mut self) -> Result<Vec<String>> {
        self.stop()?;
        let failures = self.shared.failures.lock();
        Ok(failures
            .map_err(|_| anyhow!("the thread panicked"))?
            .clone())
    }

    fn stop(&mut self) -> Result<()> {
        self.shared.ending.store(true, Ordering::Relaxed);
        match self.thread.take() {
            None => Ok(()),
            Some(thread) => thread.join().map_err(|_| anyhow!("the thread panicked"))?,
        }
    }
}

impl Drop for Steady {
    fn drop(&mut self) {
        // The test has failed already, or has called `end`.
        let _ = self.stop();
    }
}

impl Shared {
    fn ask(&self, targets: &[SocketAddr]) {
        for target in targets.iter().cycle() {
            if self.ending.load(Ordering::Relaxed) {
                return;
            }
            let failure = match http::request("GET", *target, "/") {
                Ok(response) if response.status == 200 => {
                    self.answered.fetch_add(1, Ordering::Relaxed);
                    continue;
                }
                Ok(response) => format!("status {}", response.status),
                Err(error) => format!("{error:#}"),
            };
            let Ok(mut failures) = self.failures.lock() else {
                return;
            };
            if failures.len() < MAX_FAILURES {
                failures.push(failure);
            }
        }
    }
}
