//! Connections of HTTP/1.1: reused, closed, gone stale.

use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode, Version, header};
use http_body_util::{BodyExt as _, Full};
use mesh::backend::{ConnectionPool, TrafficPolicy};
use telemetry::http::ResponseFlag;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::kit::{Mesh, Server, answer, get, service, soon, text, until};
use crate::{
    body::Body,
    upstream::{SendError, pool::Via},
};

fn mesh(server: &Server) -> Mesh {
    Mesh::new(service(), &[server.address], TrafficPolicy::default())
}

/// Reads one head.
async fn head(socket: &mut tokio::net::TcpStream) -> Option<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(socket.read_u8().await.ok()?);
    }
    Some(String::from_utf8(head).unwrap())
}

#[tokio::test]
async fn requests_one_after_the_other_share_a_connection() {
    let server = Server::hello().await;
    let mesh = mesh(&server);
    for _ in 0..5 {
        assert_eq!(mesh.get("/").await.unwrap(), "hello");
    }
    assert_eq!(server.connections(), 1);
    assert_eq!(mesh.hosts()[0].active(), 0);
    assert_eq!(mesh.cluster().stats().upstream_cx_active.get(), 1);
}

#[tokio::test]
async fn the_endpoint_sees_the_path_alone_and_a_host() {
    let server = Server::http1(|request| async move {
        let host = request.headers()[header::HOST].to_str().unwrap().to_owned();
        Response::new(Full::from(format!("{} {host}", request.uri())))
    })
    .await;
    let mesh = mesh(&server);
    let request = Request::get("http://cart.shop/a?b=c")
        .version(Version::HTTP_2)
        .header(header::HOST, "other")
        .body(Body::Empty)
        .unwrap();
    let sent = mesh.send(request).await.unwrap();
    assert_eq!(sent.version, Version::HTTP_11);
    assert_eq!(sent.upstream(), server.address);
    assert_eq!(text(sent).await, "/a?b=c cart.shop");
}

#[tokio::test]
async fn a_request_without_authority_is_not_sent() {
    let server = Server::hello().await;
    let mesh = mesh(&server);
    let request = Request::get("/").body(Body::Empty).unwrap();
    let error = mesh.send(request).await.unwrap_err();
    assert!(matches!(error, SendError::Head("authority")));
}

