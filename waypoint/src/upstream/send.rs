//! A request, or a connection, to the endpoint that was chosen.
//!
//! In: an endpoint, a head and a body. Out: an answer whose body streams, or an end to relay to; what came of it, for
//! outlier detection. Never: another endpoint; a request again that the endpoint may have acted on, but for what
//! [`http1::exchange`] says.

use std::{net::SocketAddr, sync::Arc};

use decision::outlier;
use h2::RecvStream;
use hbone::Early;
use http::{Response, Version, request, response};
use hyper::body::Incoming;
use net::relay::{Duplex, TcpEnd};

use crate::{
    body::Body,
    upstream::{
        behalf::{By, Lane},
        breaker::{Limit, Overflow},
        cluster::{Cluster, Pick},
        dial::{self, Connected},
        error::SendError,
        host::Host,
        http1, http2,
        pool::{HostPool, Via},
        response::UpstreamBody,
    },
};

/// How often a request is taken to another connection because the one that was chosen had ended before it was sent.
const MAX_CONNECTIONS_TRIED: usize = 4;

/// An answer.
#[derive(Debug)]
pub struct Sent {
    /// The answer. An upgrade is in its extensions (`hyper::upgrade::on`); its body is then to be kept for as long as the
    /// connection is in use, which counts by it.
    pub response: Response<Body>,
    /// Who answered.
    pub host: Arc<Host>,
    /// Our end of the connection, where it is a socket of its own.
    pub local: Option<SocketAddr>,
    /// The version that was spoken.
    pub version: Version,
}

impl Sent {
    /// Where the answer came from.
    #[must_use]
    pub fn upstream(&self) -> SocketAddr {
        self.host.address()
    }
}

impl Cluster {
    /// Sends a request to the endpoint that was chosen and waits for the head of its answer.
    ///
    /// `head` is what the endpoint is to see, but for what the version of HTTP makes of it: its `version` is the
    /// client's, its authority is that of `uri`, else its Host. Dropping the future gives the request up.
    ///
    /// # Errors
    /// [`SendError`] tells whether the endpoint may have acted on it.
    pub async fn send(
        self: &Arc<Self>,
        by: By<'_>,
        pick: Pick,
        head: &request::Parts,
        body: Body,
    ) -> Result<Sent, SendError> {
        self.send_noting(by, pick, head, body, &mut None).await
    }

    /// The same; `reached` is set to when the request gets a connection, also where the future is then dropped.
    ///
    /// # Errors
    /// As [`Self::send`].
    pub async fn send_noting(
        self: &Arc<Self>,
        by: By<'_>,
        pick: Pick,
        head: &request::Parts,
        body: Body,
        reached: &mut Option<tokio::time::Instant>,
    ) -> Result<Sent, SendError> {
        let (limits, telling) = {
            let state = self.state.load();
            (state.policy.pool, state.telling)
        };
        let is_http2 = self.version(head.version) == Version::HTTP_2;
        let via = Via {
            cluster: self,
            host: pick.host(),
            worker: by.worker,
            limits: &limits,
        };
        let lane = telling.lane(by.client.as_ref(), via.host.way());
        let result = match pool(&via, lane) {
            Err(overflow) => Err(overflow.into()),
            Ok(pool) if is_http2 => Self::send2(pool.get(), &via, head, body, reached).await,
            Ok(pool) => Self::send1(pool.get(), &via, head, body, reached).await,
        };
        match result {
            Ok(answer) => {
                self.record_answer(pick.host(), &answer);
                Ok(answer.with(pick))
            }
            Err(error) => {
                if error.is_overflow() {
                    self.stats().upstream_rq_pending_overflow.increment();
                } else if error.is_upstream() {
                    self.record(pick.host(), outlier::Outcome::Failed);
                }
                Err(error)
            }
        }
    }

    async fn send1(
        pool: &Arc<HostPool>,
        via: &Via<'_>,
        head: &request::Parts,
        mut body: Body,
        reached: &mut Option<tokio::time::Instant>,
    ) -> Result<Answer, SendError> {
        let mut tried = 0;
        let mut stale = None;
        loop {
            let (idle, is_reused) = pool.http1(via, stale).await?;
            *reached = Some(tokio::time::Instant::now());
            tried += 1;
            let since = idle.since();
            let local = idle.local();
            let address = via.host.address();
            match http1::exchange(idle, is_reused, address, head, body).await {
                Ok((response, idle)) => {
                    let (parts, incoming) = response.into_parts();
                    let requests = via.limits.max_requests_per_connection;
                    let held = (idle, Arc::clone(pool), requests);
                    let engine = Engine::Http1(incoming, held);
                    return Ok(Answer {
                        parts,
                        engine,
                        local,
                    });
                }
                Err(http1::Failed {
                    again: Some(whole), ..
                }) if tried < MAX_CONNECTIONS_TRIED && is_reused => {
                    body = whole;
                    stale = Some(since);
                }
                Err(failed) => return Err(failed.error),
            }
        }
    }

