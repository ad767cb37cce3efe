//! One health check.
//!
//! In: an endpoint, what is asked. Out: whether the answer is as expected. Never: waits longer than it is awaited.

use std::{io, sync::Arc};

use bytes::{BufMut as _, Bytes, BytesMut};
use hbone::Early;
use http::{HeaderValue, Method, Request, StatusCode, Uri, Version, header};
use http_body_util::Empty;
use hyper_util::rt::TokioIo;
use mesh::{
    Name,
    backend::{HealthCheck, Probe},
};
use net::relay::TcpEnd;

use crate::upstream::{
    Worker,
    cluster::{Cluster, Key},
    dial,
    error::ConnectError,
    host::Host,
    socket::Socket,
};

/// The longest answer of a gRPC health check that is read: one message of one small number. Units: bytes.
const MAX_MESSAGE_BYTES: usize = 1024;
/// `SERVING` of `grpc.health.v1.HealthCheckResponse`.
const SERVING: u64 = 1;

/// Why an endpoint is not well.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failed {
    #[error("no connection")]
    Connect(#[from] ConnectError),
    #[error("http/1.1 failed")]
    Http1(#[from] hyper::Error),
    #[error("http/2 failed")]
    Http2(#[from] h2::Error),
    #[error("the path {0:?} or host {1:?} is none")]
    Head(Name, Name),
    #[error("status {0}")]
    Status(StatusCode),
    #[error("grpc-status {0:?}")]
    Grpc(Option<HeaderValue>),
    #[error("the answer is not SERVING")]
    NotServing,
    #[error("the answer is longer than {MAX_MESSAGE_BYTES} bytes")]
    TooLong,
}

/// Asks once.
pub(super) async fn probe(
    cluster: &Cluster,
    host: &Host,
    worker: &Worker,
    policy: &HealthCheck,
) -> Result<(), Failed> {
    let other = policy.port.map(|port| host.on_port(port.get()));
    let host = other.as_deref().unwrap_or(host);
    let lane = cluster.telling().lane(None, host.way());
    let limits = dial::Limits {
        time: policy.timeout,
        keepalive: None,
    };
    let opened = dial::open(
        cluster.shared(),
        worker,
        host,
        lane.as_ref(),
        limits,
        &mut Early::<TcpEnd>::none(),
    )
    .await?;
    let socket = Socket::from(opened.transport);
    let authority = |named: &Name| match (&cluster.key, named.is_empty()) {
        (_, false) => named.clone(),
        (Key::Backend(backend), true) => backend.service.hostname.as_str().into(),
        (Key::Workload { .. }, true) => (*host.name()).into(),
    };
    match &policy.probe {
        Probe::Tcp => Ok(()),
        Probe::Http {
            path,
            host,
            expected: _,
        } => {
            let is_http2 = cluster.version(Version::HTTP_11) == Version::HTTP_2;
            let head = head(Method::GET, path, &authority(host), is_http2)?;
            let status = if is_http2 {
                status2(socket, head).await?
            } else {
                status1(socket, head).await?
            };
            if policy.probe.expects(status.as_u16()) {
                Ok(())
            } else {
                Err(Failed::Status(status))
            }
        }
        Probe::Grpc { service } => {
            let path = Name::from("/grpc.health.v1.Health/Check");
            let head = head(Method::POST, &path, &authority(&Name::default()), true)?;
            grpc(socket, head, service).await
        }
    }
}

fn head(
    method: Method,
    path: &Name,
    authority: &Name,
    is_http2: bool,
) -> Result<Request<()>, Failed> {
    let bad = || Failed::Head(path.clone(), authority.clone());
    let mut request = Request::new(());
    *request.method_mut() = method;
    let agent = HeaderValue::from_static("ambit-health-check");
    request.headers_mut().insert(header::USER_AGENT, agent);
    if is_http2 {
        *request.version_mut() = Version::HTTP_2;
        *request.uri_mut() = Uri::builder()
            .scheme("http")
            .authority(authority.as_str())
            .path_and_query(path.as_str())
            .build()
            .map_err(|_| bad())?;
    } else {
        *request.uri_mut() = Uri::try_from(path.as_str()).map_err(|_| bad())?;
        let host = HeaderValue::from_str(authority).map_err(|_| bad())?;
        request.headers_mut().insert(header::HOST, host);
    }
    Ok(request)
}

async fn status1(socket: Socket, request: Request<()>) -> Result<StatusCode, Failed> {
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(socket)).await?;
    let request = request.map(|()| Empty::<Bytes>::new());
    let answer = sender.send_request(request);
    tokio::select! {
        // The connection ends with the answer, and is dropped with what is left of it.
        answer = answer => Ok(answer?.status()),
        ended = connection => {
            ended?;
            Err(io_ended())
        }
    }
}

fn io_ended() -> Failed {
    Failed::Connect(ConnectError::Tcp(Arc::new(io::Error::from(
        io::ErrorKind::UnexpectedEof,
    ))))
}

async fn status2(socket: Socket, request: Request<()>) -> Result<StatusCode, Failed> {
    let (sender, connection) = h2::client::handshake(socket).await?;
    let answer = async {
        let (answer, _stream) = sender.ready().await?.send_request(request, true)?;
        Ok(answer.await?.status())
    };
    tokio::select! {
        status = answer => status,
        ended = connection => {
            ended?;
            Err(io_ended())
        }
    }
}

async fn grpc(socket: Socket, mut request: Request<()>, service: &Name) -> Result<(), Failed> {
    let headers = request.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/grpc"),
    );
    headers.insert(header::TE, HeaderValue::from_static("trailers"));
    let (sender, connection) = h2::client::handshake(socket).await?;
    let answer = async {
        let (answer, mut stream) = sender.ready().await?.send_request(request, false)?;
        stream.send_data(question(service), true)?;
        let answer = answer.await?;
        if answer.status() != StatusCode::OK {
            return Err(Failed::Status(answer.status()));
        }
        // Where there is no message, the status is in the head.
        if let Some(status) = answer.headers().get("grpc-status")
            && status != "0"
        {
            return Err(Failed::Grpc(Some(status.clone())));
        }
        let mut body = answer.into_body();
        let mut message = BytesMut::new();
        while let Some(bytes) = body.data().await {
            let bytes = bytes?;
            drop(body.flow_control().release_capacity(bytes.len()));
            message.extend_from_slice(&bytes);
            if message.len() > MAX_MESSAGE_BYTES {
                return Err(Failed::TooLong);
            }
        }
        let trailers = body.trailers().await?;
        let status = trailers.and_then(|trailers| trailers.get("grpc-status").cloned());
        if status.as_ref().is_none_or(|status| status != "0") {
            return Err(Failed::Grpc(status));
        }
        if is_serving(&message) {
            Ok(())
        } else {
            Err(Failed::NotServing)
        }
    };
    tokio::select! {
        result = answer => result,
        ended = connection => {
            ended?;
            Err(io_ended())
        }
    }
}

