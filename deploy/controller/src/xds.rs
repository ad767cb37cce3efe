//! Workload xDS: the incremental aggregated discovery service, as Istio's ztunnel speaks it (CP-01, CP-04, CP-05, CP-08).
//!
//! ```text
//! request ──▶ gate ──▶ frame ──▶ session ──▶ subscription ──▶ plan ──▶ message ──▶ body
//!             token    bytes     types       names, nonces    what     bytes
//! ```
//! In: streams of requests, and published snapshots. Out: what each client lacks of what it may see and wants.
//! Never: believes what a client says of itself; waits for one client before another; holds a response in memory.
//!
//! The protocol is pure: [`session`], [`subscription`], [`wildcard`] and [`on_demand`] take requests and snapshots and
//! give responses. The transport around it is [`stream`], one task per client. Responses are written by [`message`]
//! straight into the HTTP/2 body and not by the generated server, because the first one has tens of megabytes, must be
//! one message, and is the same for all clients.

use std::{net::SocketAddr, sync::Arc};

use bytes::Bytes;
use http::{HeaderMap, Request, Response, header::CONTENT_TYPE};
use hyper::body::Body;
use tokio::sync::{Semaphore, mpsc};
use tonic::Status;

use crate::{
    metrics::Metrics,
    publish::View,
    quota::Quota,
    serve::Connection,
    token::{Authenticator, TrustedNodes},
    words::printable,
};

mod body;
mod clients;
mod frame;
#[cfg(test)]
pub(crate) use frame::MAX_REQUEST;
mod gate;
mod message;
mod on_demand;
mod plan;
mod session;
mod stream;
mod subscription;
#[cfg(test)]
pub(crate) mod testkit;
mod viewer;
mod wildcard;

pub use clients::Clients;
pub(crate) use gate::Door;
use gate::{Closed, Gate};

/// The path of the one method that is served.
pub(crate) const PATH: &str =
    "/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources";
/// Streams of one connection; a proxy has one.
const MAX_STREAMS_PER_CONNECTION: usize = 8;
/// How long a waypoint may wait for the first snapshot, which says whether it is one.
const FIRST_SNAPSHOT: std::time::Duration = std::time::Duration::from_secs(10);
/// Pieces between the task and HTTP/2: one is taken while the next is made.
const MAX_PIECES: usize = 1;

/// The service. Cheap to clone.
#[derive(Clone)]
pub struct Service {
    view: View,
    door: Arc<dyn Door>,
    metrics: Metrics,
    clients: Arc<Clients>,
    /// Turns at large requests.
    large: Arc<Semaphore>,
    /// Lines about strangers.
    quota: Arc<Quota>,
}

impl std::fmt::Debug for Service {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Service")
            .field("clients", &self.clients.len())
            .finish_non_exhaustive()
    }
}

impl Service {
    /// A service of what `view` shows to clients whose tokens `authenticator` believes.
    #[must_use]
    pub fn new(
        view: View,
        authenticator: Arc<Authenticator>,
        trusted: Arc<TrustedNodes>,
        metrics: Metrics,
        clients: Arc<Clients>,
    ) -> Self {
        let door = gate::Tokens {
            authenticator,
            trusted,
        };
        Self::with_door(view, Arc::new(door), metrics, clients)
    }

    pub(crate) fn with_door(
        view: View,
        door: Arc<dyn Door>,
        metrics: Metrics,
        clients: Arc<Clients>,
    ) -> Self {
        Self {
            view,
            door,
            metrics,
            clients,
            large: Arc::new(Semaphore::new(frame::MAX_LARGE_REQUESTS)),
            quota: Arc::default(),
        }
    }

