//! Answers of our own.
//!
//! In: why there is no other. Out: a response, and what is said of it in metrics and logs. Never: says more to a client
//! than Envoy would; names of policies and addresses stay in the log.
//!
//! Source: Envoy's local replies: texts, flags and details are its own. A client of gRPC gets 200 and a status of gRPC.

use bytes::Bytes;
use decision::outlier;
use http::{
    HeaderMap, HeaderName, HeaderValue, Response, StatusCode,
    header::{CONTENT_LENGTH, CONTENT_TYPE, LOCATION},
};
use mesh::{
    Name,
    route::{AbortStatus, DirectResponse, Missing},
};
use telemetry::http::{Details, GrpcStatus, ResponseFlag};

use crate::{
    body::Body,
    filter::envoy::X_ENVOY_OVERLOADED,
    http1::Refusal,
    upstream::{Reset, SendError},
};

const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");
const GRPC_MESSAGE: HeaderName = HeaderName::from_static("grpc-message");
/// What the mesh says to whom it does not let in. Source: Envoy's RBAC filter.
const DENIED: &str = "RBAC: access denied";

/// What a client of gRPC is told of a text. Reason: it goes into a header, and somebody else may have written it. Units: bytes.
const MAX_MESSAGE_BYTES: usize = 4096;

/// An answer of our own.
#[derive(Clone, Debug)]
pub struct Reply {
    /// Its status, for a client that speaks no gRPC.
    pub status: StatusCode,
    /// The status for one that does; `None`: what stands for `status`.
    pub grpc: Option<GrpcStatus>,
    /// A text for people, or what somebody else says; may be empty. Units: bytes.
    pub body: Bytes,
    /// What befell the request.
    pub flag: Option<ResponseFlag>,
    /// Why.
    pub details: Details,
    /// What went wrong below HTTP.
    pub transport_failure: Option<String>,
    /// A limit was met (`x-envoy-overloaded`).
    pub overloaded: bool,
    /// Further headers, in the place of our own where they have their names. Several of one name stand beside each other.
    pub headers: Vec<(HeaderName, HeaderValue)>,
}

impl Reply {
    /// An answer without a text.
    #[must_use]
    pub fn new(status: StatusCode, details: Details) -> Self {
        Self {
            status,
            grpc: None,
            body: Bytes::new(),
            flag: None,
            details,
            transport_failure: None,
            overloaded: false,
            headers: Vec::new(),
        }
    }

    /// With a flag.
    #[must_use]
    pub fn flagged(mut self, flag: ResponseFlag) -> Self {
        self.flag = Some(flag);
        self
    }

    /// With a text.
    #[must_use]
    pub fn saying(self, body: &'static str) -> Self {
        self.with_body(Bytes::from_static(body.as_bytes()))
    }

    /// With a text, or with what somebody else says.
    #[must_use]
    pub fn with_body(mut self, body: impl Into<Bytes>) -> Self {
        self.body = body.into();
        self
    }

    /// With one more header.
    #[must_use]
    pub fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    /// With a status for clients of gRPC that is not what stands for the other one.
    #[must_use]
    pub fn with_grpc(mut self, status: GrpcStatus) -> Self {
        self.grpc = Some(status);
        self
    }

    /// The connection's guard found that the request is none.
    #[must_use]
    pub fn refused(refusal: Refusal) -> Self {
        let reply = Self::new(refusal.status(), refusal.details().into());
        if refusal.is_protocol_error() {
            reply
                .flagged(ResponseFlag::DownstreamProtocolError)
                .with_body(refusal.to_string())
        } else {
            reply
        }
    }

    /// The path has no one meaning.
    #[must_use]
    pub fn malformed_path() -> Self {
        Self::new(StatusCode::BAD_REQUEST, Details::PATH_NORMALIZATION_FAILED)
    }

    /// There is no authority.
    #[must_use]
    pub fn missing_host() -> Self {
        Self::new(StatusCode::BAD_REQUEST, Details::MISSING_HOST_HEADER)
    }

    /// The client asks for a tunnel, or for another protocol than a WebSocket.
    #[must_use]
    pub fn no_tunnel() -> Self {
        Self::new(StatusCode::FORBIDDEN, Details::UPGRADE_FAILED)
    }

    /// A policy holds that cannot be enforced. Only the log names it.
    #[must_use]
    pub fn unenforced(policy: &Name) -> Self {
        Self::denied(Details::from(format!("unenforced_policy[{policy}]")))
    }

    /// A policy denies it, or none allows it. Only the log says which.
    #[must_use]
    pub fn denied(details: Details) -> Self {
        Self::new(StatusCode::FORBIDDEN, details).saying(DENIED)
    }

