//! Which connection carries a request: the connections of one worker to one endpoint.
//!
//! In: a request that wants to be sent. Out: a connection with room, reused or new. Never: shares a connection between
//! workers; holds its lock while it waits.
//!
//! ```text
//!   HTTP/1.1:  idle? ──yes──▶ used ─────────────▶ put back when the response has ended
//!                └─no─▶ may connect? ──yes──▶ dialled
//!                             └─no─▶ waits for one that is put back or ends
//!   HTTP/2:    one with a free stream? ──yes──▶ used
//!                └─no─▶ dial under way? ──yes──▶ waits for it    (one dial at a time, its own task)
//!                             └─no─▶ may connect? ...as above
//! ```
//! As Envoy: who finds no connection is pending, also while it connects; one connection is allowed in any case, so that
//! a limit which others have used up starves nobody.
//!
//! Only its own worker takes the lock, but for changes of configuration and revoked certificates.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Weak,
        atomic::{AtomicUsize, Ordering},
    },
    time::Instant,
};

use futures_util::{
    FutureExt as _,
    future::{BoxFuture, Shared},
};
use identity::PeerCertificate;
use mesh::backend::ConnectionPool;
use parking_lot::Mutex;
use telemetry::http::ClusterStats;
use tokio::{sync::oneshot, task::AbortHandle};

use crate::upstream::{
    Worker,
    breaker::{Limit, Overflow, Place},
    cluster::Cluster,
    error::{ConnectError, SendError},
    host::Host,
    http1, http2,
};

/// Requests that wait for a connection to one endpoint where the policy has no limit. Each holds its head and a task.
const MAX_WAITING: usize = 16 * 1024;

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
    /// The number of the next connection.
    next: u64,
    open: Vec<Open>,
    /// HTTP/1.1, the one that was used last at the end.
    idle: Vec<http1::Idle>,
    /// HTTP/2.
    shared: Vec<http2::Shared>,
    dial: Option<Dial>,
    waiting: VecDeque<oneshot::Sender<()>>,
}

type Dial = Shared<BoxFuture<'static, Result<(), ConnectError>>>;

#[derive(Debug)]
struct Open {
    number: u64,
    peer: Option<Arc<PeerCertificate>>,
    task: AbortHandle,
}

/// A connection's place in its pool and in its backend's counts, until nobody knows the connection any more.
/// It is never dropped under the pool's lock, which it may take.
#[derive(Debug)]
pub(super) struct Member {
    pool: Weak<HostPool>,
    number: u64,
    stats: Arc<ClusterStats>,
    /// `None` only at its end.
    place: Option<Place>,
}

impl Member {
    pub(super) fn number(&self) -> u64 {
        self.number
    }

    /// To be held by the connection's task.
    pub(super) fn ending(&self) -> Ending {
        Ending {
            pool: Weak::clone(&self.pool),
            number: self.number,
        }
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        self.stats.upstream_cx_active.decrement();
        // Before anyone is woken who wants it.
        drop(self.place.take());
        if let Some(pool) = self.pool.upgrade() {
            pool.members.fetch_sub(1, Ordering::Relaxed);
            pool.wake();
        }
    }
}

/// Takes a connection out of its pool when its task ends, in whatever way.
#[derive(Debug)]
pub(super) struct Ending {
    pool: Weak<HostPool>,
    number: u64,
}

impl Drop for Ending {
    fn drop(&mut self) {
        if let Some(pool) = self.pool.upgrade() {
            pool.retire(self.number);
            let mut inner = pool.inner.lock();
            inner.open.retain(|open| open.number != self.number);
        }
    }
}

/// What a request that wants a connection is to do.
enum Turn<T> {
    Use(T),
    Dial(Member),
    Await(Dial),
    Wait(Waiting),
}

/// A request that waits for its turn.
#[derive(Debug)]
struct Waiting {
    pool: Arc<HostPool>,
    turn: oneshot::Receiver<()>,
}

impl Waiting {
    async fn turn(mut self) {
        // An error means that the pool was emptied, which is a turn, too.
        drop((&mut self.turn).await);
        self.turn.close();
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.pool.waiting.fetch_sub(1, Ordering::Relaxed);
        // Somebody who gives up must not take a turn along that was given meanwhile.
        if !self.turn.is_terminated() && self.turn.try_recv().is_ok() {
            self.pool.wake();
        }
    }
}

impl HostPool {
    /// A connection of HTTP/1.1 that is ready for a request, and whether it has carried one before. `fresh`: those
    /// that are idle are not believed any more.
    pub(super) async fn http1(
        self: &Arc<Self>,
        via: &Via<'_>,
        fresh: bool,
    ) -> Result<(http1::Idle, bool), SendError> {
        if fresh {
            let suspects = std::mem::take(&mut self.inner.lock().idle);
            drop(suspects);
        }
        let mut pending = None;
        loop {
            match self.turn1(via, &mut pending)? {
                Turn::Use(mut idle) => {
                    // The task of the connection may still be at the end of the last response.
                    if idle.is_ready().await {
                        return Ok((idle, true));
                    }
                }
                Turn::Dial(member) => {
                    // Rare, and large.
                    let idle = Box::pin(http1::connect(self, via, member))
                        .await
                        .map_err(|source| failed(via, source))?;
                    return Ok((idle, false));
                }
                Turn::Await(_) => {}
                Turn::Wait(waiting) => waiting.turn().await,
            }
        }
    }

