//! What the store knows of one identity.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, SystemTime},
};

use arc_swap::ArcSwapOption;
use mesh::SpiffeId;
use parking_lot::Mutex;
use tokio::sync::watch;

use super::{
    Error,
    schedule::{Plan, Priority, back_off},
};
use crate::Credential;

/// One identity, from its first use to its last pod.
pub(super) struct Entry {
    pub(super) id: SpiffeId,
    /// The newest credential, expired or not.
    current: ArcSwapOption<Credential>,
    /// Whether somebody took the credential since it was last asked for.
    pub(super) used: AtomicBool,
    /// Held for a few instructions, never over an await.
    pub(super) plan: Mutex<Plan>,
    /// For those who wait.
    pub(super) progress: watch::Sender<Progress>,
}

/// How far the asking has come.
#[derive(Debug, Default)]
pub(super) struct Progress {
    /// Answers and failures so far.
    pub(super) attempts: u64,
    /// What went wrong last; `None` after a success.
    pub(super) error: Option<Error>,
    /// The entry is no longer part of the store.
    pub(super) forgotten: bool,
}

/// What a caller without a credential has to do.
pub(super) enum Ask {
    /// An answer will come.
    Wait,
    /// A failure was a moment ago and the next try is planned.
    BackingOff(Error),
}

impl Entry {
    pub(super) fn new(id: SpiffeId, now: SystemTime) -> Self {
        Self {
            id,
            current: ArcSwapOption::empty(),
            used: AtomicBool::new(true),
            plan: Mutex::new(Plan::new(now)),
            progress: watch::Sender::default(),
        }
    }

    /// The credential, unless there is none that can be shown at `now`.
    pub(super) fn valid_at(&self, now: SystemTime) -> Option<Arc<Credential>> {
        let credential = self.peek_at(now)?;
        // Read before write: the line stays shared among the threads that only read.
        if !self.used.load(Ordering::Relaxed) {
            self.used.store(true, Ordering::Relaxed);
        }
        Some(credential)
    }

    /// The same for those who only look.
    pub(super) fn peek_at(&self, now: SystemTime) -> Option<Arc<Credential>> {
        self.current
            .load_full()
            .filter(|credential| credential.is_valid_at(now))
    }

    /// A caller wants the credential now.
    pub(super) fn ask(&self, now: SystemTime) -> Ask {
        let mut plan = self.plan.lock();
        if plan.is_backing_off(now)
            && let Some(error) = self.progress.borrow().error.clone()
        {
            return Ask::BackingOff(error);
        }
        if !plan.in_flight {
            plan.due = plan.due.min(now);
            plan.priority = Priority::RealTime;
        }
        Ask::Wait
    }

    /// Whether no pod has it and nobody has used it since it was last asked for; asking starts that anew.
    pub(super) fn is_idle(&self) -> bool {
        self.plan.lock().holders == 0 && !self.used.load(Ordering::Relaxed)
    }

    /// The authority is asked.
    pub(super) fn begin(&self) {
        self.used.store(false, Ordering::Relaxed);
        self.plan.lock().in_flight = true;
    }

    /// A renewal that is planned for later than `due` happens then.
    pub(super) fn hasten(&self, due: SystemTime) {
        let mut plan = self.plan.lock();
        // An answer that is on its way is looked at when it comes; a back-off is not cut short.
        if !plan.in_flight && plan.failures == 0 {
            plan.due = plan.due.min(due);
        }
    }

    /// The new credential is what the next connection sees.
    pub(super) fn succeeded(&self, credential: Credential) {
        {
            let mut plan = self.plan.lock();
            plan.in_flight = false;
            plan.failures = 0;
            plan.due = credential.renew_at();
            plan.priority = Priority::Background;
        }
        self.current.store(Some(Arc::new(credential)));
        self.progress.send_modify(|progress| {
            progress.attempts += 1;
            progress.error = None;
        });
    }

    /// The old credential stays; returns the wait until the next try and the failures in a row.
    pub(super) fn failed(&self, now: SystemTime, error: Error, random: f64) -> (Duration, u32) {
        let valid = self.peek_at(now).is_some();
        let planned = {
            let mut plan = self.plan.lock();
            plan.in_flight = false;
            plan.failures = plan.failures.saturating_add(1);
            let wait = back_off(plan.failures, random);
            plan.due = now + wait;
            plan.priority = if valid {
                Priority::Background
            } else {
                Priority::Warmup
            };
            (wait, plan.failures)
        };
        self.progress.send_modify(|progress| {
            progress.attempts += 1;
            progress.error = Some(error);
        });
        planned
    }
}

impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entry")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}
