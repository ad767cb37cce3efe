//! What runs where, and how workers end.

use std::{
    future::poll_fn, io::Write as _, num::NonZeroUsize, os::unix::net::UnixStream, sync::mpsc,
    task::Poll, time::Duration,
};

use super::{Workers, give_way};

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
fn a_task_that_gives_way_goes_on_after_its_worker_has_looked_for_events() {
    let workers = two();
    let (sender, receiver) = mpsc::channel();
    let (mut near, far) = UnixStream::pair().unwrap();
    far.set_nonblocking(true).unwrap();
    let (of_event, of_bulk) = (sender.clone(), sender);
    workers.nth(0).spawn(async move {
        let far = tokio::net::UnixStream::from_std(far).unwrap();
        far.readable().await.unwrap();
        of_event.send("event").unwrap();
    });
    workers.nth(0).spawn(async move {
        // The other task first, so that it waits.
        tokio::task::yield_now().await;
        let mut turns = 0;
        poll_fn(|cx| {
            turns += 1;
            if turns == 1 {
                near.write_all(b"!").unwrap();
            }
            if turns > 30 {
                return Poll::Ready(());
            }
            give_way(cx);
            Poll::Pending
        })
        .await;
        of_bulk.send("bulk").unwrap();
    });
    let patience = Duration::from_secs(10);
    let order = [(); 2].map(|()| receiver.recv_timeout(patience).unwrap());
    // A task that wakes itself would have had all of its turns before.
    assert_eq!(order, ["event", "bulk"]);
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
