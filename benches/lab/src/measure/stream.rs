//! Bulk streams, and the proof that none of their bytes is missing.
//!
//! In: a subject, a direction. Out: bytes where they arrive; at the end, whether both sides have counted the same.
//! Never: a server that goes on pouring.

use std::sync::Arc;

use anyhow::{Result, bail};

use super::generator::{Generator, Running};
use crate::load::bulk;
use crate::load::server::Served;
use crate::scenario::Direction;
use crate::subject::Subject;

/// Running streams.
pub(super) struct Streams<'a> {
    subject: &'a Subject,
    direction: Direction,
    generator: Generator<u64>,
    _pouring: Pouring,
    sunk: u64,
    poured: u64,
}

/// The server pours as long as this lives.
struct Pouring(Arc<Served>);

impl Drop for Pouring {
    fn drop(&mut self) {
        self.0.pour(false);
    }
}

impl<'a> Streams<'a> {
    /// Starts so many.
    ///
    /// # Errors
    ///
    /// When a thread cannot be started.
    pub(super) fn start(
        subject: &'a Subject,
        direction: Direction,
        streams: usize,
    ) -> Result<Self> {
        let served = Arc::clone(subject.server.served());
        let (sunk, poured) = (served.sunk(), served.poured());
        served.pour(true);
        let pouring = Pouring(served);
        let work = match direction {
            Direction::Up => bulk::up,
            Direction::Down => bulk::down,
        };
        Ok(Self {
            subject,
            direction,
            generator: Generator::start(subject, streams, work)?,
            _pouring: pouring,
            sunk,
            poured,
        })
    }

    /// The clients' threads.
    pub(super) fn generator(&self) -> &dyn Running {
        &self.generator
    }

    /// Bytes that have arrived, ever.
    pub(super) fn bytes(&self) -> u64 {
        match self.direction {
            Direction::Up => self.subject.server.served().sunk(),
            Direction::Down => self.generator.done(),
        }
    }

    /// Ends them, waits until nothing is open at the server any more, and compares. Returns how many failed.
    ///
    /// # Errors
    ///
    /// When a stream has failed, something stays open, or the sides have counted differently.
    pub(super) fn finish(self) -> Result<u64> {
        self.generator.stop();
        let served = self.subject.server.served();
        served.pour(false);
        let (failed, written) = self.generator.join()?;
        let client: u64 = written.into_iter().sum();
        self.subject.wait_quiet()?;
        let server = match self.direction {
            Direction::Up => served.sunk() - self.sunk,
            Direction::Down => served.poured() - self.poured,
        };
        if client != server {
            bail!(
                "the client has {client} bytes and the server {server}: the path has lost or added some"
            );
        }
        Ok(failed)
    }
}
