//! The connections of one worker to one endpoint that are for one client each.
//!
//! In: lanes that are asked for. Out: the connections of each. Never: connections of one lane for another; more lanes than there
//! is room for; a lane taken away while something is sent on it.
//!
//! Only its own worker asks for lanes; changes of configuration, revoked certificates and the regular look at what is idle come from
//! elsewhere.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use parking_lot::Mutex;

use crate::upstream::{
    behalf::Lane,
    breaker::{Limit, Overflow},
    pool::HostPool,
};

/// Lanes of one worker to one endpoint. Reason: each is a connection at least, and an endpoint that has more clients than this at once
/// on each worker has thousands of connections from this waypoint alone.
pub(super) const MAX_LANES: usize = 1024;
/// How long a lane that nothing is sent on is kept. Reason: with PROXY headers a lane is for one connection of a client, which does not
/// come again.
pub(super) const MAX_RESTING: Duration = Duration::from_secs(60);

/// The lanes.
#[derive(Debug, Default)]
pub(super) struct Lanes(Mutex<HashMap<Lane, Kept>>);

#[derive(Debug)]
struct Kept {
    pool: Arc<HostPool>,
    /// When it was asked for last.
    used: Instant,
}

impl Kept {
    /// Whether nothing is sent on it, and nobody is about to.
    fn is_resting(&self) -> bool {
        // Whoever sends by HTTP/1.1, waits or connects has a hold of it.
        Arc::strong_count(&self.pool) == 1 && self.pool.is_resting()
    }
}

impl Lanes {
    /// The connections of a lane. Where there are too many, the half of those on which nothing is sent that were not asked for in the
    /// longest time makes room.
    ///
    /// # Errors
    /// When something is sent on all of them.
    pub(super) fn pool(&self, lane: Lane, now: Instant) -> Result<Arc<HostPool>, Overflow> {
        // Dropped after the lock.
        let mut gone = Vec::new();
        let mut lanes = self.0.lock();
        if let Some(kept) = lanes.get_mut(&lane) {
            kept.used = now;
            return Ok(Arc::clone(&kept.pool));
        }
        if lanes.len() >= MAX_LANES {
            let resting = lanes.values().filter(|kept| kept.is_resting());
            let mut resting: Vec<Instant> = resting.map(|kept| kept.used).collect();
            resting.sort_unstable();
            let Some(&last) = resting.get(resting.len() / 2) else {
                return Err(Overflow {
                    limit: Limit::Connections,
                    max: u32::try_from(MAX_LANES).unwrap_or(u32::MAX),
                });
            };
            gone.extend(lanes.extract_if(|_, kept| kept.used <= last && kept.is_resting()));
        }
        let pool = Arc::new(HostPool::of(lane.clone()));
        let kept = Kept {
            pool: Arc::clone(&pool),
            used: now,
        };
        lanes.insert(lane, kept);
        drop(lanes);
        gone.iter().for_each(|(_, kept)| kept.pool.close());
        Ok(pool)
    }

    /// Lets go of lanes on which nothing is sent and that nobody has asked for in a while.
    pub(super) fn tidy(&self, now: Instant) {
        let mut lanes = self.0.lock();
        let is_old = |kept: &Kept| now.saturating_duration_since(kept.used) >= MAX_RESTING;
        let gone: Vec<_> = lanes
            .extract_if(|_, kept| is_old(kept) && kept.is_resting())
            .collect();
        drop(lanes);
        gone.iter().for_each(|(_, kept)| kept.pool.close());
    }

    /// The connections of all lanes.
    pub(super) fn all(&self) -> Vec<Arc<HostPool>> {
        let lanes = self.0.lock();
        lanes.values().map(|kept| Arc::clone(&kept.pool)).collect()
    }
}

#[cfg(test)]
mod tests;
