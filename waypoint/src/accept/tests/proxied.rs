//! PROXY headers in a CONNECT's stream: of whom they are read, of whom refused, and what comes after them.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
};

use mesh::{
    Resource,
    access::{ClientAddress, authorization::TextMatch},
    route::RouteTable,
    service::AppProtocol,
    settings::{AccessLog, AccessLogFormat, WaypointSettings},
};
use parking_lot::Mutex;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use wire::proxy_protocol::{Addresses, MAX_V2_BYTES, SIGNATURE_V2, v1, v2};

use super::kit::{
    Client, Waypoint, echo, read_all, read_until, server, service, settings, soon, table, talk,
};

/// The client of the kit.
const LISTED: &str = "cluster.local/ns/shop/sa/client";
const UNLISTED: &str = "cluster.local/ns/edge/sa/balancer";
const SOURCE: &str = "192.0.2.77:50000";

fn policy(peer: &str) -> ClientAddress {
    ClientAddress {
        trusted_peers: vec![TextMatch::Exact(peer.into())],
        trusted_proxies: 0,
        proxy_protocol: true,
    }
}

/// Its log shows who a connection is from.
fn logging() -> WaypointSettings {
    WaypointSettings {
        access_log: Some(AccessLog {
            format: AccessLogFormat::Text(
                "%PROTOCOL% %DOWNSTREAM_REMOTE_ADDRESS% %DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT% %REQUESTED_SERVER_NAME% %BYTES_RECEIVED%".into(),
            ),
            omit_empty: false,
        }),
        ..settings()
    }
}

/// A waypoint before one service whose connections begin with a header, if they are of `peer`.
async fn waypoint(protocol: AppProtocol, app: SocketAddr, peer: &str) -> Waypoint {
    let waypoint = Waypoint::start(vec![(service("app", 1, protocol), app)]).await;
    waypoint.publish([
        Resource::WaypointSettings(Arc::new(logging())),
        Resource::RouteTable(Arc::new(RouteTable {
            client_address: Some(policy(peer)),
            ..table("app")
        })),
    ]);
    waypoint
}

async fn connect(waypoint: &Waypoint) -> Client {
    waypoint.connect("10.96.0.1:80").await.unwrap()
}

fn said() -> Addresses {
    Addresses {
        source: SOURCE.parse().unwrap(),
        destination: "198.51.100.1:443".parse().unwrap(),
    }
}

/// Headers as load balancers write them.
fn headers() -> Vec<Vec<u8>> {
    let tlvs: &[(u8, &[u8])] = &[
        (0x02, b"shop.example"),
        (0x20, b"\x01\0\0\0\0\x21\0\x07TLSv1.3"),
        (0xEA, b"\x01vpce-1"),
    ];
    vec![
        v1(&said()).to_vec(),
        v2(&said(), &[]).unwrap().to_vec(),
        v2(&said(), tlvs).unwrap().to_vec(),
    ]
}

/// Speaks first.
async fn banner() -> SocketAddr {
    server(|mut socket| async move {
        socket.write_all(b"220 hello\r\n").await.unwrap();
        let (mut read, mut write) = socket.split();
        drop(tokio::io::copy(&mut read, &mut write).await);
        drop(write.shutdown().await);
    })
    .await
}

/// Answers a request of HTTP/1.1 with its head.
async fn head() -> SocketAddr {
    server(|mut socket| async move {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            if socket.read_exact(&mut byte).await.is_err() {
                return;
            }
            head.push(byte[0]);
        }
        let length = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", head.len());
        drop(socket.write_all(length.as_bytes()).await);
        drop(socket.write_all(&head).await);
        drop(socket.shutdown().await);
    })
    .await
}

async fn send(client: &mut Client, bytes: &[u8]) {
    client.write_all(bytes).await.unwrap();
    client.flush().await.unwrap();
}

#[tokio::test]
async fn requests_that_follow_a_header_are_the_clients_that_it_names() {
    for protocol in [AppProtocol::Http11, AppProtocol::Unknown] {
        let waypoint = waypoint(protocol, head().await, LISTED).await;
        for header in headers() {
            let mut client = connect(&waypoint).await;
            send(&mut client, &header).await;
            let text = b"GET /a HTTP/1.1\r\nhost: app\r\nx-forwarded-for: 203.0.113.5\r\nconnection: close\r\n\r\n";
            let answer = talk(&mut client, text).await;
            assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
            assert!(
                answer.contains("\r\nx-forwarded-for: 192.0.2.77\r\n"),
                "{answer}"
            );
            assert!(!answer.contains("203.0.113.5"), "{answer}");
        }
        waypoint
            .logged(&["HTTP/1.1 192.0.2.77:50000 127.0.0.1 - "])
            .await;
    }
}

