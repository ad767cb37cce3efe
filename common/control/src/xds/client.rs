//! The stream to the control plane: it connects, moves messages, comes back.
//!
//! In: settings. Out: what a [`Session`] makes of the responses.
//! Never: gives up; touches what is in force because a stream ended.
//!
//! **Tasks**: none of its own; [`run`] is one future, which its owner drops to end it. The connection's task ends with
//! the stream; a large delta is applied on the blocking pool, which publishes it even if nobody waits for it any more. At every await, what was published was published whole and what was not acknowledged comes again.

use std::{collections::VecDeque, panic::resume_unwind, pin::pin, sync::Arc, time::Duration};

use grpc::{
    Backoff, Channel, Endpoint,
    service::discovery::aggregated_discovery_service_client::AggregatedDiscoveryServiceClient,
    status::chain,
};
use mesh::Delta;
use prost::Message as _;
use tokio::{sync::mpsc, task::JoinError, time};
use tonic::{Code, Status};
use wire::proto::discovery::{
    DeltaDiscoveryRequest as Request, DeltaDiscoveryResponse as Response,
};

use super::{
    demand::Demand,
    gathered::Gathered,
    group::Group,
    node::Node,
    session::Session,
    status::{Reason, XdsStatus},
};
use crate::publish::Publisher;

/// The largest response. Source: Istio's ztunnel. Units: bytes.
pub(super) const MAX_RESPONSE_BYTES: usize = 200 << 20;
/// How many resources are taken in between two yields. Reason: a few milliseconds of work, so that certificates, pods
/// and readers of the same runtime are not held up by a large response.
const MAX_SLICE: usize = 256;
/// How many requests may wait before responses are no longer read. Reason: a server that does not take
/// acknowledgements is not sent more of them.
const MAX_OUTBOX: usize = 64;
/// How long the next response of a group may take. Reason: longer than a control plane takes to send one of the largest, and than it
/// waits for somebody who does not take it; a group that nobody goes on with must not hold back what comes after it.
pub(super) const MAX_GROUP_WAIT: Duration = Duration::from_secs(900);
/// The waits between streams. Source: Istio's ztunnel.
const FIRST_WAIT: Duration = Duration::from_millis(10);
const MAX_WAIT: Duration = Duration::from_secs(15);
/// By how much a wait is spread, so that a node does not come back in step with all others.
const JITTER: f64 = 0.3;
/// How long a stream that delivered must have stood to be a success. Reason: one that always ends after its first
/// response must not be opened a hundred times a second.
const MIN_SUCCESS: Duration = Duration::from_secs(1);

/// Whom to talk to, and as whom.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The control plane.
    pub endpoint: Endpoint,
    /// Who we say that we are.
    pub node: Node,
}

/// Keeps the mesh as the control plane says, for as long as it is polled: it never returns.
///
/// `demand` says by what it is whether everything is subscribed or only what is asked for.
pub async fn run(settings: Settings, publisher: Arc<Publisher>, status: XdsStatus, demand: Demand) {
    let address = settings.endpoint.address.to_string();
    status.starts(address.clone(), net::clock::now());
    let session = Session::new(
        settings.node.message(),
        settings.node.role,
        demand.is_enabled(),
    );
    let mut client = Client {
        session,
        publisher,
        status,
        demand,
        delivered: false,
    };
    let mut backoff = Backoff::new(FIRST_WAIT, 2.0, MAX_WAIT, JITTER);
    loop {
        let began = net::clock::now();
        client.delivered = false;
        let end = match settings.endpoint.connect().await {
            Err(error) => End::new(Reason::ConnectionError, chain(&error)),
            Ok(channel) => Box::pin(client.converse(channel)).await,
        };
        let now = net::clock::now();
        client.session.close(end.too_large);
        client.demand.close();
        if client.delivered && now.saturating_duration_since(began) >= MIN_SUCCESS {
            backoff.reset();
        }
        let wait = backoff.next();
        let (wait_ms, reason) = (wait.as_millis(), &end.words);
        match end.reason {
            Reason::Reconnect | Reason::Complete => {
                tracing::info!(%address, %reason, wait_ms, "the stream to the control plane ended, coming back");
            }
            Reason::ConnectionError | Reason::Error => {
                tracing::warn!(%address, %reason, wait_ms, "no stream to the control plane, trying again");
            }
        }
        client.status.ended(end.reason, end.words, now);
        time::sleep(wait).await;
    }
}

/// How a stream ended.
struct End {
    reason: Reason,
    words: String,
    /// The server refused a message of ours as too large.
    too_large: bool,
}

impl End {
    fn new(reason: Reason, words: String) -> Self {
        Self {
            reason,
            words,
            too_large: false,
        }
    }

    /// From what the server said, or what broke: then the status has a source. `open`: it had taken the stream.
    fn of(status: &Status, open: bool) -> Self {
        let broke = std::error::Error::source(status).is_some();
        let again = matches!(status.code(), Code::Unavailable | Code::Cancelled);
        let reason = match (open, broke) {
            (false, true) => Reason::ConnectionError,
            (true, true) => Reason::Reconnect,
            (true, false) if again => Reason::Reconnect,
            (_, false) => Reason::Error,
        };
        Self {
            reason,
            words: grpc::status::words(status),
            too_large: matches!(status.code(), Code::ResourceExhausted | Code::OutOfRange),
        }
    }
}

