//! Phases move forward only, and all who listen hear of them.

use super::{Drain, Phase};

#[tokio::test]
async fn a_phase_is_reached_once_and_never_left() {
    let drain = Drain::default();
    let mut told = drain.listen();
    assert_eq!(told.phase(), Phase::Running);
    drain.advance(Phase::Draining);
    told.reached(Phase::Draining).await;
    drain.advance(Phase::Cut);
    drain.advance(Phase::Draining);
    assert_eq!(told.phase(), Phase::Cut);
    told.reached(Phase::Draining).await;
}

#[tokio::test]
async fn a_dropped_drain_cuts() {
    let drain = Drain::default();
    let mut told = drain.listen();
    drop(drain);
    told.reached(Phase::Cut).await;
}