#[tokio::test]
async fn a_header_in_crumbs_is_one_and_nothing_of_what_follows_is_lost() {
    let waypoint = waypoint(AppProtocol::Unknown, echo().await, LISTED).await;
    for header in headers() {
        let mut client = connect(&waypoint).await;
        for crumb in header.chunks(7) {
            send(&mut client, crumb).await;
            tokio::task::yield_now().await;
        }
        send(&mut client, b"*1\r\n$4\r\nPING\r\n").await;
        client.shutdown().await.unwrap();
        assert_eq!(read_all(&mut client).await, "*1\r\n$4\r\nPING\r\n");
    }
    waypoint
        .logged(&["- 192.0.2.77:50000 127.0.0.1 - 14"])
        .await;
}

#[tokio::test]
async fn what_is_behind_one_header_is_the_applications_also_if_it_is_another() {
    let waypoint = waypoint(AppProtocol::Unknown, echo().await, LISTED).await;
    for header in headers() {
        let mut client = connect(&waypoint).await;
        send(&mut client, &header).await;
        send(&mut client, b"PROXY TCP4 203.0.113.5 10.0.0.1 1 2\n").await;
        client.shutdown().await.unwrap();
        assert_eq!(
            read_all(&mut client).await,
            "PROXY TCP4 203.0.113.5 10.0.0.1 1 2\n"
        );
    }
}

#[tokio::test]
async fn a_server_that_speaks_first_speaks_after_the_header() {
    let waypoint = waypoint(AppProtocol::Tcp, banner().await, LISTED).await;
    for header in headers() {
        let mut client = connect(&waypoint).await;
        send(&mut client, &header).await;
        read_until(&mut client, "220 hello\r\n").await;
        client.write_all(b"EHLO me\r\n").await.unwrap();
        client.shutdown().await.unwrap();
        assert_eq!(read_all(&mut client).await, "EHLO me\r\n");
    }
    waypoint.logged(&["- 192.0.2.77:50000 127.0.0.1 - 9"]).await;
}

#[tokio::test]
async fn tls_that_follows_a_header_is_seen_as_tls() {
    let waypoint = waypoint(AppProtocol::Unknown, echo().await, LISTED).await;
    let mut tls = rustls::ClientConnection::new(
        Arc::new(
            rustls::ClientConfig::builder()
                .with_root_certificates(rustls::RootCertStore::empty())
                .with_no_client_auth(),
        ),
        "shop.example".try_into().unwrap(),
    )
    .unwrap();
    let mut hello = Vec::new();
    tls.write_tls(&mut hello).unwrap();
    let mut client = connect(&waypoint).await;
    let mut bytes = headers().remove(2);
    bytes.extend(&hello);
    // Header and hello share a piece, and the hello has several.
    let (first, rest) = bytes.split_at(bytes.len() - hello.len() + 20);
    send(&mut client, first).await;
    send(&mut client, rest).await;
    client.shutdown().await.unwrap();
    read_all(&mut client).await;
    waypoint
        .logged(&["- 192.0.2.77:50000 127.0.0.1 shop.example "])
        .await;
}

#[tokio::test]
async fn a_listed_peer_that_speaks_for_itself_is_the_client() {
    let waypoint = waypoint(AppProtocol::Unknown, echo().await, LISTED).await;
    let mut local = SIGNATURE_V2.to_vec();
    local.extend([0x20, 0, 0, 0]);
    for header in [local, b"PROXY UNKNOWN\r\n".to_vec()] {
        let mut client = connect(&waypoint).await;
        send(&mut client, &header).await;
        send(&mut client, b"hi\n").await;
        client.shutdown().await.unwrap();
        assert_eq!(read_all(&mut client).await, "hi\n");
    }
    waypoint.logged(&["- 127.0.0.1:", " 127.0.0.1 - 3"]).await;
}

