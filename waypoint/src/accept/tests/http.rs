//! Connections of HTTP, of both versions.

use std::convert::Infallible;

use bytes::Bytes;
use http::{Request, Response, StatusCode, Version};
use http_body_util::{BodyExt as _, Full};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo};
use mesh::service::AppProtocol;
use tokio::io::AsyncWriteExt as _;

use super::kit::{Waypoint, read_all, read_until, server, service, soon, talk};

/// Answers with the method, target and body that it sees.
async fn mirror() -> std::net::SocketAddr {
    async fn answer(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
        let (head, body) = request.into_parts();
        let body = body
            .collect()
            .await
            .map(|body| body.to_bytes())
            .unwrap_or_default();
        let text = format!(
            "{} {} [{}]",
            head.method,
            head.uri,
            String::from_utf8_lossy(&body)
        );
        Ok(Response::new(Full::new(text.into())))
    }
    server(|socket| async move {
        let mut first = [0; 3];
        while matches!(socket.peek(&mut first).await, Ok(1..3)) {}
        let io = TokioIo::new(socket);
        if &first == b"PRI" {
            let engine = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
            drop(engine.serve_connection(io, service_fn(answer)).await);
        } else {
            let mut engine = hyper::server::conn::http1::Builder::new();
            // The waypoint adds some to what its client sent.
            engine.max_headers(200);
            drop(engine.serve_connection(io, service_fn(answer)).await);
        }
    })
    .await
}

async fn waypoint() -> Waypoint {
    let app = mirror().await;
    Waypoint::start(vec![
        (service("http", 1, AppProtocol::Http11), app),
        (service("auto", 2, AppProtocol::Unknown), app),
        (service("grpc", 3, AppProtocol::Grpc), app),
    ])
    .await
}

#[tokio::test]
async fn requests_of_one_connection_are_answered_one_after_the_other() {
    let waypoint = waypoint().await;
    for authority in [
        "10.96.0.1:80",
        "10.96.0.2:80",
        "http.shop.svc.cluster.local:80",
    ] {
        let mut client = waypoint.connect(authority).await.unwrap();
        let requests = "GET /a HTTP/1.1\r\nHost: x\r\n\r\nPOST /b HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhelloPUT /c HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n";
        client.write_all(requests.as_bytes()).await.unwrap();
        client.flush().await.unwrap();
        let text = read_until(&mut client, "[abc]").await;
        let (a, b) = (
            text.find("GET /a []").unwrap(),
            text.find("POST /b [hello]").unwrap(),
        );
        assert!(a < b && b < text.find("PUT /c [abc]").unwrap(), "{text}");
    }
}

#[tokio::test]
async fn a_smuggling_shape_is_answered_logged_and_the_last() {
    let waypoint = waypoint().await;
    let mut client = waypoint.connect("10.96.0.1:80").await.unwrap();
    let text = talk(
        &mut client,
        b"GET /first HTTP/1.1\r\nHost: x\r\n\r\nPOST /bad HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n",
    )
    .await;
    assert!(text.contains("GET /first []"), "{text}");
    assert_eq!(text.matches("HTTP/1.1 400 ").count(), 1, "{text}");
    assert!(!text.contains("smuggled"), "{text}");
    waypoint
        .logged(&["400", "DPE", "http1.content_length_and_chunked_not_allowed"])
        .await;
    assert!(!waypoint.log().contains("smuggled"));
}

#[tokio::test]
async fn heads_that_are_too_large_and_old_versions_have_their_own_answers() {
    let waypoint = waypoint().await;
    let fields = |count: usize| {
        format!(
            "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{}\r\n",
            "x: y\r\n".repeat(count - 2)
        )
    };
    let (most, too_many) = (fields(100), fields(101));
    let large = format!(
        "GET / HTTP/1.1\r\nHost: x\r\nx: {}\r\n\r\n",
        "y".repeat(70_000)
    );
    for (head, status) in [
        (large.as_str(), "431"),
        (&too_many, "431"),
        (&most, "200"),
        ("GET / HTTP/1.0\r\n\r\n", "426"),
        ("GET / HTTP/1.1\r\n\r\n", "400"),
        ("BREW\r\n\r\n", "400"),
    ] {
        let mut client = waypoint.connect("10.96.0.1:80").await.unwrap();
        let text = talk(&mut client, head.as_bytes()).await;
        assert!(
            text.starts_with(&format!("HTTP/1.1 {status} ")),
            "{head:.30}: {text}"
        );
    }
}

