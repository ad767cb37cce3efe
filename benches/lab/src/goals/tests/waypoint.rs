//! Goals of waypoints that were made up.

use std::time::Duration;

use super::record as run;
use crate::goals::of;
use crate::record::{Held, Record};
use crate::report::text;
use crate::waypoint::Plan;
use crate::waypoint::exchange::Exchange;
use crate::waypoint::record::{Block, Outcome};

fn block(exchange: Exchange, side: &str, cpu: f64) -> Block {
    Block {
        exchange,
        side: side.to_owned(),
        index: 0,
        seconds: 1.0,
        units: 1000,
        failed: 0,
        answered: 1000,
        p50_us: 1.0,
        p99_us: 2.0,
        cpu_waypoint_s: cpu,
        cpu_near_s: 0.1,
        cpu_far_s: 0.1,
        cpu_generator_s: 0.1,
        cpu_machine_s: 1.0,
        cpu_stolen_s: 0.0,
    }
}

fn record(blocks: Vec<Block>, heavy: Vec<(String, Held)>) -> Record {
    let plan = Plan {
        blocks: 1,
        warm_up: Duration::ZERO,
        window: Duration::from_secs(1),
    };
    let mut outcome = Outcome::none(&plan, Vec::new());
    outcome.exchanges = Exchange::all();
    outcome.sides = ["envoy", "ambit"]
        .map(|name| (name.to_owned(), String::new()))
        .to_vec();
    outcome.blocks = blocks;
    outcome.heavy = heavy;
    let mut record = run(Vec::new());
    record.waypoint = Some(outcome);
    record.goals = of(&record);
    record
}

#[test]
fn requests_per_cpu_second_are_judged_as_a_multiple_of_envoys() {
    for (cpu, met) in [(0.25, true), (0.26, false)] {
        let each = Exchange::all().into_iter();
        let blocks = each.flat_map(|it| [block(it, "envoy", 0.5), block(it, "ambit", cpu)]);
        let record = record(blocks.collect(), Vec::new());
        // Three protocols, two tables.
        assert_eq!(record.goals.len(), 6);
        assert!(record.goals.iter().all(|goal| goal.met == met), "{cpu}");
        assert_eq!(text(&record).contains("NOT MET"), !met);
    }
}

#[test]
fn without_envoy_only_memory_is_judged() {
    for (mebibytes, met) in [(20, true), (21, false)] {
        let held = Held {
            resident: mebibytes << 20,
            anonymous: 0,
            highest: 0,
        };
        let blocks = Exchange::all()
            .into_iter()
            .map(|it| block(it, "ambit", 0.1));
        let goals = record(blocks.collect(), vec![("ambit".to_owned(), held)]).goals;
        let [goal] = &goals[..] else {
            panic!("{goals:?}");
        };
        assert_eq!(goal.met, met);
    }
}
