//! Everything that one request, or one TCP session, knows of itself.

use std::{
    net::SocketAddr,
    time::{Duration, Instant, SystemTime},
};

use http::{StatusCode, Version};

use super::{Flags, GrpcStatus, Headers, Parties};
use crate::format::command::Span;

/// When things happened.
#[derive(Clone, Copy, Debug)]
pub struct Times {
    /// When it began, by the wall clock: the moment of the first byte of the request, or of the connection.
    pub wall: SystemTime,
    /// The same moment, for durations.
    pub began: Instant,
    /// When the last byte of the request came.
    pub request_received: Option<Instant>,
    /// When the last byte of the request had gone to the endpoint.
    pub request_sent: Option<Instant>,
    /// When the first byte of the response came from the endpoint.
    pub response_began: Option<Instant>,
    /// When the last byte had gone to the client, or else now.
    pub ended: Instant,
}

impl Times {
    /// Something that begins now.
    #[must_use]
    pub const fn new(wall: SystemTime, now: Instant) -> Self {
        Self {
            wall,
            began: now,
            request_received: None,
            request_sent: None,
            response_began: None,
            ended: now,
        }
    }

    /// From its beginning to its end.
    #[must_use]
    pub fn duration(&self) -> Duration {
        self.ended.saturating_duration_since(self.began)
    }

    pub(crate) fn milliseconds(&self, span: Span) -> Option<u64> {
        let duration = match span {
            Span::Whole => self.duration(),
            Span::Received => self.request_received?.saturating_duration_since(self.began),
            Span::Sent => self.request_sent?.saturating_duration_since(self.began),
            Span::Answered => self.response_began?.saturating_duration_since(self.began),
            Span::Answering => self.ended.saturating_duration_since(self.response_began?),
        };
        Some(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX))
    }
}

/// What is known of one request or TCP session, borrowed from where it is: to make one allocates nothing.
///
/// **Shape:** what is unknown, or not yet known, is `None`, absent or 0. Metrics and the access log are made of the
/// same record, once it has ended; the values of headers are made of one that is not complete.
#[derive(Clone, Copy, Debug)]
pub struct Record<'a> {
    /// When.
    pub times: Times,
    /// Between whom.
    pub parties: Parties<'a>,
    /// The method; none for TCP.
    pub method: Option<&'a str>,
    /// The scheme.
    pub scheme: Option<&'a str>,
    /// The authority, or the host.
    pub authority: Option<&'a str>,
    /// Path and query, as they go to the endpoint.
    pub path: Option<&'a str>,
    /// Path and query as they came, if they were rewritten (`x-envoy-original-path`).
    pub original_path: Option<&'a str>,
    /// The version that the client speaks.
    pub version: Option<Version>,
    /// Headers of the request.
    pub request: Headers<'a>,
    /// Headers of the response.
    pub response: Headers<'a>,
    /// Trailers of the response.
    pub trailers: Headers<'a>,
    /// The status of the response; none if none was begun.
    pub status: Option<StatusCode>,
    /// The gRPC status; none if it is no call of gRPC.
    pub grpc_status: Option<GrpcStatus>,
    /// What befell.
    pub flags: Flags,
    /// Who gave the answer, and why.
    pub details: Option<&'a str>,
    /// Why we ended the client's connection.
    pub termination_details: Option<&'a str>,
    /// Why the endpoint's connection could not be made, or broke.
    pub transport_failure: Option<&'a str>,
    /// Bytes of body from the client. **Units:** bytes.
    pub bytes_received: u64,
    /// Bytes of body to the client. **Units:** bytes.
    pub bytes_sent: u64,
    /// How long the endpoint took for the first byte of its answer (`x-envoy-upstream-service-time`).
    pub upstream_service_time: Option<Duration>,
    /// How often it was tried.
    pub attempts: u32,
    /// The endpoint that was chosen last.
    pub upstream_host: Option<SocketAddr>,
    /// Our end of the connection to it.
    pub upstream_local: Option<SocketAddr>,
    /// Its end, once there is a connection.
    pub upstream_remote: Option<SocketAddr>,
    /// The backend, for example `inbound-vip|80|http|reviews.default.svc.cluster.local;`.
    pub cluster: Option<&'a str>,
    /// What the client dialled.
    pub downstream_local: Option<SocketAddr>,
    /// The client, as `x-forwarded-for` or PROXY may tell.
    pub downstream_remote: Option<SocketAddr>,
    /// The client's socket.
    pub downstream_direct_remote: Option<SocketAddr>,
    /// The server name of the client's TLS.
    pub server_name: Option<&'a str>,
    /// The route's name.
    pub route: Option<&'a str>,
    /// Our own name; empty if it is not known.
    pub hostname: &'a str,
}

impl<'a> Record<'a> {
    /// A record of which nothing but this is known.
    #[must_use]
    pub const fn new(times: Times, parties: Parties<'a>) -> Self {
        Self {
            times,
            parties,
            method: None,
            scheme: None,
            authority: None,
            path: None,
            original_path: None,
            version: None,
            request: Headers::Absent,
            response: Headers::Absent,
            trailers: Headers::Absent,
            status: None,
            grpc_status: None,
            flags: Flags::NONE,
            details: None,
            termination_details: None,
            transport_failure: None,
            bytes_received: 0,
            bytes_sent: 0,
            upstream_service_time: None,
            attempts: 0,
            upstream_host: None,
            upstream_local: None,
            upstream_remote: None,
            cluster: None,
            downstream_local: None,
            downstream_remote: None,
            downstream_direct_remote: None,
            server_name: None,
            route: None,
            hostname: "",
        }
    }
}
