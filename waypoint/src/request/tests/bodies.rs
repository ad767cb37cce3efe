//! Bodies that stream, both ways and through both versions, to real clients.

use std::{net::SocketAddr, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, Request, Response, Version, header::HOST};
use http_body::Frame;
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    sync::mpsc,
};

use super::kit::*;
use crate::body::{Body, BodyError};

const BOTH: [Version; 2] = [Version::HTTP_11, Version::HTTP_2];

/// A waypoint whose backends speak a version.
fn kit(endpoints: &[SocketAddr], version: Version) -> Kit {
    let mut plan = Plan {
        client: version,
        ..Plan::default()
    };
    if version == Version::HTTP_2 {
        plan.policy.pool.http2 = mesh::backend::Upgrade::Http2;
    }
    Kit::new(endpoints, plan)
}

/// Sends one request over a connection of its own.
async fn ask(front: SocketAddr, version: Version, request: Request<Body>) -> Response<Incoming> {
    let io = TokioIo::new(TcpStream::connect(front).await.unwrap());
    let asking = async {
        if version == Version::HTTP_2 {
            let builder = hyper::client::conn::http2::Builder::new(TokioExecutor::new());
            let (mut sender, connection) = builder.handshake(io).await.unwrap();
            tokio::spawn(connection);
            sender.send_request(request).await.unwrap()
        } else {
            let (mut sender, connection) = hyper::client::conn::http1::handshake(io).await.unwrap();
            tokio::spawn(connection);
            sender.send_request(request).await.unwrap()
        }
    };
    tokio::time::timeout(PATIENCE, asking).await.unwrap()
}

fn post_of(version: Version, body: Body) -> Request<Body> {
    let uri = if version == Version::HTTP_2 {
        "http://reviews:80/"
    } else {
        "/"
    };
    let mut request = Request::builder().method("POST").uri(uri);
    if version == Version::HTTP_11 {
        request = request.header(HOST, "reviews:80");
    }
    request.header("te", "trailers").body(body).unwrap()
}

/// A body that the test feeds.
fn fed() -> (mpsc::UnboundedSender<Frame<Bytes>>, Body) {
    let (sender, mut receiver) = mpsc::unbounded_channel();
    let frames = futures_util::stream::poll_fn(move |cx| {
        receiver
            .poll_recv(cx)
            .map(|frame| frame.map(Ok::<_, BodyError>))
    });
    (sender, Body::boxed(StreamBody::new(frames)))
}

fn data(text: &'static str) -> Frame<Bytes> {
    Frame::data(Bytes::from_static(text.as_bytes()))
}

async fn next(body: &mut Incoming) -> Bytes {
    let frame = tokio::time::timeout(PATIENCE, body.frame()).await;
    frame.unwrap().unwrap().unwrap().into_data().unwrap()
}

#[tokio::test]
async fn bytes_go_both_ways_at_once() {
    for version in BOTH {
        // What comes is sent back, frame by frame.
        let address = backend(version, |request| async {
            let mut response = Response::new(Body::from(request.into_body()));
            *response.version_mut() = Version::HTTP_11;
            Ok(response)
        })
        .await;
        let kit = kit(&[address], version);
        let front = front(&kit, version).await;
        let (sender, body) = fed();
        let response = ask(front, version, post_of(version, body)).await;
        let mut body = response.into_body();
        for text in ["one", "two", "three"] {
            sender.send(data(text)).unwrap();
            assert_eq!(next(&mut body).await, text, "{version:?}");
        }
        drop(sender);
        let rest = tokio::time::timeout(PATIENCE, body.collect()).await;
        assert_eq!(rest.unwrap().unwrap().to_bytes(), "");
        let line = kit.line_soon().await;
        assert_eq!(line["received"], 11);
        assert_eq!(line["sent"], 11);
        assert_eq!(line["flags"], "-", "{version:?}");
        let protocol = if version == Version::HTTP_2 {
            "HTTP/2"
        } else {
            "HTTP/1.1"
        };
        assert_eq!(line["protocol"], protocol);
    }
}