    async fn send2(
        pool: &Arc<HostPool>,
        via: &Via<'_>,
        head: &request::Parts,
        mut body: Body,
        reached: &mut Option<tokio::time::Instant>,
    ) -> Result<Answer, SendError> {
        let mut tried = 0;
        loop {
            let lease = pool.http2(via).await?;
            *reached = Some(tokio::time::Instant::now());
            tried += 1;
            let local = lease.local();
            match http2::exchange(lease, via.host.address(), head, body).await {
                Ok((response, stream)) => {
                    let (parts, recv) = response.into_parts();
                    return Ok(Answer {
                        parts,
                        engine: Engine::Http2(recv, stream),
                        local,
                    });
                }
                Err(http1::Failed {
                    again: Some(whole), ..
                }) if tried < MAX_CONNECTIONS_TRIED => body = whole,
                Err(failed) => return Err(failed.error),
            }
        }
    }

    /// Connects to the endpoint that was chosen, for a connection of which no request is read.
    ///
    /// # Errors
    /// When the limit of connections is reached, or there is no connection.
    pub async fn connect(self: &Arc<Self>, by: By<'_>, pick: Pick) -> Result<Connected, SendError> {
        self.connect_early(by, pick, &mut Early::<TcpEnd>::none())
            .await
    }

    /// The same; what `early` yields meanwhile goes ahead, if it is through a tunnel.
    ///
    /// # Errors
    /// As [`Self::connect`].
    pub async fn connect_early<D: Duplex>(
        self: &Arc<Self>,
        by: By<'_>,
        pick: Pick,
        early: &mut Early<'_, D>,
    ) -> Result<Connected, SendError> {
        let (limits, telling) = {
            let state = self.state.load();
            (state.policy.pool, state.telling)
        };
        let place = self
            .breakers()
            .take(Limit::Connections, limits.max_connections)?;
        let host = Arc::clone(pick.host());
        let lane = telling.lane(by.client.as_ref(), host.way());
        let opened = Box::pin(dial::open(
            &self.shared,
            by.worker,
            &host,
            lane.as_ref(),
            dial::Limits::of(&limits),
            early,
        ))
        .await;
        match opened {
            Ok(opened) => {
                self.record(&host, outlier::Outcome::Success);
                Ok(Connected::new(
                    opened,
                    pick,
                    Arc::clone(self.stats()),
                    place,
                ))
            }
            Err(source) => {
                self.record(&host, outlier::Outcome::Failed);
                Err(SendError::Connect {
                    address: host.address(),
                    source,
                })
            }
        }
    }

    fn record_answer(self: &Arc<Self>, host: &Arc<Host>, answer: &Answer) {
        if self.state.load().policy.outlier.is_some() {
            self.record(host, answer.outcome());
        }
    }

    /// Takes note of a try that was given up because the endpoint took too long. A request that had no connection to it
    /// says nothing of it. The caller counts requests that took too long: a try is none.
    pub fn timed_out(self: &Arc<Self>, host: &Arc<Host>) {
        self.record(host, outlier::Outcome::TimedOut);
    }
}

/// The connections that will do.
enum Pool<'a> {
    Shared(&'a Arc<HostPool>),
    Lane(Arc<HostPool>),
}

impl Pool<'_> {
    fn get(&self) -> &Arc<HostPool> {
        match self {
            Self::Shared(pool) => pool,
            Self::Lane(pool) => pool,
        }
    }
}

fn pool<'a>(via: &Via<'a>, lane: Option<Lane>) -> Result<Pool<'a>, Overflow> {
    let worker = via.worker.index;
    Ok(match lane {
        None => Pool::Shared(via.host.pool(worker)),
        Some(lane) => Pool::Lane(via.host.pool_of(worker, lane)?),
    })
}

/// The head of an answer, and what its body comes from.
struct Answer {
    parts: response::Parts,
    engine: Engine,
    local: Option<SocketAddr>,
}

enum Engine {
    Http1(Incoming, (http1::Idle, Arc<HostPool>, Option<u32>)),
    Http2(RecvStream, http2::Stream),
}

impl Answer {
    fn with(self, pick: Pick) -> Sent {
        let host = Arc::clone(pick.host());
        let (body, version) = match self.engine {
            Engine::Http1(body, (idle, pool, requests)) => {
                let body = UpstreamBody::http1(&self.parts, body, pick, idle, pool, requests);
                (body, Version::HTTP_11)
            }
            Engine::Http2(body, stream) => {
                let body = UpstreamBody::http2(&self.parts, body, pick, stream);
                (body, Version::HTTP_2)
            }
        };
        Sent {
            response: Response::from_parts(self.parts, Body::Upstream(body)),
            host,
            local: self.local,
            version,
        }
    }

    /// What it counts as. One of gRPC that has no message has its status in the head.
    fn outcome(&self) -> outlier::Outcome {
        let status = self.parts.status.as_u16();
        let grpc = self.parts.headers.get("grpc-status");
        let grpc = grpc.and_then(|value| value.to_str().ok()?.parse().ok());
        outlier::Outcome::Status(match grpc {
            Some(grpc) if status < 500 => outlier::http_status(grpc),
            Some(_) | None => status,
        })
    }
}