/// `HealthCheckRequest`, as gRPC frames it. Source: `grpc.health.v1`, field 1 is the service's name.
#[derive(prost::Message)]
struct HealthCheckRequest {
    #[prost(string, tag = "1")]
    service: String,
}

/// `HealthCheckResponse`. Source: `grpc.health.v1`, field 1 is the status.
#[derive(prost::Message)]
struct HealthCheckResponse {
    #[prost(uint64, tag = "1")]
    status: u64,
}

fn question(service: &Name) -> Bytes {
    use prost::Message as _;
    let message = HealthCheckRequest {
        service: service.to_string(),
    };
    let message = message.encode_to_vec();
    let mut framed = BytesMut::with_capacity(message.len() + 5);
    framed.put_u8(0);
    framed.put_u32(u32::try_from(message.len()).unwrap_or(u32::MAX));
    framed.extend_from_slice(&message);
    framed.freeze()
}

fn is_serving(framed: &[u8]) -> bool {
    use prost::Message as _;
    let Some((&[0, a, b, c, d], message)) = framed.split_first_chunk::<5>() else {
        return false;
    };
    let length = usize::try_from(u32::from_be_bytes([a, b, c, d])).unwrap_or(usize::MAX);
    let message = message.get(..length);
    message
        .and_then(|message| HealthCheckResponse::decode(message).ok())
        .is_some_and(|message| message.status == SERVING)
}
