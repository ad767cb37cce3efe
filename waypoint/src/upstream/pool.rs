//! Which connection carries a request: the connections of one worker to one endpoint, or those of them that are for one client.
//!
//! In: a request that wants to be sent. Out: a connection with room, reused or new. Never: shares a connection between
//! workers; holds its lock while it waits.
//!
//! ```text
//!   others wait? ──yes──▶ waits behind them
//!     └─no─▶ HTTP/1.1:  idle? ──yes──▶ used ─────────────▶ put back when the response has ended
//!     │                   └─no─▶ may connect? ──yes──▶ dialled
//!     │                                └─no─▶ waits for one that is put back or ends
//!     └────▶ HTTP/2:    one with a free stream? ──yes──▶ used
//!                         └─no─▶ may connect, and no dial under way? ──yes──▶ dialled    (its own task)
//!                                      └─no─▶ waits for a stream
//! ```
//! What becomes free is handed to those who wait, in the order in which they came; see [`queue`].
//! As Envoy: who finds no connection is pending, also while it connects; one connection is allowed in any case, so that
//! a limit which others have used up starves nobody.
//!
//! Only its own worker takes the lock, but for changes of configuration, revoked certificates, and looks at what is idle.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Instant,
};

use identity::PeerCertificate;
use mesh::backend::ConnectionPool;
use parking_lot::Mutex;
use tokio::task::AbortHandle;

use crate::upstream::{
    Worker,
    behalf::Lane,
    breaker::{Limit, Overflow, Place},
    cluster::Cluster,
    error::{ConnectError, SendError},
    host::Host,
    http1, http2,
};

mod member;
mod queue;
mod turn;

pub(super) use member::{Ending, Member};
use queue::{Next, Queue};
pub(super) use turn::{Dialling, Turn2};
use turn::{Rules, Turn1};

/// Whose connection, and by which rules.
#[derive(Clone, Copy, Debug)]
pub(super) struct Via<'a> {
    pub(super) cluster: &'a Arc<Cluster>,
    pub(super) host: &'a Arc<Host>,
    pub(super) worker: &'a Arc<Worker>,
    pub(super) limits: &'a ConnectionPool,
}

/// The connections of one worker to one endpoint.
#[derive(Debug, Default)]
pub struct HostPool {
    /// For whom they are; `None`: for anybody.
    lane: Option<Lane>,
    inner: Mutex<Inner>,
    /// Connections that are open or being made.
    members: AtomicUsize,
    /// How many wait, so that nobody takes the lock to wake nobody.
    waiting: AtomicUsize,
}

#[derive(Debug, Default)]
struct Inner {
    /// Nothing is kept any more.
    is_closed: bool,
    /// The number of the last connection that was begun.
    next: u64,
    /// Connections up to this number are not kept: they were made by other rules.
    renewed: u64,
    open: Vec<Open>,
    /// HTTP/1.1, the one that was used last at the end.
    idle: Vec<http1::Idle>,
    /// HTTP/2.
    shared: Vec<http2::Shared>,
    /// There is a [`Dialling`].
    is_dialling: bool,
    first: Queue<Turn1>,
    second: Queue<Turn2>,
}

#[derive(Debug)]
struct Open {
    number: u64,
    peer: Option<Arc<PeerCertificate>>,
    task: AbortHandle,
}

impl HostPool {
    /// Those of one lane.
    pub(super) fn of(lane: Lane) -> Self {
        Self {
            lane: Some(lane),
            ..Self::default()
        }
    }

    /// For whom they are; `None`: for anybody.
    pub(super) fn lane(&self) -> Option<&Lane> {
        self.lane.as_ref()
    }

    /// Whether nothing is sent, and nobody waits. Who has just been given the pool is not seen.
    pub(super) fn is_resting(&self) -> bool {
        let inner = self.inner.lock();
        let shared = inner.shared.iter().filter(|shared| shared.is_resting());
        let resting = inner.idle.len() + shared.count();
        !inner.is_dialling
            && self.waiting.load(Ordering::Relaxed) == 0
            && self.members.load(Ordering::Relaxed) <= resting
    }

    /// A connection of HTTP/1.1 that is ready for a request, and whether it has carried one before. `stale`: one that had
    /// been idle since then was closed, so those that have been idle for longer are not believed any more.
    pub(super) async fn http1(
        self: &Arc<Self>,
        via: &Via<'_>,
        stale: Option<Instant>,
    ) -> Result<(http1::Idle, bool), SendError> {
        if let Some(since) = stale {
            let mut inner = self.inner.lock();
            let is_suspect = |idle: &mut http1::Idle| idle.since() <= since;
            let suspects: Vec<_> = inner.idle.extract_if(.., is_suspect).collect();
            drop(inner);
            drop(suspects);
        }
        let mut pending = None;
        let mut is_turn = false;
        loop {
            let next = self.turn1(via, &mut pending, is_turn)?;
            match next.turn().await.map_err(|source| failed(via, source))? {
                Turn1::Use(mut idle) => {
                    // The task of the connection may still be at the end of the last response.
                    if idle.is_ready().await {
                        return Ok((idle, true));
                    }
                }
                Turn1::Dial(member) => {
                    // Rare, and large.
                    let idle = Box::pin(http1::connect(self, via, member))
                        .await
                        .map_err(|source| failed(via, source))?;
                    return Ok((idle, false));
                }
            }
            is_turn = true;
        }
    }

