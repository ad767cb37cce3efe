//! Whether the cluster's network lets one pod reach another's port 15008: what a tunnel would need, and what NetworkPolicy takes away.
//!
//! In: what walks found (`keeper`). Out: an [`OpenPath`] for a connection, and word when it closes. Never: lets a connection enter a path whose last
//! walk did not reach its end; forgets one that is in use.
//!
//! ```text
//!            confirmed            something is lacking here          too long, or the network says no
//!  Asking ─────────────▶ Open ◀──────────────────────────▶ Doubtful ──────────────────────────────────▶ Closed
//!     │                   └── connections enter                └── those inside stay, nobody enters      └── those inside are cut
//!     └── connections wait, for a second at most                          a pod is cut: ─▶ Gone, and its connections are cut by that
//! ```
//! Paths belong to the pod that they come from, which is also what bounds them: connections of other pods do not meet here.

use std::{
    collections::HashMap,
    net::{IpAddr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use parking_lot::Mutex;
use tokio::{
    sync::{Notify, watch},
    time::Instant,
};

use super::{
    Obstacle,
    tally::{Place, Tally},
};

/// How long after a path was first asked for connections wait for its first probe, before they go by a tunnel; and for certificates that are
/// on their way.
pub(super) const TIMEOUT_FIRST: Duration = Duration::from_secs(1);

/// Paths from one pod: its addresses times its neighbours', of which a node has some 250. More cannot be had by inventing addresses.
const MAX_PATHS_OF_POD: usize = 512;

/// Between whom: which address of the pod that the path comes from, and the other pod, which may not be the one that has had its
/// address or its name before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct PathKey {
    /// The address that the connection comes from.
    pub(super) client: IpAddr,
    /// The neighbour's [`Pod::serial`](crate::pod::Pod::serial).
    pub(super) to: u64,
    /// The neighbour's HBONE port.
    pub(super) peer: SocketAddr,
}

/// What is known of a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// The first probe is under way.
    Asking,
    /// Walked.
    Open,
    /// It could not be walked for want of something here, or nobody knows who has answered.
    Doubtful,
    /// The network keeps the two apart.
    Closed,
    /// One of the pods is.
    Gone,
}

impl State {
    /// Whether connections may be inside, which it cuts when the path closes.
    pub(super) fn may_hold_connections(self) -> bool {
        match self {
            Self::Open | Self::Doubtful => true,
            Self::Asking | Self::Closed | Self::Gone => false,
        }
    }
}

/// The paths from one pod.
#[derive(Debug, Default)]
pub struct Paths(Mutex<HashMap<PathKey, Arc<Path>>>);

/// One of them.
#[derive(Debug)]
pub(super) struct Path {
    state: watch::Sender<State>,
    /// For those inside, of whom there may be many: it takes less of each than the state does.
    closed: Notify,
    asked_at: Instant,
    /// Whether anybody has asked for it since the keeper looked last.
    is_used: AtomicBool,
    place: Place,
}

/// A path that is open, or was when it was entered. While this lives the path is not forgotten.
#[derive(Debug)]
pub(crate) struct OpenPath(Arc<Path>);

impl OpenPath {
    /// Waits until the network keeps the two apart. For ever, if one of them goes: that cuts their connections by itself.
    pub(crate) async fn closed(&self) {
        // Before the look, so that what closes it behind that is not missed.
        let closed = self.0.closed.notified();
        if self.0.state() != State::Closed {
            closed.await;
        }
    }
}

impl Paths {
    /// A path; the first who asks for it has it kept by what `keep` starts.
    pub(super) fn find(
        &self,
        key: PathKey,
        tally: &Arc<Tally>,
        keep: impl FnOnce(Arc<Path>),
    ) -> Result<Arc<Path>, Obstacle> {
        let mut paths = self.0.lock();
        if let Some(path) = paths.get(&key) {
            path.is_used.store(true, Relaxed);
            return Ok(Arc::clone(path));
        }
        if paths.len() >= MAX_PATHS_OF_POD {
            return Err(Obstacle::TooManyPaths);
        }
        let place = tally.place().ok_or(Obstacle::TooManyPaths)?;
        let path = Arc::new(Path::new(place));
        paths.insert(key, Arc::clone(&path));
        drop(paths);
        keep(Arc::clone(&path));
        Ok(path)
    }

    /// Forgets a path that nobody uses and nobody has asked for since this was last called. To be called by its keeper.
    pub(super) fn forget_idle(&self, key: &PathKey, path: &Arc<Path>) -> bool {
        let mut paths = self.0.lock();
        // Whoever finds a path does so under the lock, and holds it then: the map, the keeper and nobody else.
        let is_idle = !path.is_used.swap(false, Relaxed) && Arc::strong_count(path) == 2;
        if is_idle {
            paths.remove(key);
        }
        is_idle
    }

    /// Forgets a path, one of whose pods is gone.
    pub(super) fn end(&self, key: &PathKey, path: &Path) {
        path.set(State::Gone);
        self.0.lock().remove(key);
    }

    /// How many there are.
    #[cfg(test)]
    pub(super) fn count(&self) -> usize {
        self.0.lock().len()
    }
}

impl Path {
    fn new(place: Place) -> Self {
        let path = Self {
            state: watch::Sender::new(State::Asking),
            closed: Notify::new(),
            asked_at: Instant::now(),
            is_used: AtomicBool::new(true),
            place,
        };
        if let Some(gauge) = path.place.tally().state(State::Asking) {
            gauge.inc();
        }
        path
    }

    /// Where it is counted.
    pub(super) fn tally(&self) -> &Tally {
        self.place.tally()
    }

    /// What is known of it.
    pub(super) fn state(&self) -> State {
        *self.state.borrow()
    }

    /// Notes what is known of it now, and says what was before.
    pub(super) fn set(&self, state: State) -> State {
        let before = self.state.send_replace(state);
        if state == State::Closed {
            self.closed.notify_waiters();
        }
        if let Some(gauge) = self.tally().state(before) {
            gauge.dec();
        }
        if let Some(gauge) = self.tally().state(state) {
            gauge.inc();
        }
        before
    }

    /// Enters it, if it is open; waits for the first probe, if that is still under way.
    pub(super) async fn enter(self: Arc<Self>) -> Result<OpenPath, Obstacle> {
        if self.state() == State::Asking {
            let deadline = self.asked_at + TIMEOUT_FIRST;
            let mut state = self.state.subscribe();
            let answer = state.wait_for(|state| *state != State::Asking);
            drop(tokio::time::timeout_at(deadline, answer).await);
        }
        match self.state() {
            State::Open => Ok(OpenPath(self)),
            State::Asking => Err(Obstacle::NoAnswer),
            state @ (State::Doubtful | State::Closed | State::Gone) => Err(Obstacle::NoPath(state)),
        }
    }
}

impl Drop for Path {
    fn drop(&mut self) {
        if let Some(gauge) = self.tally().state(self.state()) {
            gauge.dec();
        }
    }
}

#[cfg(test)]
mod tests;
