//! How many lanes there are, and which make room.

use std::net::SocketAddr;

use mesh::SpiffeId;

use super::*;
use crate::upstream::{
    behalf::{Client, Telling},
    host::Way,
};

fn lane(number: usize) -> Lane {
    let identity = SpiffeId::new("cluster.local".into(), "client".into(), "web".into());
    let client = Client {
        identity: &identity,
        source: SocketAddr::from(([10, 0, 0, 5], u16::try_from(number).unwrap())),
        destination: None,
    };
    let telling = Telling {
        name: false,
        proxy: Some(mesh::backend::ProxyVersion::V2),
    };
    telling.lane(Some(&client), &Way::Plain).unwrap()
}

fn later(now: Instant, seconds: u64) -> Instant {
    now + Duration::from_secs(seconds)
}

#[test]
fn a_lane_is_the_same_until_it_is_let_go() {
    let (lanes, now) = (Lanes::default(), net::clock::now());
    let first = lanes.pool(lane(1), now).unwrap();
    assert_eq!(first.lane(), Some(&lane(1)));
    let other = lanes.pool(lane(2), now).unwrap();
    assert!(!Arc::ptr_eq(&first, &other));
    let again = lanes.pool(lane(1), later(now, 59)).unwrap();
    assert!(Arc::ptr_eq(&first, &again));
    drop((other, again));
    // The second has rested long enough; of the first, somebody has a hold.
    lanes.tidy(later(now, 200));
    let left = lanes.all();
    assert_eq!(left.len(), 1);
    assert!(Arc::ptr_eq(&left[0], &first));
    drop((left, first));
    lanes.tidy(later(now, 200));
    assert!(lanes.all().is_empty());
}

#[test]
fn a_lane_that_was_just_used_is_kept() {
    let (lanes, now) = (Lanes::default(), net::clock::now());
    drop(lanes.pool(lane(1), now));
    lanes.tidy(later(now, 59));
    assert_eq!(lanes.all().len(), 1);
    drop(lanes.pool(lane(1), later(now, 59)));
    lanes.tidy(later(now, 100));
    assert_eq!(lanes.all().len(), 1);
}

#[test]
fn the_lanes_that_have_rested_longest_make_room() {
    let (lanes, now) = (Lanes::default(), net::clock::now());
    for number in 0..MAX_LANES {
        drop(lanes.pool(lane(number), later(now, number as u64)).unwrap());
    }
    assert_eq!(lanes.all().len(), MAX_LANES);
    lanes.pool(lane(MAX_LANES), later(now, 10_000)).unwrap();
    let left = lanes.all();
    assert!(left.len() <= MAX_LANES / 2 + 1, "{}", left.len());
    let has = |number| left.iter().any(|pool| pool.lane() == Some(&lane(number)));
    assert!(!has(0) && has(MAX_LANES - 1) && has(MAX_LANES));
}

#[test]
fn there_are_no_more_lanes_than_there_is_room_for() {
    let (lanes, now) = (Lanes::default(), net::clock::now());
    let held: Vec<_> = (0..MAX_LANES)
        .map(|number| lanes.pool(lane(number), now).unwrap())
        .collect();
    let overflow = lanes.pool(lane(MAX_LANES), later(now, 1_000)).unwrap_err();
    assert_eq!(overflow.limit, Limit::Connections);
    lanes.tidy(later(now, 1_000));
    assert_eq!(lanes.all().len(), MAX_LANES);
    // Who is there already is served.
    assert!(lanes.pool(lane(7), now).is_ok());
    drop(held);
    assert!(lanes.pool(lane(MAX_LANES), later(now, 1_000)).is_ok());
}
