//! What the paths answer.

use std::io;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Response, StatusCode, header, request::Parts};
use http_body::Frame;
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use tokio::sync::mpsc;

use super::body::Body;
use super::grpc;
use super::seen::Seen;
use super::serve::Shared;

/// Pieces of a body that wait to be taken.
const PIECES: usize = 16;
/// How long a half body stands before its connection ends.
const CUT_AFTER: Duration = Duration::from_millis(20);

pub(super) fn is_check(parts: &Parts) -> bool {
    ["/healthz", grpc::CHECK].contains(&parts.uri.path())
}

/// The answer to a health check.
pub(super) fn check(parts: &Parts, sick: bool) -> Response<Body> {
    if grpc::is_grpc(parts) {
        return grpc::check(sick);
    }
    let status = if sick { 503 } else { 200 };
    with(status, Body::Whole(None))
}

/// A failure on purpose.
pub(super) fn failed(status: u16, more: Option<(&'static str, &'static str)>) -> Response<Body> {
    let body = Bytes::from_static(b"failed on purpose\n");
    let mut response = with(status, Body::Whole(Some(body)));
    if let Some((name, value)) = more {
        let value = HeaderValue::from_static(value);
        response.headers_mut().insert(name, value);
    }
    response
}

/// Reads a body to its end, and its trailers.
pub(super) async fn drain(seen: &Seen, mut body: Incoming) -> Option<HeaderMap> {
    let mut trailers = None;
    while let Some(Ok(frame)) = body.frame().await {
        match frame.into_data() {
            Ok(data) => seen.count(data.len()),
            Err(frame) => trailers = frame.into_trailers().ok(),
        }
    }
    trailers
}

/// The answer of a server that is well.
pub(super) async fn answer(
    shared: &Shared,
    seen: Seen,
    parts: &Parts,
    body: Incoming,
) -> Response<Body> {
    if grpc::is_grpc(parts) {
        return grpc::echo(seen, body);
    }
    let mut names = parts.uri.path().split('/').skip(1);
    let (name, argument) = (names.next().unwrap_or_default(), names.next());
    let number = argument.and_then(|it| it.parse::<u64>().ok());
    match (name, number) {
        ("echo", _) => return echo(seen, body),
        ("early", Some(status)) => {
            // What still comes is read and thrown away, as servers do that want their answer to be read.
            tokio::spawn(async move { drain(&seen, body).await });
            return with(u16::try_from(status).unwrap_or(500), Body::Whole(None));
        }
        _ => {}
    }
    let trailers = drain(&seen, body).await;
    let tell = || {
        let text = format!("{}\n", seen.json(&shared.pod, trailers.as_ref()));
        Body::Whole(Some(Bytes::from(text)))
    };
    let mut response = match (name, number) {
        ("status", Some(status)) => with(u16::try_from(status).unwrap_or(500), tell()),
        ("delay", Some(ms)) => {
            tokio::time::sleep(Duration::from_millis(ms)).await;
            with(200, tell())
        }
        ("bytes", Some(length)) => return with(200, Body::Long(length)),
        ("cut", Some(length)) => return cut(length),
        ("stream", _) => return stream(parts.uri.query().unwrap_or_default()),
        ("trailers", _) => return with_trailers(),
        ("headers-large", Some(length)) => {
            let mut response = with(200, tell());
            let value = "x".repeat(usize::try_from(length).unwrap_or(0));
            if let Ok(value) = HeaderValue::from_str(&value) {
                response.headers_mut().insert("x-large", value);
            }
            response
        }
        ("set-cookie", _) => {
            let mut response = with(200, tell());
            for cookie in ["a=1; Path=/", "b=2; Path=/"] {
                let value = HeaderValue::from_static(cookie);
                response.headers_mut().append(header::SET_COOKIE, value);
            }
            response
        }
        _ => with(200, tell()),
    };
    let kind = HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}

fn with(status: u16, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    // A status below 200 cannot be an answer.
    let status = StatusCode::from_u16(status)
        .ok()
        .filter(|it| !it.is_informational());
    *response.status_mut() = status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response
}

/// The body comes back while it comes.
fn echo(seen: Seen, mut body: Incoming) -> Response<Body> {
    let (send, receive) = mpsc::channel(PIECES);
    tokio::spawn(async move {
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(io::Error::other);
            if let Some(data) = frame.as_ref().ok().and_then(|it| it.data_ref()) {
                seen.count(data.len());
            }
            if send.send(frame).await.is_err() {
                return;
            }
        }
    });
    with(200, Body::Frames(receive))
}

fn stream(query: &str) -> Response<Body> {
    let value = |name: &str| {
        let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
        let mut values = pairs
            .filter(|(key, _)| *key == name)
            .map(|(_, value)| value);
        values.next().and_then(|value| value.parse::<u64>().ok())
    };
    let (chunks, every) = (value("chunks").unwrap_or(3), value("every_ms").unwrap_or(0));
    let (send, receive) = mpsc::channel(1);
    tokio::spawn(async move {
        for number in 0..chunks {
            if number > 0 && every > 0 {
                tokio::time::sleep(Duration::from_millis(every)).await;
            }
            let piece = Bytes::from(format!("chunk {number}\n"));
            if send.send(Ok(Frame::data(piece))).await.is_err() {
                return;
            }
        }
    });
    with(200, Body::Frames(receive))
}

fn with_trailers() -> Response<Body> {
    let (send, receive) = mpsc::channel(2);
    let mut trailers = HeaderMap::new();
    trailers.insert("x-trailer", HeaderValue::from_static("after"));
    // Two places are free.
    let _ = send.try_send(Ok(Frame::data(Bytes::from_static(b"before\n"))));
    let _ = send.try_send(Ok(Frame::trailers(trailers)));
    let mut response = with(200, Body::Frames(receive));
    let names = HeaderValue::from_static("x-trailer");
    response.headers_mut().insert(header::TRAILER, names);
    response
}

fn cut(length: u64) -> Response<Body> {
    let (send, receive) = mpsc::channel(2);
    let piece = "x".repeat(usize::try_from(length).unwrap_or(0));
    tokio::spawn(async move {
        if send.send(Ok(Frame::data(Bytes::from(piece)))).await.is_ok() {
            // Time in which the body is written: an error that waits already would be all that is seen.
            tokio::time::sleep(CUT_AFTER).await;
            let _ = send.send(Err(io::Error::other("cut on purpose"))).await;
        }
    });
    let mut response = with(200, Body::Frames(receive));
    let announced = HeaderValue::from(length.saturating_mul(2));
    response
        .headers_mut()
        .insert(header::CONTENT_LENGTH, announced);
    response
}
