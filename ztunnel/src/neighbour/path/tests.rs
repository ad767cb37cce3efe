//! Who is found, who enters, who is told, what is forgotten, and what bounds it.

use std::{
    pin::{Pin, pin},
    task::Poll,
};

use super::*;

/// Looks at a future once.
async fn polled<F: Future>(mut future: Pin<&mut F>) -> Poll<F::Output> {
    std::future::poll_fn(|context| Poll::Ready(future.as_mut().poll(context))).await
}

fn key(number: u16) -> PathKey {
    PathKey {
        client: "10.0.0.5".parse().unwrap(),
        to: u64::from(number),
        peer: SocketAddr::from(([10, 0, 0, 7], 15008)),
    }
}

/// Finds a path, and says whether it is a new one.
fn find(paths: &Paths, tally: &Arc<Tally>, key: PathKey) -> (Arc<Path>, bool) {
    let mut is_new = false;
    let path = paths.find(key, tally, |_| is_new = true).unwrap();
    (path, is_new)
}

fn counted(tally: &Tally) -> [i64; 4] {
    [State::Asking, State::Open, State::Doubtful, State::Closed]
        .map(|state| tally.state(state).unwrap().get())
}

#[tokio::test(start_paused = true)]
async fn a_path_is_asked_for_once_and_entered_by_all() {
    let (paths, tally) = (Paths::default(), Arc::default());
    let (path, is_new) = find(&paths, &tally, key(1));
    assert!(is_new);
    let (same, is_new) = find(&paths, &tally, key(1));
    assert!(!is_new && Arc::ptr_eq(&path, &same));
    let mut waiting = pin!(same.enter());
    assert!(polled(waiting.as_mut()).await.is_pending());
    path.set(State::Open);
    assert!(waiting.await.is_ok());
    assert!(path.enter().await.is_ok());
}

