//! The counters that share one label set.

use std::{
    borrow::Borrow,
    fmt,
    hash::{Hash, Hasher},
    sync::{
        Arc,
        atomic::{AtomicU32, AtomicU64, Ordering::Relaxed},
    },
};

use crate::{event::Flag, metrics::labels::Labels};

/// One counter per response flag.
pub(crate) type ByFlag = [AtomicU64; Flag::COUNT];

/// What is counted for one set of labels: [`Tcp`], or the requests of layer 7.
pub(crate) trait Counters: fmt::Debug + Send + Sync {
    /// What all of a process have in common.
    type Common: fmt::Debug + Send + Sync;

    /// With nothing counted.
    fn new(common: &Self::Common) -> Self;
}

/// Everything that is counted of connections. All counters only grow.
#[derive(Debug)]
pub(crate) struct Tcp {
    pub(crate) opened: AtomicU64,
    pub(crate) received: AtomicU64,
    pub(crate) sent: AtomicU64,
    pub(crate) closed: ByFlag,
    pub(crate) failed: ByFlag,
}

impl Counters for Tcp {
    type Common = ();

    fn new((): &()) -> Self {
        Self {
            opened: AtomicU64::new(0),
            received: AtomicU64::new(0),
            sent: AtomicU64::new(0),
            closed: [const { AtomicU64::new(0) }; Flag::COUNT],
            failed: [const { AtomicU64::new(0) }; Flag::COUNT],
        }
    }
}

/// One set of labels, and what is counted for it.
#[derive(Debug)]
pub(crate) struct Series<C> {
    pub(crate) labels: Labels,
    pub(crate) counters: C,
    /// How many connections or requests hold it now. Raised only under the store's lock, so that the store may trust a zero.
    leases: AtomicU32,
    /// How many cached facts lead to it. Changed only under the store's exclusive lock.
    pub(super) entries: AtomicU32,
    /// When it was last used. Units: milliseconds since the store began.
    pub(super) used: AtomicU64,
}

impl<C> Series<C> {
    pub(super) fn new(labels: Labels, counters: C) -> Self {
        Self {
            labels,
            counters,
            leases: AtomicU32::new(0),
            entries: AtomicU32::new(0),
            used: AtomicU64::new(0),
        }
    }

    /// Whether somebody holds it.
    pub(crate) fn is_leased(&self) -> bool {
        self.leases.load(Relaxed) > 0
    }
}

/// A series in use: as long as this lives, the series is neither expired nor evicted.
#[derive(Debug)]
pub(crate) struct Lease<C>(Arc<Series<C>>);

impl<C> Lease<C> {
    /// Takes a series into use. Call it under the store's lock.
    pub(super) fn new(series: &Arc<Series<C>>) -> Self {
        series.leases.fetch_add(1, Relaxed);
        Self(Arc::clone(series))
    }

    /// The series.
    pub(crate) fn series(&self) -> &Series<C> {
        &self.0
    }

    /// What is counted in it.
    pub(crate) fn counters(&self) -> &C {
        &self.0.counters
    }
}

impl<C> Drop for Lease<C> {
    fn drop(&mut self) {
        self.0.leases.fetch_sub(1, Relaxed);
    }
}

/// A series that is found by its labels, without a second copy of them as a key.
#[derive(Debug)]
pub(super) struct ByLabels<C>(pub(super) Arc<Series<C>>);

impl<C> Borrow<Labels> for ByLabels<C> {
    fn borrow(&self) -> &Labels {
        &self.0.labels
    }
}

impl<C> Hash for ByLabels<C> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.labels.hash(state);
    }
}

impl<C> PartialEq for ByLabels<C> {
    fn eq(&self, other: &Self) -> bool {
        self.0.labels == other.0.labels
    }
}

impl<C> Eq for ByLabels<C> {}
