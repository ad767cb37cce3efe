//! Who leaves, and how many.

use std::time::Duration;

use net::drain::{Drain, Phase};
use tokio::sync::watch;

use super::{
    Departure, GRACE_IDLE, Load, MAX_HTTP_AGE, Replicas, SPREAD_GROWTH, Why, jittered, sheds,
};

/// Evenly spread over all of `u64`.
fn randoms() -> impl Iterator<Item = u64> {
    (0..1000_u64).map(|n| n * (u64::MAX / 1000))
}

#[test]
fn ages_differ_by_a_fifth_both_ways() {
    let age = Duration::from_secs(300);
    assert_eq!(jittered(age, 0), Duration::from_secs(240));
    assert!(jittered(age, u64::MAX) < Duration::from_secs(360));
    assert!(jittered(age, u64::MAX) > Duration::from_secs(359));
    assert_eq!(jittered(Duration::ZERO, 7), Duration::ZERO);
}

#[test]
fn as_many_leave_for_new_replicas_as_are_theirs() {
    for (before, now, leave) in [
        (1, 2, 500),
        (2, 3, 333),
        (3, 4, 250),
        (1, 10, 900),
        (2, 2, 0),
        (3, 1, 0),
        (0, 3, 0),
    ] {
        let change = Replicas { before, now };
        let count = randoms().filter(|random| change.sheds(*random)).count();
        assert!(count.abs_diff(leave) <= 2, "{change:?}: {count}");
    }
    assert_eq!(
        Replicas { before: 1, now: 2 }.becomes(5),
        Replicas { before: 2, now: 5 }
    );
}

#[test]
fn a_worker_sheds_only_what_is_too_much() {
    let load = |tunnels, streams| Load { tunnels, streams };
    let cases = [
        // Even, or nearly.
        (load(10, 100), vec![load(10, 100), load(10, 100)], 0),
        (load(10, 120), vec![load(10, 120), load(10, 80)], 0),
        // All on one side: half of it leaves.
        (load(2, 100), vec![load(2, 100), load(0, 0)], 500),
        (load(8, 90), vec![load(8, 90), load(1, 5), load(1, 5)], 633),
        // The only tunnel would only change places.
        (load(1, 100), vec![load(1, 100), load(0, 0)], 0),
        // Too few to matter.
        (load(5, 10), vec![load(5, 10), load(0, 0)], 0),
        // One worker alone.
        (load(5, 1000), vec![load(5, 1000)], 0),
        (load(0, 0), vec![], 0),
    ];
    for (own, all, leave) in cases {
        let count = randoms().filter(|random| sheds(own, &all, *random)).count();
        assert!(count.abs_diff(leave) <= 2, "{own:?} of {all:?}: {count}");
    }
}

fn departure(drain: &Drain, replicas: &watch::Sender<Replicas>) -> Departure {
    Departure::new(drain.listen(), replicas.subscribe(), 0)
}

#[tokio::test(start_paused = true)]
async fn a_connection_leaves_when_it_is_old() {
    let (drain, replicas) = (Drain::default(), watch::Sender::new(Replicas::default()));
    let began = tokio::time::Instant::now();
    let why = departure(&drain, &replicas).asked(|| 0).await;
    assert_eq!(
        (why, began.elapsed()),
        (Why::Age, MAX_HTTP_AGE - MAX_HTTP_AGE / 5)
    );
}

#[tokio::test(start_paused = true)]
async fn a_connection_leaves_when_the_process_drains() {
    let (drain, replicas) = (Drain::default(), watch::Sender::new(Replicas::default()));
    let asked = tokio::spawn(departure(&drain, &replicas).asked(|| 0));
    tokio::task::yield_now().await;
    drain.advance(Phase::Draining);
    assert_eq!(asked.await.unwrap(), Why::Draining);
    assert_eq!(Why::Draining.grace(), GRACE_IDLE);
}

#[tokio::test(start_paused = true)]
async fn a_share_of_connections_leaves_for_new_replicas_and_not_at_once() {
    let replicas = watch::Sender::new(Replicas { before: 5, now: 1 });
    let drain = Drain::default();
    let leaves = tokio::spawn(departure(&drain, &replicas).asked(|| u64::MAX));
    let stays = tokio::spawn(departure(&drain, &replicas).asked(|| 0));
    tokio::task::yield_now().await;
    let began = tokio::time::Instant::now();
    replicas.send_replace(Replicas { before: 1, now: 2 });
    assert_eq!(leaves.await.unwrap(), Why::Replicas);
    assert!(began.elapsed() > SPREAD_GROWTH / 2 && began.elapsed() <= SPREAD_GROWTH);
    assert_eq!(stays.await.unwrap(), Why::Age);
}
