//! Policies that change while something is open.
//!
//! In: what holds for a session, whenever the mesh changes. Out: a number that rises when policies of the session's target have
//! changed, and a call to all who wait for that. Never: a decision; who carries something of the session looks at it again itself
//! ([`crate::access::flip`]).
//!
//! ```text
//!   snapshot ─▶ Flips::follow ─▶ the same policies? ── no ──▶ epoch + 1 ─▶ wakes ─▶ each open request looks again
//! ```
//! **Order:** a request reads [`Flips::epoch`] before it reads the snapshot that it is judged by, and whoever follows the mesh raises it
//! after a snapshot is there to be read. So what a request has not seen always comes with a number that it has not seen.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{
            AtomicU64,
            Ordering::{Acquire, Release},
        },
    },
    task::{Context, Poll, Waker},
};

use mesh::{Snapshot, access::Policies, route::RouteTable, settings::WaypointSettings};
use parking_lot::Mutex;

/// What is told to everybody who carries something of a session. **Shape:** as many wait as there are streams open on it, and one more.
#[derive(Debug, Default)]
pub struct Flips {
    epoch: AtomicU64,
    standing: Mutex<Option<Standing>>,
    parked: Mutex<Places>,
}

#[derive(Debug, Default)]
struct Places {
    wakers: Vec<Option<Waker>>,
    free: Vec<usize>,
}

/// What holds for a session.
#[derive(Clone, Debug)]
pub struct Standing {
    version: u64,
    /// What the waypoint is told of itself.
    pub(crate) settings: Option<Arc<WaypointSettings>>,
    /// The routes of what was asked for.
    pub(crate) table: Option<Arc<RouteTable>>,
}

/// What was compared already in one round over all sessions: most of them stand on the same tables.
#[derive(Debug, Default)]
pub struct Compared {
    settings: Memo<WaypointSettings>,
    tables: Memo<RouteTable>,
}

/// By the addresses of both, which are held, so that they mean the same to the end of the round.
type Memo<T> = HashMap<(usize, usize), (Arc<T>, Arc<T>, bool)>;

impl Standing {
    /// What a snapshot says.
    #[must_use]
    pub fn new(
        snapshot: &Snapshot,
        settings: Option<&Arc<WaypointSettings>>,
        table: Option<&Arc<RouteTable>>,
    ) -> Self {
        Self {
            version: snapshot.version,
            settings: settings.cloned(),
            table: table.cloned(),
        }
    }

    fn is_as(&self, before: &Self, compared: &mut Compared) -> bool {
        same(
            &mut compared.settings,
            before.settings.as_ref(),
            self.settings.as_ref(),
            |a, b| {
                a.unenforced == b.unenforced
                    && a.client_address == b.client_address
                    && who_may(&a.policies, &b.policies)
            },
        ) && same(
            &mut compared.tables,
            before.table.as_ref(),
            self.table.as_ref(),
            |a, b| {
                a.unenforced == b.unenforced
                    && a.client_address == b.client_address
                    && who_may(&a.policies, &b.policies)
            },
        )
    }
}

/// Whether the same may pass. How often does not concern what is open.
fn who_may(a: &Policies, b: &Policies) -> bool {
    a.authorization == b.authorization && a.authentication == b.authentication
}

fn same<T>(
    memo: &mut Memo<T>,
    before: Option<&Arc<T>>,
    now: Option<&Arc<T>>,
    compare: impl FnOnce(&T, &T) -> bool,
) -> bool {
    match (before, now) {
        (None, None) => true,
        (Some(before), Some(now)) if Arc::ptr_eq(before, now) => true,
        (Some(before), Some(now)) => {
            let key = (Arc::as_ptr(before).addr(), Arc::as_ptr(now).addr());
            memo.entry(key)
                .or_insert_with(|| (Arc::clone(before), Arc::clone(now), compare(before, now)))
                .2
        }
        (Some(_), None) | (None, Some(_)) => false,
    }
}

