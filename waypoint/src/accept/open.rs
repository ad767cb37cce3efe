//! The sessions that are open, so that each can be ended when this waypoint does not stand before its target any more, or
//! when a policy comes that cannot be enforced, and told when other policies change.
//!
//! In: a session that has just begun. Out: a word to it. Never: held locked while a decision is made, or across an await.
//!
//! One shard per worker: a session is registered and removed on its own worker, so workers do not meet here.

use std::{collections::HashMap, sync::Arc};

use mesh::Snapshot;
use parking_lot::Mutex;

use crate::{
    access::connection,
    detect::Protocol,
    session::{Compared, Session, Standing, Told},
};

/// The open sessions.
#[derive(Debug)]
pub(super) struct Open {
    shards: Box<[Mutex<Shard>]>,
}

#[derive(Debug, Default)]
struct Shard {
    next: u64,
    entries: HashMap<u64, Arc<Session>>,
}

/// Removes a session when it is dropped.
#[derive(Debug)]
pub(super) struct Registered {
    open: Arc<Open>,
    shard: usize,
    number: u64,
}

impl Open {
    pub(super) fn new(workers: usize) -> Arc<Self> {
        let shards = (0..workers.max(1)).map(|_| Mutex::default());
        Arc::new(Self {
            shards: shards.collect(),
        })
    }

    /// Registers a session, which is told when it is to end. That may be at once: what changed between the decision on it and now
    /// is seen here, and what changes later by [`Open::recheck`].
    pub(super) fn register(self: &Arc<Self>, worker: usize, session: &Arc<Session>) -> Registered {
        let index = worker % self.shards.len();
        let mut number = 0;
        if let Some(shard) = self.shards.get(index) {
            let mut shard = shard.lock();
            number = shard.next;
            shard.next += 1;
            shard.entries.insert(number, Arc::clone(session));
        }
        // After it is there, so that no snapshot is missed.
        judge(
            session,
            &session.proxy.view.borrow(),
            &mut Compared::default(),
        );
        Registered {
            open: Arc::clone(self),
            shard: index,
            number,
        }
    }

    /// Tells every session that may not stay.
    pub(super) fn recheck(&self, snapshot: &Snapshot) {
        let mut compared = Compared::default();
        for shard in &self.shards {
            // Copied out, because a worker must not wait meanwhile.
            let sessions: Vec<Arc<Session>> = shard.lock().entries.values().cloned().collect();
            for session in sessions {
                judge(&session, snapshot, &mut compared);
            }
        }
    }
}

/// Tells a session what a snapshot means for it.
fn judge(session: &Session, snapshot: &Snapshot, compared: &mut Compared) {
    let (settings, table) = (session.settings(snapshot), session.table(snapshot));
    let standing = Standing::new(snapshot, settings, table);
    session.flips.follow(standing, compared);
    let ending = &session.ending;
    if session.readmit(snapshot).is_err() {
        ending.tell(Told::Unserved);
    }
    let may_have_passed = match session.protocol {
        // Each of its requests is judged by itself: one that has had none let in goes on to be told no.
        Protocol::Http1 | Protocol::Http2 => ending.has_let_in(),
        Protocol::Tls | Protocol::Tcp => true,
    };
    let is_forbidden = settings.is_some_and(|settings| {
        connection::unenforced(settings, table.map(|table| &**table)).is_some()
    });
    if may_have_passed && is_forbidden {
        ending.tell(Told::Unenforced);
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        if let Some(shard) = self.open.shards.get(self.shard) {
            let entry = shard.lock().entries.remove(&self.number);
            // Outside of the lock: it may be the last of a session.
            drop(entry);
        }
    }
}
