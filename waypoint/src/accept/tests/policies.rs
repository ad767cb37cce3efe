//! Policies on the whole way: connections of which no request is read, and what is open when policies change.

use std::{net::SocketAddr, sync::Arc};

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt as _, Full};
use hyper_util::rt::TokioExecutor;
use mesh::{
    Resource,
    access::{
        Policies,
        authorization::{Action, Rule, TextAttribute},
    },
    route::Backend,
    service::AppProtocol,
};
use tokio::io::AsyncWriteExt as _;

use super::kit::{Client, Waypoint, echo, key, read_all, read_until, server, service, soon, table};
use crate::access::testkit::*;

fn under(name: &str, policies: Policies) -> Resource {
    let mut table = table(name);
    table.policies = policies;
    Resource::RouteTable(Arc::new(table))
}

fn allow(rules: Vec<Rule>) -> Policies {
    policies(vec![policy("allow", Action::Allow, rules)])
}

async fn say(client: &mut Client, text: &str) {
    client.write_all(text.as_bytes()).await.unwrap();
    client.flush().await.unwrap();
}

async fn tcp() -> Waypoint {
    Waypoint::start(vec![(service("tcp", 1, AppProtocol::Tcp), echo().await)]).await
}

const DENIED: &str = "rbac_access_denied_matched_policy[ns[shop]-policy[deny]-rule[0]]";

#[tokio::test]
async fn a_connection_that_a_policy_denies_reaches_nobody() {
    let waypoint = tcp().await;
    for (policies, details) in [
        (deny(vec![client("shop")]), DENIED),
        (
            allow(vec![client("other")]),
            "rbac_access_denied_matched_policy[none]",
        ),
        // A request is not read, so what is denied by its path is denied whole, and what is allowed by it is not (AZ-05).
        (deny(vec![path("/admin")]), DENIED),
        (
            allow(vec![path("/admin")]),
            "rbac_access_denied_matched_policy[none]",
        ),
        // Such an authorizer cannot be asked.
        (custom(Backend::new(key("tcp"), 80)), "ext_authz_error"),
    ] {
        waypoint.publish([under("tcp", policies)]);
        let refused = waypoint.connect("10.96.0.1:80").await.unwrap_err();
        assert_eq!(refused.as_u16(), 503);
        waypoint.logged(&[details, "- - 0 0 10.96.0.1:80"]).await;
    }
    waypoint.publish([under("tcp", allow(vec![client("shop")]))]);
    let mut client = waypoint.connect("10.96.0.1:80").await.unwrap();
    say(&mut client, "x").await;
    read_until(&mut client, "x").await;
}

#[tokio::test]
async fn an_undeclared_connection_is_closed_when_it_is_denied() {
    let app = echo().await;
    let waypoint = Waypoint::start(vec![(service("auto", 1, AppProtocol::Unknown), app)]).await;
    waypoint.publish([under("auto", deny(vec![client("shop")]))]);
    let mut client = waypoint.connect("10.96.0.1:80").await.unwrap();
    drop(client.write_all(b"*1\r\n$4\r\nPING\r\n").await);
    drop(client.flush().await);
    assert_eq!(read_all(&mut client).await, "");
    waypoint.logged(&[DENIED]).await;
}

#[tokio::test]
async fn open_connections_that_would_be_denied_now_are_cut_and_others_are_not() {
    let waypoint = Waypoint::start(vec![
        (service("one", 1, AppProtocol::Tcp), echo().await),
        (service("two", 2, AppProtocol::Tcp), echo().await),
    ])
    .await;
    let mut one = waypoint.connect("10.96.0.1:80").await.unwrap();
    let mut two = waypoint.connect("10.96.0.2:80").await.unwrap();
    for client in [&mut one, &mut two] {
        say(client, "x").await;
        read_until(client, "x").await;
    }
    // It may still pass.
    waypoint.publish([under("one", allow(vec![client("shop")]))]);
    say(&mut one, "y").await;
    read_until(&mut one, "y").await;
    waypoint.publish([under("one", allow(vec![client("other")]))]);
    assert_eq!(read_all(&mut one).await, "");
    waypoint
        .logged(&["rbac_access_denied_matched_policy[none]", "10.96.0.1:80"])
        .await;
    say(&mut two, "z").await;
    read_until(&mut two, "z").await;
}

/// Answers with the beginning of an answer, or agrees to a WebSocket and sends back what comes.
async fn endless() -> SocketAddr {
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
        let answer: &[u8] = if head.contains("upgrade: websocket") {
            b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n"
        } else if head.starts_with("get /silent") {
            b""
        } else {
            b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nsome"
        };
        drop(socket.write_all(answer).await);
        let (mut read, mut write) = socket.split();
        drop(tokio::io::copy(&mut read, &mut write).await);
    })
    .await
}