#[tokio::test]
async fn another_pod_or_another_address_has_another_path() {
    let (paths, tally) = (Paths::default(), Arc::default());
    let (path, _) = find(&paths, &tally, key(1));
    path.set(State::Open);
    let others = [
        // The next pod of that name and address.
        key(2),
        PathKey {
            client: "10.0.0.6".parse().unwrap(),
            ..key(1)
        },
        PathKey {
            peer: SocketAddr::from(([10, 0, 0, 8], 15008)),
            ..key(1)
        },
    ];
    for other in others {
        let (path, is_new) = find(&paths, &tally, other);
        assert!(is_new && path.state() == State::Asking, "{other:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_longer_than_a_second_after_it_was_first_asked_for() {
    let (paths, tally) = (Paths::default(), Arc::default());
    let (path, _) = find(&paths, &tally, key(1));
    let began = Instant::now();
    let first = Arc::clone(&path).enter().await;
    assert!(matches!(first, Err(Obstacle::NoAnswer)), "{first:?}");
    assert_eq!(began.elapsed(), TIMEOUT_FIRST);
    // Whoever comes now does not wait at all.
    let mut second = pin!(Arc::clone(&path).enter());
    assert!(matches!(
        polled(second.as_mut()).await,
        Poll::Ready(Err(Obstacle::NoAnswer))
    ));
}

#[tokio::test]
async fn only_an_open_path_is_entered() {
    let (paths, tally) = (Paths::default(), Arc::default());
    let (path, _) = find(&paths, &tally, key(1));
    for state in [State::Doubtful, State::Closed, State::Gone] {
        path.set(state);
        let entered = Arc::clone(&path).enter().await;
        assert!(matches!(entered, Err(Obstacle::NoPath(now)) if now == state));
    }
    path.set(State::Open);
    assert!(path.enter().await.is_ok());
}

#[tokio::test]
async fn those_inside_are_told_of_a_closed_path_only() {
    let (paths, tally) = (Paths::default(), Arc::default());
    for (state, is_told) in [
        (State::Doubtful, false),
        (State::Open, false),
        (State::Gone, false),
        (State::Closed, true),
    ] {
        let (path, _) = find(&paths, &tally, key(1));
        path.set(State::Open);
        let inside = Arc::clone(&path).enter().await.unwrap();
        let mut closed = pin!(inside.closed());
        assert!(polled(closed.as_mut()).await.is_pending());
        path.set(state);
        assert_eq!(
            polled(closed.as_mut()).await.is_ready(),
            is_told,
            "{state:?}"
        );
    }
    // Also one that closes between two looks.
    let (path, _) = find(&paths, &tally, key(1));
    path.set(State::Open);
    let inside = Arc::clone(&path).enter().await.unwrap();
    path.set(State::Closed);
    inside.closed().await;
    // And one that is open again by then.
    path.set(State::Open);
    let mut closed = pin!(inside.closed());
    assert!(polled(closed.as_mut()).await.is_pending());
    path.set(State::Closed);
    path.set(State::Open);
    assert!(polled(closed.as_mut()).await.is_ready());
}

#[tokio::test]
async fn a_path_is_forgotten_after_a_whole_idle_turn_and_not_while_it_is_used() {
    let (paths, tally) = (Paths::default(), Arc::default());
    let (path, _) = find(&paths, &tally, key(1));
    // It was asked for in this turn.
    assert!(!paths.forget_idle(&key(1), &path));
    path.set(State::Open);
    let inside = Arc::clone(&path).enter().await.unwrap();
    for _ in 0..3 {
        assert!(!paths.forget_idle(&key(1), &path), "somebody is inside");
    }
    drop(inside);
    // Short connections: nobody is inside when it is looked at, but there was somebody.
    for _ in 0..3 {
        let (found, is_new) = find(&paths, &tally, key(1));
        assert!(!is_new);
        drop(found.enter().await.unwrap());
        assert!(!paths.forget_idle(&key(1), &path));
    }
    // Found, and not entered yet.
    let (found, _) = find(&paths, &tally, key(1));
    assert!(!paths.forget_idle(&key(1), &path));
    assert!(!paths.forget_idle(&key(1), &path));
    drop(found);
    assert!(paths.forget_idle(&key(1), &path));
    assert_eq!(paths.count(), 0);
}

#[test]
fn a_pod_has_so_many_paths_and_a_process_so_many() {
    let tally = Arc::<Tally>::default();
    let paths = Paths::default();
    for number in 0..u16::try_from(MAX_PATHS_OF_POD).unwrap() {
        find(&paths, &tally, key(number));
    }
    let full = paths.find(key(60_000), &tally, |_| panic!("kept"));
    assert!(matches!(full, Err(Obstacle::TooManyPaths)));
    // Another pod's have room, and those that are known are still found.
    let other = Paths::default();
    assert!(find(&other, &tally, key(1)).1);
    assert!(!find(&paths, &tally, key(1)).1);
    // The process.
    let mut places = Vec::new();
    while let Some(place) = tally.place() {
        places.push(place);
    }
    let full = other.find(key(2), &tally, |_| panic!("kept"));
    assert!(matches!(full, Err(Obstacle::TooManyPaths)));
    drop(places);
    assert!(find(&other, &tally, key(2)).1);
}

#[test]
fn paths_are_counted_by_their_state_and_not_any_more_when_they_are_gone() {
    let (paths, tally) = (Paths::default(), Arc::<Tally>::default());
    let (one, _) = find(&paths, &tally, key(1));
    let (two, _) = find(&paths, &tally, key(2));
    assert_eq!(counted(&tally), [2, 0, 0, 0]);
    one.set(State::Open);
    two.set(State::Closed);
    assert_eq!(counted(&tally), [0, 1, 0, 1]);
    one.set(State::Doubtful);
    assert_eq!(counted(&tally), [0, 0, 1, 1]);
    paths.end(&key(1), &one);
    drop((one, paths));
    assert_eq!(counted(&tally), [0, 0, 0, 1]);
    drop(two);
    assert_eq!(counted(&tally), [0; 4]);
}
