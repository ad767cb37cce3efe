//! What the joining of neighbours comes to: for operators, and for the bound of all paths.
//!
//! In: paths that come, change and go, walks, connections that were joined or not. Out: metrics, and one line of the log at a time.
//! Never: a lock that connections share.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use identity::NotIntroduced;
use parking_lot::Mutex;
use prometheus_client::{
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::Registry,
};
use tokio::time::Instant;

use super::{Obstacle, path::State, probe::Failure};

/// Paths of all pods at once: each is a task, and a connection every ten seconds. Connections of further pairs go by tunnels.
const MAX_PATHS: usize = 16_384;

/// Between two lines of the log about paths that have closed: a policy of a whole namespace closes thousands at once.
const PAUSE_TOLD: Duration = Duration::from_secs(1);

type Label = [(&'static str, &'static str); 1];

/// The counts.
#[derive(Debug, Default)]
pub(super) struct Tally {
    paths: AtomicUsize,
    states: States,
    walks: Walks,
    joins: Joins,
    closings: Mutex<Closings>,
}

/// `ambit_neighbour_paths`, by `state`.
#[derive(Debug)]
struct States {
    all: Family<Label, Gauge>,
    asking: Gauge,
    open: Gauge,
    doubtful: Gauge,
    closed: Gauge,
}

/// `ambit_neighbour_probes_total`, by `result`.
#[derive(Debug)]
struct Walks {
    all: Family<Label, Counter>,
    confirmed: Counter,
    apart: Counter,
    unconfirmed: Counter,
    unmade: Counter,
}

/// `ambit_joins_total`, by `result`.
#[derive(Debug)]
struct Joins {
    all: Family<Label, Counter>,
    joined: Counter,
    other_family: Counter,
    no_certificate: Counter,
    not_believed: Counter,
    too_many_paths: Counter,
    no_answer: Counter,
    no_path: Counter,
}

impl Default for States {
    fn default() -> Self {
        let all = Family::<Label, Gauge>::default();
        let state = |value| all.get_or_create_owned(&[("state", value)]);
        Self {
            asking: state("asking"),
            open: state("open"),
            doubtful: state("doubtful"),
            closed: state("closed"),
            all,
        }
    }
}

impl Default for Walks {
    fn default() -> Self {
        let all = Family::<Label, Counter>::default();
        let result = |value| all.get_or_create_owned(&[("result", value)]);
        Self {
            confirmed: result("confirmed"),
            apart: result("apart"),
            unconfirmed: result("unconfirmed"),
            unmade: result("unmade"),
            all,
        }
    }
}

impl Default for Joins {
    fn default() -> Self {
        let all = Family::<Label, Counter>::default();
        let result = |value| all.get_or_create_owned(&[("result", value)]);
        Self {
            joined: result("joined"),
            other_family: result("other_family"),
            no_certificate: result("no_certificate"),
            not_believed: result("not_believed"),
            too_many_paths: result("too_many_paths"),
            no_answer: result("no_answer"),
            no_path: result("no_path"),
            all,
        }
    }
}

/// What has been told of paths that closed.
#[derive(Debug, Default)]
struct Closings {
    told_at: Option<Instant>,
    untold: u64,
}

/// A place among all paths.
#[derive(Debug)]
pub(super) struct Place(Arc<Tally>);

impl Place {
    /// Where it is counted.
    pub(super) fn tally(&self) -> &Tally {
        &self.0
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.paths.fetch_sub(1, Relaxed);
    }
}

impl Tally {
    /// Shows the counts. Names are written in full, counters without `_total`.
    pub(super) fn register(&self, registry: &mut Registry) {
        registry.register(
            "ambit_neighbour_paths",
            "Paths between pods of this node that connections have asked for lately",
            self.states.all.clone(),
        );
        registry.register(
            "ambit_neighbour_probes",
            "Probes whether the network lets pods of this node reach each other",
            self.walks.all.clone(),
        );
        registry.register(
            "ambit_joins",
            "Connections between pods of this node, joined or led by a tunnel",
            self.joins.all.clone(),
        );
    }

    /// A place for one more path, if there is one.
    pub(super) fn place(self: &Arc<Self>) -> Option<Place> {
        let counted = self.paths.fetch_update(Relaxed, Relaxed, |paths| {
            (paths < MAX_PATHS).then_some(paths + 1)
        });
        counted.is_ok().then(|| Place(Arc::clone(self)))
    }

    /// How many paths are in a state; those that are gone are not counted.
    pub(super) fn state(&self, state: State) -> Option<&Gauge> {
        match state {
            State::Asking => Some(&self.states.asking),
            State::Open => Some(&self.states.open),
            State::Doubtful => Some(&self.states.doubtful),
            State::Closed => Some(&self.states.closed),
            State::Gone => None,
        }
    }

    /// A path was walked.
    pub(super) fn walked(&self, walked: &Result<(), Failure>) {
        let counter = match walked {
            Ok(()) => &self.walks.confirmed,
            Err(Failure::Apart(_)) => &self.walks.apart,
            Err(Failure::Unconfirmed) => &self.walks.unconfirmed,
            Err(Failure::Unmade(_)) => &self.walks.unmade,
        };
        counter.inc();
    }

    /// A connection to a neighbour was joined, or why not.
    pub(super) fn asked(&self, obstacle: Option<&Obstacle>) {
        let counter = match obstacle {
            None => &self.joins.joined,
            Some(Obstacle::OtherFamily { .. }) => &self.joins.other_family,
            Some(Obstacle::Identity(NotIntroduced::NoCertificate { .. })) => {
                &self.joins.no_certificate
            }
            Some(Obstacle::Identity(NotIntroduced::Refused(_))) => &self.joins.not_believed,
            Some(Obstacle::TooManyPaths) => &self.joins.too_many_paths,
            Some(Obstacle::NoAnswer) => &self.joins.no_answer,
            Some(Obstacle::NoPath(_)) => &self.joins.no_path,
        };
        counter.inc();
    }

    /// Whether a path that has closed is to be told of, and then how many were not before it.
    pub(super) fn tell_of_closing(&self, now: Instant) -> Option<u64> {
        let mut closings = self.closings.lock();
        if closings
            .told_at
            .is_some_and(|told_at| now < told_at + PAUSE_TOLD)
        {
            closings.untold += 1;
            return None;
        }
        closings.told_at = Some(now);
        Some(std::mem::take(&mut closings.untold))
    }
}

#[cfg(test)]
mod tests;
