//! What a part has brought.

use serde::Serialize;

use super::{Block, Idle, Memory};
use crate::part::{Part, Plan};
use crate::scenario::Scenario;
use crate::statistics::Spread;

/// A part of a run.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Outcome {
    /// Which.
    pub(crate) part: Part,
    /// How often all ztunnels were started anew.
    pub(crate) lives: usize,
    /// Blocks per scenario and subject in each life.
    pub(crate) turns: usize,
    /// Seconds of each window.
    pub(crate) window_s: f64,
    /// Seconds of load before each.
    pub(crate) warm_up_s: f64,
    /// The scenarios, in order.
    pub(crate) scenarios: Vec<Scenario>,
    /// Who, in the order of the table.
    pub(crate) subjects: Vec<Program>,
    /// Who not, and why.
    pub(crate) skipped: Vec<String>,
    /// What, in the order of measuring.
    pub(crate) blocks: Vec<Block>,
    /// What each ztunnel holds.
    pub(crate) memories: Vec<Memory>,
    /// What each holds for idle connections.
    pub(crate) idles: Vec<Idle>,
}

/// A subject.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Program {
    /// Its name.
    pub(crate) name: String,
    /// What was started.
    pub(crate) command: String,
}

impl Outcome {
    /// Nothing was measured yet.
    pub(crate) fn none(plan: &Plan) -> Self {
        Self {
            part: plan.part,
            lives: plan.lives,
            turns: plan.turns,
            window_s: plan.window.as_secs_f64(),
            warm_up_s: plan.warm_up.as_secs_f64(),
            scenarios: plan.scenarios.clone(),
            subjects: Vec::new(),
            skipped: Vec::new(),
            blocks: Vec::new(),
            memories: Vec::new(),
            idles: Vec::new(),
        }
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

    /// What one subject adds to the figure of `base`, over what another adds.
    pub(crate) fn added(
        &self,
        scenario: Scenario,
        [over, under]: [&str; 2],
        base: &str,
        value: impl Fn(&Block) -> Option<f64>,
    ) -> Option<Spread> {
        Spread::of_added(
            &self.values(scenario, over, &value),
            &self.values(scenario, under, &value),
            &self.values(scenario, base, &value),
        )
    }

    /// A figure beside bulk over the same figure of requests alone.
    pub(crate) fn beside(
        &self,
        scenario: Scenario,
        subject: &str,
        value: impl Fn(&Block) -> Option<f64>,
    ) -> Option<Spread> {
        Spread::of_ratios(
            &self.values(scenario, subject, &value),
            &self.values(scenario.alone()?, subject, &value),
        )
    }
}