    /// A stream of a connection of HTTP/2.
    pub(super) async fn http2(self: &Arc<Self>, via: &Via<'_>) -> Result<http2::Lease, SendError> {
        let mut pending = None;
        let mut next = self.turn2(via, &mut pending)?;
        loop {
            let turn = next.turn().await.map_err(|source| failed(via, source))?;
            next = match turn {
                Turn2::Use(lease) => return Ok(lease),
                Turn2::Failed(source) => return Err(failed(via, source)),
                Turn2::Dial(dialling) => self.dial(via, dialling)?,
            };
        }
    }

    /// `is_turn`: it was its turn, and what it was given was of no use.
    fn turn1(
        self: &Arc<Self>,
        via: &Via<'_>,
        pending: &mut Option<Place>,
        is_turn: bool,
    ) -> Result<Next<Turn1>, Overflow> {
        // Dropped after the lock.
        let mut dead = Vec::new();
        let mut inner = self.inner.lock();
        let goes_first = is_turn || inner.first.is_empty();
        if goes_first {
            if let Some(idle) = inner.idle(&mut dead) {
                return Ok(Next::Now(Turn1::Use(idle)));
            }
            enter(via, pending)?;
            if let Some(member) = self.member(&mut inner, via.into()) {
                return Ok(Next::Now(Turn1::Dial(member)));
            }
        } else {
            enter(via, pending)?;
        }
        let next = inner.first.wait(self, via, is_turn)?;
        drop(inner);
        if !goes_first {
            // A place that came free elsewhere is seen by whoever looks, and belongs to the first.
            self.wake();
        }
        Ok(next)
    }

    pub(super) fn turn2(
        self: &Arc<Self>,
        via: &Via<'_>,
        pending: &mut Option<Place>,
    ) -> Result<Next<Turn2>, Overflow> {
        // Dropped after the lock.
        let mut dead = Vec::new();
        let mut inner = self.inner.lock();
        let goes_first = inner.second.is_empty();
        if goes_first {
            if let Some(lease) = inner.lease(self, via.limits, &mut dead) {
                return Ok(Next::Now(Turn2::Use(lease)));
            }
            enter(via, pending)?;
            if let Some(dialling) = self.dialling(&mut inner, via.into()) {
                return Ok(Next::Now(Turn2::Dial(dialling)));
            }
        } else {
            enter(via, pending)?;
        }
        let next = inner.second.wait(self, via, false)?;
        drop(inner);
        if !goes_first {
            self.wake();
        }
        Ok(next)
    }

    /// The place of one more connection, if there may be one.
    fn member(self: &Arc<Self>, inner: &mut Inner, rules: Rules<'_>) -> Option<Member> {
        let is_first = self.members.load(Ordering::Relaxed) == 0;
        let max = rules.limits.max_connections.filter(|_| !is_first);
        let place = rules.breakers.take(Limit::Connections, max).ok()?;
        inner.next += 1;
        Some(Member::new(self, inner.next, rules.stats, place))
    }

    /// The same for HTTP/2, where one is made at a time.
    fn dialling(self: &Arc<Self>, inner: &mut Inner, rules: Rules<'_>) -> Option<Dialling> {
        if inner.is_dialling {
            return None;
        }
        let member = self.member(inner, rules)?;
        inner.is_dialling = true;
        Some(Dialling::new(self, member))
    }

    /// Dials in a task of its own, so that a request that gives up takes nobody's connection along, and waits before all
    /// others.
    fn dial(
        self: &Arc<Self>,
        via: &Via<'_>,
        mut dialling: Dialling,
    ) -> Result<Next<Turn2>, Overflow> {
        let next = self.inner.lock().second.wait(self, via, true)?;
        let pool = Arc::clone(self);
        let (cluster, host) = (Arc::clone(via.cluster), Arc::clone(via.host));
        let (worker, limits) = (Arc::clone(via.worker), *via.limits);
        tokio::spawn(async move {
            let via = Via {
                cluster: &cluster,
                host: &host,
                worker: &worker,
                limits: &limits,
            };
            if let Some(member) = dialling.begin() {
                let made = http2::connect(&pool, &via, member).await;
                dialling.end(made);
            }
        });
        Ok(next)
    }

    /// Notes the task of a connection.
    pub(super) fn opened(
        &self,
        number: u64,
        peer: Option<Arc<PeerCertificate>>,
        task: AbortHandle,
    ) {
        self.inner.lock().open.push(Open { number, peer, task });
    }

    /// Takes a connection back whose response has ended.
    pub(super) fn put(&self, idle: http1::Idle) {
        let mut inner = self.inner.lock();
        let is_kept = !inner.is_closed && idle.number() > inner.renewed && !idle.is_closed();
        let gone = if is_kept {
            inner.idle.push(idle);
            None
        } else {
            Some(idle)
        };
        drop(inner);
        drop(gone);
        self.wake();
    }

