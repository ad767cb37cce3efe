//! What an endpoint that wants PROXY headers is told: the client that is believed, and never what a client says of itself.

use std::{net::SocketAddr, sync::Arc};

use mesh::{
    Resource,
    access::{ClientAddress, authorization::TextMatch},
    backend::{BackendKey, BackendPolicy, ProxyVersion, TrafficPolicy},
    route::RouteTable,
    service::AppProtocol,
};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::TcpStream,
};
use wire::proxy_protocol::{Addresses, v2};

use super::kit::{Client, Waypoint, key, read_all, read_until, server, service, table, talk};

/// The client of the kit.
const LISTED: &str = "cluster.local/ns/shop/sa/client";
const UNLISTED: &str = "cluster.local/ns/edge/sa/balancer";

fn policy(peer: &str, proxy_protocol: bool) -> ClientAddress {
    ClientAddress {
        trusted_peers: vec![TextMatch::Exact(peer.into())],
        trusted_proxies: 0,
        proxy_protocol,
    }
}

/// A waypoint before one service whose endpoint is told of clients in a header of version 1.
async fn waypoint(
    protocol: AppProtocol,
    app: SocketAddr,
    client: Option<ClientAddress>,
) -> Waypoint {
    let waypoint = Waypoint::start(vec![(service("app", 1, protocol), app)]).await;
    waypoint.publish([
        Resource::RouteTable(Arc::new(RouteTable {
            client_address: client,
            ..table("app")
        })),
        Resource::BackendPolicy(Arc::new(BackendPolicy {
            key: BackendKey::new(key("app"), ""),
            policy: Arc::new(TrafficPolicy {
                proxy_protocol: Some(ProxyVersion::V1),
                ..TrafficPolicy::default()
            }),
            ports: Default::default(),
        })),
    ]);
    waypoint
}

async fn line(socket: &mut BufReader<TcpStream>) -> String {
    let mut line = String::new();
    drop(socket.read_line(&mut line).await);
    line
}

/// Answers requests of HTTP/1.1 with the header of their connection.
async fn http() -> SocketAddr {
    server(|socket| async move {
        let mut socket = BufReader::new(socket);
        let told = line(&mut socket).await;
        loop {
            let mut head = line(&mut socket).await;
            if head.is_empty() {
                return;
            }
            while !head.ends_with("\r\n\r\n") {
                head += &line(&mut socket).await;
            }
            let answer = format!(
                "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{told}",
                told.len()
            );
            drop(socket.write_all(answer.as_bytes()).await);
        }
    })
    .await
}

/// Says what it was told, then what it hears.
async fn bytes() -> SocketAddr {
    server(|socket| async move {
        let mut socket = BufReader::new(socket);
        let told = line(&mut socket).await;
        drop(socket.write_all(told.as_bytes()).await);
        let mut heard = Vec::new();
        drop(socket.read_to_end(&mut heard).await);
        drop(socket.write_all(&heard).await);
        drop(socket.shutdown().await);
    })
    .await
}

async fn connect(waypoint: &Waypoint) -> Client {
    waypoint.connect("10.96.0.1:80").await.unwrap()
}

/// What a balancer says of a client at `192.0.2.77:50000`.
fn header() -> Vec<u8> {
    let said = Addresses {
        source: "192.0.2.77:50000".parse().unwrap(),
        destination: "198.51.100.1:443".parse().unwrap(),
    };
    v2(&said, &[]).unwrap().to_vec()
}

/// Asks over one connection what the endpoint was told.
async fn asked(client: &mut Client, headers: &str) -> String {
    let text = format!("GET / HTTP/1.1\r\nhost: app\r\n{headers}\r\n");
    client.write_all(text.as_bytes()).await.unwrap();
    client.flush().await.unwrap();
    let mut answer = read_until(client, "PROXY ").await;
    while !answer.ends_with("\r\n") {
        answer += &read_until(client, "\r\n").await;
    }
    answer.split_off(answer.find("PROXY ").unwrap())
}

/// Whether a header names the peer of the tunnel, which is on the loopback interface, with the port that it has.
fn is_of_the_peer(header: &str) -> bool {
    let port = header
        .strip_prefix("PROXY TCP4 127.0.0.1 10.96.0.1 ")
        .and_then(|rest| rest.strip_suffix(" 80\r\n"));
    port.is_some_and(|port| port.parse::<u16>().is_ok_and(|port| port > 0))
}