impl Flips {
    /// How often policies have changed.
    #[must_use]
    pub fn epoch(&self) -> u64 {
        self.epoch.load(Acquire)
    }

    /// Notes what holds now, and tells all who wait if that is something else than before. Costs two comparisons of addresses where
    /// it is not.
    pub fn follow(&self, now: Standing, compared: &mut Compared) {
        let changed = {
            let mut standing = self.standing.lock();
            match &*standing {
                // A session that has just come may be ahead of the round.
                Some(before) if before.version > now.version => return,
                Some(before) => {
                    let changed = !now.is_as(before, compared);
                    *standing = Some(now);
                    changed
                }
                None => {
                    *standing = Some(now);
                    false
                }
            }
        };
        if changed {
            self.epoch.fetch_add(1, Release);
            self.wake();
        }
    }

    fn wake(&self) {
        let wakers: Vec<Waker> = self
            .parked
            .lock()
            .wakers
            .iter()
            .flatten()
            .cloned()
            .collect();
        // Outside of the lock: a worker must not wait for another's queue.
        for waker in wakers {
            waker.wake();
        }
    }

    /// Whether policies have changed since `seen`, and to what number; if not, `place` is woken when they do.
    pub fn poll_changed(&self, seen: u64, place: &mut Place, cx: &mut Context<'_>) -> Poll<u64> {
        self.park(place, cx.waker());
        // After it is there, so that no change is missed.
        match self.epoch() {
            now if now != seen => Poll::Ready(now),
            _same => Poll::Pending,
        }
    }

    /// Waits until policies have changed since `seen`. Returns the new number.
    pub async fn changed(&self, seen: u64) -> u64 {
        let mut waiting = Waiting {
            flips: self,
            place: Place::default(),
        };
        std::future::poll_fn(|cx| {
            let Waiting { flips, place } = &mut waiting;
            flips.poll_changed(seen, place, cx)
        })
        .await
    }

    /// What a session stands on by the snapshot of this version, if it has been told of that.
    pub(crate) fn at(&self, version: u64) -> Option<Standing> {
        let standing = self.standing.lock();
        standing
            .as_ref()
            .filter(|it| it.version == version)
            .cloned()
    }

    fn park(&self, place: &mut Place, waker: &Waker) {
        let task = (
            waker.data().addr(),
            std::ptr::from_ref(waker.vtable()).addr(),
        );
        if place.0.is_some_and(|parked| parked.task == task) {
            return;
        }
        let mut places = self.parked.lock();
        let index = match place.0 {
            Some(parked) => parked.index,
            None => places.free.pop().unwrap_or_else(|| {
                places.wakers.push(None);
                places.wakers.len() - 1
            }),
        };
        if let Some(entry) = places.wakers.get_mut(index) {
            *entry = Some(waker.clone());
        }
        drop(places);
        place.0 = Some(Parked { index, task });
    }

    /// Gives a place back.
    pub fn leave(&self, place: &mut Place) {
        let Some(Parked { index, .. }) = place.0.take() else {
            return;
        };
        let mut places = self.parked.lock();
        let waker = places.wakers.get_mut(index).and_then(Option::take);
        places.free.push(index);
        drop(places);
        drop(waker);
    }

    /// How many wait.
    #[cfg(test)]
    pub(crate) fn waiting(&self) -> usize {
        self.parked.lock().wakers.iter().flatten().count()
    }
}

/// Where somebody waits. To be given back by [`Flips::leave`].
#[derive(Debug, Default)]
pub struct Place(Option<Parked>);

#[derive(Clone, Copy, Debug)]
struct Parked {
    index: usize,
    /// Which task is woken: the parts of its waker. **Shape:** addresses; they mean the same as long as the waker is kept, which holds the task.
    task: (usize, usize),
}

/// A place that gives itself back.
struct Waiting<'f> {
    flips: &'f Flips,
    place: Place,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.flips.leave(&mut self.place);
    }
}

#[cfg(test)]
mod tests;
