//! Series at hand: what a connection or a worker keeps, so that a request finds its series without a lock.

use std::time::Instant;

use super::{Http, Parties, RequestSeries};
use crate::metrics::facts::Key;

/// How many series one cache keeps: the endpoints that one client's requests are spread over. It is searched from
/// one end to the other, and holds on to what it has while its connection is idle.
pub const MAX_KEPT: usize = 32;

/// The series that requests of one connection, or of one worker, count in. Not shared, so nothing is locked.
#[derive(Debug)]
pub struct SeriesCache {
    http: Http,
    kept: Vec<(Key, RequestSeries)>,
    departures: u64,
}

impl SeriesCache {
    /// An empty one.
    #[must_use]
    pub fn new(http: &Http) -> Self {
        Self {
            http: http.clone(),
            kept: Vec::new(),
            departures: http.departures(),
        }
    }

    /// The series of requests between `parties`. Where it is kept, this costs a few comparisons and one reference.
    pub fn series(&mut self, parties: &Parties<'_>, now: Instant) -> RequestSeries {
        let departures = self.http.departures();
        if departures != self.departures {
            // So that no series is held for a workload that left.
            self.departures = departures;
            self.kept.clear();
        }
        if let Some((_, series)) = self.kept.iter().find(|(key, _)| key.is_of(parties)) {
            return series.clone();
        }
        let series = self.http.series(parties, now);
        if self.kept.len() >= MAX_KEPT {
            self.kept.retain(|(key, _)| key.is_current());
        }
        // With more endpoints than that in turn, to put the newest in the place of the oldest would never find any.
        if self.kept.len() < MAX_KEPT {
            self.kept.push((Key::of(parties), series.clone()));
        }
        series
    }
}