/// An application that keeps what it gets, and says how many connections it has had and has.
#[derive(Clone, Default)]
struct Heard {
    bytes: Arc<Mutex<Vec<u8>>>,
    open: Arc<AtomicUsize>,
}

impl Heard {
    async fn serve(&self) -> SocketAddr {
        let this = self.clone();
        server(move |mut socket| {
            let this = this.clone();
            this.open.fetch_add(1, SeqCst);
            async move {
                let mut all = Vec::new();
                drop(socket.read_to_end(&mut all).await);
                this.bytes.lock().extend(all);
                this.open.fetch_sub(1, SeqCst);
            }
        })
        .await
    }

    /// Waits until nobody is connected to it or to the waypoint any more, and nothing was heard.
    async fn nothing(&self, waypoint: &Waypoint, sent: &[u8]) {
        let gone = async {
            while waypoint.arrivals.streams() > 0 || self.open.load(SeqCst) > 0 {
                tokio::task::yield_now().await;
            }
        };
        soon("the end of all connections", gone).await;
        let (heard, sent) = (self.bytes.lock(), sent.escape_ascii());
        assert!(heard.is_empty(), "{} of {sent}", heard.escape_ascii());
    }
}

/// Sends what is to be refused, of which nothing may reach the application.
async fn refused(protocol: AppProtocol, peer: &str, inputs: &[Vec<u8>], ends: bool) {
    let app = Heard::default();
    let waypoint = waypoint(protocol, app.serve().await, peer).await;
    for bytes in inputs {
        let mut client = connect(&waypoint).await;
        drop(client.write_all(bytes).await);
        drop(client.flush().await);
        if ends {
            drop(client.shutdown().await);
        }
        let mut answer = Vec::new();
        let end = soon("a reset", client.read_to_end(&mut answer)).await;
        assert!(
            end.is_err() && answer.is_empty(),
            "{}",
            bytes.escape_ascii()
        );
        app.nothing(&waypoint, bytes).await;
    }
}

#[tokio::test]
async fn a_listed_peer_that_sends_something_else_is_reset() {
    let line = |text: &str| format!("{text}\r\nGET / HTTP/1.1\r\nhost: app\r\n\r\n").into_bytes();
    let binary = |rest: &[u8]| [SIGNATURE_V2, rest, &[0; MAX_V2_BYTES]].concat();
    let inputs = [
        b"GET / HTTP/1.1\r\nhost: app\r\n\r\n".to_vec(),
        b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03".to_vec(),
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(),
        line("PROXY TCP4 192.0.2.77 10.0.0.1 050000 80"),
        line("PROXY TCP4 192.0.2.77 10.0.0.1 50000 80 x"),
        line("PROXY TCP4 192.0.2.777 10.0.0.1 50000 80"),
        line(&format!("PROXY UNKNOWN {}", "x".repeat(200))),
        binary(&[0x21, 0x11, 0xFF, 0xFF]),
        binary(&[0x21, 0x12, 0, 12]),
        binary(&[0x31, 0x11, 0, 12]),
        binary(&[0x21, 0x11, 0, 11]),
    ];
    for protocol in [
        AppProtocol::Http11,
        AppProtocol::Unknown,
        AppProtocol::Tls,
        AppProtocol::Tcp,
    ] {
        refused(protocol, LISTED, &inputs, false).await;
    }
}

#[tokio::test]
async fn a_header_that_breaks_off_is_none() {
    let cut =
        |header: Vec<u8>| [0, 1, 5, 12, 15, header.len() - 1].map(|end| header[..end].to_vec());
    let inputs: Vec<_> = headers().into_iter().flat_map(cut).collect();
    for protocol in [AppProtocol::Http11, AppProtocol::Unknown, AppProtocol::Tcp] {
        refused(protocol, LISTED, &inputs, true).await;
    }
}

#[tokio::test]
async fn a_header_of_a_peer_that_is_not_listed_is_refused_on_every_kind_of_port() {
    for protocol in [
        AppProtocol::Http11,
        AppProtocol::Unknown,
        AppProtocol::Tls,
        AppProtocol::Tcp,
    ] {
        refused(protocol, UNLISTED, &headers(), false).await;
    }
}