    /// The waypoint has no settings, so it does not know what holds.
    #[must_use]
    pub fn unconfigured() -> Self {
        Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "waypoint_not_configured".into(),
        )
    }

    /// Nothing was told of the service's port, so it is not known what holds.
    #[must_use]
    pub fn route_table_missing() -> Self {
        Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "route_table_missing".into(),
        )
        .flagged(ResponseFlag::NoRouteFound)
    }

    /// No rule matches.
    #[must_use]
    pub fn no_route() -> Self {
        Self::new(StatusCode::NOT_FOUND, Details::ROUTE_NOT_FOUND)
            .flagged(ResponseFlag::NoRouteFound)
    }

    /// The rule's backend does not exist.
    #[must_use]
    pub fn missing(missing: &Missing) -> Self {
        Self::no_cluster(missing.status)
    }

    /// There is nothing to send the request to.
    #[must_use]
    pub fn no_cluster(status: u16) -> Self {
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::SERVICE_UNAVAILABLE);
        Self::new(status, Details::CLUSTER_NOT_FOUND).flagged(ResponseFlag::NoClusterFound)
    }

    /// No endpoint may be given the request.
    #[must_use]
    pub fn no_host() -> Self {
        Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            Details::NO_HEALTHY_UPSTREAM,
        )
        .flagged(ResponseFlag::NoHealthyUpstream)
        .saying("no healthy upstream")
    }

    /// The request took too long.
    #[must_use]
    pub fn timed_out() -> Self {
        Self::timeout(Details::RESPONSE_TIMEOUT)
    }

    /// One attempt took too long, and there is no other.
    #[must_use]
    pub fn attempt_timed_out() -> Self {
        Self::timeout(Details::UPSTREAM_PER_TRY_TIMEOUT)
    }

    fn timeout(details: Details) -> Self {
        Self::new(StatusCode::GATEWAY_TIMEOUT, details)
            .flagged(ResponseFlag::UpstreamRequestTimeout)
            .saying("upstream request timeout")
    }

    /// The backend did not answer. `retried`: it was tried more than once.
    #[must_use]
    pub fn failed(error: &SendError, retried: bool) -> Self {
        let reset = error.reset();
        let transport_failure = error.transport_failure();
        let again = if retried {
            "retried and the latest "
        } else {
            ""
        };
        // Why a connection failed is for the log alone: it may name identities of others.
        let body = format!(
            "upstream connect error or disconnect/reset before headers. {again}reset reason: {}",
            reset.words()
        );
        let status = match reset {
            Reset::ProtocolError => StatusCode::BAD_GATEWAY,
            Reset::Overflow
            | Reset::RemoteConnectionFailure
            | Reset::ConnectionTimeout
            | Reset::RemoteRefusedStream
            | Reset::RemoteReset
            | Reset::ConnectionTermination
            | Reset::LocalReset => StatusCode::SERVICE_UNAVAILABLE,
        };
        Self {
            body: body.into(),
            flag: Some(reset.flag()),
            transport_failure,
            overloaded: reset == Reset::Overflow,
            ..Self::new(status, error.details().into())
        }
    }

    /// A limit was met before a connection was asked for.
    #[must_use]
    pub fn overflow() -> Self {
        Self {
            overloaded: true,
            ..Self::new(StatusCode::SERVICE_UNAVAILABLE, Details::OVERFLOW)
                .flagged(ResponseFlag::UpstreamOverflow)
                .saying(
                    "upstream connect error or disconnect/reset before headers. reset reason: overflow",
                )
        }
    }

    /// A failure on purpose.
    #[must_use]
    pub fn aborted(status: AbortStatus) -> Self {
        let (status, grpc) = match status {
            AbortStatus::Http(status) => (
                StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
                None,
            ),
            AbortStatus::Grpc(grpc) => {
                let status = StatusCode::from_u16(outlier::http_status(grpc));
                (
                    status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
                    Some(GrpcStatus::new(grpc)),
                )
            }
        };
        Self {
            grpc,
            ..Self::new(status, Details::FAULT_FILTER_ABORT)
                .flagged(ResponseFlag::FaultInjected)
                .saying("fault filter abort")
        }
    }

    /// The endpoint does not go on to the protocol that was asked for, or to one that was not.
    #[must_use]
    pub fn not_switched() -> Self {
        Self::new(StatusCode::BAD_GATEWAY, Details::UPGRADE_FAILED)
            .flagged(ResponseFlag::UpstreamProtocolError)
    }

    /// The client has gone, so nobody reads this.
    #[must_use]
    pub fn gone() -> Self {
        Self::new(
            StatusCode::BAD_REQUEST,
            Details::DOWNSTREAM_REMOTE_DISCONNECT,
        )
        .flagged(ResponseFlag::DownstreamConnectionTermination)
    }

    /// The body of the request is not what its head says.
    #[must_use]
    pub fn malformed_body() -> Self {
        Self::new(StatusCode::BAD_REQUEST, "request_body_malformed".into())
            .flagged(ResponseFlag::DownstreamProtocolError)
    }

    /// The response, for a client that speaks gRPC or does not.
    #[must_use]
    pub fn response(&self, grpc: bool) -> Response<Body> {
        let mut response = if grpc {
            self.in_grpc()
        } else {
            text(self.status, &self.body)
        };
        if self.overloaded {
            let yes = HeaderValue::from_static("true");
            response.headers_mut().insert(X_ENVOY_OVERLOADED, yes);
        }
        self.add_headers(grpc, response.headers_mut());
        response
    }

    fn add_headers(&self, grpc: bool, headers: &mut HeaderMap) {
        // What frames the message is ours to say.
        let is_ours = |name: &HeaderName| {
            name == CONTENT_LENGTH || (grpc && (name == CONTENT_TYPE || *name == GRPC_STATUS))
        };
        for (index, (name, value)) in self.headers.iter().enumerate() {
            if is_ours(name) {
                continue;
            }
            if self
                .headers
                .iter()
                .take(index)
                .any(|(other, _)| other == name)
            {
                headers.append(name.clone(), value.clone());
            } else {
                headers.insert(name.clone(), value.clone());
            }
        }
    }

    /// What a client of gRPC is told.
    #[must_use]
    pub fn grpc_status(&self) -> GrpcStatus {
        self.grpc.unwrap_or_else(|| GrpcStatus::of(self.status))
    }

    fn in_grpc(&self) -> Response<Body> {
        let mut response = Response::new(Body::Empty);
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
        headers.insert(GRPC_STATUS, HeaderValue::from(self.grpc_status().number()));
        if let Some(message) = grpc_message(&self.body) {
            headers.insert(GRPC_MESSAGE, message);
        }
        response
    }
}

