//! What is counted, and under which labels.

use std::{
    sync::{Arc, atomic::Ordering::Relaxed},
    thread,
    time::{Duration, Instant},
};

use super::{GRACE, Limits, Parties, SEARCH_INTERVAL, Store, Tcp};
use crate::{
    event::{Connection, Direction},
    testkit::{bare, connection, identity, workload},
};

fn store(limits: Limits) -> (Store<Tcp>, Instant) {
    let now = net::clock::now();
    (Store::new(now, limits), now)
}

/// A connection from a workload of its own, so with labels of its own.
fn from(number: usize) -> Connection {
    Connection {
        source: Some(workload(&format!("client{number}"), 0)),
        ..bare(Direction::Outbound)
    }
}

fn cached(store: &Store<Tcp>) -> usize {
    store.state.read().cache.len()
}

#[test]
fn equal_facts_lead_to_the_same_series_without_a_second_entry() {
    let (store, now) = store(Limits::default());
    let connection = connection();
    let first = store.lease(&connection, now);
    let again = Connection {
        source_addr: "10.0.0.5:2".parse().unwrap(),
        ..connection
    };
    let second = store.lease(&again, now);
    assert!(std::ptr::eq(first.series(), second.series()));
    assert_eq!((cached(&store), store.all().len()), (1, 1));
}

#[test]
fn pods_of_one_owner_share_a_series() {
    let (store, now) = store(Limits::default());
    let of = |number| Connection {
        source: Some(workload("client", number)),
        ..connection()
    };
    let (first, second) = (of(1), of(2));
    assert!(std::ptr::eq(
        store.lease(&first, now).series(),
        store.lease(&second, now).series()
    ));
    assert_eq!(cached(&store), 2);
}

#[test]
fn each_fact_that_labels_show_makes_another_series() {
    let (store, now) = store(Limits::default());
    let base = connection();
    let others = [
        Connection {
            source: Some(workload("other", 1)),
            ..base.clone()
        },
        Connection {
            destination: None,
            ..base.clone()
        },
        Connection {
            service: None,
            ..base.clone()
        },
        Connection {
            service: None,
            passthrough: true,
            ..base.clone()
        },
        Connection {
            source_identity: Some(identity("other")),
            ..base.clone()
        },
        Connection {
            client_identity: Some(Box::new(identity("behind"))),
            ..base.clone()
        },
        Connection {
            client_identity: Some(Box::new(identity("another"))),
            ..base.clone()
        },
        Connection {
            destination_identity: None,
            ..base.clone()
        },
        Connection {
            direction: Direction::Inbound,
            ..base.clone()
        },
        Connection {
            security: crate::Security::Unknown,
            ..base.clone()
        },
    ];
    drop(store.lease(&base, now));
    for (index, other) in others.iter().enumerate() {
        drop(store.lease(other, now));
        assert_eq!(store.all().len(), index + 2, "{other:?}");
    }
}

#[test]
fn a_series_outlives_its_workload_by_the_grace_only() {
    let (store, now) = store(Limits::default());
    let connection = connection();
    drop(store.lease(&connection, now));
    let uid = connection.source.as_ref().unwrap().uid.clone();
    store.forget(|other| *other == uid);
    assert_eq!(cached(&store), 0);
    store.expire(now + GRACE);
    assert_eq!(store.all().len(), 1);
    store.expire(now + GRACE + Duration::from_millis(1));
    assert_eq!(store.all().len(), 0);
}

#[test]
fn a_series_stays_as_long_as_a_connection_is_open() {
    let (store, now) = store(Limits::default());
    let connection = connection();
    let lease = store.lease(&connection, now);
    store.forget(|_| true);
    let later = now + 10 * GRACE;
    store.expire(later);
    assert_eq!(store.all().len(), 1);
    store.touch(&lease, later);
    drop(lease);
    store.expire(later + GRACE);
    assert_eq!(
        store.all().len(),
        1,
        "the grace begins with the end of the last connection"
    );
    store.expire(later + GRACE + Duration::from_millis(1));
    assert_eq!(store.all().len(), 0);
}

