//! The outbound stages, in order: what happens to a connection that a pod of ours makes.
//!
//! ```text
//! accept ─▶ facts ─▶ decision::outbound ─┬─ Passthrough, Plain ─▶ connect ──────────┐
//!                         │        ▲     ├─ Hbone ─▶ credential ─▶ hbone::Pool ─────┼─▶ relay ─▶ event
//!                         └ Lookup ┘     └─ Hbone ─▶ neighbour ─▶ inbound::joined ──┘
//! ```
//! In: a captured socket. Out: one event per connection. Never: sends a byte to a peer that is not verified; waits for a peer, or for leave to
//! join one, while nobody could cut it.

use std::{net::SocketAddr, sync::Arc};

use decision::outbound::{Facts, Lookup, Plan, Planned, Refusal};
use hbone::{Early, OpenError, TunnelKey, client::DialError};
use mesh::{San, Service, Workload};
use net::{
    relay::{Duplex as _, TcpEnd},
    socket::{self, ConnectError},
};
use telemetry::{Connection, Direction, Outcome, Reason, Security};
use tokio::{net::TcpStream, sync::oneshot::Receiver};

use crate::{
    capture::listen::{Captured, Counted},
    connections::{self, Cut, Open, Outbound, Registered, Way},
    dns::LookupError,
    head,
    neighbour::{Caller, Passage},
    pod::Pod,
    proxy::{Proxy, UnknownPod},
    relay::{self, Carried, Side},
};

mod decide;
mod join;

