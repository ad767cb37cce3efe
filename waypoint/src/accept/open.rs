//! The sessions that are open, so that each can be ended when this waypoint does not stand before its target any more.
//!
//! In: a session that has just begun. Out: a word to it. Never: held locked while a decision is made, or across an await.
//!
//! One shard per worker: a session is registered and removed on its own worker, so workers do not meet here.

use std::{collections::HashMap, sync::Arc};

use mesh::Snapshot;
use parking_lot::Mutex;
use tokio::sync::oneshot;

use crate::{detect::Protocol, session::Session, tcp};

/// The open sessions.
#[derive(Debug)]
pub(super) struct Open {
    shards: Box<[Mutex<Shard>]>,
}

#[derive(Debug, Default)]
struct Shard {
    next: u64,
    entries: HashMap<u64, Entry>,
}

#[derive(Debug)]
struct Entry {
    session: Arc<Session>,
    tell: oneshot::Sender<Told>,
}

/// Says that a session is to end.
#[derive(Debug)]
pub(crate) struct Told;

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

    /// Registers a session. The receiver answers when it is to end, which may be at once: what changed between the decision on
    /// it and now is seen here, and what changes later by [`Open::recheck`].
    pub(super) fn register(
        self: &Arc<Self>,
        worker: usize,
        session: &Arc<Session>,
    ) -> (Registered, oneshot::Receiver<Told>) {
        let (tell, told) = oneshot::channel();
        let shard = worker % self.shards.len();
        let mut number = 0;
        if let Some(shard) = self.shards.get(shard) {
            let mut shard = shard.lock();
            number = shard.next;
            shard.next += 1;
            let session = Arc::clone(session);
            shard.entries.insert(number, Entry { session, tell });
        }
        let registered = Registered {
            open: Arc::clone(self),
            shard,
            number,
        };
        if !may_stay(session, &session.proxy.view.borrow()) {
            registered.tell();
        }
        (registered, told)
    }

    /// Tells every session that may not stay.
    pub(super) fn recheck(&self, snapshot: &Snapshot) {
        for shard in &self.shards {
            // Copied out, because a worker must not wait meanwhile.
            let sessions: Vec<(u64, Arc<Session>)> = shard
                .lock()
                .entries
                .iter()
                .map(|(number, entry)| (*number, Arc::clone(&entry.session)))
                .collect();
            for (number, session) in sessions {
                if !may_stay(&session, snapshot) {
                    tell(shard, number);
                }
            }
        }
    }
}

fn may_stay(session: &Session, snapshot: &Snapshot) -> bool {
    let bytes = match session.protocol {
        // Each of its requests is judged by itself.
        Protocol::Http1 | Protocol::Http2 => true,
        Protocol::Tls | Protocol::Tcp => tcp::unenforced(session, snapshot).is_none(),
    };
    bytes && session.readmit(snapshot).is_ok()
}

fn tell(shard: &Mutex<Shard>, number: u64) {
    let entry = shard.lock().entries.remove(&number);
    if let Some(entry) = entry {
        // It fails only when the session has just ended by itself.
        drop(entry.tell.send(Told));
    }
}

impl Registered {
    fn tell(&self) {
        if let Some(shard) = self.open.shards.get(self.shard) {
            tell(shard, self.number);
        }
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
