//! Who is compared with whom.

use super::{Part, names};
use crate::record::Program;
use crate::report::column::Column;
use crate::spec::Place;
use crate::subject::{OURS, RAW};
use crate::versus::Versus;

const ALL: [Part; 5] = [
    Part::Nodes,
    Part::SameNode,
    Part::Capture,
    Part::Policies,
    Part::Idle,
];

fn programs(part: Part, versus: &[Versus]) -> Vec<Program> {
    let specs = part.specs(&["ztunnel".to_owned()], versus);
    let program = |name: String| Program {
        name,
        command: String::new(),
    };
    specs.into_iter().map(|spec| program(spec.name)).collect()
}

fn heads(part: Part, subjects: &[Program]) -> Vec<String> {
    let columns = part.columns(subjects);
    columns.iter().map(Column::to_string).collect()
}

#[test]
fn every_subject_has_a_column_and_names_are_distinct() {
    for part in ALL {
        let subjects = programs(part, &[]);
        let heads = heads(part, &subjects);
        for subject in &subjects {
            let own = heads.iter().filter(|head| **head == subject.name).count();
            assert_eq!(own, 1, "{part}: {} in {heads:?}", subject.name);
        }
    }
}

#[test]
fn ours_is_compared_with_raw_tcp_and_with_each_further_program() {
    let versus: Versus = "other=/bin/other".parse().unwrap();
    let versus = [versus];
    assert_eq!(
        heads(Part::Nodes, &programs(Part::Nodes, &versus)),
        [
            RAW,
            OURS,
            "ambit / raw",
            "other",
            "other / raw",
            "ambit / other"
        ]
    );
    assert_eq!(
        heads(Part::Idle, &programs(Part::Idle, &versus)),
        ["tunnel", "joined", "other", "tunnel / other"]
    );
}

#[test]
fn what_capture_adds_is_compared_only_where_both_captures_are_there() {
    let mut subjects = programs(Part::Capture, &[]);
    let added = "added: ebpf / iptables";
    assert_eq!(heads(Part::Capture, &subjects).last().unwrap(), added);
    subjects.retain(|subject| subject.name != names::EBPF);
    let heads = heads(Part::Capture, &subjects);
    assert!(!heads.iter().any(|head| head == added), "{heads:?}");
}

#[test]
fn raw_tcp_takes_the_same_path_as_what_is_compared_with_it() {
    for part in ALL {
        let specs = part.specs(&["ztunnel".to_owned()], &[]);
        let places: Vec<Place> = specs.iter().map(|spec| spec.place).collect();
        let is_one = places.iter().all(|place| *place == places[0]);
        assert!(is_one || part == Part::Idle, "{part}: {places:?}");
    }
}
