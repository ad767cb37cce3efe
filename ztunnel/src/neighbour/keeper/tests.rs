//! The states of a path over time, with walks that end as they are told. Time stands still but for what is slept.

use std::{
    io,
    pin::{Pin, pin},
    task::Poll,
};

use net::drain::Drain;
use parking_lot::Mutex;
use tokio::task::JoinHandle;

use super::*;
use crate::neighbour::{Obstacle, path::OpenPath, tally::Tally};

/// Looks at a future once.
async fn polled<F: Future>(mut future: Pin<&mut F>) -> Poll<F::Output> {
    std::future::poll_fn(|context| Poll::Ready(future.as_mut().poll(context))).await
}

/// Long enough for a walk and the pause after it, whatever its jitter.
const TURN: Duration = Duration::from_secs(15);

/// How walks end.
#[derive(Clone, Copy, Debug, PartialEq)]
enum End {
    Confirmed,
    Refused,
    Unconfirmed,
    NoDescriptor,
    Never,
}

#[derive(Clone)]
struct Script {
    end: Arc<Mutex<End>>,
    walks: Arc<Mutex<Vec<Instant>>>,
}

impl Walk for Script {
    async fn walk(&mut self) -> Result<(), Failure> {
        self.walks.lock().push(Instant::now());
        let of = io::Error::from_raw_os_error;
        let end = *self.end.lock();
        match end {
            End::Confirmed => Ok(()),
            End::Refused => Err(Failure::Apart(of(libc::ECONNREFUSED))),
            End::Unconfirmed => Err(Failure::Unconfirmed),
            End::NoDescriptor => Err(Failure::Unmade(of(libc::EMFILE))),
            End::Never => std::future::pending().await,
        }
    }
}

/// Two pods and the path between them.
struct Pair {
    paths: Arc<Paths>,
    tally: Arc<Tally>,
    from: Drain,
    to: Drain,
    script: Script,
    keeper: Mutex<Option<JoinHandle<()>>>,
}

impl Pair {
    fn new(end: End) -> Self {
        Self {
            paths: Arc::default(),
            tally: Arc::default(),
            from: Drain::default(),
            to: Drain::default(),
            script: Script {
                end: Arc::new(Mutex::new(end)),
                walks: Arc::default(),
            },
            keeper: Mutex::default(),
        }
    }

    fn find(&self) -> Arc<Path> {
        let key = PathKey {
            client: "10.0.0.5".parse().unwrap(),
            to: 7,
            peer: "10.0.0.7:15008".parse().unwrap(),
        };
        let keep = |path| {
            let keeper = Keeper {
                paths: Arc::clone(&self.paths),
                key,
                path,
                ends: [self.from.listen(), self.to.listen()],
                walk: self.script.clone(),
            };
            *self.keeper.lock() = Some(tokio::spawn(keeper.run()));
        };
        self.paths.find(key, &self.tally, keep).unwrap()
    }

    async fn enter(&self) -> Result<OpenPath, Obstacle> {
        self.find().enter().await
    }

    fn ends(&self, end: End) {
        *self.script.end.lock() = end;
    }

    fn walks(&self) -> usize {
        self.script.walks.lock().len()
    }
}

/// Whether somebody inside has been told that the path is closed.
async fn is_told(inside: &OpenPath) -> bool {
    polled(pin!(inside.closed())).await.is_ready()
}

#[tokio::test(start_paused = true)]
async fn a_path_in_use_is_walked_about_every_ten_seconds() {
    let pair = Pair::new(End::Confirmed);
    let inside = pair.enter().await.unwrap();
    tokio::time::sleep(Duration::from_secs(1000)).await;
    assert!(!is_told(&inside).await);
    let walks = pair.script.walks.lock().clone();
    let pauses: Vec<_> = walks.windows(2).map(|two| two[1] - two[0]).collect();
    let range = PAUSE_WALK.mul_f64(0.8)..=PAUSE_WALK.mul_f64(1.2) + Duration::from_millis(1);
    assert!(
        pauses.iter().all(|pause| range.contains(pause)),
        "{pauses:?}"
    );
    // Not in step with others that began at the same time.
    assert!(pauses.windows(2).any(|two| two[0] != two[1]));
}