#[tokio::test]
async fn streams_of_one_connection_are_answered_side_by_side() {
    let waypoint = waypoint().await;
    for authority in ["10.96.0.1:80", "10.96.0.2:80", "10.96.0.3:80"] {
        let client = waypoint.connect(authority).await.unwrap();
        let (mut send, connection) =
            hyper::client::conn::http2::handshake(TokioExecutor::new(), client)
                .await
                .unwrap();
        tokio::spawn(connection);
        let mut answers = Vec::new();
        for n in 0..200 {
            let request = Request::get(format!("http://x/{n}"))
                .body(Full::<Bytes>::default())
                .unwrap();
            answers.push((n, send.send_request(request)));
        }
        for (n, answer) in answers {
            let response = soon("an answer", answer).await.unwrap();
            assert_eq!(
                (response.status(), response.version()),
                (StatusCode::OK, Version::HTTP_2)
            );
            let body = response.into_body().collect().await.unwrap().to_bytes();
            let text = String::from_utf8_lossy(&body);
            assert!(
                text.starts_with("GET ") && text.contains(&format!("/{n} ")),
                "{text}"
            );
        }
    }
}

#[tokio::test]
async fn a_request_of_http2_with_two_meanings_is_refused() {
    let waypoint = waypoint().await;
    let client = waypoint.connect("10.96.0.3:80").await.unwrap();
    let (mut send, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), client)
            .await
            .unwrap();
    tokio::spawn(connection);
    let request = Request::get("http://x/")
        .header("host", "y")
        .body(Full::<Bytes>::default())
        .unwrap();
    let response = soon("an answer", send.send_request(request)).await.unwrap();
    assert_eq!(response.status(), StatusCode::BAD_REQUEST);
    let many = (0..101).fold(Request::get("http://x/"), |request, n| {
        request.header(format!("x-{n}"), "y")
    });
    let request = many.body(Full::<Bytes>::default()).unwrap();
    let response = soon("an answer", send.send_request(request)).await.unwrap();
    assert_eq!(
        response.status(),
        StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE
    );
    // The connection goes on.
    let request = Request::get("http://x/")
        .header("host", "X")
        .body(Full::<Bytes>::default())
        .unwrap();
    let response = soon("an answer", send.send_request(request)).await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    waypoint
        .logged(&["400", "DPE", "invalid_host_header"])
        .await;
}

#[tokio::test]
async fn an_upgraded_connection_passes_bytes() {
    let app = server(|mut socket| async move {
        let mut head = Vec::new();
        let mut byte = [0];
        while !head.ends_with(b"\r\n\r\n") {
            tokio::io::AsyncReadExt::read_exact(&mut socket, &mut byte).await.unwrap();
            head.push(byte[0]);
        }
        socket
            .write_all(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
            .await
            .unwrap();
        let (mut read, mut write) = socket.split();
        drop(tokio::io::copy(&mut read, &mut write).await);
    })
    .await;
    let waypoint = Waypoint::start(vec![(service("ws", 1, AppProtocol::Http11), app)]).await;
    let mut client = waypoint.connect("10.96.0.1:80").await.unwrap();
    client
        .write_all(b"GET /chat HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: x\r\n\r\n")
        .await
        .unwrap();
    client.flush().await.unwrap();
    read_until(&mut client, "\r\n\r\n").await;
    client.write_all(b"\0\n no HTTP \r\n\r\n").await.unwrap();
    client.flush().await.unwrap();
    read_until(&mut client, "no HTTP \r\n\r\n").await;
    assert_eq!(waypoint.arrivals.streams(), 1);
    client.shutdown().await.unwrap();
    read_all(&mut client).await;
    waypoint.logged(&["/chat 101"]).await;
}

#[tokio::test]
async fn a_chunk_that_is_wrong_ends_its_request_and_nothing_behind_it_is_read() {
    let waypoint = waypoint().await;
    let mut client = waypoint.connect("10.96.0.1:80").await.unwrap();
    let text = talk(
        &mut client,
        b"POST /chunk HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhelloX0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n",
    )
    .await;
    assert!(text.starts_with("HTTP/1.1 400 "), "{text}");
    assert!(!text.contains("smuggled"), "{text}");
    waypoint.logged(&["/chunk 400", "DPE"]).await;
    assert!(!waypoint.log().contains("smuggled"));
}

#[tokio::test]
async fn a_client_that_waits_for_100_is_told_to_go_on() {
    let waypoint = waypoint().await;
    let mut client = waypoint.connect("10.96.0.1:80").await.unwrap();
    client
        .write_all(
            b"POST /e HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n",
        )
        .await
        .unwrap();
    client.flush().await.unwrap();
    read_until(&mut client, "HTTP/1.1 100 Continue\r\n\r\n").await;
    client.write_all(b"hello").await.unwrap();
    client.flush().await.unwrap();
    read_until(&mut client, "POST /e [hello]").await;
}
