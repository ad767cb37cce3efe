//! Everything that a run has measured: the JSON file as it is, the table in extracts.

use serde::Serialize;

use crate::arguments::Plan;
use crate::goals::{self, Goal};
use crate::host::Host;
use crate::load::{ANSWER, CHUNK, REQUEST};
use crate::scenario::Scenario;
use crate::statistics::Spread;
use crate::subject::Subject;
use crate::tunables;
use crate::waypoint::record::Outcome;

/// One run.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Record {
    /// Where.
    pub(crate) host: Host,
    /// How.
    pub(crate) method: Method,
    /// Who, in the order of the table; raw TCP first, ours second.
    pub(crate) subjects: Vec<Program>,
    /// What, in the order of measuring.
    pub(crate) blocks: Vec<Block>,
    /// What each ztunnel holds.
    pub(crate) memories: Vec<Memory>,
    /// The waypoints, if they were measured.
    pub(crate) waypoint: Option<Outcome>,
    /// Where ours stands.
    pub(crate) goals: Vec<Goal>,
}

/// What was measured of raw TCP and ztunnels.
#[derive(Debug, Default)]
pub(crate) struct Ztunnels {
    /// Who.
    pub(crate) subjects: Vec<Program>,
    /// What.
    pub(crate) blocks: Vec<Block>,
    /// What each ztunnel holds.
    pub(crate) memories: Vec<Memory>,
}

/// How a run measured.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Method {
    /// Blocks per scenario and subject.
    pub(crate) blocks: usize,
    /// Seconds of each window.
    pub(crate) window_s: f64,
    /// Seconds of load before each.
    pub(crate) warm_up_s: f64,
    /// The scenarios, in order.
    pub(crate) scenarios: Vec<Scenario>,
    /// `GLIBC_TUNABLES` of everything that ran.
    pub(crate) glibc_tunables: String,
    /// Bytes of a bulk write.
    pub(crate) chunk_bytes: usize,
    /// Bytes of a request.
    pub(crate) request_bytes: usize,
    /// Bytes of an answer.
    pub(crate) answer_bytes: usize,
}

/// A subject.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Program {
    /// Its name.
    pub(crate) name: String,
    /// Its command line.
    pub(crate) command: String,
}

impl Program {
    /// Of a subject.
    pub(crate) fn of(subject: &Subject) -> Self {
        Self {
            name: subject.name.clone(),
            command: subject.command.clone(),
        }
    }
}

/// One window of one subject. CPU times in seconds.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Block {
    /// What was done.
    pub(crate) scenario: Scenario,
    /// To whom.
    pub(crate) subject: String,
    /// The block's number, from 0: blocks of the same number were measured next to each other.
    pub(crate) index: usize,
    /// The window's length.
    pub(crate) seconds: f64,
    /// Bytes, requests or connections that were complete within it.
    pub(crate) units: u64,
    /// Connections that failed at the client, warm-up and end included.
    pub(crate) failed: u64,
    /// Connections that failed at the server.
    pub(crate) failed_at_server: u64,
    /// Half of the requests or connections took no longer; microseconds.
    pub(crate) p50_us: Option<f64>,
    /// 99 of 100 took no longer.
    pub(crate) p99_us: Option<f64>,
    /// The ztunnel of the client's node.
    pub(crate) cpu_near_s: Option<f64>,
    /// The ztunnel of the server's node.
    pub(crate) cpu_far_s: Option<f64>,
    /// All processors of the machine, whoever used them.
    pub(crate) cpu_machine_s: f64,
    /// What the hypervisor took.
    pub(crate) cpu_stolen_s: f64,
    /// The load generator: client and server.
    pub(crate) cpu_generator_s: f64,
}

impl Block {
    /// Both ztunnels together.
    pub(crate) fn cpu_both_s(&self) -> Option<f64> {
        Some(self.cpu_near_s? + self.cpu_far_s?)
    }

    /// What neither generator nor ztunnels used, as a share of the window's processor time: other
    /// programs, and kernel work that is charged to nobody.
    pub(crate) fn disturbance(&self, processors: usize) -> f64 {
        let known = self.cpu_generator_s + self.cpu_both_s().unwrap_or(0.0);
        (self.cpu_machine_s - known).max(0.0) / (self.seconds * processors as f64)
    }
}

/// What one process holds, in bytes.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Held {
    /// `VmRSS`.
    pub(crate) resident: u64,
    /// `RssAnon`: without the pages of the program's file.
    pub(crate) anonymous: u64,
    /// `VmHWM`: the most that was resident in this life.
    pub(crate) highest: u64,
}

/// What the ztunnels of a subject hold; pairs are the client's node and the server's.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Memory {
    /// Whose.
    pub(crate) subject: String,
    /// A second after readiness, once per life.
    pub(crate) start: Vec<[Held; 2]>,
    /// After one connection.
    pub(crate) warm: [Held; 2],
    /// How many stood idle.
    pub(crate) idle_connections: usize,
    /// While they stood.
    pub(crate) idle: [Held; 2],
    /// After they closed.
    pub(crate) closed: [Held; 2],
    /// In another life, after load.
    pub(crate) loaded: [Held; 2],
}

impl Memory {
    /// The higher of the two ztunnels a second after readiness, over all lives.
    pub(crate) fn start_worst(&self) -> Option<u64> {
        self.start.iter().flatten().map(|held| held.resident).max()
    }

    /// Resident bytes per idle connection of one ztunnel, above those of a warm one.
    pub(crate) fn per_connection(&self, node: usize) -> f64 {
        let grown = self.idle[node]
            .resident
            .saturating_sub(self.warm[node].resident);
        grown as f64 / self.idle_connections as f64
    }
}

impl Record {
    /// Puts a run together.
    pub(crate) fn new(
        host: Host,
        plan: &Plan,
        ztunnels: Ztunnels,
        waypoint: Option<Outcome>,
    ) -> Self {
        let method = Method {
            blocks: plan.blocks,
            window_s: plan.window.as_secs_f64(),
            warm_up_s: plan.warm_up.as_secs_f64(),
            scenarios: plan.scenarios.clone(),
            glibc_tunables: tunables::current(),
            chunk_bytes: CHUNK,
            request_bytes: REQUEST,
            answer_bytes: ANSWER,
        };
        let mut record = Self {
            host,
            method,
            subjects: ztunnels.subjects,
            blocks: ztunnels.blocks,
            memories: ztunnels.memories,
            waypoint,
            goals: Vec::new(),
        };
        record.goals = goals::of(&record);
        record
    }

    /// A figure of a subject in a scenario, block by block; empty when a block does not have it.
    pub(crate) fn values(
        &self,
        scenario: Scenario,
        subject: &str,
        value: impl Fn(&Block) -> Option<f64>,
    ) -> Vec<f64> {
        let mut blocks: Vec<&Block> = self
            .blocks
            .iter()
            .filter(|block| block.scenario == scenario && block.subject == subject)
            .collect();
        blocks.sort_by_key(|block| block.index);
        blocks
            .into_iter()
            .map(value)
            .collect::<Option<_>>()
            .unwrap_or_default()
    }

    /// The same figure of one subject over another's.
    pub(crate) fn ratio(
        &self,
        scenario: Scenario,
        [over, under]: [&str; 2],
        value: impl Fn(&Block) -> Option<f64>,
    ) -> Option<Spread> {
        Spread::of_ratios(
            &self.values(scenario, over, &value),
            &self.values(scenario, under, &value),
        )
    }
}
