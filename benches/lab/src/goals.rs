//! What is aimed at, as ratios within one run: to raw TCP between two nodes and on one, to another capture, to Envoy; and
//! memory; and where ours stands.
//!
//! Never: an exit code. A shared machine may miss a goal on a bad day; people judge.

use serde::Serialize;

use crate::idle;
use crate::part::{Part, names};
use crate::record::{Block, Outcome, Record};
use crate::report::figures::{self, MEBIBYTE};
use crate::scenario::{Direction, Scenario};
use crate::statistics::Spread;
use crate::subject::{OURS, RAW};
use crate::waypoint;

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
/// The most MiB of a ztunnel with ten thousand connections that do nothing.
const IDLE_CONNECTIONS_MIB: f64 = 40.0;
/// The least fraction of raw TCP's bytes per second between pods of one node.
const SAME_NODE: f64 = 1.0;
/// The most that capture by eBPF adds to a connection, as a fraction of what capture by iptables adds.
const CAPTURE: f64 = 0.7;
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
    for outcome in &record.parts {
        match outcome.part {
            Part::Nodes => goals.extend(of_nodes(outcome)),
            Part::SameNode => goals.extend(of_same_node(outcome)),
            Part::Capture => goals.extend(of_capture(outcome)),
            Part::Idle => goals.extend(of_idle(outcome)),
            // How much policies may cost is nobody's goal: the table tells what they do.
            Part::Policies => {}
        }
    }
    if let Some(outcome) = &record.waypoint {
        goals.extend(of_waypoint(outcome));
    }
    goals
}

fn of_nodes(outcome: &Outcome) -> Vec<Goal> {
    let mut goals = Vec::new();
    for &scenario in &outcome.scenarios {
        match scenario {
            Scenario::Bulk {
                direction: Direction::Up | Direction::Down,
                streams: 1,
            } => goals.extend(over_raw(outcome, scenario, figures::gigabits, BULK, 0.37)),
            Scenario::Requests {
                connections: REQUESTS_AT,
            } => {
                goals.extend(over_raw(outcome, scenario, figures::rate, REQUESTS, 0.28));
                goals.extend(cpu_per_request(outcome, scenario));
            }
            Scenario::Connections { parallel: _ } => {
                goals.extend(over_raw(
                    outcome,
                    scenario,
                    figures::rate,
                    CONNECTIONS,
                    0.27,
                ));
            }
            Scenario::Bulk { .. }
            | Scenario::Requests { .. }
            | Scenario::Dials
            | Scenario::Mixed { .. } => {}
        }
    }
    goals.extend(start_memory(outcome));
    goals
}

fn over_raw(
    outcome: &Outcome,
    scenario: Scenario,
    value: fn(&Block) -> Option<f64>,
    limit: f64,
    istio: f64,
) -> Option<Goal> {
    let ratio = outcome.ratio(scenario, [OURS, RAW], value)?;
    let what = format!("{scenario}: rate / raw");
    Some(Goal::new(what, (true, limit), Some(istio), ratio.median))
}

fn cpu_per_request(outcome: &Outcome, scenario: Scenario) -> Option<Goal> {
    let cpu = Spread::of(outcome.values(scenario, OURS, figures::micros_both))?;
    let what = format!("{scenario}: CPU of both ztunnels, us per request");
    Some(Goal::new(what, (false, CPU_US), Some(48.0), cpu.median))
}

fn start_memory(outcome: &Outcome) -> Option<Goal> {
    let ours = outcome.memories.iter().find(|held| held.subject == OURS)?;
    let mebibytes = ours.start_worst()? as f64 / MEBIBYTE;
    let what = "memory of an idle ztunnel, MiB".to_owned();
    Some(Goal::new(what, (false, IDLE_MIB), None, mebibytes))
}

fn of_same_node(outcome: &Outcome) -> Vec<Goal> {
    let mut goals = Vec::new();
    for &scenario in &outcome.scenarios {
        if !matches!(scenario, Scenario::Bulk { .. }) {
            continue;
        }
        for name in [names::JOINED_EBPF, names::JOINED_IPTABLES] {
            let Some(ratio) = outcome.ratio(scenario, [name, RAW], figures::gigabits) else {
                continue;
            };
            let what = format!("same node, {name}, {scenario}: rate / raw");
            goals.push(Goal::new(what, (true, SAME_NODE), None, ratio.median));
        }
    }
    goals
}

fn of_capture(outcome: &Outcome) -> Option<Goal> {
    let both = [names::EBPF, names::IPTABLES];
    let whole = |block: &Block| block.p50_us;
    let added = outcome.added(Scenario::Dials, both, names::DIRECT, whole)?;
    let what = "capture: what ebpf adds to a connection's p50 / what iptables adds".to_owned();
    Some(Goal::new(what, (false, CAPTURE), None, added.median))
}

fn of_idle(outcome: &Outcome) -> Vec<Goal> {
    let ours = outcome
        .idles
        .iter()
        .filter(|idle| [names::TUNNEL, names::JOINED].contains(&idle.subject.as_str()));
    let goals = ours.filter_map(|idle| {
        let mebibytes = idle.worst_with(idle::CONNECTIONS)? / MEBIBYTE;
        let name = &idle.subject;
        let scaled = if idle.connections == idle::CONNECTIONS {
            String::new()
        } else {
            format!(" (scaled up from {})", idle.connections)
        };
        let count = idle::CONNECTIONS;
        let what =
            format!("memory of a ztunnel with {count} idle connections, {name}{scaled}, MiB");
        let limit = (false, IDLE_CONNECTIONS_MIB);
        Some(Goal::new(what, limit, None, mebibytes))
    });
    goals.collect()
}

fn of_waypoint(outcome: &waypoint::record::Outcome) -> Vec<Goal> {
    let judged = outcome
        .exchanges
        .iter()
        .filter(|exchange| exchange.is_judged());
    let ratios = judged.filter_map(|exchange| {
        let sides = [waypoint::OURS, waypoint::ENVOY];
        let value = waypoint::record::Block::per_cpu_second;
        let ratio = outcome.ratio(*exchange, sides, value)?;
        let what = format!("waypoint, {exchange}: requests per CPU-second / Envoy");
        Some(Goal::new(what, (true, PER_CPU_SECOND), None, ratio.median))
    });
    let mut goals: Vec<Goal> = ratios.collect();
    if let Some(idle) = outcome.heavy(waypoint::OURS) {
        let what = "memory of an idle waypoint with 1,000 routes, MiB".to_owned();
        let mebibytes = idle.resident as f64 / MEBIBYTE;
        goals.push(Goal::new(what, (false, IDLE_WAYPOINT_MIB), None, mebibytes));
    }
    goals
}

#[cfg(test)]
mod tests;