#[tokio::test]
async fn large_bodies_arrive_whole() {
    for version in BOTH {
        let address = backend(version, |request| async {
            Ok(Response::new(Body::from(request.into_body())))
        })
        .await;
        let kit = kit(&[address], version);
        let front = front(&kit, version).await;
        let sent: Bytes = (0..5_000_000_u32)
            .flat_map(u32::to_le_bytes)
            .collect::<Vec<_>>()
            .into();
        let request = post_of(version, Body::Full(sent.clone()));
        let response = ask(front, version, request).await;
        let collected = tokio::time::timeout(PATIENCE, response.into_body().collect()).await;
        assert!(
            collected.unwrap().unwrap().to_bytes() == sent,
            "{version:?}"
        );
        assert_eq!(kit.line_soon().await["sent"], sent.len());
    }
}

#[tokio::test]
async fn an_answer_may_come_before_the_request_has_ended() {
    for version in BOTH {
        let address = backend(version, |_| async {
            let mut response = text("enough");
            *response.status_mut() = http::StatusCode::PAYLOAD_TOO_LARGE;
            Ok(response)
        })
        .await;
        let kit = kit(&[address], version);
        let front = front(&kit, version).await;
        let (sender, body) = fed();
        sender.send(data("some")).unwrap();
        let response = ask(front, version, post_of(version, body)).await;
        assert_eq!(response.status(), 413, "{version:?}");
        let collected = tokio::time::timeout(PATIENCE, response.into_body().collect()).await;
        assert_eq!(collected.unwrap().unwrap().to_bytes(), "enough");
        assert_eq!(kit.line_soon().await["code"], 413);
    }
}

#[tokio::test]
async fn trailers_go_both_ways() {
    fn of(value: &'static str) -> HeaderMap {
        [("x-trailer".parse().unwrap(), value.parse().unwrap())]
            .into_iter()
            .collect()
    }
    for version in BOTH {
        let address = backend(version, |request| async {
            let collected = request.into_body().collect().await.unwrap();
            let trailers = collected.trailers().cloned().unwrap();
            assert_eq!(trailers["x-trailer"], "up");
            let (sender, body) = fed();
            sender.send(data("body")).unwrap();
            sender.send(Frame::trailers(of("down"))).unwrap();
            Ok(Response::builder()
                .header("trailer", "x-trailer")
                .body(body)
                .unwrap())
        })
        .await;
        let kit = kit(&[address], version);
        let front = front(&kit, version).await;
        let (sender, body) = fed();
        sender.send(data("body")).unwrap();
        sender.send(Frame::trailers(of("up"))).unwrap();
        let mut request = post_of(version, body);
        request
            .headers_mut()
            .insert("trailer", "x-trailer".parse().unwrap());
        let response = ask(front, version, request).await;
        let collected = tokio::time::timeout(PATIENCE, response.into_body().collect())
            .await
            .unwrap()
            .unwrap();
        assert_eq!(
            collected.trailers().map(|trailers| &trailers["x-trailer"]),
            Some(&"down".parse().unwrap()),
            "{version:?}"
        );
    }
}

#[tokio::test]
async fn a_client_that_waits_for_100_is_told_when_the_body_is_wanted() {
    let address = backend(Version::HTTP_11, |request| async {
        assert!(!request.headers().contains_key("expect"));
        let body = request.into_body().collect().await.unwrap().to_bytes();
        assert_eq!(body, "hello");
        Ok(text("ok"))
    })
    .await;
    let kit = kit(&[address], Version::HTTP_11);
    let front = front(&kit, Version::HTTP_11).await;
    let mut client = TcpStream::connect(front).await.unwrap();
    let head =
        "POST / HTTP/1.1\r\nhost: reviews\r\nexpect: 100-continue\r\ncontent-length: 5\r\n\r\n";
    client.write_all(head.as_bytes()).await.unwrap();
    let said = read_until(&mut client, "\r\n\r\n").await;
    assert!(said.starts_with("HTTP/1.1 100"), "{said}");
    client.write_all(b"hello").await.unwrap();
    let said = read_until(&mut client, "ok").await;
    assert!(said.starts_with("HTTP/1.1 200"), "{said}");
}