async fn begin(waypoint: &Waypoint, path: &str) -> Client {
    let mut client = waypoint.connect("10.96.0.1:80").await.unwrap();
    say(
        &mut client,
        &format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n"),
    )
    .await;
    client
}

#[tokio::test]
async fn a_flip_ends_what_is_denied_on_http1_and_nothing_else() {
    let app = endless().await;
    let waypoint = Waypoint::start(vec![(service("http", 1, AppProtocol::Http11), app)]).await;
    let mut denied = begin(&waypoint, "/denied").await;
    let mut other = begin(&waypoint, "/other").await;
    for client in [&mut denied, &mut other] {
        read_until(client, "some").await;
    }
    let mut silent = begin(&waypoint, "/silent").await;
    soon("the request at its endpoint", async {
        while waypoint
            .proxy
            .clusters
            .all()
            .iter()
            .flat_map(|cluster| cluster.hosts().to_vec())
            .map(|host| host.active())
            .sum::<u32>()
            < 3
        {
            tokio::time::sleep(std::time::Duration::from_millis(1)).await;
        }
    })
    .await;
    let rules = vec![path("/denied"), path("/silent")];
    waypoint.publish([under("http", deny(rules))]);
    // One that is idle is not cut: its next request is told no.
    assert_eq!(read_all(&mut denied).await, "");
    waypoint.logged(&["/denied 200", DENIED]).await;
    read_until(&mut silent, "RBAC: access denied").await;
    waypoint.logged(&["/silent 403", "rule[1]"]).await;
    assert!(!waypoint.log().contains("/other"));
    drop(other);
    waypoint.logged(&["/other 200", "downstream"]).await;
}

#[tokio::test]
async fn a_flip_ends_one_stream_of_http2_and_leaves_the_connection() {
    let app = endless().await;
    let waypoint = Waypoint::start(vec![(service("http", 1, AppProtocol::Http11), app)]).await;
    let client = waypoint.connect("10.96.0.1:80").await.unwrap();
    let (mut send, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), client)
            .await
            .unwrap();
    tokio::spawn(connection);
    let request = |path: &str| {
        Request::get(format!("http://x{path}"))
            .body(Full::<Bytes>::default())
            .unwrap()
    };
    let denied = send.send_request(request("/denied"));
    let denied = soon("an answer", denied).await.unwrap();
    assert_eq!(denied.status(), 200);
    waypoint.publish([under("http", deny(vec![path("/denied")]))]);
    assert!(
        soon("the end of the stream", denied.into_body().collect())
            .await
            .is_err()
    );
    waypoint.logged(&["/denied 200", DENIED]).await;
    let other = soon("an answer", send.send_request(request("/other")))
        .await
        .unwrap();
    assert_eq!(other.status(), 200);
    let again = soon("an answer", send.send_request(request("/denied")))
        .await
        .unwrap();
    assert_eq!(again.status(), 403);
}

#[tokio::test]
async fn a_flip_ends_a_websocket() {
    let app = endless().await;
    let waypoint = Waypoint::start(vec![(service("http", 1, AppProtocol::Http11), app)]).await;
    let mut client = waypoint.connect("10.96.0.1:80").await.unwrap();
    let head = "GET /chat HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    say(&mut client, head).await;
    let answer = read_until(&mut client, "\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 101 "), "{answer}");
    say(&mut client, "hello").await;
    read_until(&mut client, "hello").await;
    waypoint.publish([under("http", deny(vec![path("/other")]))]);
    say(&mut client, "again").await;
    read_until(&mut client, "again").await;
    waypoint.publish([under("http", deny(vec![path("/chat")]))]);
    assert_eq!(read_all(&mut client).await, "");
    waypoint.logged(&["/chat 101", DENIED]).await;
}

#[tokio::test]
async fn the_name_that_a_client_gives_by_tls_counts_where_nothing_else_is_read() {
    // Who gives none has none that is allowed.
    let app = echo().await;
    let waypoint = Waypoint::start(vec![(service("tls", 1, AppProtocol::Tls), app)]).await;
    let by_name = rule(vec![is(TextAttribute::Sni, "a.example")]);
    waypoint.publish([under("tls", allow(vec![by_name]))]);
    let mut client = waypoint.connect("10.96.0.1:80").await.unwrap();
    drop(client.write_all(b"no TLS at all\n").await);
    drop(client.flush().await);
    assert_eq!(read_all(&mut client).await, "");
    waypoint
        .logged(&["rbac_access_denied_matched_policy[none]"])
        .await;
}