    /// A stream of a connection of HTTP/2.
    pub(super) async fn http2(self: &Arc<Self>, via: &Via<'_>) -> Result<http2::Lease, SendError> {
        let mut pending = None;
        loop {
            let dial = match self.turn2(via, &mut pending)? {
                Turn::Use(lease) => return Ok(lease),
                Turn::Dial(member) => self.dial(via, member),
                Turn::Await(dial) => dial,
                Turn::Wait(waiting) => {
                    waiting.turn().await;
                    continue;
                }
            };
            dial.await.map_err(|source| failed(via, source))?;
        }
    }

    fn turn1(
        self: &Arc<Self>,
        via: &Via<'_>,
        pending: &mut Option<Place>,
    ) -> Result<Turn<http1::Idle>, Overflow> {
        // Dropped after the lock.
        let mut dead = Vec::new();
        let mut inner = self.inner.lock();
        while let Some(idle) = inner.idle.pop() {
            if !idle.is_closed() {
                return Ok(Turn::Use(idle));
            }
            dead.push(idle);
        }
        self.queue(via, &mut inner, pending)
    }

    fn turn2(
        self: &Arc<Self>,
        via: &Via<'_>,
        pending: &mut Option<Place>,
    ) -> Result<Turn<http2::Lease>, Overflow> {
        // Dropped after the lock.
        let _dead: Vec<_>;
        let mut inner = self.inner.lock();
        _dead = inner
            .shared
            .extract_if(.., |shared| !shared.is_open())
            .collect();
        for shared in &inner.shared {
            if let Some(lease) = shared.lease(self, via.limits) {
                return Ok(Turn::Use(lease));
            }
        }
        if let Some(dial) = &inner.dial {
            let dial = dial.clone();
            enter(via, pending)?;
            return Ok(Turn::Await(dial));
        }
        self.queue(via, &mut inner, pending)
    }

    /// There is no connection with room: connects or waits.
    fn queue<T>(
        self: &Arc<Self>,
        via: &Via<'_>,
        inner: &mut Inner,
        pending: &mut Option<Place>,
    ) -> Result<Turn<T>, Overflow> {
        enter(via, pending)?;
        let is_first = self.members.load(Ordering::Relaxed) == 0;
        let max = via.limits.max_connections.filter(|_| !is_first);
        if let Ok(place) = via.cluster.breakers().take(Limit::Connections, max) {
            inner.next += 1;
            let stats = Arc::clone(via.cluster.stats());
            stats.upstream_cx_active.increment();
            self.members.fetch_add(1, Ordering::Relaxed);
            return Ok(Turn::Dial(Member {
                pool: Arc::downgrade(self),
                number: inner.next,
                stats,
                place: Some(place),
            }));
        }
        if inner.waiting.len() >= MAX_WAITING {
            return Err(Overflow {
                limit: Limit::Pending,
                max: u32::try_from(MAX_WAITING).unwrap_or(u32::MAX),
            });
        }
        let (wake, turn) = oneshot::channel();
        inner.waiting.push_back(wake);
        self.waiting.fetch_add(1, Ordering::Relaxed);
        Ok(Turn::Wait(Waiting {
            pool: Arc::clone(self),
            turn,
        }))
    }

    /// Dials in a task of its own, so that a request that gives up takes nobody's connection along.
    fn dial(self: &Arc<Self>, via: &Via<'_>, member: Member) -> Dial {
        let pool = Arc::clone(self);
        let (cluster, host) = (Arc::clone(via.cluster), Arc::clone(via.host));
        let (worker, limits) = (Arc::clone(via.worker), *via.limits);
        // Under the lock: the task cannot end before it is noted.
        let mut inner = self.inner.lock();
        let task = tokio::spawn(async move {
            let via = Via {
                cluster: &cluster,
                host: &host,
                worker: &worker,
                limits: &limits,
            };
            let result = http2::connect(&pool, &via, member).await;
            let mut inner = pool.inner.lock();
            inner.dial = None;
            // Also where nothing is kept any more: somebody waits for it.
            result.map(|shared| inner.shared.push(shared))
        });
        let dial = async move {
            task.await
                .unwrap_or_else(|_cancelled| Err(ConnectError::Ended))
        };
        let dial = dial.boxed().shared();
        inner.dial = Some(dial.clone());
        dial
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
        if !inner.is_closed {
            inner.idle.push(idle);
        }
        drop(inner);
        self.wake();
    }

    /// Gives the next in the queue its turn: something has room.
    pub(super) fn wake(&self) {
        if self.waiting.load(Ordering::Relaxed) == 0 {
            return;
        }
        let mut inner = self.inner.lock();
        while let Some(turn) = inner.waiting.pop_front() {
            if turn.send(()).is_ok() {
                break;
            }
        }
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

    /// Keeps no connection any more: what is idle ends now, the others with the last request that they carry.
    pub(super) fn close(&self) {
        let mut inner = self.inner.lock();
        inner.is_closed = true;
        let gone = (
            std::mem::take(&mut inner.idle),
            std::mem::take(&mut inner.shared),
            std::mem::take(&mut inner.waiting),
        );
        drop(inner);
        drop(gone);
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

    /// How many connections are open or being made.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.members.load(Ordering::Relaxed)
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