#[tokio::test]
async fn a_client_that_waits_for_100_and_is_refused_sends_nothing() {
    let kit = Kit::new(
        &[],
        Plan {
            unenforced: vec!["AuthorizationPolicy default/x".into()],
            ..Plan::default()
        },
    );
    let front = front(&kit, Version::HTTP_11).await;
    let mut client = TcpStream::connect(front).await.unwrap();
    let head =
        "POST / HTTP/1.1\r\nhost: reviews\r\nexpect: 100-continue\r\ncontent-length: 5\r\n\r\n";
    client.write_all(head.as_bytes()).await.unwrap();
    let said = read_until(&mut client, "denied").await;
    assert!(said.starts_with("HTTP/1.1 403"), "{said}");
}

async fn read_until(client: &mut TcpStream, end: &str) -> String {
    let mut said = Vec::new();
    let reading = async {
        while !said.ends_with(end.as_bytes()) {
            said.push(client.read_u8().await.unwrap());
        }
    };
    let done = tokio::time::timeout(PATIENCE, reading).await;
    let said = String::from_utf8(said).unwrap();
    assert!(done.is_ok(), "{said}");
    said
}

#[tokio::test]
async fn a_client_that_closes_while_it_waits_has_gone() {
    let calls = Calls::default();
    let count = calls.clone();
    let address = backend(Version::HTTP_11, move |_| {
        count.next();
        std::future::pending()
    })
    .await;
    let kit = kit(&[address], Version::HTTP_11);
    let front = front(&kit, Version::HTTP_11).await;
    let mut client = TcpStream::connect(front).await.unwrap();
    client
        .write_all(b"GET / HTTP/1.1\r\nhost: reviews\r\n\r\n")
        .await
        .unwrap();
    calls.reach(1).await;
    drop(client);
    let line = kit.line_soon().await;
    assert_eq!(line["code"], 0);
    assert_eq!(line["flags"], "DC");
}

#[tokio::test]
async fn a_client_that_breaks_off_its_body_is_not_tried_again() {
    let calls = Calls::default();
    let count = calls.clone();
    let address = backend(Version::HTTP_11, move |request| {
        count.next();
        async {
            drop(request.into_body().collect().await);
            Err(std::io::ErrorKind::ConnectionAborted.into())
        }
    })
    .await;
    let rule = retrying(3, mesh::route::RetryOn::SERVER_ERROR);
    let kit = Kit::new(
        &[address],
        Plan {
            table: Some(table(vec![rule])),
            ..Plan::default()
        },
    );
    let front = front(&kit, Version::HTTP_11).await;
    let mut client = TcpStream::connect(front).await.unwrap();
    client
        .write_all(b"POST / HTTP/1.1\r\nhost: reviews\r\ncontent-length: 10\r\n\r\npart")
        .await
        .unwrap();
    calls.reach(1).await;
    drop(client);
    let line = kit.line_soon().await;
    assert_eq!(line["flags"], "DC");
    assert_eq!(line["attempts"], 1);
}

#[tokio::test]
async fn a_stream_whose_client_never_ends_it_has_no_limit() {
    let address = backend(Version::HTTP_2, |request| async {
        Ok(Response::new(Body::from(request.into_body())))
    })
    .await;
    let rule = mesh::route::HttpRule {
        timeout: Some(Duration::from_millis(600)),
        ..forward()
    };
    let mut plan = Plan {
        table: Some(table(vec![rule])),
        client: Version::HTTP_2,
        ..Plan::default()
    };
    plan.policy.pool.http2 = mesh::backend::Upgrade::Http2;
    let kit = Kit::new(&[address], plan);
    let front = front(&kit, Version::HTTP_2).await;
    let (sender, body) = fed();
    let response = ask(front, Version::HTTP_2, post_of(Version::HTTP_2, body)).await;
    let mut body = response.into_body();
    let until = tokio::time::Instant::now() + Duration::from_millis(900);
    while tokio::time::Instant::now() < until {
        sender.send(data("tick")).unwrap();
        assert_eq!(next(&mut body).await, "tick");
    }
    drop(sender);
    // Now the time runs; the end comes at once.
    tokio::time::timeout(PATIENCE, body.collect())
        .await
        .unwrap()
        .unwrap();
    assert_eq!(kit.line_soon().await["flags"], "-");
}
