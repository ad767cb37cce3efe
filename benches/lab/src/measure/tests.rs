//! The generator against its own server, over raw TCP between two nodes: it counts what passes.

use std::time::Duration;

use super::block;
use crate::scenario::{Direction, Scenario};
use crate::subject::{RAW, Subject};

const WARM_UP: Duration = Duration::from_millis(20);
const WINDOW: Duration = Duration::from_millis(200);

#[test]
fn every_scenario_passes_something_and_leaves_nothing_behind() -> anyhow::Result<()> {
    if !lab::possible() {
        return Ok(());
    }
    let subject = Subject::build(RAW, None)?;
    let bulk = |direction, streams| Scenario::Bulk { direction, streams };
    for scenario in [
        bulk(Direction::Up, 1),
        bulk(Direction::Down, 1),
        bulk(Direction::Up, 3),
        bulk(Direction::Down, 3),
        Scenario::Requests { connections: 1 },
        Scenario::Requests { connections: 64 },
        Scenario::Connections { parallel: 16 },
    ] {
        let block = block(&subject, scenario, 0, WARM_UP, WINDOW)?;
        assert!(block.units > 0, "{scenario}");
        assert!(block.seconds >= WINDOW.as_secs_f64(), "{scenario}");
        assert_eq!((block.failed, block.failed_at_server), (0, 0), "{scenario}");
        let exchanges = !matches!(scenario, Scenario::Bulk { .. });
        assert_eq!(block.p50_us.is_some(), exchanges, "{scenario}");
        assert!(block.p50_us <= block.p99_us, "{scenario}");
        assert!(block.cpu_generator_s > 0.0, "{scenario}");
        assert_eq!(block.cpu_near_s, None, "raw TCP has no ztunnel");
        assert_eq!(subject.server.served().active(), 0, "{scenario}");
    }
    Ok(())
}

#[test]
fn a_server_that_is_gone_is_an_error_and_no_figure() -> anyhow::Result<()> {
    if !lab::possible() {
        return Ok(());
    }
    let mut subject = Subject::build(RAW, None)?;
    subject.ip = "10.10.2.99".parse()?;
    for scenario in [
        Scenario::Bulk {
            direction: Direction::Up,
            streams: 2,
        },
        Scenario::Requests { connections: 4 },
        Scenario::Connections { parallel: 4 },
    ] {
        assert!(
            block(&subject, scenario, 0, WARM_UP, WINDOW).is_err(),
            "{scenario}"
        );
    }
    Ok(())
}