#[tokio::test(start_paused = true)]
async fn a_path_that_the_network_closes_is_closed_at_the_next_walk_and_opens_again() {
    let pair = Pair::new(End::Confirmed);
    let inside = pair.enter().await.unwrap();
    pair.ends(End::Refused);
    tokio::time::timeout(TURN, inside.closed()).await.unwrap();
    assert!(matches!(
        pair.enter().await,
        Err(Obstacle::NoPath(State::Closed))
    ));
    pair.ends(End::Confirmed);
    tokio::time::sleep(TURN).await;
    assert!(pair.enter().await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn what_the_node_lacks_cuts_nobody_and_lets_nobody_in() {
    let pair = Pair::new(End::Confirmed);
    let inside = pair.enter().await.unwrap();
    for lacking in [End::NoDescriptor, End::Unconfirmed] {
        pair.ends(lacking);
        tokio::time::sleep(TURN).await;
        assert!(!is_told(&inside).await, "{lacking:?}");
        assert!(matches!(
            pair.enter().await,
            Err(Obstacle::NoPath(State::Doubtful))
        ));
        // Tried every second now, so that it is over as soon as the shortage is.
        pair.ends(End::Confirmed);
        tokio::time::sleep(PAUSE_DOUBT * 2).await;
        assert!(pair.enter().await.is_ok(), "{lacking:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_shortage_that_lasts_closes_the_path() {
    for lacking in [End::NoDescriptor, End::Unconfirmed] {
        let pair = Pair::new(End::Confirmed);
        let inside = pair.enter().await.unwrap();
        pair.ends(lacking);
        let closed = tokio::time::timeout(MAX_UNWALKED + TURN, inside.closed());
        closed.await.unwrap();
        // It does not open by itself, nor for those who lack something.
        tokio::time::sleep(TURN).await;
        assert!(matches!(
            pair.enter().await,
            Err(Obstacle::NoPath(State::Closed))
        ));
    }
}

#[tokio::test(start_paused = true)]
async fn a_network_that_says_no_is_not_doubted() {
    let pair = Pair::new(End::Confirmed);
    let inside = pair.enter().await.unwrap();
    pair.ends(End::NoDescriptor);
    tokio::time::sleep(TURN).await;
    pair.ends(End::Refused);
    tokio::time::timeout(PAUSE_DOUBT * 2, inside.closed())
        .await
        .unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_path_whose_first_walk_cannot_be_made_keeps_nobody_waiting() {
    let pair = Pair::new(End::NoDescriptor);
    let began = Instant::now();
    assert!(matches!(
        pair.enter().await,
        Err(Obstacle::NoPath(State::Doubtful))
    ));
    assert_eq!(began.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn a_pod_that_drains_is_not_walked_to_any_more_and_nobody_is_cut() {
    for drains in ["from", "to"] {
        let pair = Pair::new(End::Confirmed);
        let inside = pair.enter().await.unwrap();
        let walks = pair.walks();
        // The listener is closed in the same moment.
        let drain = if drains == "from" {
            &pair.from
        } else {
            &pair.to
        };
        drain.advance(Phase::Draining);
        pair.ends(End::Refused);
        tokio::time::sleep(Duration::from_secs(3600)).await;
        assert!(!is_told(&inside).await, "{drains}");
        assert_eq!(pair.walks(), walks, "{drains}");
        // What was accepted before may still be joined.
        assert!(pair.enter().await.is_ok(), "{drains}");
        drain.advance(Phase::Cut);
        let keeper = pair.keeper.lock().take().unwrap();
        tokio::time::timeout(TURN, keeper).await.unwrap().unwrap();
        // Cut by its pod: the path has nothing to say, and is known to nobody.
        assert!(!is_told(&inside).await, "{drains}");
        assert_eq!(pair.paths.count(), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn a_walk_that_a_drain_overtakes_says_nothing() {
    let pair = Pair::new(End::Confirmed);
    let inside = pair.enter().await.unwrap();
    pair.ends(End::Refused);
    // Both are due before anybody looks.
    tokio::time::advance(TURN).await;
    pair.to.advance(Phase::Draining);
    tokio::time::sleep(TURN).await;
    assert!(!is_told(&inside).await);
}

#[tokio::test(start_paused = true)]
async fn a_pod_that_is_cut_takes_its_path_along_in_the_middle_of_a_walk() {
    let pair = Pair::new(End::Never);
    let waiting = pair.enter();
    let mut waiting = pin!(waiting);
    assert!(polled(waiting.as_mut()).await.is_pending());
    tokio::time::sleep(Duration::from_millis(1)).await;
    pair.from.advance(Phase::Cut);
    assert!(matches!(waiting.await, Err(Obstacle::NoPath(State::Gone))));
    assert_eq!(pair.paths.count(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_path_that_nobody_uses_is_forgotten_and_its_keeper_ends() {
    let pair = Pair::new(End::Confirmed);
    drop(pair.enter().await.unwrap());
    tokio::time::sleep(TURN * 2).await;
    assert_eq!(pair.paths.count(), 0);
    assert!(pair.keeper.lock().take().unwrap().is_finished());
    let walks = pair.walks();
    tokio::time::sleep(TURN * 10).await;
    assert_eq!(pair.walks(), walks);
}

#[tokio::test(start_paused = true)]
async fn a_path_of_many_short_connections_is_kept() {
    let pair = Pair::new(End::Confirmed);
    let path = pair.find();
    let known = Arc::downgrade(&path);
    drop(path);
    for _ in 0..100 {
        drop(pair.enter().await.unwrap());
        tokio::time::sleep(Duration::from_secs(5)).await;
    }
    assert!(Arc::ptr_eq(&known.upgrade().unwrap(), &pair.find()));
}
