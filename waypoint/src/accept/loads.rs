//! Who carries how much.
//!
//! In: tunnels and connections as they come and go. Out: counts by worker. Never: a decision.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering::Relaxed},
};

use crate::{accept::open::Registered, drain::Load};

/// Counts by worker.
#[derive(Debug)]
pub(super) struct Loads(Box<[Counts]>);

#[derive(Debug, Default)]
struct Counts {
    tunnels: AtomicUsize,
    streams: AtomicUsize,
}

/// The place of one tunnel.
#[derive(Debug)]
pub(super) struct TunnelPlace {
    loads: Arc<Loads>,
    worker: usize,
}

/// The place of one connection, which counts while this lives.
#[derive(Debug)]
pub struct Place {
    loads: Arc<Loads>,
    worker: usize,
    registered: Option<Registered>,
    _load: net::worker::Load,
}

impl Loads {
    pub(super) fn new(workers: usize) -> Arc<Self> {
        let counts = (0..workers.max(1)).map(|_| Counts::default());
        Arc::new(Self(counts.collect()))
    }

    fn of(&self, worker: usize) -> Option<&Counts> {
        self.0.get(worker % self.0.len())
    }

    pub(super) fn tunnel(self: &Arc<Self>, worker: usize) -> TunnelPlace {
        if let Some(counts) = self.of(worker) {
            counts.tunnels.fetch_add(1, Relaxed);
        }
        TunnelPlace {
            loads: Arc::clone(self),
            worker,
        }
    }

    pub(super) fn stream(self: &Arc<Self>, worker: usize, load: net::worker::Load) -> Place {
        if let Some(counts) = self.of(worker) {
            counts.streams.fetch_add(1, Relaxed);
        }
        Place {
            loads: Arc::clone(self),
            worker,
            registered: None,
            _load: load,
        }
    }

    /// **Shape:** by number of the worker.
    pub(super) fn all(&self) -> Vec<Load> {
        let load = |counts: &Counts| Load {
            tunnels: counts.tunnels.load(Relaxed),
            streams: counts.streams.load(Relaxed),
        };
        self.0.iter().map(load).collect()
    }
}

impl Place {
    /// The connection is registered, as long as it has its place.
    pub(super) fn holding(mut self, registered: Registered) -> Self {
        self.registered = Some(registered);
        self
    }
}

impl Drop for TunnelPlace {
    fn drop(&mut self) {
        if let Some(counts) = self.loads.of(self.worker) {
            counts.tunnels.fetch_sub(1, Relaxed);
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(counts) = self.loads.of(self.worker) {
            counts.streams.fetch_sub(1, Relaxed);
        }
    }
}
