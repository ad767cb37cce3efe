//! What a command line means.

use clap::Parser as _;

use super::{Arguments, Plan};
use crate::part::Part;
use crate::scenario::Scenario;

fn plan(line: &[&str]) -> anyhow::Result<Plan> {
    Arguments::try_parse_from(["bench"].iter().chain(line))?.plan()
}

fn parts(line: &[&str]) -> Vec<Part> {
    let plan = plan(line).unwrap();
    plan.parts.iter().map(|plan| plan.part).collect()
}

#[test]
fn everything_is_measured_unless_something_is_named() {
    let all = [
        Part::Nodes,
        Part::SameNode,
        Part::Capture,
        Part::Policies,
        Part::Idle,
    ];
    assert_eq!(parts(&[]), all);
    assert!(plan(&[]).unwrap().waypoint.is_some());
    let named = ["--only", "same-node", "--only", "idle"];
    assert_eq!(parts(&named), [Part::SameNode, Part::Idle]);
    assert!(plan(&named).unwrap().waypoint.is_none());
    assert!(parts(&["--only", "waypoint"]).is_empty());
}

#[test]
fn requests_beside_bulk_are_measured_with_those_that_they_are_compared_with() {
    let plan = plan(&["--only", "mixed"]).unwrap();
    let [nodes] = &plan.parts[..] else {
        panic!("{plan:?}");
    };
    assert!(!nodes.memory);
    let mixed = nodes.scenarios.iter().filter_map(|it| it.alone());
    let alone: Vec<Scenario> = mixed.collect();
    assert_eq!(alone.len(), 2, "both ways");
    assert!(alone.iter().all(|it| nodes.scenarios.contains(it)));
}

#[test]
fn numbers_of_the_command_line_hold_for_every_part() {
    let plan = plan(&["--blocks", "7", "--seconds", "0.1"]).unwrap();
    for part in &plan.parts {
        assert_eq!((part.lives, part.window.as_millis()), (7, 100));
    }
    assert_eq!(plan.waypoint.unwrap().blocks, 7);
}

#[test]
fn what_is_out_of_bounds_or_taken_is_named() {
    for (line, told) in [
        (["--blocks", "0"], "--blocks 0"),
        (["--seconds", "61"], "--seconds 61"),
        (["--streams", "17"], "--streams 17"),
        (["--versus", "raw=/bin/x"], "raw"),
        (["--versus", "joined=/bin/x"], "joined"),
    ] {
        let error = plan(&line).unwrap_err().to_string();
        assert!(error.contains(told), "{error}");
    }
}
