//! A connection's place, while there is one.
//!
//! In: a connection that is made, that ends. Out: counts that are true, and room for those who wait. Never: a connection.

use std::sync::{Arc, Weak, atomic::Ordering};

use telemetry::http::ClusterStats;

use super::HostPool;
use crate::upstream::breaker::Place;

/// A connection's place in its pool and in its backend's counts, until nobody knows the connection any more.
/// It is never dropped under the pool's lock, which it may take.
#[derive(Debug)]
pub(in crate::upstream) struct Member {
    pool: Weak<HostPool>,
    number: u64,
    stats: Arc<ClusterStats>,
    /// `None` only at its end.
    place: Option<Place>,
}

impl Member {
    pub(super) fn new(
        pool: &Arc<HostPool>,
        number: u64,
        stats: &Arc<ClusterStats>,
        place: Place,
    ) -> Self {
        stats.upstream_cx_active.increment();
        pool.members.fetch_add(1, Ordering::Relaxed);
        Self {
            pool: Arc::downgrade(pool),
            number,
            stats: Arc::clone(stats),
            place: Some(place),
        }
    }

    pub(in crate::upstream) fn number(&self) -> u64 {
        self.number
    }

    /// To be held by the connection's task.
    pub(in crate::upstream) fn ending(&self) -> Ending {
        Ending {
            pool: Weak::clone(&self.pool),
            number: self.number,
        }
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        self.stats.upstream_cx_active.decrement();
        // Before anyone is woken who wants it.
        drop(self.place.take());
        if let Some(pool) = self.pool.upgrade() {
            pool.members.fetch_sub(1, Ordering::Relaxed);
            pool.wake();
        }
    }
}

/// Takes a connection out of its pool when its task ends, in whatever way.
#[derive(Debug)]
pub(in crate::upstream) struct Ending {
    pool: Weak<HostPool>,
    number: u64,
}

impl Drop for Ending {
    fn drop(&mut self) {
        if let Some(pool) = self.pool.upgrade() {
            pool.retire(self.number);
            let mut inner = pool.inner.lock();
            inner.open.retain(|open| open.number != self.number);
        }
    }
}
