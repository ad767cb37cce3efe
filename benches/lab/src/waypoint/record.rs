//! Everything that was measured of the waypoints.

use serde::Serialize;

use super::Plan;
use super::exchange::Exchange;
use crate::record::Held;
use crate::statistics::Spread;

/// The waypoints' part of a run.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Outcome {
    /// Blocks per exchange and waypoint.
    pub(crate) blocks_each: usize,
    /// Seconds of each window.
    pub(crate) window_s: f64,
    /// Seconds of load before each.
    pub(crate) warm_up_s: f64,
    /// Who, in the order of the table: name and program.
    pub(crate) sides: Vec<(String, String)>,
    /// Who not, and why.
    pub(crate) skipped: Vec<String>,
    /// What, in the order of measuring.
    pub(crate) exchanges: Vec<Exchange>,
    /// What each held a second after it has proved itself with one table of a thousand routes and nothing else.
    pub(crate) heavy: Vec<(String, Held)>,
    /// What was measured.
    pub(crate) blocks: Vec<Block>,
    /// What each life held.
    pub(crate) lives: Vec<Life>,
}

/// One window of one waypoint. CPU times in seconds.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Block {
    /// What was asked.
    pub(crate) exchange: Exchange,
    /// Of whom.
    pub(crate) side: String,
    /// The block's number, from 0.
    pub(crate) index: usize,
    /// The window's length.
    pub(crate) seconds: f64,
    /// Requests that were answered within it.
    pub(crate) units: u64,
    /// Requests that failed, warm-up and end included.
    pub(crate) failed: u64,
    /// Requests that were answered, warm-up and end included.
    pub(crate) answered: u64,
    /// Half of the requests took no longer; microseconds.
    pub(crate) p50_us: f64,
    /// 99 of 100 took no longer.
    pub(crate) p99_us: f64,
    /// The waypoint.
    pub(crate) cpu_waypoint_s: f64,
    /// The ztunnel of the client's node.
    pub(crate) cpu_near_s: f64,
    /// The ztunnel of the server's node.
    pub(crate) cpu_far_s: f64,
    /// h2load and nginx.
    pub(crate) cpu_generator_s: f64,
    /// All processors of the machine, whoever used them.
    pub(crate) cpu_machine_s: f64,
    /// What the hypervisor took.
    pub(crate) cpu_stolen_s: f64,
}

/// What one life of a waypoint held; six tables are in it, a route and a thousand for each of three services.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Life {
    /// Whose.
    pub(crate) side: String,
    /// A second after it has proved itself with a handful of requests.
    pub(crate) idle: Held,
    /// A second after the last block.
    pub(crate) loaded: Held,
    /// Requests that were answered in it.
    pub(crate) answered: u64,
    /// Lines of its access log for them; some are still in a buffer.
    pub(crate) logged: u64,
}

impl Block {
    /// Requests per second of the waypoint's CPU time.
    pub(crate) fn per_cpu_second(&self) -> f64 {
        self.units as f64 / self.cpu_waypoint_s
    }

    /// Requests per second.
    pub(crate) fn rate(&self) -> f64 {
        self.units as f64 / self.seconds
    }

    /// Microseconds of each request, out of seconds of the window.
    pub(crate) fn micros_each(&self, seconds: f64) -> f64 {
        seconds * 1e6 / self.units as f64
    }

    /// What nobody of the chain has used, as a share of the window's processor time.
    pub(crate) fn disturbance(&self, processors: usize) -> f64 {
        let known = self.cpu_waypoint_s + self.cpu_near_s + self.cpu_far_s + self.cpu_generator_s;
        (self.cpu_machine_s - known).max(0.0) / (self.seconds * processors as f64)
    }
}

impl Outcome {
    /// Nobody was there.
    pub(crate) fn none(plan: &Plan, skipped: Vec<String>) -> Self {
        Self {
            blocks_each: plan.blocks,
            window_s: plan.window.as_secs_f64(),
            warm_up_s: plan.warm_up.as_secs_f64(),
            sides: Vec::new(),
            skipped,
            exchanges: Vec::new(),
            heavy: Vec::new(),
            blocks: Vec::new(),
            lives: Vec::new(),
        }
    }

    /// A figure of a waypoint, block by block.
    pub(crate) fn values(
        &self,
        exchange: Exchange,
        side: &str,
        value: impl Fn(&Block) -> f64,
    ) -> Vec<f64> {
        let mut blocks: Vec<&Block> = self
            .blocks
            .iter()
            .filter(|block| block.exchange == exchange && block.side == side)
            .collect();
        blocks.sort_by_key(|block| block.index);
        blocks.into_iter().map(value).collect()
    }

    /// The same figure of one over another's.
    pub(crate) fn ratio(
        &self,
        exchange: Exchange,
        [over, under]: [&str; 2],
        value: impl Fn(&Block) -> f64,
    ) -> Option<Spread> {
        Spread::of_ratios(
            &self.values(exchange, over, &value),
            &self.values(exchange, under, &value),
        )
    }

    /// What a waypoint held with one table of a thousand routes.
    pub(crate) fn heavy(&self, side: &str) -> Option<Held> {
        let found = self.heavy.iter().find(|(name, _)| name == side);
        found.map(|(_, held)| *held)
    }

    /// Lines of the access log per request, over all lives.
    pub(crate) fn logged(&self, side: &str) -> Option<f64> {
        let lives = || self.lives.iter().filter(|life| life.side == side);
        let answered: u64 = lives().map(|life| life.answered).sum();
        let logged: u64 = lives().map(|life| life.logged).sum();
        (answered > 0).then(|| logged as f64 / answered as f64)
    }

    /// A figure of a waypoint's lives.
    pub(crate) fn held(&self, side: &str, value: impl Fn(&Life) -> u64) -> Option<Spread> {
        let lives = self.lives.iter().filter(|life| life.side == side);
        Spread::of(lives.map(|life| value(life) as f64))
    }
}
