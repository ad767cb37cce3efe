//! The command line, and the plan that it means.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Result, bail};
use clap::{Parser, ValueEnum};

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

/// How many connections are made in parallel in the connection scenario.
const PARALLEL: usize = 16;

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Subset {
    /// Bytes per second, up and down.
    Bulk,
    /// Small requests over standing connections.
    Requests,
    /// New connections over warm tunnels.
    Connections,
    /// What each ztunnel holds.
    Memory,
    /// The waypoint beside Envoy.
    Waypoint,
}

/// Raw TCP and the two-node path through two ztunnels, and the waypoint beside Envoy, measured in one run.
#[derive(Clone, Debug, Parser)]
#[command(name = "bench")]
pub(crate) struct Arguments {
    /// About two minutes: 2 blocks of 0.6 s, 1 of the waypoints
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
    /// Blocks per scenario and subject [default: 4, of waypoints 3; quick: 2 and 1]
    #[arg(long, value_name = "N")]
    pub(crate) blocks: Option<usize>,
    /// Seconds of a block's window [default: 3, of waypoints 2; quick: 0.6]
    #[arg(long, value_name = "S")]
    pub(crate) seconds: Option<f64>,
    /// Streams of the bulk scenarios: `--streams 1,4`
    #[arg(long, value_name = "N", value_delimiter = ',', default_value = "1")]
    pub(crate) streams: Vec<usize>,
}

/// What a run does.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    /// Blocks per scenario and subject.
    pub(crate) blocks: usize,
    /// Load before each window.
    pub(crate) warm_up: Duration,
    /// A block's window.
    pub(crate) window: Duration,
    /// In this order.
    pub(crate) scenarios: Vec<Scenario>,
    /// Whether memory is measured.
    pub(crate) memory: bool,
    /// The further subjects.
    pub(crate) versus: Vec<Versus>,
    /// How waypoints are measured, if they are.
    pub(crate) waypoint: Option<waypoint::Plan>,
}

impl Arguments {
    /// The plan, within its bounds.
    ///
    /// # Errors
    ///
    /// Names the option that is out of bounds and the bounds.
    pub(crate) fn plan(&self) -> Result<Plan> {
        let (blocks, seconds, warm_up) = if self.quick {
            (2, 0.6, 0.2)
        } else {
            (4, 3.0, 0.4)
        };
        let blocks = self.blocks.unwrap_or(blocks);
        let seconds = self.seconds.unwrap_or(seconds);
        if !(1..=MAX_BLOCKS).contains(&blocks) {
            bail!("--blocks {blocks}: expected 1 to {MAX_BLOCKS}");
        }
        if !(0.1..=MAX_SECONDS).contains(&seconds) {
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
        // They have more scenarios.
        let (of_waypoints, seconds_of_waypoints) = if self.quick { (1, 0.6) } else { (3, 2.0) };
        let waypoint = waypoint::Plan {
            blocks: self.blocks.unwrap_or(of_waypoints),
            warm_up: Duration::from_secs_f64(warm_up),
            window: Duration::from_secs_f64(self.seconds.unwrap_or(seconds_of_waypoints)),
        };
        Ok(Plan {
            blocks,
            warm_up: Duration::from_secs_f64(warm_up),
            window: Duration::from_secs_f64(seconds),
            scenarios: self.scenarios(),
            memory: self.wants(Subset::Memory),
            versus: self.versus.clone(),
            waypoint: self.wants(Subset::Waypoint).then_some(waypoint),
        })
    }

    fn distinct(&self) -> Result<()> {
        let mut names = vec![crate::subject::RAW, crate::subject::OURS];
        for versus in &self.versus {
            if names.contains(&versus.name.as_str()) {
                bail!("--versus {}: the name is taken", versus.name);
            }
            names.push(&versus.name);
        }
        Ok(())
    }

    fn wants(&self, subset: Subset) -> bool {
        self.only.is_empty() || self.only.contains(&subset)
    }

    fn scenarios(&self) -> Vec<Scenario> {
        let mut scenarios = Vec::new();
        if self.wants(Subset::Bulk) {
            for &streams in &self.streams {
                for direction in [Direction::Up, Direction::Down] {
                    scenarios.push(Scenario::Bulk { direction, streams });
                }
            }
        }
        if self.wants(Subset::Requests) {
            scenarios
                .extend(REQUEST_CONNECTIONS.map(|connections| Scenario::Requests { connections }));
        }
        if self.wants(Subset::Connections) {
            scenarios.push(Scenario::Connections { parallel: PARALLEL });
        }
        scenarios
    }
}
