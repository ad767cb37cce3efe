//! The keeper of a path: walks it until nobody uses it any more, or one of its pods is gone.
//!
//! In: a path, what walks it, when its pods end. Out: the path's state. Never: a path that is open and was not walked when it was last tried, while
//! both pods are served; takes the end of a pod, or what this node lacks, for a policy.
//!
//! A pod that drains has closed its listeners, so nobody comes through to it any more; what is open may finish, as what is in a tunnel may. From then on the path is
//! not walked, and stays as it is until the pod is cut.
//!
//! Tasks: one per path, on the worker that asked first. It is dropped nowhere but at the end of the process.

use std::{sync::Arc, time::Duration};

use net::drain::{Draining, Phase};
use tokio::time::Instant;

use super::{
    path::{Path, PathKey, Paths, State},
    probe::Failure,
};

/// Between two walks of a path, a fifth more or less, so that paths that were asked for at once are not walked at once for ever.
pub(super) const PAUSE_WALK: Duration = Duration::from_secs(10);
const JITTER: f64 = 0.2;

/// Between two walks where the last one failed for want of something here, such as a descriptor.
const PAUSE_DOUBT: Duration = Duration::from_secs(1);

/// How long a path may go without having been walked until it counts as closed, whatever the reason: a shortage that lasts must not keep open
/// what a policy closes.
const MAX_UNWALKED: Duration = Duration::from_secs(30);

/// Walks one path.
pub(super) trait Walk: Send {
    /// Once.
    fn walk(&mut self) -> impl Future<Output = Result<(), Failure>> + Send;
}

/// The keeper.
pub(super) struct Keeper<W> {
    pub(super) paths: Arc<Paths>,
    pub(super) key: PathKey,
    pub(super) path: Arc<Path>,
    /// When either pod ends.
    pub(super) ends: [Draining; 2],
    pub(super) walk: W,
}

impl<W: Walk> Keeper<W> {
    /// Keeps the path.
    pub(super) async fn run(mut self) {
        let [from, to] = &self.ends;
        let (mut from, mut to) = (from.clone(), to.clone());
        tokio::select! {
            biased;
            // First: a walk that fails because the listener has closed says nothing of the network.
            () = from.reached(Phase::Draining) => {}
            () = to.reached(Phase::Draining) => {}
            () = self.keep() => return,
        }
        tokio::select! {
            () = from.reached(Phase::Cut) => {}
            () = to.reached(Phase::Cut) => {}
        }
        self.paths.end(&self.key, &self.path);
    }

    async fn keep(&mut self) {
        let mut walked_at = Instant::now();
        loop {
            let walked = self.walk.walk().await;
            self.path.tally().walked(&walked);
            let state = self.note(walked, &mut walked_at);
            let pause = match state {
                State::Doubtful => PAUSE_DOUBT,
                State::Asking | State::Open | State::Closed | State::Gone => jittered(PAUSE_WALK),
            };
            tokio::time::sleep(pause).await;
            // Not within a second of doubt, in which nobody may have come by.
            if state != State::Doubtful && self.paths.forget_idle(&self.key, &self.path) {
                return;
            }
        }
    }

    /// Notes how a walk ended, and says what is known of the path now.
    fn note(&self, walked: Result<(), Failure>, walked_at: &mut Instant) -> State {
        let PathKey { client, peer, .. } = self.key;
        let failure = match walked {
            Ok(()) => {
                *walked_at = Instant::now();
                self.path.set(State::Open);
                return State::Open;
            }
            Err(failure) => failure,
        };
        tracing::debug!(%client, %peer, error = %failure, "no path between two pods of this node");
        let state = match failure {
            Failure::Apart(_) => State::Closed,
            Failure::Unconfirmed | Failure::Unmade(_) => {
                let is_over = walked_at.elapsed() >= MAX_UNWALKED;
                match self.path.state() {
                    State::Asking | State::Open | State::Doubtful if !is_over => State::Doubtful,
                    State::Asking | State::Open | State::Doubtful | State::Closed | State::Gone => {
                        State::Closed
                    }
                }
            }
        };
        let before = self.path.set(state);
        if state == State::Closed && before.may_hold_connections() {
            self.tell(&failure);
        }
        state
    }

    /// Tells operators of a path that has closed.
    fn tell(&self, failure: &Failure) {
        let PathKey { client, peer, .. } = self.key;
        let Some(others) = self.path.tally().tell_of_closing(Instant::now()) else {
            return;
        };
        tracing::warn!(%client, %peer, error = %failure, others, "two pods of this node are not joined any more; connections between them are cut");
    }
}

fn jittered(pause: Duration) -> Duration {
    pause.mul_f64(1.0 - JITTER + 2.0 * JITTER * fastrand::f64())
}

#[cfg(test)]
mod tests;
