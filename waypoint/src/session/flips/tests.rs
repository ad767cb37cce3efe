//! Who is woken, and when.

use std::{
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
    task::Wake,
};

use mesh::{
    access::{
        Policy, Rulebook,
        authorization::{Action, Rule},
    },
    route::RouteKey,
    service::ServiceKey,
};

use super::*;

#[derive(Default)]
struct Woken(AtomicUsize);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Relaxed);
    }
}

fn table(denies: bool, name: &str) -> Arc<RouteTable> {
    let policy = Policy {
        key: mesh::PolicyKey {
            namespace: "shop".into(),
            name: name.into(),
        },
        action: Action::Deny,
        dry_run: false,
        rules: vec![Rule::default()],
    };
    let policies = if denies { vec![policy] } else { Vec::new() };
    let key = RouteKey::new(ServiceKey::new("shop", "a.shop"), 80);
    Arc::new(RouteTable {
        policies: Policies {
            authorization: Rulebook::new(policies),
            ..Policies::default()
        },
        ..RouteTable::new(key)
    })
}

fn standing(version: u64, table: Option<&Arc<RouteTable>>) -> Standing {
    Standing {
        version,
        settings: None,
        table: table.cloned(),
    }
}

#[test]
fn who_waits_is_woken_when_policies_change_and_not_when_anything_else_does() {
    let flips = Flips::default();
    let woken = Arc::new(Woken::default());
    let waker = Waker::from(Arc::clone(&woken));
    let mut cx = Context::from_waker(&waker);
    let mut place = Place::default();
    let compared = &mut Compared::default();
    flips.follow(standing(1, Some(&table(false, ""))), compared);
    assert!(flips.poll_changed(0, &mut place, &mut cx).is_pending());
    // The same policies in another table.
    flips.follow(standing(2, Some(&table(false, ""))), compared);
    assert_eq!((flips.epoch(), woken.0.load(Relaxed)), (0, 0));
    flips.follow(standing(3, Some(&table(true, "a"))), compared);
    assert_eq!((flips.epoch(), woken.0.load(Relaxed)), (1, 1));
    assert_eq!(flips.poll_changed(0, &mut place, &mut cx), Poll::Ready(1));
    assert!(flips.poll_changed(1, &mut place, &mut cx).is_pending());
    flips.follow(standing(4, Some(&table(true, "a"))), compared);
    assert_eq!(flips.epoch(), 1);
    flips.follow(standing(5, None), compared);
    assert_eq!((flips.epoch(), woken.0.load(Relaxed)), (2, 2));
    flips.leave(&mut place);
    flips.follow(standing(6, Some(&table(true, "a"))), compared);
    assert_eq!((flips.epoch(), woken.0.load(Relaxed)), (3, 2));
}

#[test]
fn what_is_older_than_what_is_known_is_nothing_new() {
    let flips = Flips::default();
    let compared = &mut Compared::default();
    flips.follow(standing(7, Some(&table(true, "a"))), compared);
    flips.follow(standing(6, Some(&table(false, ""))), compared);
    assert_eq!(flips.epoch(), 0);
    flips.follow(standing(8, Some(&table(true, "a"))), compared);
    assert_eq!(flips.epoch(), 0);
}

#[test]
fn a_place_is_used_again_once_it_is_given_back() {
    let flips = Flips::default();
    let waker = Waker::from(Arc::new(Woken::default()));
    let mut cx = Context::from_waker(&waker);
    let mut places: Vec<Place> = (0..4).map(|_| Place::default()).collect();
    for _ in 0..3 {
        for place in &mut places {
            assert!(flips.poll_changed(0, place, &mut cx).is_pending());
            assert!(flips.poll_changed(0, place, &mut cx).is_pending());
        }
        assert_eq!(flips.waiting(), 4);
        for place in &mut places {
            flips.leave(place);
            flips.leave(place);
        }
        assert_eq!(flips.waiting(), 0);
    }
    assert_eq!(flips.parked.lock().wakers.len(), 4);
}

#[tokio::test]
async fn who_gives_up_waiting_leaves_no_trace() {
    let flips = Flips::default();
    {
        let mut waits = std::pin::pin!(flips.changed(0));
        let mut cx = Context::from_waker(Waker::noop());
        assert!(waits.as_mut().poll(&mut cx).is_pending());
        assert_eq!(flips.waiting(), 1);
    }
    assert_eq!(flips.waiting(), 0);
    flips.epoch.store(1, Release);
    assert_eq!(flips.changed(0).await, 1);
}
