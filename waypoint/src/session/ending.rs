//! Whether a session is to end, for all who carry something of it.
//!
//! In: a word of whoever watches the mesh. Out: the same to all who wait for it. Never: takes a word back.

use std::sync::atomic::{AtomicBool, Ordering::SeqCst, fence};

use tokio::sync::watch;

/// Why a session is to end. **Shape:** the more urgent, the greater.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Told {
    /// The waypoint does not stand before its target any more. Requests under way may end by themselves.
    Unserved,
    /// A policy holds now that cannot be enforced: nothing of it may go on.
    Unenforced,
}

impl Told {
    /// How the log calls it.
    #[must_use]
    pub fn details(self) -> &'static str {
        match self {
            Self::Unserved => "target_not_served",
            Self::Unenforced => "unenforced_policy",
        }
    }
}

/// What a session was told of its end.
#[derive(Debug, Default)]
pub struct Ending {
    told: watch::Sender<Option<Told>>,
    let_in: AtomicBool,
}

impl Ending {
    /// Says it. What is less urgent than what was said before is nothing new.
    pub fn tell(&self, told: Told) {
        self.told.send_if_modified(|now| {
            let is_news = *now < Some(told);
            if is_news {
                *now = Some(told);
            }
            is_news
        });
    }

    /// What was said.
    #[must_use]
    pub fn now(&self) -> Option<Told> {
        *self.told.borrow()
    }

    /// A request of it is let in. Returns whether it is the first: then look once more whether it may be, by what was published
    /// until now. Whoever publishes later sees it by [`Self::has_let_in`].
    pub fn let_in(&self) -> bool {
        // Read first: requests must not take each other's cache.
        if self.let_in.load(SeqCst) {
            return false;
        }
        self.let_in.store(true, SeqCst);
        fence(SeqCst);
        true
    }

    /// Whether a request of it was ever let in.
    #[must_use]
    pub fn has_let_in(&self) -> bool {
        fence(SeqCst);
        self.let_in.load(SeqCst)
    }

    /// Waits until something is said that is at least so urgent.
    pub async fn told(&self, urgency: Told) -> Told {
        let mut receiver = self.told.subscribe();
        loop {
            match *receiver.borrow_and_update() {
                Some(told) if told >= urgency => return told,
                Some(_) | None => {}
            }
            if receiver.changed().await.is_err() {
                // It cannot be: the sender is borrowed.
                std::future::pending::<()>().await;
            }
        }
    }
}

#[cfg(test)]
mod tests;
