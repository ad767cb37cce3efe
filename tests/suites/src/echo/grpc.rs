//! The little gRPC that is needed: messages come back as they are, health is told, failures are trailers only.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Response, header, request::Parts};
use http_body::Frame;
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use tokio::sync::mpsc;

use super::body::Body;
use super::seen::Seen;

/// What a health check calls.
pub(super) const CHECK: &str = "/grpc.health.v1.Health/Check";

/// `HealthCheckResponse{status}` in its frame.
fn health(status: u8) -> Bytes {
    Bytes::copy_from_slice(&[0, 0, 0, 0, 2, 0x08, status])
}

pub(super) fn is_grpc(parts: &Parts) -> bool {
    let kind = parts.headers.get(header::CONTENT_TYPE);
    kind.is_some_and(|it| it.as_bytes().starts_with(b"application/grpc"))
}

/// SERVING or NOT_SERVING.
pub(super) fn check(sick: bool) -> Response<Body> {
    let (send, receive) = mpsc::channel(2);
    // Two places are free.
    let _ = send.try_send(Ok(Frame::data(health(if sick { 2 } else { 1 }))));
    let _ = send.try_send(Ok(Frame::trailers(ok())));
    headed(Body::Frames(receive))
}

/// The request's messages, as they come.
pub(super) fn echo(seen: Seen, mut body: Incoming) -> Response<Body> {
    let (send, receive) = mpsc::channel(16);
    tokio::spawn(async move {
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(std::io::Error::other);
            if let Some(data) = frame.as_ref().ok().and_then(|it| it.data_ref()) {
                seen.count(data.len());
            }
            let trailers = frame.as_ref().is_ok_and(Frame::is_trailers);
            if !trailers && send.send(frame).await.is_err() {
                return;
            }
        }
        // The client has gone.
        let _ = send.send(Ok(Frame::trailers(ok()))).await;
    });
    headed(Body::Frames(receive))
}

/// Trailers only.
pub(super) fn failed(status: u8, more: Option<(&'static str, &'static str)>) -> Response<Body> {
    let mut response = headed(Body::Whole(None));
    let headers = response.headers_mut();
    headers.insert("grpc-status", HeaderValue::from(u16::from(status)));
    headers.insert("grpc-message", HeaderValue::from_static("on purpose"));
    if let Some((name, value)) = more {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

fn headed(body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    let kind = HeaderValue::from_static("application/grpc");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}

fn ok() -> HeaderMap {
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from_static("0"));
    trailers
}