    /// Says whether whoever sends these headers is known, and counts it if not.
    ///
    /// # Errors
    /// What the peer is to hear.
    pub(crate) fn authenticate(&self, headers: &HeaderMap, peer: SocketAddr) -> Result<(), Status> {
        match self.door.admit(headers) {
            Ok(_) => Ok(()),
            Err(unknown) => {
                self.metrics.csr.inc();
                self.metrics.authentication_failures.inc();
                let closed = Closed::from(unknown);
                if let Some(left_out) = self.quota.take(net::clock::now()) {
                    tracing::warn!(%peer, left_out, "certificate refused: {closed}");
                }
                Err(closed.status())
            }
        }
    }

    /// Opens a stream, or says why not. Nothing of the request's body is read before the token is believed.
    pub(crate) async fn open<B>(
        self,
        request: Request<B>,
        connection: Arc<Connection>,
    ) -> Response<tonic::body::Body>
    where
        B: Body<Data = Bytes> + Send + Unpin + 'static,
        B::Error: std::fmt::Display,
    {
        match self.admit(&request, &connection).await {
            Ok(stream) => self.start(stream, request.into_body(), connection),
            Err(status) => status.into_http(),
        }
    }

    fn warn(&self, peer: SocketAddr, reason: &dyn std::fmt::Display) {
        if let Some(left_out) = self.quota.take(net::clock::now()) {
            tracing::warn!(%peer, left_out, "xDS client refused: {reason}");
        }
    }

    async fn admit<B>(
        &self,
        request: &Request<B>,
        connection: &Connection,
    ) -> Result<Admitted, Status> {
        let peer = connection.peer();
        let refuse = |closed: Closed| {
            self.warn(peer, &closed);
            closed.status()
        };
        let mut gate = Gate::open(Arc::clone(&self.door), request.headers()).map_err(refuse)?;
        if connection.requests() > MAX_STREAMS_PER_CONNECTION {
            self.warn(
                peer,
                &format_args!("its connection has {MAX_STREAMS_PER_CONNECTION} requests already"),
            );
            return Err(Status::resource_exhausted("too many streams"));
        }
        if !gate.is_trusted() {
            let mut view = self.view.clone();
            let published = view.published();
            if tokio::time::timeout(FIRST_SNAPSHOT, published)
                .await
                .is_err()
            {
                return Err(Status::unavailable("nothing has been published yet"));
            }
        }
        let viewer = gate.viewer(&self.view.load()).map_err(refuse)?;
        let client = self
            .clients
            .enter(peer, &gate.caller, gate.is_trusted(), net::clock::wall())
            .map_err(|full| {
                self.warn(peer, &full);
                Status::resource_exhausted("too many streams")
            })?;
        tracing::info!(
            %peer,
            identity = %printable(&format!("{}/{}", gate.caller.namespace, gate.caller.service_account), 512),
            node = gate.caller.node.as_deref(),
            "xDS client connected"
        );
        Ok(Admitted {
            gate,
            viewer,
            client,
        })
    }

    fn start<B>(
        self,
        admitted: Admitted,
        body: B,
        connection: Arc<Connection>,
    ) -> Response<tonic::body::Body>
    where
        B: Body<Data = Bytes> + Send + Unpin + 'static,
        B::Error: std::fmt::Display,
    {
        let Admitted {
            gate,
            viewer,
            client,
        } = admitted;
        let (pieces, taken) = mpsc::channel(MAX_PIECES);
        let stream = stream::Stream {
            gate,
            session: session::Session::new(&Arc::new(viewer), fastrand::u32(..)),
            view: self.view,
            connection,
            client,
            metrics: self.metrics,
            pieces,
        };
        let requests = frame::Requests::new(body, self.large);
        tokio::spawn(stream.run(requests));
        let mut response = Response::new(tonic::body::Body::new(body::Pieces::new(taken)));
        response
            .headers_mut()
            .insert(CONTENT_TYPE, tonic::metadata::GRPC_CONTENT_TYPE);
        response
    }
}

/// A client that was let in.
struct Admitted {
    gate: Gate,
    viewer: viewer::Viewer,
    client: clients::Client,
}

#[cfg(test)]
mod tests;
