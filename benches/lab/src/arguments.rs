//! The command line, and the plan that it means.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Result, bail};
use clap::{Parser, ValueEnum};

use crate::load::idle::Hold;
use crate::part::{self, Part, names};
use crate::scenario::{Direction, Scenario};
use crate::versus::Versus;
use crate::waypoint;

/// The most streams of one bulk scenario: each is a thread on both sides.
const MAX_STREAMS: usize = 16;

/// The most blocks per scenario.
const MAX_BLOCKS: usize = 100;

/// The longest window: an hour-long run is a mistyped number.
const MAX_SECONDS: f64 = 60.0;

/// The most further subjects: each has a lab with two nodes of its own.
const MAX_VERSUS: usize = 4;

/// The parallel connections of the request scenarios.
const REQUEST_CONNECTIONS: [usize; 2] = [1, 64];

/// How many connections are made in parallel in the connection scenario, and ask beside bulk.
const PARALLEL: usize = 16;

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Subset {
    /// Bytes per second, up and down, between two nodes.
    Bulk,
    /// Small requests over standing connections.
    Requests,
    /// New connections over warm tunnels.
    Connections,
    /// Requests beside bulk.
    Mixed,
    /// What each ztunnel holds.
    Memory,
    /// What ten thousand connections hold that stand idle.
    Idle,
    /// Two pods of one node.
    SameNode,
    /// What capture by rules and by programs in the kernel adds.
    Capture,
    /// Up to ten thousand policies.
    Policies,
    /// The waypoint beside Envoy.
    Waypoint,
}

/// Raw TCP and pods through ztunnels, between nodes and on one, and the waypoint beside Envoy, measured in one run.
#[derive(Clone, Debug, Parser)]
#[command(name = "bench")]
pub(crate) struct Arguments {
    /// A third of the time: shorter blocks, and fewer of them
    #[arg(long)]
    pub(crate) quick: bool,
    /// Measures only these (repeatable)
    #[arg(long, value_enum)]
    pub(crate) only: Vec<Subset>,
    /// A further subject, started as ours is: `--versus "NAME=command with arguments"` (repeatable)
    #[arg(long, value_name = "NAME=COMMAND")]
    pub(crate) versus: Vec<Versus>,
    /// Also writes everything that was measured, block by block
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
    /// How often all is started anew and measured [default: 4, of waypoints 3; quick: 2 and 1]
    #[arg(long, value_name = "N")]
    pub(crate) blocks: Option<usize>,
    /// Seconds of each window [default: 1.5 between two nodes, else 0.5 to 1; quick: 0.3 to 0.6]
    #[arg(long, value_name = "S")]
    pub(crate) seconds: Option<f64>,
    /// Streams of the bulk scenarios: `--streams 1,4`
    #[arg(long, value_name = "N", value_delimiter = ',', default_value = "1")]
    pub(crate) streams: Vec<usize>,
    /// What this program tells itself: to be the other end of idle connections
    #[arg(long, hide = true, value_name = "ADDRESS,COUNT")]
    pub(crate) hold: Option<Hold>,
}

/// What a run does.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    /// In this order.
    pub(crate) parts: Vec<part::Plan>,
    /// How waypoints are measured, if they are.
    pub(crate) waypoint: Option<waypoint::Plan>,
}

/// How long a part takes, unless the command line says otherwise. Seconds.
struct Pace {
    lives: usize,
    turns: usize,
    warm_up: f64,
    window: f64,
}

impl Pace {
    /// Of a part; short windows where many are to be compared, more turns where small differences are.
    fn of(part: Part, quick: bool) -> Self {
        let (turns, warm_up, window) = match (part, quick) {
            (Part::Nodes, false) => (1, 0.3, 1.5),
            (Part::SameNode, false) => (1, 0.2, 1.0),
            (Part::Capture, false) => (3, 0.1, 0.5),
            (Part::Policies, false) => (1, 0.2, 0.7),
            (Part::Nodes, true) => (1, 0.2, 0.6),
            (Part::Capture, true) => (2, 0.1, 0.3),
            (Part::SameNode | Part::Policies, true) => (1, 0.2, 0.4),
            // No window: memory does not depend on time.
            (Part::Idle, _) => (1, 0.0, 0.0),
        };
        Self {
            lives: if quick { 2 } else { 4 },
            turns,
            warm_up,
            window,
        }
    }
}

