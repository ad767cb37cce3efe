//! A connection whose bytes are not looked at: TLS of the client's own, and TCP (RT-16).
//!
//! ```text
//!   session ─▶ policies ─▶ route (server name, subnets, weights) ─▶ backend ─▶ endpoint ─▶ relay ─▶ record
//! ```
//! In: a session. Out: bytes both ways for as long as policies let it, one line of the access log, metrics. Never: passes a connection
//! that a policy might forbid and that cannot be judged without its bytes.

use std::{io, net::IpAddr, sync::Arc, time::Duration};

use mesh::backend::HashKey;
use net::{
    drain::Phase,
    relay::{Duplex, Meter, RelayError},
};
use telemetry::ByteCounters;

mod failure;
mod record;
mod route;

use crate::{
    access::{connection, grant::Grant},
    session::{Session, Told},
    upstream::{Ask, Cluster, Connected, Host, SendError},
};
use failure::Failure;
use record::Book;

/// Endpoints that are tried for one connection. Source: Istio's `max_connect_attempts`, of which three reach three endpoints.
const MAX_ATTEMPTS: usize = 3;

/// A session of which nothing has been connected.
#[derive(Debug)]
pub(crate) struct Opening {
    session: Arc<Session>,
    book: Book,
}

/// A session whose endpoint is connected.
#[derive(Debug)]
pub(crate) struct Open {
    session: Arc<Session>,
    book: Book,
    upstream: Connected,
    limits: Limits,
    grant: Grant,
}

/// How long a connection may take. `None`: for ever.
#[derive(Clone, Copy, Debug)]
struct Limits {
    /// While nothing moves.
    idle: Option<Duration>,
    /// At all. Source: DestinationRule `connectionPool.tcp.maxConnectionDuration`.
    whole: Option<Duration>,
}

impl Opening {
    /// Begins.
    #[must_use]
    pub(crate) fn new(session: Arc<Session>) -> Self {
        Self {
            book: Book::new(&session),
            session,
        }
    }

    /// Finds the backend and connects to an endpoint of it.
    ///
    /// # Errors
    /// When there is none; it has been told then.
    pub(crate) async fn connect(self) -> Result<Open, ()> {
        let Self { session, mut book } = self;
        match admit(&session, &mut book).await {
            Ok((upstream, limits, grant)) => {
                book.connected(&upstream);
                Ok(Open {
                    session,
                    book,
                    upstream,
                    limits,
                    grant,
                })
            }
            Err(failure) => {
                book.failed(&session, failure);
                Err(())
            }
        }
    }
}

/// Lets it in, and connects. What policies say meanwhile counts, too.
async fn admit(
    session: &Arc<Session>,
    book: &mut Book,
) -> Result<(Connected, Limits, Grant), Failure> {
    let mut grant = connection::admit(session).await?;
    let client = grant.basis.client();
    let connected = tokio::select! {
        biased;
        lost = grant.lost(None, None) => return Err(Failure::Lost(lost)),
        connected = connect(session, client, book) => connected,
    };
    let (upstream, limits) = connected?;
    Ok((upstream, limits, grant))
}

async fn connect(
    session: &Arc<Session>,
    client: IpAddr,
    book: &mut Book,
) -> Result<(Connected, Limits), Failure> {
    let cluster = route::route(session, client, book)?;
    cluster.warmed().await;
    let policy = cluster.policy();
    let hash = policy
        .load_balancer
        .hash
        .as_ref()
        .and_then(|hash| match &hash.key {
            HashKey::SourceIp => Some(decision::hash::source_ip(client)),
            // Of requests, of which there are none here.
            HashKey::Header(_) | HashKey::Cookie(_) | HashKey::QueryParameter(_) => None,
        });
    let mut tried: Vec<Arc<Host>> = Vec::new();
    loop {
        let ask = Ask {
            hash,
            tried: &tried,
            remote_localities: false,
            original_destination: session.destination,
        };
        let pick = cluster.pick(&ask).map_err(Failure::NoHost)?;
        let host = Arc::clone(pick.host());
        book.tried(&host);
        match cluster.connect(session.on_behalf(client), pick).await {
            Ok(upstream) => {
                let limits = Limits {
                    idle: policy.pool.idle_timeout,
                    whole: policy.pool.max_connection_duration,
                };
                return Ok((upstream, limits));
            }
            Err(error) if retries(&error) && tried.len() + 1 < MAX_ATTEMPTS => tried.push(host),
            Err(error) => return Err(Failure::Connect(error)),
        }
    }
}

fn retries(error: &SendError) -> bool {
    error.is_connect_failure()
}

impl Open {
    /// Relays until both directions have ended, or it is told to end.
    pub(crate) async fn relay(self, mut downstream: impl Duplex) {
        let Self {
            session,
            mut book,
            mut upstream,
            limits,
            mut grant,
        } = self;
        let open = book.open(&session);
        let counters = open.counters();
        let mut draining = session.proxy.draining.clone();
        let meter = Counted(counters);
        let cut = tokio::select! {
            biased;
            lost = grant.lost(None, None) => Some(Failure::Lost(lost)),
            _told = session.ending.told(Told::Unserved) => Some(Failure::Unserved),
            () = draining.reached(Phase::Cut) => Some(Failure::Drained),
            () = idle(counters, limits.idle) => Some(Failure::Idle),
            () = lifetime(limits.whole) => Some(Failure::Duration),
            result = net::relay::relay(&mut downstream, &mut upstream, &meter) => {
                // The tunnel may be cut before this task is told.
                let is_cut = session.proxy.draining.phase() >= Phase::Cut;
                result.err().map(|error| match is_cut {
                    true => Failure::Drained,
                    false => Failure::Relay(error),
                })
            }
        };
        if cut.is_some() {
            downstream.reset();
            upstream.reset();
        }
        book.ended(&session, open, cut);
    }

    /// The client has given up before it was answered.
    pub(crate) fn abandoned(self, error: io::Error) {
        let Self {
            session,
            mut book,
            mut upstream,
            ..
        } = self;
        // Its end must not look like a polite one.
        upstream.reset();
        let open = book.open(&session);
        book.ended(
            &session,
            open,
            Some(Failure::Relay(RelayError::Downstream(error))),
        );
    }
}

struct Counted<'a>(&'a ByteCounters);

impl Meter for Counted<'_> {
    fn upward(&self, bytes: u64) {
        self.0.add_received(bytes);
    }

    fn downward(&self, bytes: u64) {
        self.0.add_sent(bytes);
    }
}

async fn lifetime(limit: Option<Duration>) {
    match limit {
        Some(limit) => tokio::time::sleep(limit).await,
        None => std::future::pending().await,
    }
}

/// Waits until nothing has moved for so long, and for as long again at most.
async fn idle(counters: &ByteCounters, timeout: Option<Duration>) {
    let Some(timeout) = timeout.filter(|timeout| !timeout.is_zero()) else {
        return std::future::pending().await;
    };
    let moved = || (counters.received(), counters.sent());
    let mut before = moved();
    loop {
        tokio::time::sleep(timeout).await;
        let now = moved();
        if now == before {
            return;
        }
        before = now;
    }
}