#[tokio::test]
async fn without_a_policy_it_is_told_of_the_peer_whatever_that_says() {
    for client in [
        None,
        Some(policy(UNLISTED, false)),
        Some(policy(UNLISTED, true)),
    ] {
        let waypoint = waypoint(AppProtocol::Http11, http().await, client).await;
        let mut client = connect(&waypoint).await;
        for spoofed in [
            "",
            "x-forwarded-for: 192.0.2.1\r\n",
            "x-envoy-external-address: 192.0.2.1\r\nforwarded: for=192.0.2.1\r\n",
            "x-ambit-client-principal: spiffe://cluster.local/ns/shop/sa/admin\r\n",
        ] {
            let told = asked(&mut client, spoofed).await;
            assert!(is_of_the_peer(&told), "{spoofed}: {told}");
        }
    }
}

#[tokio::test]
async fn an_address_that_a_listed_peer_tells_goes_on_without_a_port() {
    let policy = Some(policy(LISTED, false));
    let waypoint = waypoint(AppProtocol::Http11, http().await, policy).await;
    let mut client = connect(&waypoint).await;
    // Requests of one connection are for several clients; each has a connection of its own.
    for _ in 0..2 {
        for address in ["192.0.2.1", "192.0.2.2"] {
            let told = asked(&mut client, &format!("x-forwarded-for: {address}\r\n")).await;
            assert_eq!(told, format!("PROXY TCP4 {address} 10.96.0.1 0 80\r\n"));
        }
        assert!(is_of_the_peer(&asked(&mut client, "").await));
    }
}

#[tokio::test]
async fn a_header_goes_on_as_it_came() {
    let policy = Some(policy(LISTED, true));
    let told = "PROXY TCP4 192.0.2.77 198.51.100.1 50000 443\r\n";
    let over_http = waypoint(AppProtocol::Http11, http().await, policy.clone()).await;
    let mut client = connect(&over_http).await;
    client.write_all(&header()).await.unwrap();
    assert_eq!(
        asked(&mut client, "x-forwarded-for: 192.0.2.1\r\n").await,
        told
    );

    let over_tcp = waypoint(AppProtocol::Tcp, bytes().await, policy).await;
    let mut client = connect(&over_tcp).await;
    client.write_all(&header()).await.unwrap();
    client.write_all(b"hello").await.unwrap();
    client.shutdown().await.unwrap();
    assert_eq!(read_all(&mut client).await, format!("{told}hello"));
}

#[tokio::test]
async fn a_header_of_a_clients_own_is_payload_behind_ours() {
    let waypoint = waypoint(AppProtocol::Tcp, bytes().await, None).await;
    let mut client = connect(&waypoint).await;
    let own = "PROXY TCP4 192.0.2.77 198.51.100.1 50000 443\r\n";
    client.write_all(own.as_bytes()).await.unwrap();
    client.shutdown().await.unwrap();
    let heard = read_all(&mut client).await;
    let (told, rest) = heard.split_once('\n').unwrap();
    assert!(is_of_the_peer(&format!("{told}\n")), "{heard}");
    assert_eq!(rest, own);
}

#[tokio::test]
async fn a_websocket_begins_with_the_header_of_its_client() {
    let app = server(|socket| async move {
        let mut socket = BufReader::new(socket);
        let told = line(&mut socket).await;
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            head += &line(&mut socket).await;
        }
        let switch = format!(
            "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\nsec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n{told}"
        );
        drop(socket.write_all(switch.as_bytes()).await);
        drop(socket.shutdown().await);
    })
    .await;
    let policy = Some(policy(LISTED, false));
    let waypoint = waypoint(AppProtocol::Http11, app, policy).await;
    let mut client = connect(&waypoint).await;
    let text = "GET /chat HTTP/1.1\r\nhost: app\r\nconnection: upgrade\r\nupgrade: websocket\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\nsec-websocket-version: 13\r\nx-forwarded-for: 192.0.2.1\r\n\r\n";
    let answer = talk(&mut client, text.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 101 "), "{answer}");
    let expected = "\r\n\r\nPROXY TCP4 192.0.2.1 10.96.0.1 0 80\r\n";
    assert!(answer.ends_with(expected), "{answer}");
}
