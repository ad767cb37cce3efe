//! Goals of the other parts.

use super::{BULK, block, held, only, part, record};
use crate::goals::Goal;
use crate::part::{Part, names};
use crate::record::{Block, Idle, Outcome, Program};
use crate::report::text;
use crate::scenario::{Direction, Scenario};

fn programs(all: &[&str]) -> Vec<Program> {
    let program = |name: &&str| Program {
        name: (*name).to_owned(),
        command: String::new(),
    };
    all.iter().map(program).collect()
}

#[test]
fn bulk_between_pods_of_one_node_is_judged_for_each_capture_and_not_for_the_tunnel() {
    for (joined, met) in [(1000, true), (999, false)] {
        let blocks = vec![
            block(BULK, "raw", 0, 1000, None),
            block(BULK, names::JOINED_EBPF, 0, joined, Some(0.1)),
            block(BULK, names::JOINED_IPTABLES, 0, joined, Some(0.1)),
            block(BULK, names::TUNNEL_IPTABLES, 0, 1, Some(0.1)),
        ];
        let outcome = Outcome {
            blocks,
            ..part(Part::SameNode, &[BULK])
        };
        let goals = record(vec![outcome]).goals;
        let judged: Vec<(bool, bool)> = goals
            .iter()
            .map(|goal| (goal.met, goal.what.contains("joined")))
            .collect();
        assert_eq!(judged, [(met, true); 2], "{goals:?}");
    }
}

fn dial(subject: &str, index: usize, p50: f64) -> Block {
    Block {
        p50_us: Some(p50),
        ..block(Scenario::Dials, subject, index, 100, None)
    }
}

fn capture(blocks: Vec<Block>) -> Vec<Goal> {
    let outcome = Outcome {
        subjects: programs(&[names::DIRECT, names::IPTABLES, names::EBPF]),
        blocks,
        ..part(Part::Capture, &[Scenario::Dials])
    };
    record(vec![outcome]).goals
}

#[test]
fn capture_is_judged_by_what_it_adds_and_not_by_what_a_connection_takes() {
    for (ebpf, met) in [(170.0, true), (171.0, false)] {
        let goals = capture(vec![
            dial(names::DIRECT, 0, 100.0),
            dial(names::IPTABLES, 0, 200.0),
            dial(names::EBPF, 0, ebpf),
        ]);
        let goal = only(&goals);
        assert_eq!(goal.met, met, "{goal:?}");
        assert!((goal.measured - (ebpf - 100.0) / 100.0).abs() < 1e-9);
    }
}

#[test]
fn capture_is_not_judged_where_programs_in_the_kernel_do_not_work_or_rules_add_nothing() {
    let direct = dial(names::DIRECT, 0, 100.0);
    assert!(capture(vec![direct.clone(), dial(names::IPTABLES, 0, 200.0)]).is_empty());
    let none = vec![
        direct,
        dial(names::IPTABLES, 0, 100.0),
        dial(names::EBPF, 0, 90.0),
    ];
    assert!(capture(none).is_empty());
}

fn idle(subject: &str, connections: usize, mebibytes: &[u64]) -> Idle {
    Idle {
        subject: subject.to_owned(),
        connections,
        start: Vec::new(),
        warm: mebibytes.iter().map(|_| held(10)).collect(),
        idle: mebibytes.iter().copied().map(held).collect(),
        closed: Vec::new(),
    }
}

fn idles(idles: Vec<Idle>) -> Outcome {
    Outcome {
        subjects: programs(&[names::TUNNEL, names::JOINED, "other"]),
        idles,
        ..part(Part::Idle, &[])
    }
}

#[test]
fn idle_connections_are_judged_by_the_worse_ztunnel_of_ours() {
    let all = vec![
        idle(names::TUNNEL, 10_000, &[12, 41]),
        idle(names::JOINED, 10_000, &[40]),
        idle("other", 10_000, &[100, 1]),
    ];
    let record = record(vec![idles(all)]);
    let met: Vec<bool> = record.goals.iter().map(|goal| goal.met).collect();
    assert_eq!(met, [false, true]);
    let text = text(&record);
    for line in ["all connections, client's", "41.0 (0)", "10,000"] {
        assert!(text.contains(line), "{line} in\n{text}");
    }
}

#[test]
fn idle_connections_that_files_do_not_suffice_for_are_scaled_up_and_that_is_said() {
    // 15 MiB for a half are 30 for all, beside the 10 of a ztunnel with one.
    for (mebibytes, met) in [(25, true), (26, false)] {
        let half = idle(names::JOINED, 5000, &[mebibytes]);
        assert_eq!(half.per_connection(1), None);
        let goals = record(vec![idles(vec![half])]).goals;
        assert_eq!(only(&goals).met, met, "{goals:?}");
        assert!(only(&goals).what.contains("scaled up from 5000"));
    }
}

#[test]
fn requests_beside_bulk_are_shown_as_multiples_of_those_alone() {
    let mixed = Scenario::Mixed {
        direction: Direction::Down,
        connections: 16,
    };
    let alone = mixed.alone().unwrap();
    let of = |scenario, p99| Block {
        p99_us: Some(p99),
        beside_bytes: Some(1_000_000_000),
        ..block(scenario, "ambit", 0, 100, Some(0.1))
    };
    let outcome = Outcome {
        subjects: programs(&["raw", "ambit"]),
        blocks: vec![of(alone, 200.0), of(mixed, 1500.0)],
        ..part(Part::Nodes, &[alone, mixed])
    };
    let text = text(&record(vec![outcome]));
    for line in [
        "p99, times that alone",
        "7.50 [7.50-7.50]",
        "bulk, Gb/s",
        "4.00",
    ] {
        assert!(text.contains(line), "{line} in\n{text}");
    }
}
