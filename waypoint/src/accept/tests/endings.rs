//! How connections are sent on: by configuration, and at the end of the process.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt as _, Full};
use hyper_util::rt::TokioExecutor;
use mesh::{Resource, service::AppProtocol};
use net::drain::Phase;
use tokio::io::AsyncWriteExt as _;

use super::kit::{Client, Waypoint, echo, read_all, read_until, server, service, soon, table};

/// Answers every request with `ok`, after a while if it is asked for `/slow`.
async fn app() -> std::net::SocketAddr {
    server(|mut socket| async move {
        let mut head = Vec::new();
        let mut byte = [0];
        while tokio::io::AsyncReadExt::read_exact(&mut socket, &mut byte)
            .await
            .is_ok()
        {
            head.push(byte[0]);
            if head.ends_with(b"\r\n\r\n") {
                if head.starts_with(b"GET /slow") {
                    tokio::time::sleep(Duration::from_millis(300)).await;
                }
                head.clear();
                drop(
                    socket
                        .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
                        .await,
                );
            }
        }
    })
    .await
}

async fn get(client: &mut Client, path: &str) -> String {
    let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n");
    client.write_all(request.as_bytes()).await.unwrap();
    client.flush().await.unwrap();
    read_until(client, "\r\n\r\nok").await
}

#[tokio::test]
async fn a_connection_to_what_is_not_ours_any_more_ends_with_its_next_request() {
    let waypoint =
        Waypoint::start(vec![(service("http", 1, AppProtocol::Http11), app().await)]).await;
    let mut client = waypoint.connect("10.96.0.1:80").await.unwrap();
    get(&mut client, "/").await;
    let mut elsewhere = service("http", 1, AppProtocol::Http11);
    elsewhere.waypoint = None;
    waypoint.publish([Resource::Service(Arc::new(elsewhere))]);
    client
        .write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        .await
        .unwrap();
    client.flush().await.unwrap();
    let text = read_all(&mut client).await;
    assert!(text.starts_with("HTTP/1.1 503 "), "{text}");
    assert!(
        text.to_ascii_lowercase().contains("connection: close"),
        "{text}"
    );
    waypoint.logged(&["503", "target_not_served"]).await;
}

/// Agrees to every upgrade and sends back what comes; answers others with the beginning of an answer.
async fn endless() -> std::net::SocketAddr {
    server(|mut socket| async move {
        let mut head = Vec::new();
        let mut byte = [0];
        while !head.ends_with(b"\r\n\r\n") {
            if tokio::io::AsyncReadExt::read_exact(&mut socket, &mut byte)
                .await
                .is_err()
            {
                return;
            }
            head.push(byte[0]);
        }
        let head = String::from_utf8_lossy(&head).to_ascii_lowercase();
        let answer: &[u8] = match head.contains("upgrade: websocket") {
            true => b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
            false => b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nsome",
        };
        drop(socket.write_all(answer).await);
        let (mut read, mut write) = socket.split();
        drop(tokio::io::copy(&mut read, &mut write).await);
    })
    .await
}

const CHAT: &[u8] =
    b"GET /chat HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

async fn chat(waypoint: &Waypoint) -> Client {
    let mut client = waypoint.connect("10.96.0.1:80").await.unwrap();
    client.write_all(CHAT).await.unwrap();
    client.flush().await.unwrap();
    let answer = read_until(&mut client, "\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 101 "), "{answer}");
    client.write_all(b"hello").await.unwrap();
    client.flush().await.unwrap();
    read_until(&mut client, "hello").await;
    client
}

fn forbidden() -> Resource {
    let mut table = table("http");
    table.unenforced = vec!["AuthorizationPolicy shop/deny".into()];
    Resource::RouteTable(Arc::new(table))
}

#[tokio::test]
async fn a_websocket_is_cut_when_its_target_is_not_ours_any_more_or_a_policy_comes() {
    let app = endless().await;
    for (change, details) in [
        (
            {
                let mut elsewhere = service("http", 1, AppProtocol::Http11);
                elsewhere.waypoint = None;
                Resource::Service(Arc::new(elsewhere))
            },
            "target_not_served",
        ),
        (forbidden(), "unenforced_policy"),
    ] {
        let waypoint = Waypoint::start(vec![(service("http", 1, AppProtocol::Http11), app)]).await;
        let mut client = chat(&waypoint).await;
        waypoint.publish([change]);
        assert_eq!(read_all(&mut client).await, "");
        waypoint.logged(&["/chat 101", details]).await;
    }
}