struct Client {
    session: Session,
    publisher: Arc<Publisher>,
    status: XdsStatus,
    demand: Demand,
    /// This stream brought something.
    delivered: bool,
}

impl Client {
    /// One stream, from its first request to its end.
    async fn converse(&mut self, channel: Channel) -> End {
        let address = channel.address();
        let mut client = AggregatedDiscoveryServiceClient::new(channel)
            .max_decoding_message_size(MAX_RESPONSE_BYTES);
        let (sender, mut receiver) = mpsc::channel(1);
        let requests = futures_util::stream::poll_fn(move |context| receiver.poll_recv(context));
        let mut outbox: VecDeque<Request> = self.session.open(self.demand.open()).into();
        // Some servers send nothing, not even headers, before they were asked for something.
        let mut call = pin!(client.delta_aggregated_resources(requests));
        let mut responses = loop {
            tokio::select! {
                answer = &mut call => match answer {
                    Ok(answer) => break answer.into_inner(),
                    Err(status) => return End::of(&status, false),
                },
                open = sender.reserve(), if !outbox.is_empty() => send(open.ok(), &mut outbox),
            }
        };
        self.status.connected(net::clock::now());
        tracing::info!(%address, "connected to the control plane");
        let mut group = Group::default();
        let mut heard = time::Instant::now();
        loop {
            tokio::select! {
                open = sender.reserve(), if !outbox.is_empty() => send(open.ok(), &mut outbox),
                message = responses.message(), if outbox.len() < MAX_OUTBOX => match message {
                    Ok(Some(response)) => {
                        heard = time::Instant::now();
                        self.status.message(&response.type_url, response.encoded_len());
                        match group.add(response) {
                            Ok(Some(responses)) => outbox.extend(self.take(responses).await),
                            Ok(None) => {}
                            Err(error) => return End::new(Reason::Error, error.to_string()),
                        }
                    }
                    Ok(None) => return End::new(Reason::Complete, "the server ended the stream".to_owned()),
                    Err(status) => return End::of(&status, true),
                },
                changes = self.demand.changes(), if outbox.is_empty() && self.session.takes_names() => {
                    outbox.extend(self.session.subscribe(&changes));
                }
                () = time::sleep_until(heard + MAX_GROUP_WAIT), if group.is_open() => {
                    return End::new(Reason::Error, format!("responses that belong together: the next did not come within {MAX_GROUP_WAIT:?}"));
                }
            }
        }
    }

    /// Takes the responses of a group in, slice by slice, publishes what they bring as one, and returns what is to be said to them.
    async fn take(&mut self, responses: Vec<Response>) -> Vec<Request> {
        self.delivered = true;
        let mut gathered = Gathered::default();
        let mut answers = Vec::new();
        let mut taken = Vec::new();
        for response in responses {
            let type_url = response.type_url.clone();
            let (resources, removed) = (response.resources.len(), response.removed_resources.len());
            let mut taking = self.session.take(response);
            while let Some(slice) = self.session.slice(&mut taking, MAX_SLICE) {
                if let Some(delta) = slice.delta {
                    gathered.add(delta);
                }
                answers.extend(slice.answers);
                tokio::task::yield_now().await;
            }
            let (nack, refused) = (taking.is_refused(), taking.refused().len());
            tracing::debug!(%type_url, resources, removed, refused, nack, "took in a response of the control plane");
            taken.push((type_url, nack, taking));
        }
        if let Some(delta) = gathered.into_delta() {
            self.publish(delta).await;
        }
        // Whoever is told finds it in the snapshot.
        self.demand.answer(&answers);
        let mut requests = Vec::new();
        for (type_url, nack, taking) in taken {
            requests.extend(self.session.finish(taking));
            match self.session.report(&type_url) {
                Some((in_force, refused)) => self.status.taken(&type_url, in_force, nack, refused),
                None => {
                    tracing::warn!(%type_url, "the control plane sent resources of a type that was not asked for");
                }
            }
        }
        requests
    }
}

impl Client {
    /// Publishes a delta at once: its paths through the snapshot's maps are copied once, not once per slice.
    async fn publish(&self, delta: Delta) {
        if delta.removals.len() + delta.upserts.len() <= MAX_SLICE {
            self.publisher.publish(delta);
            return;
        }
        // A large one takes a while, and what else runs here goes on.
        let publisher = Arc::clone(&self.publisher);
        let publishing = tokio::task::spawn_blocking(move || publisher.publish(delta));
        // Otherwise it is the end of the runtime, and of this with it.
        if let Err(Ok(panic)) = publishing.await.map_err(JoinError::try_into_panic) {
            resume_unwind(panic);
        }
        self.publisher.reclaim();
    }
}

/// Sends the first request; without anybody who takes it, all are dropped: the response says why.
fn send(open: Option<mpsc::Permit<'_, Request>>, outbox: &mut VecDeque<Request>) {
    match open {
        Some(open) => {
            if let Some(request) = outbox.pop_front() {
                open.send(request);
            }
        }
        None => outbox.clear(),
    }
}

#[cfg(test)]
mod tests;
