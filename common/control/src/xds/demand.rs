//! Asking the control plane for one name, from any thread.
//!
//! In: names as in [`wire::xds::name`]. Out: an [`Outcome`], at once or when the control plane has answered.
//! Never: asks twice for what was asked; holds a lock across an await.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::subscriptions::{Changes, MAX_SUBSCRIPTIONS, Subscriptions, Want};

/// Access to on-demand discovery. **Shape**: cheap to clone; all clones ask the same client.
#[derive(Clone, Debug)]
pub struct Demand {
    /// `None`: everything is subscribed, nothing is asked for.
    shared: Option<Arc<Shared>>,
}

#[derive(Debug)]
struct Shared {
    subscriptions: Mutex<Subscriptions>,
    /// Wakes the client: there are changes.
    changed: Notify,
}

/// What came of asking for a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// Something has this name, and the snapshot that is current now, or was a moment ago, holds it.
    Present,
    /// Nothing has this name. It stays subscribed: the snapshot will show when that changes.
    Absent,
    /// Something has this name, but cannot be read, and no earlier version of it is in force.
    Unreadable,
    /// [`MAX_SUBSCRIPTIONS`] names are subscribed and none of them can make room: nobody was asked.
    Full,
    /// Everything is subscribed: what the snapshot does not hold is not there, or not yet.
    Disabled,
}

impl Demand {
    /// Discovery on demand, or the way that subscribes everything.
    #[must_use]
    pub fn new(on_demand: bool) -> Self {
        Self::with_max(on_demand, MAX_SUBSCRIPTIONS)
    }

    pub(super) fn with_max(on_demand: bool, max: usize) -> Self {
        Self {
            shared: on_demand.then(|| {
                Arc::new(Shared {
                    subscriptions: Mutex::new(Subscriptions::new(max)),
                    changed: Notify::new(),
                })
            }),
        }
    }

    /// Whether anything has to be asked for.
    #[must_use]
    pub fn is_enabled(&self) -> bool {
        self.shared.is_some()
    }

    /// Asks for a name (`<network>/<ip>`, `<namespace>/<hostname>` or a uid) and waits for the answer.
    ///
    /// It has no deadline of its own: without a control plane, a name that was never answered waits until there is
    /// one. Cancel-safe; the name stays subscribed.
    pub async fn fetch(&self, name: &str) -> Outcome {
        let Some(shared) = &self.shared else {
            return Outcome::Disabled;
        };
        loop {
            let want = shared.subscriptions().want(name);
            let mut answer = match want {
                Want::Now(outcome) => return outcome,
                Want::Wait(answer) => answer,
            };
            shared.changed.notify_one();
            let found = answer.wait_for(Option::is_some).await;
            if let Ok(Some(outcome)) = found.map(|outcome| *outcome) {
                return outcome;
            }
            // It made room for another name between two polls; asked again, it is a new one.
        }
    }

    /// A stream begins: all names that it must subscribe.
    pub(super) fn open(&self) -> Vec<Arc<str>> {
        self.shared
            .as_ref()
            .map_or_else(Vec::new, |shared| shared.subscriptions().open())
    }

    /// The stream has ended.
    pub(super) fn close(&self) {
        if let Some(shared) = &self.shared {
            shared.subscriptions().close();
        }
    }

    /// What the control plane said.
    pub(super) fn answer(&self, answers: &[(Box<str>, Outcome)]) {
        if let Some(shared) = &self.shared
            && !answers.is_empty()
        {
            let mut subscriptions = shared.subscriptions();
            for (name, outcome) in answers {
                subscriptions.answer(name, *outcome);
            }
        }
    }

    /// Waits until the stream has to be told of names. Cancel-safe.
    pub(super) async fn changes(&self) -> Changes {
        let Some(shared) = &self.shared else {
            return std::future::pending().await;
        };
        loop {
            {
                let mut subscriptions = shared.subscriptions();
                if subscriptions.changed() {
                    return subscriptions.changes();
                }
            }
            shared.changed.notified().await;
        }
    }
}

impl Shared {
    fn subscriptions(&self) -> MutexGuard<'_, Subscriptions> {
        self.subscriptions
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}
