//! What runs where, and how workers end.

use std::{num::NonZeroUsize, sync::mpsc};

use super::Workers;

fn two() -> Workers {
    Workers::start(NonZeroUsize::new(2).unwrap()).unwrap()
}

#[test]
fn a_connection_goes_to_the_least_loaded_worker_and_stays_near_on_a_tie() {
    let workers = two();
    assert_eq!(workers.least_loaded(0).index(), 0);
    assert_eq!(workers.least_loaded(1).index(), 1);
    let first = workers.nth(0).load();
    assert_eq!(workers.least_loaded(0).index(), 1);
    let second = workers.nth(1).load();
    assert_eq!(workers.least_loaded(0).index(), 0, "a tie");
    drop(first);
    assert_eq!(workers.least_loaded(1).index(), 0);
    drop(second);
}

#[test]
fn among_many_connections_a_quarter_more_is_no_reason_to_move() {
    let workers = two();
    let far: Vec<_> = (0..8).map(|_| workers.nth(1).load()).collect();
    let mut near: Vec<_> = (0..10).map(|_| workers.nth(0).load()).collect();
    assert_eq!(workers.least_loaded(0).index(), 0);
    near.push(workers.nth(0).load());
    assert_eq!(workers.least_loaded(0).index(), 1);
    drop(far);
}

#[test]
fn a_task_runs_on_the_thread_of_its_worker() {
    let workers = two();
    let (sender, receiver) = mpsc::channel();
    for worker in workers.iter() {
        let sender = sender.clone();
        worker.spawn(async move {
            drop(sender.send(std::thread::current().name().map(str::to_owned)));
        });
    }
    let mut names: Vec<_> = (0..2).map(|_| receiver.recv().unwrap().unwrap()).collect();
    names.sort();
    assert_eq!(names, ["worker-0", "worker-1"]);
}

#[test]
fn the_threads_end_with_the_last_handle() {
    let workers = two();
    let (sender, receiver) = mpsc::channel::<()>();
    workers.nth(0).spawn(async move {
        std::future::pending::<()>().await;
        drop(sender);
    });
    drop(workers.clone());
    assert_eq!(receiver.try_recv(), Err(mpsc::TryRecvError::Empty));
    drop(workers);
    // The task is dropped with its runtime, and the sender with it.
    assert_eq!(receiver.recv(), Err(mpsc::RecvError));
}
