//! What answers in a row show.

use std::num::NonZeroU32;

use mesh::backend::Probe;

use super::*;

#[test]
fn the_first_answer_decides_and_then_as_many_as_the_thresholds_say() {
    let policy = HealthCheck {
        probe: Probe::Tcp,
        port: None,
        interval: Duration::from_secs(1),
        timeout: Duration::from_secs(1),
        unhealthy_threshold: NonZeroU32::new(3).unwrap(),
        healthy_threshold: NonZeroU32::new(2).unwrap(),
    };
    let mut row = Row::default();
    let answers = [
        false, true, true, false, false, true, false, false, false, false,
    ];
    let shown: Vec<_> = answers.map(|well| row.add(well, &policy)).into();
    let (well, ill) = (Some(true), Some(false));
    assert_eq!(
        shown,
        [ill, None, well, None, None, None, None, None, ill, ill]
    );
}
