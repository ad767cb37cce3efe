//! The loops that take queries in and send answers out.
//!
//! In: datagrams and connections of one pod. Out: an answer to each query.
//! Never: lets one query wait for another, except those of one connection; holds more than the limits of
//! [`super`] allow.

use std::{convert::Infallible, fmt, io, net::SocketAddr, sync::Arc, time::Duration};

use control::View;
use futures_util::{
    future::{BoxFuture, FutureExt as _, join_all, select_all},
    stream::{FuturesUnordered, StreamExt as _},
};
use hickory_proto::rr::Record;
use tokio::{
    net::{TcpListener, TcpStream, UdpSocket},
    sync::Semaphore,
    time::timeout,
};

use super::{
    MAX_IN_FLIGHT, MAX_TCP_BYTES, MAX_TCP_CONNECTIONS, MAX_UDP_BYTES,
    forward::{Transport, Upstream, read_message, write_message},
    lookup::{Addresses, Resolver},
    message::{Refusal, Request, parse},
    resolve::{Answer, Client, Pending, Zone, answer},
    sockets::Sockets,
};

/// How long a client may take for one message, or be idle before the next. Source: Istio.
const TIMEOUT_TCP: Duration = Duration::from_secs(5);
/// Rest after the kernel refuses a socket operation: trying again at once would spin.
const PAUSE_FAILED: Duration = Duration::from_millis(50);

/// What happens to queries, for the metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// A well-formed query came in.
    Request,
    /// It is forwarded.
    UpstreamRequest,
    /// No server answered it.
    UpstreamFailure,
    /// How long forwarding took, whether or not it succeeded.
    UpstreamDuration(Duration),
}

/// Who is told of [`Event`]s. Called on the path of each query: must not block.
pub type Observer = Arc<dyn Fn(Event) + Send + Sync>;

/// The DNS proxy of one pod.
#[derive(Clone)]
pub struct Server {
    /// What all pods have in common.
    pub zone: Arc<Zone>,
    /// The pod.
    pub client: Client,
    /// The mesh.
    pub view: View,
    /// Who knows all other names.
    pub upstream: Upstream,
    /// Who remembers the addresses of those that stand behind names of the mesh.
    pub resolver: Arc<Resolver>,
    /// Who is told.
    pub observer: Option<Observer>,
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server")
            .field("client", &self.client)
            .field("zone", &self.zone)
            .finish_non_exhaustive()
    }
}

/// What to do with a query.
enum Step {
    Reply(Vec<u8>),
    Wait(Request, Work),
    Nothing,
}

/// What an answer waits for.
enum Work {
    /// The server upstream that knows it.
    Forward,
    /// The addresses of other names.
    Lookup(Box<Pending>),
}

/// Serves a pod's DNS until it is dropped, which ends all that is under way and is always safe.
///
/// Must be called inside the runtime that is to serve.
///
/// # Errors
/// When a socket cannot be registered with the runtime.
pub async fn serve(server: Server, sockets: Sockets) -> io::Result<Infallible> {
    let in_flight = Semaphore::new(MAX_IN_FLIGHT);
    let mut loops: Vec<BoxFuture<'_, Infallible>> =
        Vec::with_capacity(sockets.udp.len() + sockets.tcp.len());
    for socket in sockets.udp {
        socket.set_nonblocking(true)?;
        loops.push(serve_udp(&server, &in_flight, UdpSocket::from_std(socket)?).boxed());
    }
    for listener in sockets.tcp {
        listener.set_nonblocking(true)?;
        loops.push(serve_tcp(&server, &in_flight, TcpListener::from_std(listener)?).boxed());
    }
    if loops.is_empty() {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "no socket to serve",
        ));
    }
    let (never, ..) = select_all(loops).await;
    match never {}
}

async fn serve_udp(server: &Server, in_flight: &Semaphore, socket: UdpSocket) -> Infallible {
    let socket = &socket;
    let mut buffer = vec![0; MAX_UDP_BYTES];
    let mut pending = FuturesUnordered::new();
    loop {
        let received = tokio::select! {
            received = socket.recv_from(&mut buffer) => received,
            Some(()) = pending.next(), if !pending.is_empty() => continue,
        };
        let (length, peer) = match received {
            Ok(received) => received,
            Err(error) => {
                tracing::debug!(target: "dns", %error, "cannot receive");
                tokio::time::sleep(PAUSE_FAILED).await;
                continue;
            }
        };
        let query = &buffer[..length];
        match server.step(query, Transport::Udp) {
            Step::Nothing => {}
            Step::Reply(reply) => send(socket, &reply, peer).await,
            Step::Wait(request, work) => match in_flight.try_acquire() {
                Ok(permit) => {
                    let query = query.to_vec();
                    pending.push(async move {
                        let transport = Transport::Udp;
                        if let Some(reply) = server.work(&request, &query, work, transport).await {
                            send(socket, &reply, peer).await;
                        }
                        drop(permit);
                    });
                }
                Err(_full) => {
                    if let Some(reply) = server.too_many(&request) {
                        send(socket, &reply, peer).await;
                    }
                }
            },
        }
    }
}

async fn send(socket: &UdpSocket, reply: &[u8], peer: SocketAddr) {
    if let Err(error) = socket.send_to(reply, peer).await {
        tracing::debug!(target: "dns", %error, %peer, "cannot answer");
    }
}

