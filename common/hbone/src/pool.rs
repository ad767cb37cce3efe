//! Which tunnel carries a stream: one that is open, or a new one.
//!
//! In: a [`TunnelKey`], a way to dial, a CONNECT request and what goes ahead of its answer. Out: an answered [`Stream`].
//! Never: shares a tunnel between source addresses, identities or certificate generations; opens a stream on a
//! tunnel whose certificates have expired.
//!
//! There is one pool per pod and worker, so its lock is never contended; it is held for lookups only.

use std::{
    collections::HashMap,
    io,
    net::{IpAddr, SocketAddr},
    pin::Pin,
    sync::{Arc, Weak},
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use futures_util::{
    FutureExt as _,
    future::{BoxFuture, Shared},
};
use h2::client::SendRequest;
use http::{Request, StatusCode, response};
use identity::PeerCertificate;
use mesh::{SpiffeId, spiffe::San};
use net::{
    drain::{Draining, Phase},
    relay::Duplex,
};
use parking_lot::Mutex;

use crate::{
    client::{DialError, Dialed, Owner},
    early::Early,
    settings::Settings,
    stream::Stream,
    tunnel::{Slot, Usage},
};

/// Tunnels that die under a request before it is given up, not counting those of the pool that were dead already.
const MAX_ATTEMPTS: usize = 3;
/// Turns of waiting for others' dials before giving up: each turn opens room for `max_streams` more.
const MAX_TURNS: usize = 64;

/// What two streams must have in common to share a tunnel.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TunnelKey {
    /// Our identity.
    pub source: SpiffeId,
    /// The generation of our certificate, so that new streams use a new certificate at once.
    pub generation: u64,
    /// The client's address: the peer knows the client by the tunnel's TCP address.
    pub source_ip: IpAddr,
    /// The peer's HBONE address.
    pub peer: SocketAddr,
    /// The URI SANs that the peer may present.
    pub expected: Vec<San>,
}

