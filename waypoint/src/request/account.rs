//! What is told of one request when it has ended.
//!
//! In: facts, as stages find them out. Out: its line in the access log and its metrics, exactly once; whether it may go on when policies
//! change ([`watch`]). Never: forgets a
//! request: one that is dropped before its end was given up by its client, and is told as that.
//!
//! **Shape:** one allocation per request, which moves with it: from the stages to the body of the response, or to the
//! task that relays an upgraded connection.

use std::{
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use http::{HeaderMap, HeaderName, Method, StatusCode, Version, uri::PathAndQuery};
use mesh::{Name, Service, SpiffeId, Workload, settings::WaypointSettings};
use telemetry::http::{
    AccessLog, Captured, Details, Flags, GrpcStatus, RequestSeries, ResponseFlag, Times,
};

use crate::{
    access::grant::{Line, Terms},
    request::{compiled, head::Named, messages::Messages, reply::Reply, upload::Upload},
    session::{Place, Session},
    upstream::{Host, RequestPermit, host::Way},
};

mod tell;
mod watch;

pub(crate) const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");

/// The facts of one request.
#[derive(Debug)]
pub struct Account {
    session: Arc<Session>,
    /// What it was let in on; `None`: it was not, or not yet.
    terms: Option<Terms>,
    /// What policies saw of its head, where that is not what goes on.
    asked: Option<Box<Line>>,
    /// Where it waits for policies to change.
    place: Place,
    /// Where its client is. Source: `%DOWNSTREAM_REMOTE_ADDRESS%`.
    client: SocketAddr,
    /// `None`: it has not been looked up yet.
    log: Option<Arc<AccessLog>>,
    times: Times,
    method: Method,
    /// Nothing of the head could be read, so nothing is told of it.
    is_unread: bool,
    version: Version,
    scheme: &'static str,
    named: Named,
    path: PathAndQuery,
    original_path: Option<PathAndQuery>,
    request: Captured,
    response: Captured,
    trailers: Captured,
    is_grpc: bool,
    upload: Option<Upload>,
    status: Option<StatusCode>,
    grpc_status: Option<GrpcStatus>,
    flags: Flags,
    details: Option<Details>,
    transport_failure: Option<String>,
    /// Bytes that an upgraded connection received.
    relayed: u64,
    sent: u64,
    messages: Option<Messages>,
    /// Messages of the request and of the response that metrics have already.
    counted: [u64; 2],
    service_time: Option<Duration>,
    attempts: u32,
    upstream: Option<Upstream>,
    cluster: Option<Arc<str>>,
    route: Option<Name>,
    service: Option<Arc<Service>>,
    series: Option<RequestSeries>,
    /// The request's place among those of its backend that are under way.
    permit: Option<RequestPermit>,
    /// Nobody is to tell it any more.
    is_told: bool,
}

/// The endpoint that was tried last.
#[derive(Debug)]
struct Upstream {
    host: Arc<Host>,
    workload: Arc<Workload>,
    /// Our end of the connection to it, where that is a socket of its own.
    local: Option<SocketAddr>,
    /// Whom a tunnel lets answer.
    identity: Option<SpiffeId>,
}

impl Account {
    /// A request that has just come.
    #[must_use]
    pub fn open<B>(session: &Arc<Session>, request: &http::Request<B>) -> Box<Self> {
        let is_grpc = crate::filter::grpc_web::is_grpc(request.headers());
        Box::new(Self {
            session: Arc::clone(session),
            terms: None,
            asked: None,
            place: Place::default(),
            client: session.client,
            log: None,
            times: Times::new(net::clock::wall(), net::clock::now()),
            method: request.method().clone(),
            is_unread: false,
            version: request.version(),
            scheme: "http",
            named: Named::of(request.uri(), request.headers()),
            path: super::head::path_and_query(request.uri()),
            original_path: None,
            request: Captured::default(),
            response: Captured::default(),
            trailers: Captured::default(),
            is_grpc,
            upload: None,
            status: None,
            grpc_status: None,
            flags: Flags::NONE,
            details: None,
            transport_failure: None,
            relayed: 0,
            sent: 0,
            messages: is_grpc.then(Messages::default),
            counted: [0; 2],
            service_time: None,
            attempts: 0,
            upstream: None,
            cluster: None,
            route: None,
            service: session.target.service().cloned(),
            series: None,
            permit: None,
            is_told: false,
        })
    }

    /// What the waypoint is told of itself, of which the access log is a part.
    pub fn configure(&mut self, settings: &Arc<WaypointSettings>) {
        self.log = Some(compiled::access_log(settings));
    }

    /// Where its client is, by the word of those who may speak for others.
    pub fn came_from(&mut self, client: SocketAddr) {
        self.client = client;
    }

    /// Whether the client speaks gRPC, also through gRPC-Web.
    #[must_use]
    pub fn is_grpc(&self) -> bool {
        self.is_grpc
    }

    /// It asks for a WebSocket by a CONNECT, which is a GET from here on.
    pub fn upgrades(&mut self) {
        self.method = Method::GET;
    }

    /// It is gRPC after all.
    pub fn set_grpc(&mut self) {
        self.is_grpc = true;
        self.messages.get_or_insert_default();
    }

    /// The connection that it came on.
    #[must_use]
    pub fn session(&self) -> &Arc<Session> {
        &self.session
    }

    /// When it came.
    #[must_use]
    pub fn began(&self) -> Instant {
        self.times.began
    }

    /// Whom the request names now.
    #[must_use]
    pub fn named(&self) -> &Named {
        &self.named
    }

    /// The scheme that the client used.
    #[must_use]
    pub fn scheme(&self) -> &'static str {
        self.scheme
    }

    /// Path and query, as they go on.
    #[must_use]
    pub fn path(&self) -> &PathAndQuery {
        &self.path
    }

    /// Nothing of its head could be read.
    pub fn unread(&mut self) {
        self.is_unread = true;
        self.named = Named::default();
    }

    /// The head as it came, without what nobody is to see of it. Whom it names and its path are what they were.
    pub fn came(&mut self, headers: &HeaderMap, scheme: &'static str) {
        self.scheme = scheme;
        if let Some(log) = &self.log {
            self.request = log.captures().request.take(headers);
        }
    }

    /// The head as it goes on, after all edits.
    pub fn head(&mut self, uri: &http::Uri, headers: &HeaderMap, scheme: &'static str) {
        self.named = Named::of(uri, headers);
        self.path = super::head::path_and_query(uri);
        self.came(headers, scheme);
    }

    /// The path is another one from now on.
    pub fn rewritten(&mut self, path: PathAndQuery) {
        let before = std::mem::replace(&mut self.path, path);
        self.original_path.get_or_insert(before);
    }

    /// The path was brought into its one spelling.
    pub fn normalized(&mut self, path: PathAndQuery) {
        self.path = path;
    }

    /// Its body.
    pub fn uploads(&mut self, upload: Upload) {
        self.upload = Some(upload);
    }

    /// The rule that it met.
    pub fn routed(&mut self, name: Name) {
        self.route = Some(name);
    }

    /// The backend that it goes to; `service` is the one that is asked for, where it is another than the client's.
    pub fn aimed(&mut self, cluster: Arc<str>, service: Option<Arc<Service>>) {
        self.cluster = Some(cluster);
        if service.is_some() {
            self.service = service;
        }
    }

    /// It is sent to an endpoint.
    pub fn tried(&mut self, host: &Arc<Host>) {
        self.attempts += 1;
        let workload = host.workload();
        self.upstream = Some(Upstream {
            host: Arc::clone(host),
            // A tunnel lets nobody else answer.
            identity: match host.way() {
                Way::Hbone { .. } => Some(workload.identity()),
                Way::Plain => None,
            },
            workload,
            local: None,
        });
    }

    /// The connection that carries it has an address of ours.
    pub fn connected(&mut self, local: Option<SocketAddr>) {
        if let Some(upstream) = &mut self.upstream {
            upstream.local = local;
        }
    }

    /// Something befell.
    pub fn flag(&mut self, flag: ResponseFlag) {
        self.flags.insert(flag);
    }

    /// Why it ended as it did.
    pub fn because(&mut self, details: Details) {
        self.details = Some(details);
    }

    /// We answer it ourselves.
    pub fn replied(&mut self, reply: &Reply) {
        if let Some(flag) = reply.flag {
            self.flags.insert(flag);
        }
        self.details = Some(reply.details.clone());
        self.transport_failure.clone_from(&reply.transport_failure);
        if self.is_grpc {
            self.grpc_status = Some(reply.grpc_status());
        }
    }

    /// It has a place until it has ended.
    pub fn holds(&mut self, permit: RequestPermit) {
        self.permit = Some(permit);
    }

    /// The endpoint has begun to answer. Returns how long it took, from the end of the request.
    pub fn answered(&mut self, now: Instant) -> Duration {
        let received = match &self.upload {
            Some(upload) => upload.ended_at().map(|at| at.max(self.times.began)),
            None => None,
        };
        self.times.request_received = received;
        self.times.request_sent = received;
        self.times.response_began = Some(now);
        self.details = Some(Details::VIA_UPSTREAM);
        let took = now.saturating_duration_since(received.unwrap_or(self.times.began));
        self.service_time = Some(took);
        took
    }

    /// The head of the response, as it goes to the client.
    pub fn responds(&mut self, status: StatusCode, headers: &HeaderMap) {
        self.status = Some(status);
        if let Some(log) = &self.log {
            self.response = log.captures().response.take(headers);
        }
        if self.is_grpc
            && let Some(status) = headers.get(GRPC_STATUS)
        {
            self.grpc_status = GrpcStatus::read(status);
        }
        if self.is_grpc {
            self.series = Some(self.series());
        }
    }

    /// Bytes of the response go to the client.
    pub fn sends(&mut self, data: &[u8]) {
        self.sent += data.len() as u64;
        if let Some(messages) = &mut self.messages {
            messages.push(data);
        }
        if let Some(series) = self.series.take() {
            self.count_messages(&series);
            self.series = Some(series);
        }
    }

    /// Bytes that went both ways on an upgraded connection.
    pub fn relayed(&mut self, received: u64, sent: u64) {
        self.relayed = received;
        self.sent = sent;
    }

    /// The trailers of the response.
    pub fn trails(&mut self, trailers: &HeaderMap) {
        if let Some(log) = &self.log {
            self.trailers = log.captures().trailers.take(trailers);
        }
        if self.is_grpc
            && let Some(status) = trailers.get(GRPC_STATUS)
        {
            self.grpc_status = GrpcStatus::read(status);
        }
    }

    /// The client has it all.
    pub fn finish(mut self: Box<Self>) {
        self.tell();
    }

    /// We have ended it.
    pub fn cut(mut self: Box<Self>, details: Details) {
        self.details = Some(details);
        self.tell();
    }

    /// The client has gone.
    pub fn abandoned(mut self: Box<Self>) {
        self.give_up();
    }
}

impl Drop for Account {
    fn drop(&mut self) {
        self.leave();
        if !self.is_told {
            self.give_up();
        }
    }
}
