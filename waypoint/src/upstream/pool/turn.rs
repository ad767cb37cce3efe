//! What a request that wants a connection is given: one, or leave to make one.
//!
//! In: a turn. Out: what it is for; whoever makes a connection of HTTP/2 tells all who wait how that ended.
//! Never: a turn without its connection or place.

use std::sync::{Arc, Weak};

use mesh::backend::ConnectionPool;
use telemetry::http::ClusterStats;

use super::{HostPool, Member, Via, queue::Gift};
use crate::upstream::{breaker::Breakers, error::ConnectError, http1, http2};

/// What a request of HTTP/1.1 is given.
#[derive(Debug)]
pub(super) enum Turn1 {
    Use(http1::Idle),
    Dial(Member),
}

impl Gift for Turn1 {
    fn give_back(self, pool: &HostPool) {
        match self {
            Self::Use(idle) => pool.put(idle),
            Self::Dial(member) => drop(member),
        }
    }
}

/// What a request of HTTP/2 is given.
#[derive(Debug)]
pub(in crate::upstream) enum Turn2 {
    Use(http2::Lease),
    Dial(Dialling),
    Failed(ConnectError),
}

impl Gift for Turn2 {
    fn give_back(self, _pool: &HostPool) {
        // Each wakes the next on its own.
        drop(self);
    }
}

/// The one connection of HTTP/2 that is being made. However that ends, those who wait are told when this is dropped,
/// never under the pool's lock.
#[derive(Debug)]
pub(in crate::upstream) struct Dialling {
    pool: Weak<HostPool>,
    /// `None`: it has begun.
    member: Option<Member>,
    made: Result<Option<http2::Shared>, ConnectError>,
}

impl Dialling {
    pub(super) fn new(pool: &Arc<HostPool>, member: Member) -> Self {
        Self {
            pool: Arc::downgrade(pool),
            member: Some(member),
            made: Ok(None),
        }
    }

    pub(in crate::upstream) fn begin(&mut self) -> Option<Member> {
        // What it is until somebody says otherwise, as a task that is cut does not.
        self.made = Err(ConnectError::Ended);
        self.member.take()
    }

    pub(super) fn end(&mut self, made: Result<http2::Shared, ConnectError>) {
        self.made = made.map(Some);
    }
}

impl Drop for Dialling {
    fn drop(&mut self) {
        drop(self.member.take());
        let Some(pool) = self.pool.upgrade() else {
            return;
        };
        let mut failed = None;
        let mut inner = pool.inner.lock();
        inner.is_dialling = false;
        match std::mem::replace(&mut self.made, Ok(None)) {
            // Also where nothing is kept any more, or by other rules: somebody waits for it.
            Ok(Some(shared)) => inner.shared.push(shared),
            Ok(None) => {}
            Err(error) => failed = Some((error, inner.second.take())),
        }
        drop(inner);
        // As Envoy: all who wait learn of it, and may go elsewhere.
        if let Some((error, queue)) = failed {
            queue.tell_all(|| Turn2::Failed(error.clone()));
        }
        pool.wake();
    }
}

/// By which rules a connection may be made.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rules<'a> {
    pub(super) breakers: &'a Arc<Breakers>,
    pub(super) stats: &'a Arc<ClusterStats>,
    pub(super) limits: &'a ConnectionPool,
}

impl<'a> From<&Via<'a>> for Rules<'a> {
    fn from(via: &Via<'a>) -> Self {
        Self {
            breakers: via.cluster.breakers(),
            stats: via.cluster.stats(),
            limits: via.limits,
        }
    }
}
