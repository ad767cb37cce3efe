//! The goals of two nodes, as fractions of raw TCP in the same run; those of the waypoint, as multiples of Envoy; and
//! where ours stands.
//!
//! Never: an exit code. A shared machine may miss a goal on a bad day; people judge.

use serde::Serialize;

use crate::record::{self, Record};
use crate::report::figures;
use crate::scenario::{Direction, Scenario};
use crate::statistics::Spread;
use crate::subject::{OURS, RAW};
use crate::waypoint::{
    self,
    record::{Block, Outcome},
};

/// The least fraction of raw TCP's bytes per second.
const BULK: f64 = 0.45;
/// The least fraction of raw TCP's requests per second at [`REQUESTS_AT`] connections.
const REQUESTS: f64 = 0.35;
/// The least fraction of raw TCP's new connections per second.
const CONNECTIONS: f64 = 0.40;
/// The most CPU microseconds per request over both ztunnels at [`REQUESTS_AT`] connections.
const CPU_US: f64 = 40.0;
/// The most MiB of a ztunnel that has nothing to do.
const IDLE_MIB: f64 = 12.0;
/// The least multiple of Envoy's requests per CPU-second of the waypoint.
const PER_CPU_SECOND: f64 = 2.0;
/// The most MiB of a waypoint with 1,000 routes that has nothing to do.
const IDLE_WAYPOINT_MIB: f64 = 20.0;
/// Connections at which requests are judged.
const REQUESTS_AT: usize = 64;

/// One goal.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Goal {
    /// What it is about, with the unit.
    pub(crate) what: String,
    /// The limit.
    pub(crate) limit: f64,
    /// Whether the limit is the least; otherwise it is the most.
    pub(crate) at_least: bool,
    /// What was measured: a median.
    pub(crate) measured: f64,
    /// What Istio's ztunnel reached in a quiet run elsewhere; for orientation.
    pub(crate) istio: Option<f64>,
    /// Whether the median is on the right side.
    pub(crate) met: bool,
}

impl Goal {
    fn new(
        what: String,
        (at_least, limit): (bool, f64),
        istio: Option<f64>,
        measured: f64,
    ) -> Self {
        let met = if at_least {
            measured >= limit
        } else {
            measured <= limit
        };
        Self {
            what,
            limit,
            at_least,
            measured,
            istio,
            met,
        }
    }
}

/// Those goals for which the run has figures.
pub(crate) fn of(record: &Record) -> Vec<Goal> {
    let mut goals = Vec::new();
    for &scenario in &record.method.scenarios {
        match scenario {
            Scenario::Bulk {
                direction: Direction::Up | Direction::Down,
                streams: 1,
            } => goals.extend(over_raw(record, scenario, figures::gigabits, BULK, 0.37)),
            Scenario::Requests {
                connections: REQUESTS_AT,
            } => {
                goals.extend(over_raw(record, scenario, figures::rate, REQUESTS, 0.28));
                goals.extend(cpu_per_request(record, scenario));
            }
            Scenario::Connections { parallel: _ } => {
                goals.extend(over_raw(record, scenario, figures::rate, CONNECTIONS, 0.27));
            }
            Scenario::Bulk { .. } | Scenario::Requests { .. } => {}
        }
    }
    goals.extend(idle_memory(record));
    if let Some(outcome) = &record.waypoint {
        goals.extend(of_waypoint(outcome));
    }
    goals
}

fn of_waypoint(outcome: &Outcome) -> Vec<Goal> {
    let judged = outcome
        .exchanges
        .iter()
        .filter(|exchange| exchange.is_judged());
    let ratios = judged.filter_map(|exchange| {
        let sides = [waypoint::OURS, waypoint::ENVOY];
        let ratio = outcome.ratio(*exchange, sides, Block::per_cpu_second)?;
        let what = format!("waypoint, {exchange}: requests per CPU-second / Envoy");
        Some(Goal::new(what, (true, PER_CPU_SECOND), None, ratio.median))
    });
    let mut goals: Vec<Goal> = ratios.collect();
    if let Some(idle) = outcome.heavy(waypoint::OURS) {
        let what = "memory of an idle waypoint with 1,000 routes, MiB".to_owned();
        let mebibytes = idle.resident as f64 / figures::MEBIBYTE;
        goals.push(Goal::new(what, (false, IDLE_WAYPOINT_MIB), None, mebibytes));
    }
    goals
}

fn over_raw(
    record: &Record,
    scenario: Scenario,
    value: fn(&record::Block) -> Option<f64>,
    limit: f64,
    istio: f64,
) -> Option<Goal> {
    let ratio = record.ratio(scenario, [OURS, RAW], value)?;
    let what = format!("{scenario}: rate / raw");
    Some(Goal::new(what, (true, limit), Some(istio), ratio.median))
}

fn cpu_per_request(record: &Record, scenario: Scenario) -> Option<Goal> {
    let cpu = Spread::of(record.values(scenario, OURS, figures::micros_both))?;
    let what = format!("{scenario}: CPU of both ztunnels, us per request");
    Some(Goal::new(what, (false, CPU_US), Some(48.0), cpu.median))
}

fn idle_memory(record: &Record) -> Option<Goal> {
    let ours = record.memories.iter().find(|held| held.subject == OURS)?;
    let mebibytes = ours.start_worst()? as f64 / figures::MEBIBYTE;
    let what = "memory of an idle ztunnel, MiB".to_owned();
    Some(Goal::new(what, (false, IDLE_MIB), None, mebibytes))
}

#[cfg(test)]
mod tests;