/// Why a connection failed before it was relayed.
#[derive(Debug, thiserror::Error)]
enum Error {
    #[error("io error: {0}")]
    Socket(#[from] std::io::Error),
    #[error(transparent)]
    UnknownPod(#[from] UnknownPod),
    #[error(transparent)]
    Refused(#[from] Refusal),
    #[error("failed to fetch information about destination: {0}")]
    Unanswered(String),
    #[error(transparent)]
    Lookup(#[from] LookupError),
    #[error("connection failed: {0}")]
    Connect(#[from] ConnectError),
    #[error("identity error: {0}")]
    Identity(#[from] identity::Error),
    #[error(transparent)]
    Open(#[from] OpenError),
}

impl Error {
    fn reason(&self) -> Reason {
        match self {
            Self::Socket(_) => Reason::Io,
            Self::UnknownPod(_) | Self::Unanswered(_) => Reason::NoRoute,
            Self::Refused(Refusal::NoHealthyUpstream { .. }) => Reason::NoHealthyUpstream,
            Self::Lookup(LookupError::TooMany { .. }) => Reason::Overloaded,
            Self::Refused(Refusal::NoValidAddress { .. }) | Self::Lookup(_) | Self::Connect(_) => {
                Reason::ConnectFailed
            }
            Self::Refused(_) => Reason::NoRoute,
            Self::Identity(_) => Reason::Identity,
            Self::Open(error) => match error {
                OpenError::Dial(dial) => match **dial {
                    DialError::Connect(_) => Reason::ConnectFailed,
                    DialError::TimedOut => Reason::NetworkPolicy,
                    DialError::Tls(_) => Reason::TlsHandshake,
                    DialError::Http2(_) => Reason::Http2Handshake,
                    DialError::Draining => Reason::Drained,
                },
                OpenError::Status(status) if status.as_u16() == 401 => Reason::Denied,
                OpenError::Status(_) | OpenError::NoAnswer(_) => Reason::ConnectFailed,
                OpenError::Http2(_) => Reason::PeerProtocolError,
                OpenError::Draining => Reason::Drained,
                OpenError::Client(error) if error.kind() == std::io::ErrorKind::ConnectionReset => {
                    Reason::ClientReset
                }
                OpenError::Client(_) => Reason::ClientDisconnected,
                OpenError::Exhausted => Reason::Overloaded,
            },
        }
    }
}

/// What a connection goes on through.
enum Upstream {
    Tcp(TcpStream),
    Hbone(hbone::Stream),
}

/// Serves one captured connection until its ends stand, from where it goes on by itself.
pub async fn serve(proxy: Arc<Proxy>, captured: Captured) {
    let (client, reported) = (captured.peer, captured.reported());
    let result = match captured.destination {
        Ok(destination) => accept(&proxy, captured, destination).await,
        Err(gone) => Err(gone.into()),
    };
    if let Err(error) = result {
        let connection = Connection::between(Direction::Outbound, client, reported);
        proxy.telemetry.refused(
            &connection,
            error.reason(),
            &error.to_string(),
            net::clock::now(),
        );
    }
}

/// Facts, decision, event. An error here is of a connection of which nothing but addresses is known.
async fn accept(
    proxy: &Arc<Proxy>,
    captured: Captured,
    destination: SocketAddr,
) -> Result<(), Error> {
    let Captured {
        socket,
        peer,
        pod,
        worker,
        counted,
        ..
    } = captured;
    let client = TcpStream::from_std(socket)?;
    let source = proxy
        .own_workload(&pod)
        .await
        .inspect_err(|_| socket::reset_on_close(&client))?;
    let facts = Facts {
        source: &source,
        destination,
    };
    let mut connection = Connection::between(Direction::Outbound, peer, destination);
    connection.source = Some(Arc::clone(&source));
    let decided = match decide::decide(proxy, &facts).await {
        Ok(Planned::Ready(plan)) => Ok(plan),
        Ok(Planned::Lookup(lookup)) => {
            connection.destination = Some(Arc::clone(lookup.workload()));
            connection.service = lookup.service().cloned();
            resolve(proxy, &pod, &source, lookup).await
        }
        Err(error) => Err(error),
    };
    match decided {
        Ok(plan) => {
            describe(&mut connection, &plan);
            let from = From {
                proxy,
                pod: &pod,
                worker,
                client: peer,
                source: &source,
            };
            let registered = from.register(destination, &plan);
            from.establish(client, plan, connection, registered, counted)
                .await;
        }
        Err(error) => {
            socket::reset_on_close(&client);
            let now = net::clock::now();
            let open = proxy.telemetry.opened(connection, now);
            open.close(Outcome::failed(error.reason(), error), now);
        }
    }
    Ok(())
}

/// Finds the address of a destination that is known by name.
async fn resolve(
    proxy: &Proxy,
    pod: &Pod,
    source: &Workload,
    lookup: Lookup,
) -> Result<Plan, Error> {
    let hostname = lookup.hostname();
    proxy.telemetry.dns().resolved(source, hostname);
    let addresses = pod.resolver.resolve(hostname, lookup.families()).await?;
    Ok(lookup.resolved(&addresses, &mut || fastrand::u64(..))?)
}

/// What the metrics and the access log say of the way that a connection takes.
fn describe(connection: &mut Connection, plan: &Plan) {
    connection.service = plan.service().cloned();
    connection.destination = plan.workload().cloned();
    match plan {
        Plan::Passthrough {
            destination,
            service,
        } => {
            connection.destination_addr = *destination;
            connection.passthrough = service.is_none();
        }
        Plan::Plain { destination, .. } => connection.destination_addr = *destination,
        Plan::Hbone {
            peer,
            authority,
            workload,
            ..
        } => {
            connection.destination_addr = *peer;
            connection.hbone_addr = Some((*authority).into());
            connection.source_identity = connection.source.as_ref().map(|source| source.identity());
            connection.destination_identity = Some(workload.identity());
            connection.security = Security::MutualTls;
        }
    }
}

/// Where a connection comes from.
struct From<'a> {
    proxy: &'a Arc<Proxy>,
    pod: &'a Arc<Pod>,
    worker: usize,
    client: SocketAddr,
    source: &'a Arc<Workload>,
}

impl From<'_> {
    /// From here on it can be seen and cut.
    fn register(
        &self,
        original_destination: SocketAddr,
        plan: &Plan,
    ) -> (Registered, Receiver<Cut>) {
        let (destination, way) = match plan {
            Plan::Passthrough { destination, .. } | Plan::Plain { destination, .. } => {
                (*destination, Way::Plain)
            }
            Plan::Hbone { peer, .. } => (*peer, Way::Undecided),
        };
        let open = Outbound {
            source: self.client,
            original_destination,
            destination,
            way,
            peer: None,
        };
        self.pod
            .connections
            .register(self.worker, Open::Outbound(Box::new(open)))
    }

    /// Finds out whether there is a tunnel to open, and opens. What fails or is cut meanwhile is reported here.
    async fn establish(
        &self,
        client: TcpStream,
        plan: Plan,
        mut connection: Connection,
        (registered, mut cut): (Registered, Receiver<Cut>),
        counted: Counted,
    ) {
        let began = net::clock::now();
        let passage = tokio::select! {
            biased;
            reason = &mut cut => Err(connections::reason(reason)),
            passage = self.passage(&plan) => Ok(passage),
        };
        if let Ok(Some(_)) = &passage {
            connection.security = Security::SameNode;
        }
        let event = self.proxy.telemetry.opened(connection, began);
        let side = Side::new(event, registered, cut, Some(counted));
        let mut client = TcpEnd::new(client);
        let stands = match passage {
            Ok(Some(passage)) => self.join(client, passage, side).await,
            Ok(None) => self.connect(client, plan, side).await,
            Err(reason) => {
                client.reset();
                Err((side, relay::cut(&reason)))
            }
        };
        if let Err((side, outcome)) = stands {
            side.close(outcome);
        }
    }

    /// Leave to do without a tunnel.
    async fn passage(&self, plan: &Plan) -> Option<Passage> {
        let caller = Caller {
            pod: self.pod,
            client: self.client.ip(),
            source: self.source,
        };
        let neighbours = self.proxy.neighbours.as_ref()?;
        let options = &self.proxy.sockets.socket;
        neighbours
            .passage(&self.proxy.store, options, caller, plan)
            .await
    }

    /// Connects. What the client says meanwhile goes ahead, if it is through a tunnel.
    async fn connect(
        &self,
        mut client: TcpEnd,
        plan: Plan,
        mut side: Side,
    ) -> Result<(), (Side, Outcome)> {
        if let Plan::Hbone { .. } = &plan {
            side.registered().goes(Way::Hbone);
        }
        let mut early = Early::of(&mut client);
        let upstream = tokio::select! {
            biased;
            reason = side.cut() => Err(relay::cut(&reason)),
            upstream = self.upstream(plan, &mut early) => {
                upstream.map_err(|error| Outcome::failed(error.reason(), error))
            }
        };
        side.counters().add_received(early.bytes());
        // It has kept those bytes, which nobody asks for again.
        drop(early);
        match upstream {
            Ok(Upstream::Tcp(upstream)) => {
                relay::stand(Carried::new(client, TcpEnd::new(upstream), side));
            }
            Ok(Upstream::Hbone(upstream)) => {
                side.registered().reached(Way::Hbone, upstream.peer());
                // A list that came before the peer and its tunnel were noted has found nothing to cut.
                if self.proxy.is_revoked(upstream.peer()) {
                    self.pod.let_go(|peer| !self.proxy.is_revoked(peer));
                    client.reset();
                    return Err((side, relay::cut(&Cut::Revoked)));
                }
                relay::stand(Carried::new(client, upstream, side));
            }
            Err(outcome) => {
                // The application is to see a failed connection, not an empty answer.
                client.reset();
                return Err((side, outcome));
            }
        }
        Ok(())
    }

    async fn upstream(&self, plan: Plan, early: &mut Early<'_, TcpEnd>) -> Result<Upstream, Error> {
        match plan {
            Plan::Passthrough { destination, .. } | Plan::Plain { destination, .. } => {
                let options = &self.proxy.sockets.socket;
                let upstream = socket::connect(
                    &self.pod.netns,
                    self.pod.source(self.client.ip()),
                    destination,
                    options,
                )
                .await?;
                Ok(Upstream::Tcp(upstream))
            }
            Plan::Hbone {
                peer,
                authority,
                expected,
                service,
                ..
            } => {
                let stream = self
                    .tunnel(peer, authority, expected, service.as_deref(), early)
                    .await?;
                Ok(Upstream::Hbone(stream))
            }
        }
    }

    /// Opens a stream to `authority` on a tunnel to `peer`.
    async fn tunnel(
        &self,
        peer: SocketAddr,
        authority: SocketAddr,
        expected: Vec<San>,
        service: Option<&Service>,
        early: &mut Early<'_, TcpEnd>,
    ) -> Result<hbone::Stream, Error> {
        let id = self.source.identity();
        let credential = self.proxy.store.fetch(&id).await?;
        let key = TunnelKey {
            source: id,
            generation: credential.generation(),
            source_ip: self.client.ip(),
            peer,
            expected,
        };
        let dial = || {
            let (netns, sockets) = (
                Arc::clone(&self.pod.netns),
                self.proxy.sockets.socket.clone(),
            );
            let (key, credential) = (key.clone(), Arc::clone(&credential));
            let settings = Arc::clone(&self.proxy.hbone);
            async move {
                let tcp = socket::connect(&netns, Some(key.source_ip), key.peer, &sockets).await?;
                let config = credential.client_config(&key.expected);
                hbone::client::handshake(tcp, config, credential.not_after(), &settings).await
            }
        };
        let baggage = self.pod.baggage.of(self.source);
        let request = || head::request(authority, baggage.as_ref(), self.client, service);
        let (stream, _answer) = self
            .pod
            .pool(self.worker)
            .open(&key, dial, request, early)
            .await?;
        Ok(stream)
    }
}