#[tokio::test]
async fn a_policy_that_cannot_be_enforced_cuts_what_was_let_in_before_and_answers_what_comes_later()
{
    let app = endless().await;
    let waypoint = Waypoint::start(vec![(service("http", 1, AppProtocol::Http11), app)]).await;
    let begin = async |path: &str| {
        let mut client = waypoint.connect("10.96.0.1:80").await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n");
        client.write_all(request.as_bytes()).await.unwrap();
        client.flush().await.unwrap();
        client
    };
    let mut one = begin("/one").await;
    read_until(&mut one, "some").await;
    let client = waypoint.connect("10.96.0.1:80").await.unwrap();
    let (mut send, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), client)
            .await
            .unwrap();
    let connection = tokio::spawn(connection);
    let request = Request::get("http://x/two").body(Full::<Bytes>::default());
    let two = soon("an answer", send.send_request(request.unwrap()))
        .await
        .unwrap();
    assert_eq!(two.status(), 200);
    waypoint.publish([forbidden()]);
    assert_eq!(read_all(&mut one).await, "");
    let ended = soon("the end of the stream", two.into_body().collect()).await;
    assert!(ended.is_err());
    drop(soon("the end of the connection", connection).await.unwrap());
    waypoint.logged(&["/one 200", "unenforced_policy"]).await;
    waypoint.logged(&["/two 200", "unenforced_policy"]).await;
    // Who comes now is told no, by an answer, however often the mesh changes.
    let mut later = begin("/later").await;
    read_until(&mut later, "RBAC: access denied").await;
    waypoint.publish([Resource::Service(Arc::new(service(
        "other",
        9,
        AppProtocol::Tcp,
    )))]);
    let request = b"GET /again HTTP/1.1\r\nHost: x\r\n\r\n";
    later.write_all(request).await.unwrap();
    later.flush().await.unwrap();
    read_until(&mut later, "RBAC: access denied").await;
    // It is let in once the policy has gone, and cut when it comes back.
    waypoint.publish([Resource::RouteTable(Arc::new(table("http")))]);
    let mut open = begin("/open").await;
    read_until(&mut open, "some").await;
    later
        .write_all(b"GET /let-in HTTP/1.1\r\nHost: x\r\n\r\n")
        .await
        .unwrap();
    later.flush().await.unwrap();
    read_until(&mut later, "some").await;
    waypoint.publish([forbidden()]);
    assert_eq!(read_all(&mut open).await, "");
    assert_eq!(read_all(&mut later).await, "");
}

#[tokio::test]
async fn a_change_that_leaves_the_target_ours_ends_nothing() {
    let waypoint = Waypoint::start(vec![
        (service("http", 1, AppProtocol::Http11), app().await),
        (service("tcp", 2, AppProtocol::Tcp), echo().await),
    ])
    .await;
    let mut http = waypoint.connect("10.96.0.1:80").await.unwrap();
    let mut tcp = waypoint.connect("10.96.0.2:80").await.unwrap();
    for n in 3..20 {
        waypoint.publish([Resource::Service(Arc::new(service(
            "other",
            n,
            AppProtocol::Tcp,
        )))]);
        let text = get(&mut http, "/").await;
        assert!(
            !text.to_ascii_lowercase().contains("connection: close"),
            "{text}"
        );
        tcp.write_all(b"x").await.unwrap();
        tcp.flush().await.unwrap();
        read_until(&mut tcp, "x").await;
    }
}

#[tokio::test]
async fn while_the_process_drains_answers_are_given_and_say_that_they_are_the_last() {
    let waypoint =
        Waypoint::start(vec![(service("http", 1, AppProtocol::Http11), app().await)]).await;
    let mut busy = waypoint.connect("10.96.0.1:80").await.unwrap();
    get(&mut busy, "/").await;
    busy.write_all(b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n")
        .await
        .unwrap();
    busy.flush().await.unwrap();
    let mut idle = waypoint.connect("10.96.0.1:80").await.unwrap();
    get(&mut idle, "/").await;
    waypoint.drain.advance(Phase::Draining);
    let text = read_all(&mut busy).await;
    assert!(
        text.starts_with("HTTP/1.1 200 ") && text.ends_with("ok"),
        "{text}"
    );
    assert!(
        text.to_ascii_lowercase().contains("connection: close"),
        "{text}"
    );
    // One that is asked nothing is let go.
    assert_eq!(read_all(&mut idle).await, "");
    // A client that does not know yet is served all the same.
    let mut late = waypoint.connect("10.96.0.1:80").await.unwrap();
    get(&mut late, "/").await;
    drop((busy, idle, late));
    let wait = async {
        while waypoint.arrivals.streams() > 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    soon("all connections gone", wait).await;
}

#[tokio::test]
async fn while_the_process_drains_streams_of_http2_end_and_no_new_ones_begin() {
    let waypoint =
        Waypoint::start(vec![(service("http", 1, AppProtocol::Http11), app().await)]).await;
    let client = waypoint.connect("10.96.0.1:80").await.unwrap();
    let (mut send, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), client)
            .await
            .unwrap();
    let connection = tokio::spawn(connection);
    let request = || {
        Request::get("http://x/slow")
            .body(Full::<Bytes>::default())
            .unwrap()
    };
    soon("ready", send.ready()).await.unwrap();
    let answer = send.send_request(request());
    let wait = async {
        while !waypoint
            .proxy
            .clusters
            .all()
            .iter()
            .any(|cluster| cluster.hosts().iter().any(|host| host.active() > 0))
        {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    soon("the request at its endpoint", wait).await;
    waypoint.drain.advance(Phase::Draining);
    let response = soon("an answer", answer).await.unwrap();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(&body[..], b"ok");
    // GOAWAY: the client's connection ends by itself, without an error.
    soon("the end of the connection", connection)
        .await
        .unwrap()
        .unwrap();
    assert!(send.send_request(request()).await.is_err());
}

#[tokio::test]
async fn the_end_of_the_process_cuts_what_is_left() {
    let waypoint = Waypoint::start(vec![(service("tcp", 1, AppProtocol::Tcp), echo().await)]).await;
    let mut client = waypoint.connect("10.96.0.1:80").await.unwrap();
    client.write_all(b"x").await.unwrap();
    client.flush().await.unwrap();
    read_until(&mut client, "x").await;
    waypoint.drain.advance(Phase::Draining);
    client.write_all(b"y").await.unwrap();
    client.flush().await.unwrap();
    read_until(&mut client, "y").await;
    waypoint.drain.advance(Phase::Cut);
    assert_eq!(read_all(&mut client).await, "");
    waypoint.logged(&[" LR ", "drained"]).await;
}