#[test]
fn a_series_that_another_pod_uses_stays() {
    let (store, now) = store(Limits::default());
    let of = |number| Connection {
        source: Some(workload("client", number)),
        ..connection()
    };
    let (leaving, staying) = (of(1), of(2));
    drop(store.lease(&leaving, now));
    drop(store.lease(&staying, now));
    let uid = leaving.source.as_ref().unwrap().uid.clone();
    store.forget(|other| *other == uid);
    store.expire(now + 2 * GRACE);
    assert_eq!((cached(&store), store.all().len()), (1, 1));
}

#[test]
fn facts_of_a_replaced_version_leave() {
    let (store, now) = store(Limits::default());
    drop(store.lease(&connection(), now));
    assert_eq!(
        cached(&store),
        1,
        "the connection and its workloads are gone, the key is not"
    );
    store.expire(now);
    assert_eq!(cached(&store), 0);
}

#[test]
fn the_cache_gives_up_its_least_recently_used_quarter() {
    let (store, now) = store(Limits {
        cached: 8,
        series: 100,
    });
    let connections: Vec<Connection> = (0..9).map(from).collect();
    let at = |index: usize| now + Duration::from_millis(u64::try_from(index).unwrap());
    for (index, connection) in connections.iter().enumerate() {
        drop(store.lease(connection, at(index)));
    }
    assert_eq!(cached(&store), 7);
    let state = store.state.read();
    let remembers = |connection: &Connection| {
        let known: &dyn super::Known = &Parties::from(connection);
        state.cache.contains_key(known)
    };
    assert!(!remembers(&connections[0]) && !remembers(&connections[1]));
    assert!(connections[2..].iter().all(remembers));
}

#[test]
fn a_full_store_gives_up_idle_series_and_counts_them() {
    let (store, now) = store(Limits {
        cached: 100,
        series: 8,
    });
    let connections: Vec<Connection> = (0..9).map(from).collect();
    let at = |index: usize| now + Duration::from_millis(u64::try_from(index).unwrap());
    let held = store.lease(&connections[0], at(0));
    for (index, connection) in connections.iter().enumerate().skip(1) {
        drop(store.lease(connection, at(index)));
    }
    assert_eq!(store.evicted(), 2);
    assert_eq!(store.all().len(), 7);
    assert!(
        store
            .all()
            .iter()
            .any(|series| std::ptr::eq(&**series, held.series())),
        "an open one is never given up"
    );
}

#[test]
fn connections_that_find_no_room_are_counted_together() {
    let (store, now) = store(Limits {
        cached: 100,
        series: 4,
    });
    let connections: Vec<Connection> = (0..10).map(from).collect();
    let leases: Vec<_> = connections
        .iter()
        .map(|connection| store.lease(connection, now))
        .collect();
    assert_eq!(store.all().len(), 5);
    assert!(
        leases[4..]
            .windows(2)
            .all(|pair| std::ptr::eq(pair[0].series(), pair[1].series()))
    );
    drop(leases);
    let again = store.lease(&connections[9], now + SEARCH_INTERVAL);
    assert!(
        format!("{:?}", again.series().labels).contains("client9"),
        "room is found once there is some"
    );
    assert_eq!(store.evicted(), 1);
}

#[test]
fn counts_from_many_threads_add_up_while_workloads_leave() {
    let (store, now) = store(Limits {
        cached: 8,
        series: 1000,
    });
    let store = Arc::new(store);
    let connections: Arc<Vec<Connection>> = Arc::new((0..16).map(from).collect());
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for round in 0..2000 {
                    let lease = store.lease(&connections[round % 16], now);
                    lease.counters().opened.fetch_add(1, Relaxed);
                }
            });
        }
        scope.spawn(|| {
            for _ in 0..200 {
                store.forget(|_| true);
                store.expire(now);
            }
        });
    });
    let opened: u64 = store
        .all()
        .iter()
        .map(|series| series.counters.opened.load(Relaxed))
        .sum();
    assert_eq!((opened, store.all().len()), (8000, 16));
    assert!(store.all().iter().all(|series| !series.is_leased()));
    store.forget(|_| true);
    assert!(
        store
            .all()
            .iter()
            .all(|series| series.entries.load(Relaxed) == 0)
    );
}