impl Arguments {
    /// The plan, within its bounds.
    ///
    /// # Errors
    ///
    /// Names the option that is out of bounds and the bounds.
    pub(crate) fn plan(&self) -> Result<Plan> {
        if let Some(blocks) = self.blocks
            && !(1..=MAX_BLOCKS).contains(&blocks)
        {
            bail!("--blocks {blocks}: expected 1 to {MAX_BLOCKS}");
        }
        if let Some(seconds) = self.seconds
            && !(0.1..=MAX_SECONDS).contains(&seconds)
        {
            bail!("--seconds {seconds}: expected 0.1 to {MAX_SECONDS}");
        }
        if let Some(streams) = self
            .streams
            .iter()
            .find(|n| !(1..=MAX_STREAMS).contains(*n))
        {
            bail!("--streams {streams}: expected 1 to {MAX_STREAMS}");
        }
        if self.versus.len() > MAX_VERSUS {
            bail!(
                "--versus is given {} times, expected at most {MAX_VERSUS}",
                self.versus.len()
            );
        }
        self.distinct()?;
        let parts = [
            Part::Nodes,
            Part::SameNode,
            Part::Capture,
            Part::Policies,
            Part::Idle,
        ];
        let (blocks, warm_up, seconds) = if self.quick {
            (1, 0.2, 0.6)
        } else {
            (3, 0.2, 1.0)
        };
        let waypoint = waypoint::Plan {
            blocks: self.blocks.unwrap_or(blocks),
            warm_up: Duration::from_secs_f64(warm_up),
            window: Duration::from_secs_f64(self.seconds.unwrap_or(seconds)),
        };
        Ok(Plan {
            parts: parts.into_iter().filter_map(|it| self.part(it)).collect(),
            waypoint: self.wants(Subset::Waypoint).then_some(waypoint),
        })
    }

    /// The plan of a part; `None` when nothing of it is wanted.
    fn part(&self, part: Part) -> Option<part::Plan> {
        let scenarios = self.scenarios(part);
        let memory = part == Part::Nodes && self.wants(Subset::Memory);
        let idle = part == Part::Idle && self.wants(Subset::Idle);
        if scenarios.is_empty() && !memory && !idle {
            return None;
        }
        let pace = Pace::of(part, self.quick);
        Some(part::Plan {
            part,
            lives: self.blocks.unwrap_or(pace.lives),
            turns: pace.turns,
            warm_up: Duration::from_secs_f64(pace.warm_up),
            window: Duration::from_secs_f64(self.seconds.unwrap_or(pace.window)),
            scenarios,
            memory,
            versus: self.versus.clone(),
        })
    }

    fn distinct(&self) -> Result<()> {
        let mut taken = vec![
            crate::subject::RAW,
            crate::subject::OURS,
            names::TUNNEL,
            names::JOINED,
        ];
        for versus in &self.versus {
            if taken.contains(&versus.name.as_str()) {
                bail!("--versus {}: the name is taken", versus.name);
            }
            taken.push(&versus.name);
        }
        Ok(())
    }

    fn wants(&self, subset: Subset) -> bool {
        self.only.is_empty() || self.only.contains(&subset)
    }

    fn scenarios(&self, part: Part) -> Vec<Scenario> {
        let both = [Direction::Up, Direction::Down];
        let new = Scenario::Connections { parallel: PARALLEL };
        let requests = |connections| Scenario::Requests { connections };
        let bulk = |streams| both.map(|direction| Scenario::Bulk { direction, streams });
        let if_wanted = |subset, scenarios: Vec<Scenario>| {
            if self.wants(subset) {
                scenarios
            } else {
                Vec::new()
            }
        };
        match part {
            Part::Nodes => {
                let mixed = both.map(|direction| Scenario::Mixed {
                    direction,
                    connections: PARALLEL,
                });
                let streams = self.streams.iter().copied();
                [
                    if_wanted(Subset::Bulk, streams.flat_map(bulk).collect()),
                    if_wanted(Subset::Requests, REQUEST_CONNECTIONS.map(requests).to_vec()),
                    if_wanted(Subset::Connections, vec![new]),
                    if_wanted(
                        Subset::Mixed,
                        [requests(PARALLEL)].into_iter().chain(mixed).collect(),
                    ),
                ]
                .concat()
            }
            Part::SameNode => {
                let [up, down] = bulk(1);
                if_wanted(Subset::SameNode, vec![up, down, requests(PARALLEL), new])
            }
            Part::Capture => if_wanted(Subset::Capture, vec![Scenario::Dials, new]),
            Part::Policies => if_wanted(Subset::Policies, vec![Scenario::Dials, new]),
            Part::Idle => Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests;
