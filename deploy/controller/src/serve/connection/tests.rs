//! Ages and idleness.

use std::{net::SocketAddr, sync::Arc};

use super::{AGE, Connection, Idleness, age};

#[test]
fn ages_vary_by_a_tenth() {
    assert_eq!(age(0.0), AGE * 9 / 10);
    assert_eq!(age(0.5), AGE);
    assert_eq!(age(1.0), AGE * 11 / 10);
}

fn connection() -> Arc<Connection> {
    Arc::new(Connection::new(SocketAddr::from(([10, 0, 0, 1], 1))))
}

#[test]
fn a_connection_that_was_never_used_is_idle_at_once() {
    assert!(Idleness::default().tick(&connection()));
}

#[test]
fn a_connection_is_not_idle_while_a_request_is_open_nor_soon_after() {
    let (connection, mut idleness) = (connection(), Idleness::default());
    let open = connection.enter();
    for _ in 0..10 {
        assert!(!idleness.tick(&connection));
    }
    drop(open);
    let ticks: Vec<_> = (0..4).map(|_| idleness.tick(&connection)).collect();
    assert_eq!(ticks, [false, false, false, true]);
}

#[test]
fn a_request_between_two_ticks_counts() {
    let (connection, mut idleness) = (connection(), Idleness::default());
    drop(connection.enter());
    assert!(!idleness.tick(&connection));
    drop(connection.enter());
    assert!(!idleness.tick(&connection));
}