fn text(status: StatusCode, body: &Bytes) -> Response<Body> {
    let mut response = Response::new(Body::Empty);
    *response.status_mut() = status;
    if !body.is_empty() {
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
        headers.insert(CONTENT_LENGTH, HeaderValue::from(body.len()));
        *response.body_mut() = Body::Full(body.clone());
    }
    response
}

/// Percent-encoded, as gRPC over HTTP/2 says under `Status-Message`.
fn grpc_message(text: &[u8]) -> Option<HeaderValue> {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    let text = text.get(..MAX_MESSAGE_BYTES).unwrap_or(text);
    if text.is_empty() {
        return None;
    }
    let mut out = Vec::with_capacity(text.len());
    for &byte in text {
        if matches!(byte, b' '..=b'~') && byte != b'%' {
            out.push(byte);
        } else {
            let digit = |value: u8| DIGITS.get(usize::from(value)).copied().unwrap_or(b'0');
            out.extend([b'%', digit(byte >> 4), digit(byte & 0xf)]);
        }
    }
    HeaderValue::from_maybe_shared(Bytes::from(out)).ok()
}

/// The fixed answer of a rule. A client of gRPC gets it as a status of gRPC.
#[must_use]
pub fn direct(answer: &DirectResponse, grpc: bool) -> Response<Body> {
    let status = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    if grpc {
        let reply = Reply::new(status, Details::DIRECT_RESPONSE);
        let text = String::from_utf8_lossy(&answer.body).into_owned();
        return reply.with_body(text).in_grpc();
    }
    let mut response = Response::new(Body::Empty);
    *response.status_mut() = status;
    if !answer.body.is_empty() {
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
        headers.insert(CONTENT_LENGTH, HeaderValue::from(answer.body.len()));
        *response.body_mut() = Body::Full(Bytes::copy_from_slice(&answer.body));
    }
    response
}

/// A redirect.
#[must_use]
pub fn redirect(status: u16, location: &str) -> Response<Body> {
    let mut response = Response::new(Body::Empty);
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::MOVED_PERMANENTLY);
    if let Ok(location) = HeaderValue::from_str(location) {
        response.headers_mut().insert(LOCATION, location);
    }
    response
}

/// The answer to a CORS preflight.
#[must_use]
pub fn preflight(headers: HeaderMap) -> Response<Body> {
    let mut response = Response::new(Body::Empty);
    *response.headers_mut() = headers;
    response
}

#[cfg(test)]
mod tests;