async fn serve_tcp(server: &Server, in_flight: &Semaphore, listener: TcpListener) -> Infallible {
    let mut connections = FuturesUnordered::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept(), if connections.len() < MAX_TCP_CONNECTIONS => accepted,
            Some(()) = connections.next(), if !connections.is_empty() => continue,
        };
        match accepted {
            Ok((stream, peer)) => connections.push(async move {
                if let Err(error) = serve_connection(server, in_flight, stream).await {
                    tracing::debug!(target: "dns", %error, %peer, "connection failed");
                }
            }),
            Err(error) => {
                tracing::debug!(target: "dns", %error, "cannot accept");
                tokio::time::sleep(PAUSE_FAILED).await;
            }
        }
    }
}

/// Answers the queries of one connection in their order, until the client ends it or is silent for too long.
async fn serve_connection(
    server: &Server,
    in_flight: &Semaphore,
    mut stream: TcpStream,
) -> io::Result<()> {
    loop {
        let Ok(read) = timeout(TIMEOUT_TCP, read_message(&mut stream)).await else {
            return Ok(());
        };
        let Some(query) = read? else { return Ok(()) };
        let reply = match server.step(&query, Transport::Tcp) {
            Step::Nothing => return Ok(()),
            Step::Reply(reply) => Some(reply),
            Step::Wait(request, work) => match in_flight.try_acquire() {
                Ok(_permit) => server.work(&request, &query, work, Transport::Tcp).await,
                Err(_full) => server.too_many(&request),
            },
        };
        if let Some(reply) = reply {
            timeout(TIMEOUT_TCP, write_message(&mut stream, &reply)).await??;
        }
    }
}

/// The mesh's own answer.
fn reply(request: &Request, records: Vec<Record>, transport: Transport) -> Option<Vec<u8>> {
    let question = request.question();
    tracing::debug!(
        target: "dns",
        name = %question.name, query = %question.query_type, records = records.len(), "answered"
    );
    let max_bytes = match transport {
        Transport::Udp => request.max_udp_bytes(),
        Transport::Tcp => MAX_TCP_BYTES,
    };
    request.answer(records, max_bytes)
}

impl Server {
    /// What a message asks for, and the answer where the mesh has it.
    fn step(&self, query: &[u8], transport: Transport) -> Step {
        let request = match parse(query) {
            Ok(request) => request,
            Err(Refusal::Silent) => return Step::Nothing,
            Err(Refusal::Reply(reply)) => return Step::Reply(reply),
        };
        self.tell(Event::Request);
        let question = request.question();
        let answer = answer(
            &self.view.load(),
            &self.zone,
            &self.client,
            question,
            &mut || fastrand::u64(..),
        );
        match answer {
            Answer::Forward => Step::Wait(request, Work::Forward),
            Answer::Lookup(pending) => Step::Wait(request, Work::Lookup(pending)),
            Answer::Records(records) => {
                reply(&request, records, transport).map_or(Step::Nothing, Step::Reply)
            }
        }
    }

    async fn work(
        &self,
        request: &Request,
        query: &[u8],
        work: Work,
        transport: Transport,
    ) -> Option<Vec<u8>> {
        match work {
            Work::Forward => self.forward(request, query, transport).await,
            Work::Lookup(pending) => self.lookup(request, *pending, transport).await,
        }
    }

    /// The answer with the addresses of names that it stands for; with those that could be had, if some could.
    async fn lookup(
        &self,
        request: &Request,
        pending: Pending,
        transport: Transport,
    ) -> Option<Vec<u8>> {
        let family = pending.family();
        let asked = pending.names().iter();
        let answers = join_all(asked.map(|name| self.resolver.ask(name, family))).await;
        if answers.iter().all(Result::is_err) && !pending.has_addresses() {
            return request.server_failure();
        }
        let found: Vec<_> = answers.into_iter().flatten().collect();
        let now = net::clock::now();
        let left = |found: &Addresses| found.until.saturating_duration_since(now).as_secs();
        let ttl = found.iter().map(left).min().unwrap_or_default();
        let ips = found.iter().flat_map(|found| found.ips.iter().copied());
        let records = pending.records(ips, u32::try_from(ttl).unwrap_or(u32::MAX), &mut || {
            fastrand::u64(..)
        });
        reply(request, records, transport)
    }

    /// The answer of a server upstream, or that there is none.
    async fn forward(
        &self,
        request: &Request,
        query: &[u8],
        transport: Transport,
    ) -> Option<Vec<u8>> {
        self.tell(Event::UpstreamRequest);
        let start = net::clock::now();
        let answer = self.upstream.forward(request, query, transport).await;
        self.tell(Event::UpstreamDuration(
            net::clock::now().saturating_duration_since(start),
        ));
        let question = request.question();
        match answer {
            Ok(answer) => {
                tracing::debug!(target: "dns", name = %question.name, query = %question.query_type, "forwarded");
                Some(answer)
            }
            Err(error) => {
                self.tell(Event::UpstreamFailure);
                let source = std::error::Error::source(&error).map(tracing::field::display);
                tracing::debug!(target: "dns", name = %question.name, %error, source, "cannot forward");
                request.server_failure()
            }
        }
    }

    fn too_many(&self, request: &Request) -> Option<Vec<u8>> {
        self.tell(Event::UpstreamFailure);
        tracing::debug!(target: "dns", name = %request.question().name, "too many queries are waiting");
        request.server_failure()
    }

    fn tell(&self, event: Event) {
        if let Some(observer) = &self.observer {
            observer(event);
        }
    }
}

#[cfg(test)]
mod tests;
