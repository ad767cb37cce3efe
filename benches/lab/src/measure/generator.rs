//! Threads of the load generator in the client's pod, that work alike.
//!
//! In: a subject and what each thread does. Out: what each returns. Never: a thread that goes on when nobody waits for it.

use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::thread::JoinHandle;

use anyhow::{Context as _, Result, anyhow};

use crate::load::Gauge;
use crate::subject::Subject;

/// A thread: the namespace may fail, then the load.
type Loader<T> = JoinHandle<Result<io::Result<T>>>;

/// Threads that share a gauge. Dropping it tells them to stop.
pub(super) struct Generator<T> {
    gauge: Arc<Gauge>,
    loaders: Vec<Loader<T>>,
}

/// What a window needs of a generator, whatever it returns.
pub(super) trait Running {
    /// Whether all are connected and about to load.
    fn is_ready(&self) -> bool;
    /// Whether one has ended.
    fn has_ended(&self) -> bool;
    /// The window opens.
    fn measure(&self);
    /// Nothing new is begun.
    fn stop(&self);
}

impl<T: Send + 'static> Generator<T> {
    /// Starts so many.
    ///
    /// # Errors
    ///
    /// When a thread cannot be started; those that run then stop.
    pub(super) fn start(
        subject: &Subject,
        count: usize,
        work: impl Fn(IpAddr, &Gauge) -> io::Result<T> + Clone + Send + 'static,
    ) -> Result<Self> {
        let mut generator = Self {
            gauge: Arc::new(Gauge::default()),
            loaders: Vec::with_capacity(count),
        };
        for _ in 0..count {
            let (ip, gauge, work) = (subject.ip, Arc::clone(&generator.gauge), work.clone());
            let loader = subject.client.thread(move || work(ip, &gauge))?;
            generator.loaders.push(loader);
        }
        Ok(generator)
    }

    /// How many units have passed so far.
    pub(super) fn done(&self) -> u64 {
        self.gauge.done()
    }

    /// Waits for the one that there is: how many units have failed, and what it returns.
    ///
    /// # Errors
    ///
    /// The thread's.
    pub(super) fn only(self) -> Result<(u64, T)> {
        let (failed, results) = self.join()?;
        let result = results.into_iter().next();
        Ok((failed, result.context("no generator thread")?))
    }

    /// Waits for all of them: how many units have failed, and what each returns.
    ///
    /// # Errors
    ///
    /// The first of theirs.
    pub(super) fn join(mut self) -> Result<(u64, Vec<T>)> {
        // All of them, before the first error is told.
        let loaders = std::mem::take(&mut self.loaders);
        let results: Vec<Result<T>> = loaders
            .into_iter()
            .map(|loader| {
                let entered = loader
                    .join()
                    .map_err(|_| anyhow!("a generator thread panicked"))?;
                Ok(entered??)
            })
            .collect();
        let results = results.into_iter().collect::<Result<_>>()?;
        Ok((self.gauge.failed(), results))
    }
}

impl<T> Running for Generator<T> {
    fn is_ready(&self) -> bool {
        self.gauge.ready() == self.loaders.len()
    }

    fn has_ended(&self) -> bool {
        self.loaders.iter().any(JoinHandle::is_finished)
    }

    fn measure(&self) {
        self.gauge.measure();
    }

    fn stop(&self) {
        self.gauge.stop();
    }
}

impl<T> Drop for Generator<T> {
    fn drop(&mut self) {
        self.gauge.stop();
    }
}