#[tokio::test]
async fn a_body_goes_both_ways() {
    let server = Server::http1(|request| async move {
        let body = request.into_body().collect().await.unwrap().to_bytes();
        Response::new(Full::new(body))
    })
    .await;
    let mesh = mesh(&server);
    let large = Bytes::from(vec![b'x'; 3_000_000]);
    for _ in 0..2 {
        let request = Request::post("/")
            .header("host", "cart")
            .body(Body::Full(large.clone()))
            .unwrap();
        let sent = mesh.send(request).await.unwrap();
        assert_eq!(text(sent).await.len(), large.len());
    }
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn a_body_of_unknown_length_goes_whole_whatever_the_method() {
    let server = Server::http1(|request| async move {
        let (head, body) = request.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        let coding = head.headers.get(header::TRANSFER_ENCODING).cloned();
        let text = format!("{coding:?} {}", String::from_utf8_lossy(&body));
        let mut answer = Response::new(Full::from(text.clone()));
        let text = header::HeaderValue::from_str(&text).unwrap();
        answer.headers_mut().insert("x-saw", text);
        answer
    })
    .await;
    let mesh = mesh(&server);
    for method in ["GET", "HEAD", "DELETE", "OPTIONS", "POST"] {
        // As it comes from a client of HTTP/2 that says no length.
        let frames = ["one, ", "two"].map(|text| Ok(http_body::Frame::data(Bytes::from(text))));
        let frames = http_body_util::StreamBody::new(futures_util::stream::iter(frames));
        let request = Request::builder()
            .method(method)
            .uri("http://cart/")
            .version(Version::HTTP_2)
            .body(Body::boxed(frames))
            .unwrap();
        let sent = mesh.send(request).await.unwrap();
        let saw = sent.response.headers()["x-saw"].to_str().unwrap();
        assert_eq!(saw, "Some(\"chunked\") one, two", "{method}");
        drop(text(sent).await);
    }
    // What is known is said.
    let request = Request::get("/")
        .header("host", "cart")
        .body(Body::Full(Bytes::from_static(b"three")))
        .unwrap();
    assert_eq!(text(mesh.send(request).await.unwrap()).await, "None three");
    assert_eq!(text(mesh.send(get("/")).await.unwrap()).await, "None ");
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn a_connection_that_says_close_is_not_used_again() {
    let server = Server::http1(|_| async {
        let mut answer = answer("bye");
        let close = header::HeaderValue::from_static("close");
        answer.headers_mut().insert(header::CONNECTION, close);
        answer
    })
    .await;
    let mesh = mesh(&server);
    for _ in 0..3 {
        assert_eq!(mesh.get("/").await.unwrap(), "bye");
    }
    assert_eq!(server.connections(), 3);
}

#[tokio::test]
async fn a_connection_carries_as_many_requests_as_it_may() {
    let server = Server::hello().await;
    let pool = ConnectionPool {
        max_requests_per_connection: Some(2),
        ..ConnectionPool::default()
    };
    let mesh = Mesh::new(
        service(),
        &[server.address],
        TrafficPolicy {
            pool,
            ..TrafficPolicy::default()
        },
    );
    for _ in 0..6 {
        mesh.get("/").await.unwrap();
    }
    assert_eq!(server.connections(), 3);
}

#[tokio::test]
async fn an_answer_that_is_not_read_to_its_end_costs_the_connection() {
    let server = Server::http1(|_| async { Response::new(Full::from(vec![0; 10_000_000])) }).await;
    let mesh = mesh(&server);
    let sent = mesh.send(get("/")).await.unwrap();
    assert_eq!(mesh.hosts()[0].active(), 1);
    drop(sent);
    assert_eq!(mesh.hosts()[0].active(), 0);
    until("the connection has gone", || {
        mesh.hosts()[0].connections() == 0
    })
    .await;
    drop(mesh.send(get("/")).await.unwrap());
    assert_eq!(server.connections(), 2);
}

/// Answers the first request of its first connection and closes when the second one has come; later connections are
/// answered for good.
async fn stale() -> Server {
    Server::raw(|number, mut socket| async move {
        let ok = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
        while head(&mut socket).await.is_some() {
            socket.write_all(ok).await.unwrap();
            if number == 0 {
                head(&mut socket).await;
                return;
            }
        }
    })
    .await
}

#[tokio::test]
async fn a_kept_connection_that_was_closed_is_made_good_for_a_get() {
    let server = stale().await;
    let mesh = mesh(&server);
    assert_eq!(mesh.get("/").await.unwrap(), "ok");
    assert_eq!(mesh.get("/").await.unwrap(), "ok");
    assert_eq!(server.connections(), 2);
}

#[tokio::test]
async fn a_post_is_never_sent_twice() {
    let server = stale().await;
    let mesh = mesh(&server);
    assert_eq!(mesh.get("/").await.unwrap(), "ok");
    let request = Request::post("/")
        .header("host", "cart")
        .body(Body::Empty)
        .unwrap();
    let error = mesh.send(request).await.unwrap_err();
    assert!(
        matches!(error, SendError::Closed { sent: true, .. }),
        "{error:?}"
    );
    assert_eq!(error.flag(), ResponseFlag::UpstreamConnectionTermination);
    assert_eq!(
        error.details(),
        "upstream_reset_before_response_started{connection_termination}"
    );
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn a_new_connection_that_is_closed_without_an_answer_is_an_error() {
    let server = Server::raw(|_, mut socket| async move {
        head(&mut socket).await;
    })
    .await;
    let mesh = mesh(&server);
    let error = mesh.send(get("/")).await.unwrap_err();
    assert!(
        matches!(error, SendError::Closed { sent: true, .. }),
        "{error:?}"
    );
    assert_eq!(server.connections(), 1);
    until("nothing counts", || mesh.hosts()[0].active() == 0).await;
}

#[tokio::test]
async fn what_is_no_http_is_a_protocol_error() {
    let server = Server::raw(|_, mut socket| async move {
        head(&mut socket).await;
        drop(socket.write_all(b"SMTP ready\r\n\r\n").await);
    })
    .await;
    let mesh = mesh(&server);
    let error = mesh.send(get("/")).await.unwrap_err();
    assert_eq!(error.flag(), ResponseFlag::UpstreamProtocolError);
}

#[tokio::test]
async fn a_head_that_is_too_long_is_a_protocol_error() {
    let server = Server::raw(|_, mut socket| async move {
        head(&mut socket).await;
        let long = format!("HTTP/1.1 200 OK\r\na: {}\r\n\r\n", "x".repeat(61 * 1024));
        drop(socket.write_all(long.as_bytes()).await);
    })
    .await;
    let mesh = mesh(&server);
    let error = mesh.send(get("/")).await.unwrap_err();
    assert_eq!(error.flag(), ResponseFlag::UpstreamProtocolError);
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_an_error_of_its_body() {
    let server = Server::raw(|_, mut socket| async move {
        head(&mut socket).await;
        let part = b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\npart";
        drop(socket.write_all(part).await);
    })
    .await;
    let mesh = mesh(&server);
    let sent = mesh.send(get("/")).await.unwrap();
    let error = soon("the end", sent.response.into_body().collect()).await;
    let crate::body::BodyError::Upstream(error) = error.unwrap_err() else {
        panic!("it is the endpoint's fault");
    };
    assert!(matches!(*error, SendError::Closed { .. }), "{error:?}");
    until("nothing counts", || mesh.hosts()[0].active() == 0).await;
}

#[tokio::test]
async fn a_port_where_nobody_listens_is_a_connect_failure() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = free.local_addr().unwrap();
    drop(free);
    let mesh = Mesh::new(service(), &[address], TrafficPolicy::default());
    let error = mesh.send(get("/")).await.unwrap_err();
    assert!(error.is_connect_failure());
    assert_eq!(error.flag(), ResponseFlag::UpstreamConnectionFailure);
    assert!(error.transport_failure().unwrap().contains("refused"));
    assert_eq!(mesh.hosts()[0].connections(), 0);
}

#[tokio::test]
async fn a_request_that_breaks_off_is_the_clients_fault() {
    let server = Server::http1(|request| async move {
        drop(request.into_body().collect().await);
        answer("got it")
    })
    .await;
    let mesh = mesh(&server);
    let error = std::io::Error::other("gone");
    let frames = futures_util::stream::iter([
        Ok(http_body::Frame::data(Bytes::from_static(b"part"))),
        Err(crate::body::BodyError::Filter(Box::new(error))),
    ]);
    let request = Request::post("/")
        .header("host", "cart")
        .body(Body::boxed(http_body_util::StreamBody::new(frames)))
        .unwrap();
    let error = mesh.send(request).await.unwrap_err();
    assert!(matches!(error, SendError::Request(_)), "{error:?}");
    assert!(!error.is_upstream());
    assert!(error.failure().is_none());
}

#[tokio::test]
async fn an_upgraded_connection_counts_while_its_body_is_kept() {
    let server = Server::raw(|_, mut socket| async move {
        head(&mut socket).await;
        let switch =
            b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: echo\r\n\r\nhi";
        socket.write_all(switch).await.unwrap();
        let (mut read, mut write) = socket.split();
        tokio::io::copy(&mut read, &mut write).await.unwrap();
    })
    .await;
    let mesh = mesh(&server);
    let request = Request::get("/")
        .header("host", "cart")
        .header("connection", "upgrade")
        .header("upgrade", "echo")
        .body(Body::Empty)
        .unwrap();
    let mut sent = mesh.send(request).await.unwrap();
    assert_eq!(sent.response.status(), StatusCode::SWITCHING_PROTOCOLS);
    let upgraded = hyper::upgrade::on(&mut sent.response);
    let mut upgraded = hyper_util::rt::TokioIo::new(soon("the upgrade", upgraded).await.unwrap());
    upgraded.write_all(b" there").await.unwrap();
    let mut echoed = [0; 8];
    soon("the echo", upgraded.read_exact(&mut echoed))
        .await
        .unwrap();
    assert_eq!(&echoed, b"hi there");
    assert_eq!(mesh.hosts()[0].active(), 1);
    assert_eq!(mesh.hosts()[0].connections(), 1);
    drop((upgraded, sent));
    assert_eq!(mesh.hosts()[0].active(), 0);
    until("the connection has gone", || {
        mesh.hosts()[0].connections() == 0
    })
    .await;
}

#[tokio::test]
async fn a_request_under_way_is_small() {
    let server = Server::hello().await;
    let mesh = mesh(&server);
    let (head, body) = get("/").into_parts();
    let cluster = mesh.cluster();
    let sent = cluster.send(mesh.worker.itself(), mesh.pick(), &head, body);
    assert!(size_of_val(&sent) <= 4096, "{} bytes", size_of_val(&sent));
    drop(sent);
}

#[tokio::test]
async fn a_connection_that_is_idle_or_old_ends() {
    let short = Some(Duration::from_millis(20));
    let idle = ConnectionPool {
        idle_timeout: short,
        ..ConnectionPool::default()
    };
    let old = ConnectionPool {
        idle_timeout: None,
        max_connection_duration: short,
        ..ConnectionPool::default()
    };
    for pool in [idle, old] {
        let server = Server::hello().await;
        let policy = TrafficPolicy {
            pool,
            ..TrafficPolicy::default()
        };
        let mesh = Mesh::new(service(), &[server.address], policy);
        mesh.get("/").await.unwrap();
        until("the connection has gone", || {
            mesh.hosts()[0].connections() == 0
        })
        .await;
        mesh.get("/").await.unwrap();
        assert_eq!(server.connections(), 2);
    }
}

#[tokio::test]
async fn a_stale_connection_casts_no_doubt_on_one_that_was_used_later() {
    let server = Server::hello().await;
    let mesh = mesh(&server);
    let (cluster, host) = (mesh.cluster(), mesh.hosts().remove(0));
    let mut sent = Vec::new();
    for _ in 0..3 {
        sent.push(mesh.send(get("/")).await.unwrap());
    }
    assert_eq!(server.connections(), 3);
    let last = sent.pop().unwrap();
    for sent in sent {
        text(sent).await;
    }
    let limits = ConnectionPool::default();
    let via = Via {
        cluster: &cluster,
        host: &host,
        worker: &mesh.worker,
        limits: &limits,
    };
    let (stale, _) = host.pool(0).http1(&via, None).await.unwrap();
    text(last).await;
    let (kept, is_reused) = host.pool(0).http1(&via, Some(stale.since())).await.unwrap();
    assert!(is_reused);
    assert!(kept.since() > stale.since());
    until("the one that was idle for longer has ended", || {
        host.connections() == 2
    })
    .await;
    assert_eq!(server.connections(), 3);
}
