//! One writer, many readers.

use std::{
    sync::{Arc, Barrier},
    thread,
    time::Duration,
};

use mesh::{
    Uid, Workload,
    delta::{Delta, Resource, ResourceKey},
    snapshot::Snapshot,
};
use tokio::time::Instant;

use super::{MAX_RETIRED, Publisher, View, WaitError};

#[test]
fn a_new_publisher_shows_an_empty_mesh_of_version_zero() {
    let view = Publisher::new().view();
    assert_eq!(view.version(), 0);
    assert!(view.load().workload(&Uid::from("a")).is_none());
}

#[test]
fn what_is_published_is_seen_by_every_view() {
    let publisher = Publisher::new();
    let before = publisher.view();
    let version = publisher.publish(workload("a"));
    assert_eq!(version, 1);
    for view in [before, publisher.view()] {
        assert_eq!(view.version(), 1);
        assert_eq!(view.borrow().version, 1);
        assert!(view.load().workload(&Uid::from("a")).is_some());
    }
}

#[test]
fn a_snapshot_that_is_held_does_not_change() {
    let publisher = Publisher::new();
    let view = publisher.view();
    let held = view.load();
    publisher.publish(workload("a"));
    assert!(held.workload(&Uid::from("a")).is_none());
    assert!(view.load().workload(&Uid::from("a")).is_some());
}

#[test]
fn a_reader_that_lets_go_of_a_replaced_snapshot_last_frees_nothing() {
    let publisher = Publisher::new();
    let view = publisher.view();
    publisher.publish(workload("a"));
    let a = Uid::from("a");
    let old = Arc::downgrade(view.load().workload(&a).unwrap());
    let (loaded, borrowed) = (view.load(), view.borrow());
    publisher.publish(Delta {
        removals: vec![ResourceKey::Workload(a)],
        ..Delta::default()
    });
    drop(loaded);
    publisher.reclaim();
    assert!(old.upgrade().is_some(), "it is still borrowed");
    drop(borrowed);
    assert!(old.upgrade().is_some(), "the publisher has it");
    publisher.reclaim();
    assert!(old.upgrade().is_none());
}

#[test]
fn replaced_snapshots_are_freed_with_the_next_one_and_their_number_is_bounded() {
    let publisher = Publisher::new();
    let view = publisher.view();
    let mut held = Vec::new();
    for number in 0..=MAX_RETIRED + 1 {
        held.push(view.load());
        publisher.publish(workload(&number.to_string()));
    }
    let owners = |of: &Arc<Snapshot>| Arc::strong_count(of);
    // The oldest is left to whoever reads it.
    assert_eq!(owners(&held[0]), 1);
    assert_eq!(owners(&held[2]), 2);
    let last = Arc::downgrade(&held.pop().unwrap());
    assert!(last.upgrade().is_some());
    publisher.publish(workload("next"));
    assert!(last.upgrade().is_none());
}

#[test]
fn changed_tells_of_the_newest_snapshot_and_then_waits() {
    block_on(async {
        let publisher = Publisher::new();
        let mut view = publisher.view();
        publisher.publish(workload("a"));
        publisher.publish(workload("b"));
        assert_eq!(view.changed().await.unwrap().version, 2);
        let mut next = Box::pin(view.changed());
        assert!(
            std::future::poll_fn(|context| std::task::Poll::Ready(
                next.as_mut().poll(context).is_pending()
            ))
            .await,
            "an old version was told of twice"
        );
        publisher.publish(workload("c"));
        assert_eq!(next.await.unwrap().version, 3);
    });
}

#[test]
fn a_wait_finds_what_already_holds_even_after_its_deadline() {
    block_on(async {
        let publisher = Publisher::new();
        publisher.publish(workload("a"));
        let deadline = Instant::now().into_std();
        let found = publisher
            .view()
            .wait_until(
                |snapshot| snapshot.workload(&Uid::from("a")).cloned(),
                deadline,
            )
            .await;
        assert_eq!(found.unwrap().uid, Uid::from("a"));
    });
}

#[test]
fn a_wait_that_nothing_satisfies_ends_at_its_deadline() {
    block_on(async {
        let publisher = Publisher::new();
        publisher.publish(workload("a"));
        let deadline = (Instant::now() + Duration::from_millis(20)).into_std();
        let waited = publisher
            .view()
            .wait_until(
                |snapshot| snapshot.workload(&Uid::from("b")).cloned(),
                deadline,
            )
            .await;
        assert_eq!(waited.unwrap_err(), WaitError::Elapsed { version: 1 });
    });
}

#[test]
fn a_wait_ends_when_the_publisher_is_gone() {
    block_on(async {
        let publisher = Publisher::new();
        let mut view = publisher.view();
        drop(publisher);
        let deadline = (Instant::now() + Duration::from_mins(1)).into_std();
        assert_eq!(
            view.wait_until(|_| None::<()>, deadline).await,
            Err(WaitError::Closed)
        );
        assert_eq!(
            view.changed().await.map(|snapshot| snapshot.version),
            Err(WaitError::Closed)
        );
    });
}

#[test]
fn waiters_on_several_runtimes_are_all_woken() {
    let publisher = Publisher::new();
    let ready = Arc::new(Barrier::new(5));
    let waiters: Vec<_> = (0..4)
        .map(|_| {
            let (view, ready) = (publisher.view(), Arc::clone(&ready));
            thread::spawn(move || {
                block_on(async move {
                    let deadline = (Instant::now() + Duration::from_secs(30)).into_std();
                    let wait = view.wait_until(
                        |snapshot| snapshot.workload(&Uid::from("w99")).cloned(),
                        deadline,
                    );
                    ready.wait();
                    wait.await.unwrap()
                })
            })
        })
        .collect();
    ready.wait();
    for number in 0..100 {
        publisher.publish(workload(&format!("w{number}")));
    }
    for waiter in waiters {
        assert_eq!(waiter.join().unwrap().uid, Uid::from("w99"));
    }
}

#[test]
fn deltas_from_several_threads_are_all_applied_and_versions_never_fall() {
    let publisher = Arc::new(Publisher::new());
    let reader = {
        let view = publisher.view();
        thread::spawn(move || {
            let mut last = 0;
            while last < 400 {
                let snapshot = view.load();
                assert!(
                    snapshot.version >= last,
                    "version {} after {last}",
                    snapshot.version
                );
                last = snapshot.version;
            }
        })
    };
    let writers: Vec<_> = (0..4)
        .map(|writer| {
            let publisher = Arc::clone(&publisher);
            thread::spawn(move || {
                for number in 0..100 {
                    publisher.publish(workload(&format!("{writer}-{number}")));
                }
            })
        })
        .collect();
    for writer in writers {
        writer.join().unwrap();
    }
    reader.join().unwrap();
    let snapshot = publisher.view().load();
    assert_eq!(snapshot.version, 400);
    assert_eq!(snapshot.iter_workloads().count(), 400);
}

#[test]
fn views_and_their_waits_cross_threads() {
    fn assert_send<T: Send>(value: T) -> T {
        value
    }
    fn assert_sync<T: Sync>() {}
    assert_sync::<View>();
    assert_sync::<Publisher>();
    let publisher = Publisher::new();
    let view = assert_send(publisher.view());
    drop(assert_send(
        view.wait_until(|_| None::<u8>, Instant::now().into_std()),
    ));
}

fn workload(uid: &str) -> Delta {
    let workload = Workload {
        uid: uid.into(),
        ..Workload::default()
    };
    Delta {
        upserts: vec![Resource::Workload(Arc::new(workload))],
        removals: Vec::new(),
    }
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
        .block_on(future)
}
