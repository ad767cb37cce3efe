//! How often operators are told, and the names that they see.

use super::*;

#[test]
fn operators_are_told_once_a_second_of_paths_that_close_and_how_many_more_there_were() {
    let tally = Tally::default();
    let now = Instant::now();
    assert_eq!(tally.tell_of_closing(now), Some(0));
    for _ in 0..1000 {
        assert_eq!(tally.tell_of_closing(now), None);
    }
    assert_eq!(tally.tell_of_closing(now + PAUSE_TOLD), Some(1000));
    assert_eq!(tally.tell_of_closing(now + PAUSE_TOLD * 5), Some(0));
}

#[test]
fn every_metric_is_shown_from_the_start() {
    let mut registry = Registry::default();
    let tally = Tally::default();
    tally.register(&mut registry);
    tally.asked(None);
    tally.asked(Some(&Obstacle::NoAnswer));
    tally.walked(&Err(Failure::Unconfirmed));
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
    for line in [
        "ambit_joins_total{result=\"joined\"} 1",
        "ambit_joins_total{result=\"no_answer\"} 1",
        "ambit_joins_total{result=\"other_family\"} 0",
        "ambit_joins_total{result=\"no_certificate\"} 0",
        "ambit_joins_total{result=\"not_believed\"} 0",
        "ambit_joins_total{result=\"too_many_paths\"} 0",
        "ambit_joins_total{result=\"no_path\"} 0",
        "ambit_neighbour_probes_total{result=\"confirmed\"} 0",
        "ambit_neighbour_probes_total{result=\"unconfirmed\"} 1",
        "ambit_neighbour_probes_total{result=\"apart\"} 0",
        "ambit_neighbour_probes_total{result=\"unmade\"} 0",
        "ambit_neighbour_paths{state=\"asking\"} 0",
        "ambit_neighbour_paths{state=\"open\"} 0",
        "ambit_neighbour_paths{state=\"doubtful\"} 0",
        "ambit_neighbour_paths{state=\"closed\"} 0",
    ] {
        assert!(text.lines().any(|said| said == line), "{line} in {text}");
    }
}
