//! Who waits for a connection, and what each is given in its turn.
//!
//! In: requests that find no connection with room, and what has become free. Out: a turn for each, in the order in which
//! they came. Never: a turn for somebody who has given up; a turn that is lost with whoever it was given to.

use std::{
    collections::VecDeque,
    sync::{Arc, Weak, atomic::Ordering},
};

use mesh::backend::ConnectionPool;
use telemetry::http::ClusterStats;
use tokio::sync::oneshot;

use super::{HostPool, Via, turn::Rules};
use crate::upstream::{
    breaker::{Breakers, Limit, Overflow},
    error::ConnectError,
};

/// Requests that wait for a connection to one endpoint where the policy has no limit. Each holds its head and a task.
const MAX_WAITING: usize = 16 * 1024;

/// Something that can be given to a request.
pub(in crate::upstream) trait Gift: Sized {
    /// It was given to somebody who had gone.
    fn give_back(self, pool: &HostPool);
}

/// Those who wait, the oldest at the front. Those who have given up stay until they are in the way.
#[derive(Debug)]
pub(super) struct Queue<T>(VecDeque<Waiter<T>>);

impl<T> Default for Queue<T> {
    fn default() -> Self {
        Self(VecDeque::new())
    }
}

impl<T> Queue<T> {
    fn prune(&mut self) {
        while self.0.pop_front_if(|waiter| waiter.is_gone()).is_some() {}
    }

    /// Whether nobody waits.
    pub(super) fn is_empty(&mut self) -> bool {
        self.prune();
        self.0.is_empty()
    }

    /// Takes the oldest.
    pub(super) fn pop(&mut self) -> Option<Waiter<T>> {
        self.prune();
        self.0.pop_front()
    }

    /// Leaves it the oldest.
    pub(super) fn put_back(&mut self, waiter: Waiter<T>) {
        self.0.push_front(waiter);
    }

    /// Takes all.
    pub(super) fn take(&mut self) -> Self {
        std::mem::take(self)
    }

    /// Gives everybody the same.
    pub(super) fn tell_all(self, turn: impl Fn() -> T) {
        for waiter in self.0 {
            drop(waiter.give(turn()));
        }
    }
}

impl<T: Gift> Queue<T> {
    /// One more who waits, behind all others or before them.
    pub(super) fn wait(
        &mut self,
        pool: &Arc<HostPool>,
        via: &Via<'_>,
        before_others: bool,
    ) -> Result<Next<T>, Overflow> {
        if self.0.len() >= MAX_WAITING {
            self.0.retain(|waiter| !waiter.is_gone());
        }
        if self.0.len() >= MAX_WAITING && !before_others {
            return Err(Overflow {
                limit: Limit::Pending,
                max: u32::try_from(MAX_WAITING).unwrap_or(u32::MAX),
            });
        }
        let (tell, turn) = oneshot::channel();
        let waiter = Waiter {
            tell,
            pool: Arc::downgrade(pool),
            breakers: Arc::clone(via.cluster.breakers()),
            stats: Arc::clone(via.cluster.stats()),
            limits: *via.limits,
        };
        if before_others {
            self.0.push_front(waiter);
        } else {
            self.0.push_back(waiter);
        }
        pool.waiting.fetch_add(1, Ordering::Relaxed);
        Ok(Next::Later(Waiting {
            pool: Arc::clone(pool),
            turn,
        }))
    }
}

/// Somebody who waits, as the pool knows it.
#[derive(Debug)]
pub(super) struct Waiter<T> {
    tell: oneshot::Sender<T>,
    pool: Weak<HostPool>,
    breakers: Arc<Breakers>,
    stats: Arc<ClusterStats>,
    limits: ConnectionPool,
}

impl<T> Waiter<T> {
    fn is_gone(&self) -> bool {
        self.tell.is_closed()
    }

    /// `None`: it is about to go.
    pub(super) fn pool(&self) -> Option<Arc<HostPool>> {
        self.pool.upgrade()
    }

    pub(super) fn limits(&self) -> &ConnectionPool {
        &self.limits
    }

    pub(super) fn rules(&self) -> Rules<'_> {
        Rules {
            breakers: &self.breakers,
            stats: &self.stats,
            limits: &self.limits,
        }
    }

    /// Gives it its turn, or that back if it has gone in this moment.
    pub(super) fn give(self, turn: T) -> Option<T> {
        self.tell.send(turn).err()
    }
}

/// A request's turn: at once, or when the others have had theirs.
#[derive(Debug)]
pub(in crate::upstream) enum Next<T: Gift> {
    Now(T),
    Later(Waiting<T>),
}

impl<T: Gift> Next<T> {
    pub(in crate::upstream) async fn turn(self) -> Result<T, ConnectError> {
        match self {
            Self::Now(turn) => Ok(turn),
            // An error means that the pool was dropped, which whoever waits keeps from being so.
            Self::Later(mut waiting) => (&mut waiting.turn)
                .await
                .map_err(|_gone| ConnectError::Ended),
        }
    }
}

/// A request that waits for its turn.
#[derive(Debug)]
pub(in crate::upstream) struct Waiting<T: Gift> {
    pool: Arc<HostPool>,
    turn: oneshot::Receiver<T>,
}

impl<T: Gift> Drop for Waiting<T> {
    fn drop(&mut self) {
        self.pool.waiting.fetch_sub(1, Ordering::Relaxed);
        // Somebody who gives up must not take a turn along that was given meanwhile.
        self.turn.close();
        if let Ok(turn) = self.turn.try_recv() {
            turn.give_back(&self.pool);
        }
    }
}