#[tokio::test]
async fn a_header_in_crumbs_of_a_peer_that_is_not_listed_is_refused_too() {
    for protocol in [AppProtocol::Tcp, AppProtocol::Unknown, AppProtocol::Http11] {
        let app = Heard::default();
        let waypoint = waypoint(protocol, app.serve().await, UNLISTED).await;
        for header in headers() {
            let mut client = connect(&waypoint).await;
            for crumb in header.chunks(1) {
                if client.write_all(crumb).await.is_err() || client.flush().await.is_err() {
                    break;
                }
                tokio::task::yield_now().await;
            }
            assert_eq!(read_all(&mut client).await, "");
            app.nothing(&waypoint, &header).await;
        }
    }
}

#[tokio::test]
async fn other_pods_use_the_same_port_without_a_header() {
    let tcp = waypoint(AppProtocol::Tcp, banner().await, UNLISTED).await;
    let mut client = connect(&tcp).await;
    // Before a byte of the client's.
    read_until(&mut client, "220 hello\r\n").await;
    // It begins as one, and is none.
    for crumb in [&b"P"[..], b"ROX", b"Y", b"! EHLO\r\n"] {
        send(&mut client, crumb).await;
    }
    read_until(&mut client, "PROXY! EHLO\r\n").await;
    send(&mut client, b"PROXY TCP4 1 2 3 4\r\n").await;
    client.shutdown().await.unwrap();
    assert_eq!(read_all(&mut client).await, "PROXY TCP4 1 2 3 4\r\n");
    tcp.logged(&["- 127.0.0.1:", " 127.0.0.1 - 33"]).await;

    let http = waypoint(AppProtocol::Http11, head().await, UNLISTED).await;
    let mut client = connect(&http).await;
    let text = b"GET /a HTTP/1.1\r\nhost: app\r\nx-forwarded-for: 203.0.113.5\r\nconnection: close\r\n\r\n";
    let answer = talk(&mut client, text).await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    assert!(!answer.contains("forwarded-for"), "{answer}");

    let ends = waypoint(AppProtocol::Unknown, echo().await, UNLISTED).await;
    let mut client = connect(&ends).await;
    send(&mut client, b"PROX").await;
    client.shutdown().await.unwrap();
    assert_eq!(read_all(&mut client).await, "PROX");
}

#[tokio::test]
async fn where_no_header_is_expected_one_is_the_applications() {
    let waypoint = Waypoint::start(vec![
        (service("app", 1, AppProtocol::Tcp), echo().await),
        (service("some", 2, AppProtocol::Unknown), echo().await),
    ])
    .await;
    let listing = ClientAddress {
        proxy_protocol: false,
        ..policy(LISTED)
    };
    for policy in [None, Some(listing)] {
        for name in ["app", "some"] {
            waypoint.publish([Resource::RouteTable(Arc::new(RouteTable {
                client_address: policy.clone(),
                ..table(name)
            }))]);
        }
        for authority in ["10.96.0.1:80", "10.96.0.2:80"] {
            for header in headers() {
                let mut client = waypoint.connect(authority).await.unwrap();
                send(&mut client, &header).await;
                client.shutdown().await.unwrap();
                let echoed = read_all(&mut client).await;
                assert_eq!(echoed, String::from_utf8_lossy(&header));
            }
        }
    }
}

#[tokio::test]
async fn a_policy_of_the_waypoint_asks_for_headers_where_the_service_says_nothing() {
    let waypoint = Waypoint::start(vec![(
        service("app", 1, AppProtocol::Unknown),
        echo().await,
    )])
    .await;
    waypoint.publish([Resource::WaypointSettings(Arc::new(WaypointSettings {
        client_address: Some(policy(LISTED)),
        ..logging()
    }))]);
    let mut client = connect(&waypoint).await;
    send(&mut client, &headers()[1]).await;
    send(&mut client, b"hi\n").await;
    client.shutdown().await.unwrap();
    assert_eq!(read_all(&mut client).await, "hi\n");
    // What the service says stands in its place, also if that is less.
    let own = RouteTable {
        client_address: Some(ClientAddress::default()),
        ..table("app")
    };
    waypoint.publish([Resource::RouteTable(Arc::new(own))]);
    let mut client = connect(&waypoint).await;
    send(&mut client, b"hi\n").await;
    client.shutdown().await.unwrap();
    assert_eq!(read_all(&mut client).await, "hi\n");
}