    /// Gives those who wait what there is for them, in turn.
    pub(super) fn wake(&self) {
        if self.waiting.load(Ordering::Relaxed) == 0 {
            return;
        }
        // Dropped after the lock.
        let (mut dead, mut gone) = (Vec::new(), Vec::new());
        let (mut missed1, mut missed2) = (Vec::new(), Vec::new());
        let mut inner = self.inner.lock();
        while let Some(waiter) = inner.first.pop() {
            let Some(pool) = waiter.pool() else {
                continue;
            };
            let turn = match inner.idle(&mut dead) {
                Some(idle) => Some(Turn1::Use(idle)),
                None => pool.member(&mut inner, waiter.rules()).map(Turn1::Dial),
            };
            let Some(turn) = turn else {
                inner.first.put_back(waiter);
                break;
            };
            missed1.extend(waiter.give(turn));
        }
        while let Some(waiter) = inner.second.pop() {
            let Some(pool) = waiter.pool() else {
                continue;
            };
            let turn = match inner.lease(&pool, waiter.limits(), &mut gone) {
                Some(lease) => Some(Turn2::Use(lease)),
                None => pool.dialling(&mut inner, waiter.rules()).map(Turn2::Dial),
            };
            let Some(turn) = turn else {
                inner.second.put_back(waiter);
                break;
            };
            missed2.extend(waiter.give(turn));
        }
        drop(inner);
    }

    /// Since when a connection of HTTP/1.1 has been idle; `None`: it is not.
    pub(super) fn idle_since(&self, number: u64) -> Option<Instant> {
        let inner = self.inner.lock();
        let idle = inner.idle.iter().find(|idle| idle.number() == number)?;
        Some(idle.since())
    }

    /// Keeps a connection no longer. It ends with the last request that it carries.
    pub(super) fn retire(&self, number: u64) {
        let mut inner = self.inner.lock();
        let idle: Vec<_> = inner
            .idle
            .extract_if(.., |idle| idle.number() == number)
            .collect();
        let shared: Vec<_> = inner
            .shared
            .extract_if(.., |shared| shared.number() == number)
            .collect();
        drop(inner);
        drop((idle, shared));
    }

    /// Keeps no connection that there is now, as their rules have changed: each ends with the last request that it carries.
    /// Source: Envoy, which replaces a cluster that has changed, with its connections.
    pub(super) fn renew(&self) {
        let mut inner = self.inner.lock();
        inner.renewed = inner.next;
        let gone = (
            std::mem::take(&mut inner.idle),
            std::mem::take(&mut inner.shared),
        );
        drop(inner);
        drop(gone);
        self.wake();
    }

    /// Keeps no connection any more: what is idle ends now, the others with the last request that they carry.
    pub(super) fn close(&self) {
        let mut inner = self.inner.lock();
        inner.is_closed = true;
        let gone = (
            std::mem::take(&mut inner.idle),
            std::mem::take(&mut inner.shared),
        );
        drop(inner);
        drop(gone);
        self.wake();
    }

    /// Cuts every connection to a peer that is not believed any more.
    pub(super) fn let_go(&self, believed: &dyn Fn(&PeerCertificate) -> bool) {
        let inner = self.inner.lock();
        for open in &inner.open {
            if open.peer.as_ref().is_some_and(|peer| !believed(peer)) {
                open.task.abort();
            }
        }
    }

    /// Whether there is a connection.
    pub(super) fn is_connected(&self) -> bool {
        !self.inner.lock().open.is_empty()
    }

    /// How many connections are open or being made.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.members.load(Ordering::Relaxed)
    }
}

impl Inner {
    /// A connection of HTTP/1.1 that lives; `dead` are those that do not.
    fn idle(&mut self, dead: &mut Vec<http1::Idle>) -> Option<http1::Idle> {
        while let Some(idle) = self.idle.pop() {
            if !idle.is_closed() {
                return Some(idle);
            }
            dead.push(idle);
        }
        None
    }

    /// A stream of HTTP/2.
    fn lease(
        &mut self,
        pool: &Arc<HostPool>,
        limits: &ConnectionPool,
        gone: &mut Vec<http2::Shared>,
    ) -> Option<http2::Lease> {
        gone.extend(self.shared.extract_if(.., |shared| !shared.is_open()));
        self.shared
            .iter()
            .find_map(|shared| shared.lease(pool, limits))
    }
}

/// Counts a request as pending, once.
fn enter(via: &Via<'_>, pending: &mut Option<Place>) -> Result<(), Overflow> {
    if pending.is_none() {
        let max = via.limits.max_pending_requests;
        *pending = Some(via.cluster.breakers().take(Limit::Pending, max)?);
    }
    Ok(())
}

fn failed(via: &Via<'_>, source: ConnectError) -> SendError {
    SendError::Connect {
        address: via.host.address(),
        source,
    }
}
