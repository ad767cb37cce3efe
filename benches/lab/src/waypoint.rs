//! The waypoint beside Envoy, in the same chain: client pod, ztunnel, waypoint, ztunnel, server pod.
//!
//! In: `target/release/waypoint`, and Envoy where `scripts/peer-envoy` has put it. Out: an [`Outcome`]: blocks, what each
//! of them holds, who is not there and why. Never: two of them loaded at once; one that is not proved to route by its
//! table and to write its access log.
//!
//! Reading order: [`exchange`] (what is asked), [`routes`] (the tables), [`town`] (the lab), [`side`] (a waypoint in it),
//! `backend`, [`load`] (h2load and its log), [`measure`], [`record`].

pub(crate) mod backend;
pub(crate) mod exchange;
pub(crate) mod load;
pub(crate) mod measure;
pub(crate) mod record;
pub(crate) mod routes;
pub(crate) mod side;
pub(crate) mod town;

use std::time::Duration;

use anyhow::Result;

use self::record::Outcome;
use self::town::Town;
use crate::say;

/// Envoy, with one worker.
pub(crate) const ENVOY: &str = "envoy";

/// Ours, with one worker.
pub(crate) const OURS: &str = "ambit";

/// Ours, with two workers.
pub(crate) const TWO: &str = "ambit2";

/// How the waypoints are measured.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    /// Blocks per exchange and waypoint.
    pub(crate) blocks: usize,
    /// Load before each window.
    pub(crate) warm_up: Duration,
    /// A block's window.
    pub(crate) window: Duration,
}

/// Builds the town, measures, and takes it down.
///
/// # Errors
///
/// When the town cannot be built, or a waypoint does not route, does not log or does not carry the load.
pub(crate) fn run(plan: &Plan) -> Result<Outcome> {
    say("building the lab of the waypoints");
    let (mut town, skipped) = Town::build()?;
    for line in &skipped {
        say(line);
    }
    if town.sides.is_empty() {
        return Ok(Outcome::none(plan, skipped));
    }
    measure::all(&mut town, plan, skipped)
}
