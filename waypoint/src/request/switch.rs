//! Connections that become WebSockets.
//!
//! In: a request that asks for it, and the endpoint's consent. Out: the client's consent, then bytes both ways, each
//! direction ending by itself. Never: looks at the bytes; limits how long they flow.
//!
//! Towards the endpoint it is always `upgrade` of HTTP/1.1; a client of HTTP/2 asks by an extended CONNECT (RFC 8441), and
//! is told 200 in the place of 101.
//!
//! Tasks: one per WebSocket, on the session's worker. It ends with the two connections, when the waypoint does not stand
//! before their target any more or policies do not let it go on, at the latest with the process.

use std::{
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use http::{
    HeaderValue, Response, StatusCode, Version,
    header::{CONNECTION, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, UPGRADE},
    request,
};
use hyper::upgrade::OnUpgrade;
use net::relay::{self, Meter, RelayError};
use telemetry::http::{Details, ResponseFlag};

use crate::{
    access::{
        flip::Lost,
        grant::{Basis, Grant},
    },
    body::Body,
    filter::base64,
    io::UpgradedEnd,
    rarely::rarely,
    request::{account::Account, arrive::Upgrade, reply::Reply},
    session::Told,
    upstream::RequestPermit,
};

/// Both ends of a connection that is about to be relayed.
#[derive(Debug)]
pub struct Switched {
    client: OnUpgrade,
    endpoint: OnUpgrade,
    /// The connection counts by them.
    held: (Body, RequestPermit),
}

/// Asks the endpoint for a WebSocket.
pub fn ask(upgrade: &Upgrade, head: &mut request::Parts, random: &mut fastrand::Rng) {
    head.version = Version::HTTP_11;
    let headers = &mut head.headers;
    headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    // HTTP/2 has no use for the key, and HTTP/1.1 asks for one (RFC 6455 §4.1).
    if upgrade.is_stream {
        headers.insert(SEC_WEBSOCKET_KEY, key(random));
    }
}

fn key(random: &mut fastrand::Rng) -> HeaderValue {
    let mut text = Vec::with_capacity(24);
    let mut encoder = base64::Encoder::default();
    encoder.push(&random.u128(..).to_be_bytes(), &mut text);
    encoder.flush(&mut text);
    HeaderValue::from_maybe_shared(bytes::Bytes::from(text))
        .unwrap_or_else(|_| HeaderValue::from_static("AAAAAAAAAAAAAAAAAAAAAA=="))
}

/// Whether the endpoint has switched. `permit` is kept for as long as the connection is in use.
///
/// # Errors
/// The answer where it switches to what nobody asked for, or says yes to a stream without switching.
pub fn switched(
    upgrade: Option<Upgrade>,
    response: &mut Response<Body>,
    permit: RequestPermit,
) -> Result<Outcome, Reply> {
    let switches = response.status() == StatusCode::SWITCHING_PROTOCOLS;
    match upgrade {
        Some(upgrade) if switches => Ok(Outcome::Switched(Switched {
            client: upgrade.client,
            endpoint: hyper::upgrade::on(&mut *response),
            held: (std::mem::take(response.body_mut()), permit),
        })),
        // A 2xx would make a tunnel of the client's stream.
        Some(upgrade) if upgrade.is_stream && response.status().is_success() => {
            Err(Reply::not_switched())
        }
        None if switches => Err(Reply::not_switched()),
        Some(_) | None => Ok(Outcome::Answer(permit)),
    }
}

/// What an endpoint made of a request.
#[derive(Debug)]
pub enum Outcome {
    /// An answer like any other.
    Answer(RequestPermit),
    /// A connection of its own.
    Switched(Switched),
}

/// Says to the client, in its version, that the endpoint consents.
pub fn tell(version: Version, response: &mut Response<Body>) {
    let headers = response.headers_mut();
    if version == Version::HTTP_2 {
        headers.remove(SEC_WEBSOCKET_ACCEPT);
        *response.status_mut() = StatusCode::OK;
    } else {
        headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
        headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    }
    *response.version_mut() = version;
}

impl Switched {
    /// Relays, once both ends have switched, until policies do not let it go on. `account` is told at the end.
    pub fn start(self, mut account: Box<Account>) {
        account.leave();
        let grant = account.basis().map(Basis::detached);
        tokio::spawn(self.run(account, grant));
    }

    async fn run(self, mut account: Box<Account>, grant: Option<Grant>) {
        let Self {
            client,
            endpoint,
            held,
        } = self;
        let session = Arc::clone(account.session());
        let mut told = pin!(session.ending.told(Told::Unserved));
        let mut lost = pin!(rarely(lost(grant)));
        let both = tokio::select! {
            biased;
            told = told.as_mut() => return account.cut(told.details().into()),
            lost = lost.as_mut() => return account.cut(lost.details()),
            both = async { tokio::try_join!(client, endpoint) } => both,
        };
        let (client, endpoint) = match both {
            Ok(both) => both,
            Err(error) => {
                tracing::debug!(%error, "upgrade: one end has gone");
                return account.abandoned();
            }
        };
        let counts = Counts::default();
        let mut client = UpgradedEnd::new(client);
        let mut endpoint = UpgradedEnd::new(endpoint);
        let ended = tokio::select! {
            biased;
            told = told.as_mut() => Err(Details::from(told.details())),
            lost = lost.as_mut() => Err(lost.details()),
            ended = relay::relay(&mut client, &mut endpoint, &counts) => Ok(ended),
        };
        account.relayed(counts.up.load(Relaxed), counts.down.load(Relaxed));
        match ended {
            // Both ends are dropped with this.
            Err(details) => return account.cut(details),
            Ok(Ok(())) => {}
            Ok(Err(RelayError::Downstream(_))) => {
                account.flag(ResponseFlag::DownstreamConnectionTermination);
                account.because(Details::DOWNSTREAM_REMOTE_DISCONNECT);
            }
            Ok(Err(RelayError::Upstream(_))) => {
                account.flag(ResponseFlag::UpstreamConnectionTermination);
                account.because(Details::LATE_RESET);
            }
        }
        account.finish();
        drop(held);
    }
}

/// Waits until policies do not let it go on.
async fn lost(grant: Option<Grant>) -> Lost {
    match grant {
        Some(mut grant) => grant.lost(None, None).await,
        // It was not let in.
        None => Lost::Unknown,
    }
}

#[derive(Debug, Default)]
struct Counts {
    up: AtomicU64,
    down: AtomicU64,
}

impl Meter for Counts {
    fn upward(&self, bytes: u64) {
        self.up.fetch_add(bytes, Relaxed);
    }

    fn downward(&self, bytes: u64) {
        self.down.fetch_add(bytes, Relaxed);
    }
}
