//! One client: its requests in, its responses out, and when it has to go.
//!
//! Spawns nothing; it is the stream's one task. It ends when the client goes, when its token or its role ends, when it
//! does not keep up, when its connection is recycled, and with the process.

use std::{
    pin::pin,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use hyper::body::Body;
use tokio::{sync::mpsc, time::Instant};
use tonic::Status;

use super::{
    body::Piece,
    clients::{Client, short},
    frame::{FrameError, Received, Requests},
    gate::Gate,
    message::Message,
    session::{ORDER, Session},
    subscription::{Refusal, Settled},
};
use crate::{
    metrics::{Metrics, TypeLabel},
    output::ResourceType,
    publish::View,
    serve::Connection,
    words::printable,
};

/// How often a token is asked about again.
const RECHECK: Duration = Duration::from_secs(10);
/// How long a client may stay silent about a response, and how long it may take nothing of one.
pub(super) const ACK_DEADLINE: Duration = Duration::from_secs(60);
/// How long a whole response may take, however steadily it is taken: as long as it is, it holds on to its snapshot.
const SEND_DEADLINE: Duration = Duration::from_secs(600);
/// How long the last word may take to be taken.
const LAST_WORD: Duration = Duration::from_secs(5);
/// How much of a client's reason is logged.
const MAX_REASON: usize = 512;

/// Why a stream ends.
enum End {
    /// With this for the client.
    Say(Status),
    /// The client is gone.
    Gone,
    /// The client does not keep up: its connection goes with it.
    Cut,
}

/// What one stream works with.
pub(super) struct Stream {
    pub(super) gate: Gate,
    pub(super) session: Session,
    pub(super) view: View,
    pub(super) connection: Arc<Connection>,
    pub(super) client: Client,
    pub(super) metrics: Metrics,
    pub(super) pieces: mpsc::Sender<Piece>,
}

/// A response on its way.
struct Outgoing {
    message: Message,
    begun: Instant,
    /// When the client last took something.
    moved: Instant,
}

/// By when something has to come from the client.
#[derive(Default)]
struct Awaited {
    /// The acknowledgement of a response that is wholly sent, by type in the order of [`ORDER`].
    acks: [Option<Instant>; ORDER.len()],
    /// The last of the requests that the client has announced.
    requests: Option<Instant>,
}

impl Awaited {
    fn slot(&mut self, of: ResourceType) -> Option<&mut Option<Instant>> {
        let position = ORDER.iter().position(|one| *one == of)?;
        self.acks.get_mut(position)
    }

    fn all(&self) -> impl Iterator<Item = Instant> {
        self.acks.iter().chain([&self.requests]).flatten().copied()
    }
}

impl Stream {
    /// Serves until something ends it.
    pub(super) async fn run<B>(mut self, requests: Requests<B>)
    where
        B: Body<Data = Bytes> + Unpin,
        B::Error: std::fmt::Display,
    {
        self.metrics.xds.inc();
        let end = self.serve(requests).await;
        self.metrics.xds.dec();
        let node = self.client.node_id();
        let peer = self.connection.peer();
        match end {
            End::Gone => tracing::info!(%peer, node, "xDS client gone"),
            End::Cut => self.connection.cut(),
            End::Say(status) => {
                tracing::info!(%peer, node, code = ?status.code(), "xDS stream ended: {}", status.message());
                let last = self.pieces.send(Piece::End(status));
                // Who does not even take this is reset.
                drop(tokio::time::timeout(LAST_WORD, last).await);
            }
        }
    }

    async fn serve<B>(&mut self, requests: Requests<B>) -> End
    where
        B: Body<Data = Bytes> + Unpin,
        B::Error: std::fmt::Display,
    {
        let reading = requests.reading();
        // The state of a half-read request lives in this, so that waiting for it can be given up.
        let mut requests = pin!(stream::unfold(requests, |mut requests| async move {
            let next = requests.next().await.transpose()?;
            Some((next, requests))
        }));
        let pieces = self.pieces.clone();
        let mut draining = self.connection.draining();
        let mut outgoing: Option<Outgoing> = None;
        let mut awaited = Awaited::default();
        let mut recheck = self.next_recheck();
        loop {
            if outgoing.is_none() {
                if draining.phase() != net::drain::Phase::Running {
                    return End::Say(Status::unavailable("transport is closing: reconnect"));
                }
                match self.next() {
                    Ok(next) => outgoing = next,
                    Err(status) => return End::Say(status),
                }
            }
            let deadline = deadline(outgoing.as_ref(), &awaited).min(recheck);
            tokio::select! {
                place = pieces.reserve(), if outgoing.is_some() => {
                    let Ok(place) = place else { return End::Gone };
                    if let Some(sending) = &mut outgoing {
                        sending.moved = Instant::now();
                        match sending.message.piece() {
                            Some(bytes) => place.send(Piece::Data(bytes)),
                            None => {
                                outgoing = None;
                                self.expect(&mut awaited);
                            }
                        }
                    }
                }
                received = requests.next() => match received {
                    None => return End::Say(Status::ok("")),
                    Some(Err(error)) => return self.broken(&error),
                    Some(Ok(received)) => {
                        match self.take(received) {
                            Ok(Some(of)) => {
                                if let Some(slot) = awaited.slot(of) {
                                    *slot = None;
                                }
                            }
                            Ok(None) => {}
                            Err(status) => return End::Say(status),
                        }
                        self.expect_requests(&mut awaited);
                    }
                },
                () = self.view.changed() => {}
                () = draining.reached(net::drain::Phase::Draining), if draining.phase() == net::drain::Phase::Running => {}
                () = pieces.closed() => return End::Gone,
                () = tokio::time::sleep_until(deadline) => {
                    let now = Instant::now();
                    // A request that waits for its turn, or is on its way, has deadlines of its own.
                    if awaited.requests.is_some_and(|due| due <= now) && reading.load(Ordering::Relaxed) {
                        awaited.requests = Some(now + ACK_DEADLINE);
                    }
                    if late(outgoing.as_ref(), &awaited, now) {
                        self.log_late(outgoing.as_ref(), &awaited, now);
                        return End::Cut;
                    }
                    if now >= recheck {
                        if let Err(closed) = self.gate.recheck(net::clock::wall()) {
                            self.log_closed(&closed);
                            return End::Say(closed.status());
                        }
                        recheck = self.next_recheck();
                    }
                }
            }
        }
    }

    /// A response is wholly sent: from now on what was sent has to be acknowledged, a group when its last response was sent.
    /// What was acknowledged before we looked is not waited for.
    fn expect(&self, awaited: &mut Awaited) {
        if self.session.is_within_group() {
            return;
        }
        let due = Instant::now() + ACK_DEADLINE;
        for (slot, of) in awaited.acks.iter_mut().zip(ORDER) {
            if self.session.subscription(of).waits() {
                slot.get_or_insert(due);
            }
        }
    }

    /// As long as announced requests are missing, nothing new is sent: one deadline for all of them.
    fn expect_requests(&self, awaited: &mut Awaited) {
        if self.session.is_followed() {
            let due = Instant::now() + ACK_DEADLINE;
            awaited.requests.get_or_insert(due);
        } else {
            awaited.requests = None;
        }
    }

    fn next_recheck(&self) -> Instant {
        let left = self.gate.left(net::clock::wall());
        Instant::now() + left.map_or(RECHECK, |left| left.min(RECHECK))
    }

    /// The next response, if there is one to send.
    fn next(&mut self) -> Result<Option<Outgoing>, Status> {
        let snapshot = self.view.load();
        if snapshot.generation() > 0
            && let Err(closed) = self.gate.permitted(&snapshot)
        {
            self.log_closed(&closed);
            return Err(closed.status());
        }
        let Some((of, message)) = self.session.next(&snapshot) else {
            for of in ORDER {
                if let Some(generation) = self.session.reached(of) {
                    self.client.idle(of, generation);
                }
            }
            return Ok(None);
        };
        if let Some(of) = of {
            let label = TypeLabel { r#type: short(of) };
            self.metrics.pushes.get_or_create_owned(&label).inc();
            self.metrics.bytes.inc_by(message.len() as u64);
            self.client.sent(
                of,
                message.nonce(),
                self.session.subscription(of).planned(),
                message.resources(),
                net::clock::wall(),
            );
        }
        tracing::debug!(
            peer = %self.connection.peer(),
            r#type = message.type_url(),
            nonce = message.nonce(),
            generation = snapshot.generation(),
            resources = message.resources(),
            removals = message.removals(),
            bytes = message.len(),
            is_followed = self.session.is_within_group(),
            "xDS response"
        );
        let now = Instant::now();
        Ok(Some(Outgoing {
            message,
            begun: now,
            moved: now,
        }))
    }

    /// Takes a request; the answer is the type of which a response was settled.
    fn take(&mut self, received: Received) -> Result<Option<ResourceType>, Status> {
        let Received { request, turn } = received;
        if let Some(node) = &request.node {
            self.client.node(&node.id, &node.user_agent_version);
        }
        let settled = self
            .session
            .request(request, net::clock::now())
            .map_err(|refusal| {
                tracing::warn!(peer = %self.connection.peer(), node = self.client.node_id(), "xDS stream refused: {refusal}");
                match refusal {
                    Refusal::Order { .. } | Refusal::Followed { .. } => {
                        Status::invalid_argument(refusal.to_string())
                    }
                    Refusal::Name { .. }
                    | Refusal::Names
                    | Refusal::Bytes
                    | Refusal::Type { .. }
                    | Refusal::Types { .. } => Status::resource_exhausted(refusal.to_string()),
                }
            })?;
        drop(turn);
        for of in ORDER {
            let subscription = self.session.subscription(of);
            if subscription.begun() {
                self.client
                    .subscribed(of, subscription.is_wildcard(), subscription.names());
            }
        }
        Ok(settled.map(|(of, settled)| {
            self.settle(of, &settled);
            of
        }))
    }

    fn settle(&self, of: ResourceType, settled: &Settled) {
        self.client.settled(of, settled, net::clock::wall());
        if let (None, Some(took)) = (&settled.refused, settled.convergence) {
            self.metrics.convergence.observe(took.as_secs_f64());
        }
        if let Some(reason) = &settled.refused {
            let label = TypeLabel { r#type: short(of) };
            self.metrics.rejects.get_or_create_owned(&label).inc();
            tracing::warn!(
                peer = %self.connection.peer(),
                node = self.client.node_id(),
                r#type = short(of),
                nonce = settled.nonce,
                resources = settled.resources,
                "xDS client refused a response: {}",
                printable(reason, MAX_REASON)
            );
        }
    }

    fn broken(&self, error: &FrameError) -> End {
        let peer = self.connection.peer();
        let status = match error {
            FrameError::Broken(_) => {
                tracing::debug!(%peer, "{error}");
                return End::Gone;
            }
            FrameError::Large { .. } => Status::resource_exhausted(error.to_string()),
            FrameError::Flags { .. } => Status::unimplemented(error.to_string()),
            FrameError::Busy { .. } => Status::unavailable(error.to_string()),
            FrameError::Slow { .. } => Status::deadline_exceeded(error.to_string()),
            FrameError::Truncated { .. } | FrameError::Malformed(_) => {
                Status::invalid_argument(error.to_string())
            }
        };
        tracing::warn!(%peer, node = self.client.node_id(), "xDS request refused: {error}");
        End::Say(status)
    }

    fn log_closed(&self, closed: &super::gate::Closed) {
        tracing::warn!(peer = %self.connection.peer(), node = self.client.node_id(), "xDS client is let in no longer: {closed}");
    }

    fn log_late(&self, outgoing: Option<&Outgoing>, awaited: &Awaited, now: Instant) {
        let what = match outgoing {
            _ if awaited.requests.is_some_and(|due| due <= now) => {
                "requests do not come of which it said that they would (followed_by)"
            }
            Some(_) => "it does not take what it is sent",
            None => "it does not acknowledge what it was sent",
        };
        tracing::warn!(peer = %self.connection.peer(), node = self.client.node_id(), "xDS client disconnected: {what}");
    }
}

/// When the client has to have done something.
fn deadline(outgoing: Option<&Outgoing>, awaited: &Awaited) -> Instant {
    let far = Instant::now() + SEND_DEADLINE;
    let sending = outgoing
        .map(|outgoing| (outgoing.moved + ACK_DEADLINE).min(outgoing.begun + SEND_DEADLINE));
    awaited.all().chain(sending).min().unwrap_or(far)
}

fn late(outgoing: Option<&Outgoing>, awaited: &Awaited, now: Instant) -> bool {
    (outgoing.is_some() || awaited.all().next().is_some()) && deadline(outgoing, awaited) <= now
}
