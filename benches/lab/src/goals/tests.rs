//! Goals of a run that was made up.

use std::time::Duration;

use super::Goal;
use crate::host::Host;
use crate::part::Part;
use crate::record::{Block, Held, Memory, Outcome, Record};
use crate::report::text;
use crate::scenario::{Direction, Scenario};

const BULK: Scenario = Scenario::Bulk {
    direction: Direction::Up,
    streams: 1,
};
const REQUESTS: Scenario = Scenario::Requests { connections: 64 };
const FEW: Scenario = Scenario::Requests { connections: 1 };

fn block(scenario: Scenario, subject: &str, index: usize, units: u64, cpu: Option<f64>) -> Block {
    Block {
        scenario,
        subject: subject.to_owned(),
        index,
        seconds: 2.0,
        units,
        beside_bytes: None,
        failed: 0,
        failed_at_server: 0,
        p50_us: None,
        p99_us: None,
        slowest_p50_us: None,
        connect_p50_us: None,
        cpu_near_s: cpu,
        cpu_far_s: cpu,
        cpu_machine_s: 4.0,
        cpu_stolen_s: 0.0,
        cpu_generator_s: 1.0,
    }
}

/// A part without figures.
fn part(part: Part, scenarios: &[Scenario]) -> Outcome {
    Outcome::none(&crate::part::Plan {
        part,
        lives: 2,
        turns: 1,
        warm_up: Duration::ZERO,
        window: Duration::from_secs(2),
        scenarios: scenarios.to_vec(),
        memory: false,
        versus: Vec::new(),
    })
}

fn record(parts: Vec<Outcome>) -> Record {
    let host = Host {
        processor: "one".to_owned(),
        processors: 2,
        kernel: "6".to_owned(),
        load: "0 0 0".to_owned(),
        time: 0,
    };
    Record::new(host, parts, None)
}

fn nodes(scenarios: &[Scenario], blocks: Vec<Block>) -> Outcome {
    Outcome {
        blocks,
        ..part(Part::Nodes, scenarios)
    }
}

fn held(mebibytes: u64) -> Held {
    Held {
        resident: mebibytes << 20,
        anonymous: 0,
        highest: 0,
    }
}

fn only(goals: &[Goal]) -> &Goal {
    assert_eq!(goals.len(), 1, "{goals:?}");
    &goals[0]
}

#[test]
fn a_rate_is_judged_as_a_fraction_of_raw_tcp() {
    for (ours, met) in [(450, true), (449, false)] {
        let blocks = vec![
            block(BULK, "raw", 0, 1000, None),
            block(BULK, "ambit", 0, ours, Some(0.1)),
        ];
        let record = record(vec![nodes(&[BULK], blocks)]);
        assert_eq!(only(&record.goals).met, met, "{ours} of 1000");
        assert_eq!(text(&record).contains("NOT MET"), !met);
    }
}

#[test]
fn the_cpu_of_both_ztunnels_is_judged_per_request() {
    // 2 x 0.2 s over 10,000 requests are 40 us each.
    for (cpu, met) in [(0.2, true), (0.21, false)] {
        let blocks = vec![block(REQUESTS, "ambit", 0, 10_000, Some(cpu))];
        let record = record(vec![nodes(&[REQUESTS], blocks)]);
        let goal = only(&record.goals);
        assert!((goal.measured - 200.0 * cpu).abs() < 1e-9);
        assert_eq!(goal.met, met);
    }
}

#[test]
fn memory_is_judged_by_the_worse_ztunnel_of_all_lives() {
    let memory = Memory {
        subject: "ambit".to_owned(),
        start: vec![vec![held(9), held(8)], vec![held(9), held(13)]],
        loaded: vec![held(12), held(12)],
    };
    let outcome = Outcome {
        memories: vec![memory],
        ..part(Part::Nodes, &[])
    };
    let goals = record(vec![outcome]).goals;
    assert_eq!((only(&goals).measured, only(&goals).met), (13.0, false));
}

#[test]
fn what_has_no_goal_or_no_figures_is_not_judged() {
    let few = vec![
        block(FEW, "raw", 0, 10, None),
        block(FEW, "ambit", 0, 1, Some(1.0)),
    ];
    assert!(record(vec![nodes(&[FEW], few)]).goals.is_empty());
    let alone = vec![block(BULK, "raw", 0, 10, None)];
    assert!(record(vec![nodes(&[BULK], alone)]).goals.is_empty());
}

#[test]
fn blocks_are_paired_by_their_number_and_not_by_the_order_of_measuring() {
    let blocks = vec![
        block(BULK, "raw", 0, 100, None),
        block(BULK, "ambit", 0, 50, None),
        block(BULK, "ambit", 1, 10, None),
        block(BULK, "raw", 1, 20, None),
    ];
    let outcome = nodes(&[BULK], blocks);
    let ratio = outcome.ratio(BULK, ["ambit", "raw"], |block| Some(block.units as f64));
    let ratio = ratio.unwrap();
    assert_eq!((ratio.min, ratio.max), (0.5, 0.5));
}

#[test]
fn a_figure_that_one_block_lacks_is_not_shown_for_the_others() {
    let blocks = vec![
        block(BULK, "ambit", 0, 1, Some(1.0)),
        block(BULK, "ambit", 1, 1, None),
    ];
    let outcome = nodes(&[BULK], blocks);
    assert!(
        outcome
            .values(BULK, "ambit", |block| block.cpu_near_s)
            .is_empty()
    );
}

mod parts;
mod waypoint;
