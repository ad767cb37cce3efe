//! The generator against its own server, over raw TCP between two nodes: it counts what passes.

use std::time::Duration;

use super::block;
use crate::scenario::{Direction, Scenario};
use crate::spec::{Place, Spec};
use crate::subject::{Built, RAW, Subject};

const WARM_UP: Duration = Duration::from_millis(20);
const WINDOW: Duration = Duration::from_millis(200);

fn raw(place: Place) -> anyhow::Result<Option<Subject>> {
    if !lab::possible() {
        return Ok(None);
    }
    match Subject::build(Spec::raw(RAW, place))? {
        Built::Ready(subject) => Ok(Some(*subject)),
        Built::Skipped(reason) => anyhow::bail!("raw TCP is skipped: {reason}"),
    }
}

#[test]
fn every_scenario_passes_something_and_leaves_nothing_behind() -> anyhow::Result<()> {
    let Some(subject) = raw(Place::Nodes)? else {
        return Ok(());
    };
    let bulk = |direction, streams| Scenario::Bulk { direction, streams };
    let mixed = |direction| Scenario::Mixed {
        direction,
        connections: 16,
    };
    for scenario in [
        bulk(Direction::Up, 1),
        bulk(Direction::Down, 1),
        bulk(Direction::Up, 3),
        bulk(Direction::Down, 3),
        Scenario::Requests { connections: 1 },
        Scenario::Requests { connections: 64 },
        Scenario::Connections { parallel: 16 },
        Scenario::Dials,
        mixed(Direction::Up),
        mixed(Direction::Down),
    ] {
        let block = block(&subject, scenario, 0, WARM_UP, WINDOW)?;
        assert!(block.units > 0, "{scenario}");
        assert!(block.seconds >= WINDOW.as_secs_f64(), "{scenario}");
        assert_eq!((block.failed, block.failed_at_server), (0, 0), "{scenario}");
        let exchanges = !matches!(scenario, Scenario::Bulk { .. });
        assert_eq!(block.p50_us.is_some(), exchanges, "{scenario}");
        assert!(block.p50_us <= block.p99_us, "{scenario}");
        let dials = scenario == Scenario::Dials;
        assert_eq!(block.connect_p50_us.is_some(), dials, "{scenario}");
        assert!(block.connect_p50_us <= block.p50_us, "{scenario}");
        let stands = matches!(scenario, Scenario::Requests { .. } | Scenario::Mixed { .. });
        assert_eq!(block.slowest_p50_us.is_some(), stands, "{scenario}");
        let beside = matches!(scenario, Scenario::Mixed { .. });
        assert_eq!(block.beside_bytes.is_some(), beside, "{scenario}");
        assert_ne!(block.beside_bytes, Some(0), "{scenario}");
        assert!(block.cpu_generator_s > 0.0, "{scenario}");
        assert_eq!(block.cpu_near_s, None, "raw TCP has no ztunnel");
        assert_eq!(subject.server.served().active(), 0, "{scenario}");
    }
    Ok(())
}

#[test]
fn pods_of_one_node_and_a_host_outside_are_reached_too() -> anyhow::Result<()> {
    for place in [Place::Node, Place::Outside] {
        let Some(subject) = raw(place)? else {
            return Ok(());
        };
        let block = block(&subject, Scenario::Dials, 0, WARM_UP, WINDOW)?;
        assert!(block.units > 0, "{place:?}");
    }
    Ok(())
}

#[test]
fn a_server_that_is_gone_is_an_error_and_no_figure() -> anyhow::Result<()> {
    let Some(mut subject) = raw(Place::Nodes)? else {
        return Ok(());
    };
    subject.ip = "10.10.2.99".parse()?;
    for scenario in [
        Scenario::Bulk {
            direction: Direction::Up,
            streams: 2,
        },
        Scenario::Requests { connections: 4 },
        Scenario::Connections { parallel: 4 },
        Scenario::Dials,
        Scenario::Mixed {
            direction: Direction::Down,
            connections: 4,
        },
    ] {
        assert!(
            block(&subject, scenario, 0, WARM_UP, WINDOW).is_err(),
            "{scenario}"
        );
    }
    Ok(())
}
