//! The counters that share one label set.

use std::{
    borrow::Borrow,
    hash::{Hash, Hasher},
    sync::{
        Arc,
        atomic::{AtomicU32, AtomicU64, Ordering::Relaxed},
    },
};

use crate::{event::Flag, metrics::labels::Labels};

/// One counter per response flag.
pub(crate) type ByFlag = [AtomicU64; Flag::COUNT];

/// Everything that is counted for one set of labels. All counters only grow.
#[derive(Debug)]
pub(crate) struct Series {
    pub(crate) labels: Labels,
    pub(crate) opened: AtomicU64,
    pub(crate) received: AtomicU64,
    pub(crate) sent: AtomicU64,
    pub(crate) closed: ByFlag,
    pub(crate) failed: ByFlag,
    /// How many connections hold it now. Raised only under the store's lock, so that the store may trust a zero.
    leases: AtomicU32,
    /// How many cached facts lead to it. Changed only under the store's exclusive lock.
    pub(super) entries: AtomicU32,
    /// When it was last used. Units: milliseconds since the store began.
    pub(super) used: AtomicU64,
}

impl Series {
    pub(crate) fn new(labels: Labels) -> Self {
        Self {
            labels,
            opened: AtomicU64::new(0),
            received: AtomicU64::new(0),
            sent: AtomicU64::new(0),
            closed: [const { AtomicU64::new(0) }; Flag::COUNT],
            failed: [const { AtomicU64::new(0) }; Flag::COUNT],
            leases: AtomicU32::new(0),
            entries: AtomicU32::new(0),
            used: AtomicU64::new(0),
        }
    }

    /// Whether a connection holds it.
    pub(crate) fn is_leased(&self) -> bool {
        self.leases.load(Relaxed) > 0
    }
}

/// A series in use: as long as this lives, the series is neither expired nor evicted.
#[derive(Debug)]
pub(crate) struct Lease(Arc<Series>);

impl Lease {
    /// Takes a series into use. Call it under the store's lock.
    pub(super) fn new(series: &Arc<Series>) -> Self {
        series.leases.fetch_add(1, Relaxed);
        Self(Arc::clone(series))
    }

    /// The series.
    pub(crate) fn series(&self) -> &Series {
        &self.0
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.0.leases.fetch_sub(1, Relaxed);
    }
}

/// A series that is found by its labels, without a second copy of them as a key.
#[derive(Clone, Debug)]
pub(super) struct ByLabels(pub(super) Arc<Series>);

impl Borrow<Labels> for ByLabels {
    fn borrow(&self) -> &Labels {
        &self.0.labels
    }
}

impl Hash for ByLabels {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.labels.hash(state);
    }
}

impl PartialEq for ByLabels {
    fn eq(&self, other: &Self) -> bool {
        self.0.labels == other.0.labels
    }
}

impl Eq for ByLabels {}