/// Why a stream could not be opened. Texts: Istio's ztunnel.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// No tunnel.
    #[error(transparent)]
    Dial(Arc<DialError>),
    /// The tunnel failed before the answer.
    #[error("h2 failed: {0}")]
    Http2(#[source] io::Error),
    /// The peer refused.
    #[error("http status: {0}")]
    Status(StatusCode),
    /// No answer.
    #[error("no answer to CONNECT within {} s", .0.as_secs())]
    NoAnswer(Duration),
    /// The pod is going away.
    #[error("pool draining")]
    Draining,
    /// The application went away before the answer.
    #[error("client disconnected before all data was written: {0}")]
    Client(#[source] io::Error),
    /// More streams wait than tunnels can be made for.
    #[error("no tunnel has room for another stream")]
    Exhausted,
}

/// The tunnels of one pod on one worker.
#[derive(Debug)]
pub struct Pool {
    settings: Arc<Settings>,
    draining: Draining,
    entries: Mutex<HashMap<TunnelKey, Entry>>,
}

#[derive(Debug, Default)]
struct Entry {
    tunnels: Vec<Tunnel>,
    dials: Vec<Dial>,
    /// The number of the next dial.
    next: u64,
}

#[derive(Debug)]
struct Tunnel {
    sender: SendRequest<Bytes>,
    usage: Arc<Usage>,
    expires: SystemTime,
}

#[derive(Debug)]
struct Dial {
    number: u64,
    /// Streams that wait for it.
    waiting: u32,
    done: Shared<BoxFuture<'static, Result<(), Arc<DialError>>>>,
}

enum Next {
    Use(SendRequest<Bytes>, Slot, Arc<Usage>),
    Wait(Shared<BoxFuture<'static, Result<(), Arc<DialError>>>>),
}

impl Pool {
    /// An empty pool.
    #[must_use]
    pub fn new(settings: Arc<Settings>, draining: Draining) -> Arc<Self> {
        Arc::new(Self {
            settings,
            draining,
            entries: Mutex::default(),
        })
    }

    /// How many tunnels are open.
    #[must_use]
    pub fn tunnels(&self) -> usize {
        self.entries
            .lock()
            .values()
            .map(|entry| entry.tunnels.len())
            .sum()
    }

    /// Lets go of every tunnel to a peer that is not believed any more: no stream is opened on it, and it ends with
    /// the last one that is.
    pub fn let_go(&self, believed: impl Fn(&PeerCertificate) -> bool) {
        for entry in self.entries.lock().values_mut() {
            entry.tunnels.retain(|tunnel| {
                let stays = believed(tunnel.usage.peer());
                if !stays {
                    tunnel.usage.close();
                }
                stays
            });
        }
    }

    /// Opens a stream: on an open tunnel of `key` with room, or on a new one that `dial` makes. Requests that
    /// come while a tunnel is being made wait for it. `early` goes along with the request.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub async fn open<F, D: Duplex>(
        self: &Arc<Self>,
        key: &TunnelKey,
        dial: impl Fn() -> F,
        request: impl Fn() -> Request<()>,
        early: &mut Early<'_, D>,
    ) -> Result<(Stream, response::Parts), OpenError>
    where
        F: Future<Output = Result<Dialed, DialError>> + Send + 'static,
    {
        let (mut attempts, mut dialed) = (0, false);
        for _ in 0..MAX_TURNS {
            if self.draining.phase() != Phase::Running {
                return Err(OpenError::Draining);
            }
            let (sender, slot, usage) = match self.next(key, &dial) {
                Next::Use(sender, slot, usage) => (sender, slot, usage),
                Next::Wait(dial) => {
                    dial.await.map_err(OpenError::Dial)?;
                    dialed = true;
                    continue;
                }
            };
            match self.request(sender, slot, request(), early).await {
                Ok(opened) => return Ok(opened),
                Err(Failed::Final(error)) => return Err(error),
                Err(Failed::Tunnel { error, asked }) => {
                    usage.close();
                    attempts += usize::from(asked || dialed);
                    if attempts == MAX_ATTEMPTS {
                        return Err(error);
                    }
                }
            }
        }
        Err(OpenError::Exhausted)
    }

    fn next<F>(self: &Arc<Self>, key: &TunnelKey, dial: impl FnOnce() -> F) -> Next
    where
        F: Future<Output = Result<Dialed, DialError>> + Send + 'static,
    {
        let now = net::clock::wall();
        let mut entries = self.entries.lock();
        if !entries.contains_key(key) {
            entries.insert(key.clone(), Entry::default());
        }
        let Some(entry) = entries.get_mut(key) else {
            unreachable!("it was just inserted")
        };
        // Letting go of a tunnel ends it when its last stream ends.
        entry
            .tunnels
            .retain(|tunnel| !tunnel.usage.is_closed() && now < tunnel.expires);
        for tunnel in &entry.tunnels {
            let limit = tunnel
                .sender
                .current_max_send_streams()
                .min(self.settings.max_streams as usize);
            if let Some(slot) = tunnel.usage.reserve(limit) {
                return Next::Use(tunnel.sender.clone(), slot, Arc::clone(&tunnel.usage));
            }
        }
        if let Some(dial) = entry
            .dials
            .iter_mut()
            .find(|dial| dial.waiting < self.settings.max_streams)
        {
            dial.waiting += 1;
            return Next::Wait(dial.done.clone());
        }
        let number = entry.next;
        entry.next += 1;
        // A task of its own, so that a client that gives up takes nobody's tunnel along.
        let task = tokio::spawn(Arc::clone(self).dial(key.clone(), number, dial()));
        let done = async move {
            task.await
                .unwrap_or_else(|_cancelled| Err(Arc::new(DialError::Draining)))
        };
        let done = done.boxed().shared();
        entry.dials.push(Dial {
            number,
            waiting: 1,
            done: done.clone(),
        });
        Next::Wait(done)
    }

    async fn dial(
        self: Arc<Self>,
        key: TunnelKey,
        number: u64,
        dial: impl Future<Output = Result<Dialed, DialError>>,
    ) -> Result<(), Arc<DialError>> {
        let mut draining = self.draining.clone();
        let result = tokio::select! {
            result = dial => result,
            () = draining.reached(Phase::Cut) => Err(DialError::Draining),
        };
        let mut entries = self.entries.lock();
        let entry = entries.entry(key.clone()).or_default();
        entry.dials.retain(|dial| dial.number != number);
        match result {
            Ok(dialed) => {
                let usage = Usage::new(Arc::clone(&dialed.peer));
                let expires = dialed.expires;
                let owner = Tending {
                    pool: Arc::downgrade(&self),
                    key: key.clone(),
                    usage: Arc::clone(&usage),
                };
                let (sender, driver) =
                    dialed.drive(Arc::clone(&usage), owner, &self.draining, &self.settings);
                entry.tunnels.push(Tunnel {
                    sender,
                    usage: Arc::clone(&usage),
                    expires,
                });
                drop(entries);
                let pool = Arc::downgrade(&self);
                tokio::spawn(async move {
                    let peer = key.peer;
                    match driver.await {
                        Ok(()) => tracing::debug!(%peer, "tunnel ended"),
                        Err(error) => tracing::debug!(%peer, %error, "tunnel failed"),
                    }
                    if let Some(pool) = pool.upgrade() {
                        pool.forget(&key, &usage);
                    }
                });
                Ok(())
            }
            Err(error) => {
                if entry.tunnels.is_empty() && entry.dials.is_empty() {
                    entries.remove(&key);
                }
                Err(Arc::new(error))
            }
        }
    }

    fn forget(&self, key: &TunnelKey, usage: &Arc<Usage>) {
        let mut entries = self.entries.lock();
        if let Some(entry) = entries.get_mut(key) {
            entry
                .tunnels
                .retain(|tunnel| !Arc::ptr_eq(&tunnel.usage, usage));
            if entry.tunnels.is_empty() && entry.dials.is_empty() {
                entries.remove(key);
            }
        }
    }

    async fn request<D: Duplex>(
        &self,
        sender: SendRequest<Bytes>,
        slot: Slot,
        request: Request<()>,
        early: &mut Early<'_, D>,
    ) -> Result<(Stream, response::Parts), Failed> {
        let dead = |error| Failed::Tunnel {
            error: OpenError::Http2(io::Error::other(error)),
            asked: false,
        };
        let mut sender = sender.ready().await.map_err(dead)?;
        let (mut answer, mut send) = sender.send_request(request, false).map_err(dead)?;
        // The tunnel must be able to end while this stream goes on.
        drop(sender);
        early.repeat(&mut send).map_err(Failed::of)?;
        let limit = self.settings.timeout_response;
        let answer = std::future::poll_fn(|cx| {
            let answer = Pin::new(&mut answer).poll(cx);
            if answer.is_pending() {
                early
                    .poll_forward(cx, &mut send)
                    .map_err(|gone| Failed::Final(OpenError::Client(gone)))?
                    .map_err(Failed::of)?;
            }
            answer.map_err(Failed::of)
        });
        let answer = match tokio::time::timeout(limit, answer).await {
            Ok(answer) => answer?,
            Err(_elapsed) => return Err(Failed::Final(OpenError::NoAnswer(limit))),
        };
        let (head, recv) = answer.into_parts();
        if head.status != StatusCode::OK {
            return Err(Failed::Final(OpenError::Status(head.status)));
        }
        Ok((Stream::new(send, recv, slot), head))
    }
}

/// How a request failed.
enum Failed {
    /// With its tunnel, and the peer has not processed it. `asked`: the request was sent.
    Tunnel { error: OpenError, asked: bool },
    /// For good.
    Final(OpenError),
}

impl Failed {
    fn of(error: h2::Error) -> Self {
        // RFC 9113 §6.8 and §8.7: the peer says that it has not processed it, so another tunnel may carry it. Where
        // our own engine ends the tunnel, the application may have the first bytes already.
        let refused = error.is_go_away() || error.reason() == Some(h2::Reason::REFUSED_STREAM);
        let unprocessed = refused && error.is_remote();
        let error = OpenError::Http2(io::Error::other(error));
        if unprocessed {
            Self::Tunnel { error, asked: true }
        } else {
            Self::Final(error)
        }
    }
}

/// Lets go of a tunnel that has long been idle.
struct Tending {
    pool: Weak<Pool>,
    key: TunnelKey,
    usage: Arc<Usage>,
}

impl Owner for Tending {
    fn tick(&self) {
        let Some(pool) = self.pool.upgrade() else {
            return;
        };
        let mut entries = pool.entries.lock();
        // Under the lock: no stream can be added between the look and the close.
        let expired = entries
            .get(&self.key)
            .and_then(|entry| {
                entry
                    .tunnels
                    .iter()
                    .find(|tunnel| Arc::ptr_eq(&tunnel.usage, &self.usage))
            })
            .is_some_and(|tunnel| net::clock::wall() >= tunnel.expires);
        let idle = self
            .usage
            .idle_for(net::clock::now())
            .is_some_and(|idle| idle >= pool.settings.timeout_idle);
        if (idle || expired)
            && let Some(entry) = entries.get_mut(&self.key)
        {
            self.usage.close();
            entry
                .tunnels
                .retain(|tunnel| !Arc::ptr_eq(&tunnel.usage, &self.usage));
        }
    }
}

#[cfg(test)]
mod tests;
