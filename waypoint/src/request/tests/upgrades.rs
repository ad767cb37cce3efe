//! WebSockets, from both versions.

use std::net::SocketAddr;

use http::{Method, Request, Response, StatusCode, Version, header};
use hyper::{body::Incoming, ext::Protocol, upgrade::Upgraded};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::TcpStream,
};

use super::kit::*;
use crate::body::Body;

/// Agrees, greets, and sends back what comes, in capitals, until the client ends; then says goodbye.
async fn endpoint() -> SocketAddr {
    backend(
        Version::HTTP_11,
        |mut request: Request<Incoming>| async move {
            let headers = request.headers();
            assert_eq!(request.method(), Method::GET);
            assert_eq!(headers[header::UPGRADE], "websocket");
            assert_eq!(headers[header::CONNECTION], "Upgrade");
            assert_eq!(headers[header::SEC_WEBSOCKET_KEY].len(), 24);
            let upgrade = hyper::upgrade::on(&mut request);
            tokio::spawn(async move {
                let mut io = TokioIo::new(upgrade.await.unwrap());
                io.write_all(b"hi").await.unwrap();
                let mut buffer = [0; 64];
                loop {
                    let read = io.read(&mut buffer).await.unwrap();
                    if read == 0 {
                        break;
                    }
                    buffer[..read].make_ascii_uppercase();
                    io.write_all(&buffer[..read]).await.unwrap();
                }
                io.write_all(b"bye").await.unwrap();
                io.shutdown().await.unwrap();
            });
            Ok(Response::builder()
                .status(StatusCode::SWITCHING_PROTOCOLS)
                .header(header::CONNECTION, "upgrade")
                .header(header::UPGRADE, "websocket")
                .header(header::SEC_WEBSOCKET_ACCEPT, "accepted")
                .header(header::SEC_WEBSOCKET_PROTOCOL, "chat")
                .body(Body::Empty)
                .unwrap())
        },
    )
    .await
}

async fn expect(io: &mut (impl AsyncRead + Unpin), text: &str) {
    let mut buffer = vec![0; text.len()];
    tokio::time::timeout(PATIENCE, io.read_exact(&mut buffer))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(String::from_utf8(buffer).unwrap(), text);
}

/// Talks, ends its side, and still hears the rest.
async fn converse(mut io: impl AsyncRead + AsyncWrite + Unpin) {
    expect(&mut io, "hi").await;
    for text in ["one", "two"] {
        io.write_all(text.as_bytes()).await.unwrap();
        io.flush().await.unwrap();
        expect(&mut io, &text.to_uppercase()).await;
    }
    io.shutdown().await.unwrap();
    expect(&mut io, "bye").await;
    let mut rest = Vec::new();
    let ended = io.read_to_end(&mut rest);
    tokio::time::timeout(PATIENCE, ended)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(rest, b"");
}

#[tokio::test]
async fn a_websocket_of_http1_passes_and_each_side_ends_by_itself() {
    let kit = Kit::new(&[endpoint().await], Plan::default());
    let front = front(&kit, Version::HTTP_11).await;
    let io = TokioIo::new(TcpStream::connect(front).await.unwrap());
    let (mut sender, connection) = hyper::client::conn::http1::handshake(io).await.unwrap();
    tokio::spawn(connection.with_upgrades());
    let request = Request::builder()
        .uri("/chat")
        .header(header::HOST, "reviews")
        .header(header::CONNECTION, "Upgrade")
        .header(header::UPGRADE, "websocket")
        .header(header::SEC_WEBSOCKET_KEY, "dGhlIHNhbXBsZSBub25jZQ==")
        .body(Body::Empty)
        .unwrap();
    let mut response = sender.send_request(request).await.unwrap();
    assert_eq!(response.status(), 101);
    assert_eq!(response.headers()[header::UPGRADE], "websocket");
    assert_eq!(response.headers()[header::SEC_WEBSOCKET_ACCEPT], "accepted");
    assert_eq!(response.headers()[header::SEC_WEBSOCKET_PROTOCOL], "chat");
    let upgraded: Upgraded = hyper::upgrade::on(&mut response).await.unwrap();
    converse(TokioIo::new(upgraded)).await;
    let line = kit.line_soon().await;
    assert_eq!(line["code"], 101);
    assert_eq!(line["flags"], "-");
    assert_eq!(line["received"], 6);
    assert_eq!(line["sent"], 11);
}

#[tokio::test]
async fn a_websocket_of_http2_becomes_one_of_http1() {
    let plan = Plan {
        client: Version::HTTP_2,
        ..Plan::default()
    };
    let kit = Kit::new(&[endpoint().await], plan);
    let front = front(&kit, Version::HTTP_2).await;
    let io = TokioIo::new(TcpStream::connect(front).await.unwrap());
    let builder = hyper::client::conn::http2::Builder::new(TokioExecutor::new());
    let (mut sender, connection) = builder.handshake(io).await.unwrap();
    tokio::spawn(connection);
    let request = || {
        let mut request = Request::builder()
            .method(Method::CONNECT)
            .version(Version::HTTP_2)
            .uri("http://reviews/chat")
            .header("sec-websocket-version", "13")
            .body(Body::Empty)
            .unwrap();
        request
            .extensions_mut()
            .insert(Protocol::from_static("websocket"));
        request
    };
    // The peer's consent to extended CONNECT comes with its settings.
    let asking = async {
        loop {
            match sender.send_request(request()).await {
                Ok(response) => return response,
                Err(_) => tokio::task::yield_now().await,
            }
        }
    };
    let mut response = tokio::time::timeout(PATIENCE, asking).await.unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()[header::SEC_WEBSOCKET_PROTOCOL], "chat");
    assert!(
        !response
            .headers()
            .contains_key(header::SEC_WEBSOCKET_ACCEPT)
    );
    let upgraded: Upgraded = hyper::upgrade::on(&mut response).await.unwrap();
    converse(TokioIo::new(upgraded)).await;
    let line = kit.line_soon().await;
    assert_eq!(line["code"], 200);
    assert_eq!(line["method"], "GET");
    assert_eq!(line["received"], 6);
}

#[tokio::test]
async fn an_endpoint_that_does_not_agree_is_heard() {
    let address = backend(Version::HTTP_11, |_| async { Ok(status(404)) }).await;
    let kit = Kit::new(&[address], Plan::default());
    let mut request = get("/chat");
    let headers = request.headers_mut();
    headers.insert(header::CONNECTION, "Upgrade".parse().unwrap());
    headers.insert(header::UPGRADE, "websocket".parse().unwrap());
    assert_eq!(kit.ask(request).await.status(), 404);
}

#[tokio::test]
async fn another_upgrade_is_no_upgrade() {
    let address = backend(Version::HTTP_11, |request| async move {
        assert!(!request.headers().contains_key(header::UPGRADE));
        assert!(!request.headers().contains_key("http2-settings"));
        Ok(text("plain"))
    })
    .await;
    let kit = Kit::new(&[address], Plan::default());
    let mut request = get("/");
    let headers = request.headers_mut();
    headers.insert(
        header::CONNECTION,
        "Upgrade, HTTP2-Settings".parse().unwrap(),
    );
    headers.insert(header::UPGRADE, "h2c".parse().unwrap());
    headers.insert("http2-settings", "x".parse().unwrap());
    assert_eq!(kit.ask(request).await.body, "plain");
}
