//! PROXY headers to endpoints: of whom they tell, and that no connection is used for another client.

use std::{num::NonZeroU32, sync::Arc, time::Duration};

use bytes::Bytes;
use http::Response;
use http_body_util::Full;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use mesh::{
    Service,
    backend::{ConnectionPool, HealthCheck, Probe, ProxyVersion, TrafficPolicy},
    service::AppProtocol,
};
use net::relay::TcpEnd;
use parking_lot::Mutex;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};
use wire::proxy_protocol::{self, Read};

use super::kit::{Mesh, Server, backend, client, get, id, policy, service, soon, until};
use crate::{
    io::UpgradedEnd,
    upstream::{By, Client},
};

fn rules(version: ProxyVersion) -> TrafficPolicy {
    TrafficPolicy {
        proxy_protocol: Some(version),
        ..TrafficPolicy::default()
    }
}

fn declared(protocol: AppProtocol) -> Service {
    Service {
        protocols: vec![(80, protocol)],
        ..service()
    }
}

/// Reads a header, and nothing after it; says what it tells of.
async fn header(socket: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    loop {
        bytes.push(socket.read_u8().await.unwrap());
        match proxy_protocol::read(&bytes).unwrap() {
            Read::More(_) => {}
            Read::Whole(header) => {
                assert_eq!(header.length, bytes.len());
                return header.addresses.map_or("local".to_owned(), |it| {
                    format!("{} > {}", it.source, it.destination)
                });
            }
        }
    }
}

/// An endpoint whose connections begin with a header, which it answers each request with. What it was told is in the second part.
async fn told(is_http2: bool) -> (Server, Arc<Mutex<Vec<String>>>) {
    let all = Arc::new(Mutex::new(Vec::new()));
    let heard = Arc::clone(&all);
    let server = Server::raw(move |_, mut socket| {
        let heard = Arc::clone(&heard);
        async move {
            let told = header(&mut socket).await;
            heard.lock().push(told.clone());
            let service = service_fn(move |_| {
                let answer = Response::new(Full::new(Bytes::from(told.clone())));
                async { Ok::<_, std::convert::Infallible>(answer) }
            });
            let io = TokioIo::new(socket);
            if is_http2 {
                let builder = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
                drop(builder.serve_connection(io, service).await);
            } else {
                let builder = hyper::server::conn::http1::Builder::new();
                drop(builder.serve_connection(io, service).await);
            }
        }
    })
    .await;
    (server, all)
}

#[tokio::test]
async fn an_endpoint_is_told_of_the_client_before_anything_else() {
    for version in [ProxyVersion::V1, ProxyVersion::V2] {
        let (server, _) = told(false).await;
        let mesh = Mesh::new(service(), &[server.address], rules(version));
        let web = id("web");
        let ipv4 = client(&web, "192.0.2.7:50000");
        assert_eq!(mesh.get_for(ipv4).await, "192.0.2.7:50000 > 10.96.0.1:80");
        // Of two families both are written as one.
        let ipv6 = client(&web, "[2001:db8::7]:50000");
        assert_eq!(
            mesh.get_for(ipv6).await,
            "[2001:db8::7]:50000 > 10.96.0.1:80"
        );
        let nameless = Client {
            destination: None,
            ..client(&web, "192.0.2.7:0")
        };
        assert_eq!(
            mesh.get_for(nameless).await,
            format!("192.0.2.7:0 > {}", server.address)
        );
    }
}

#[tokio::test]
async fn no_request_goes_out_on_the_connection_of_another_client() {
    for (is_http2, protocol) in [(false, AppProtocol::Http11), (true, AppProtocol::Http2)] {
        let (server, all) = told(is_http2).await;
        let mesh = Mesh::new(
            declared(protocol),
            &[server.address],
            rules(ProxyVersion::V2),
        );
        let accounts = [id("web"), id("admin"), id("cart")];
        let asks = (0..120_u16).map(|n| {
            let (mesh, identity) = (&mesh, &accounts[usize::from(n % 3)]);
            async move {
                let source = format!("192.0.2.{}:{}", n % 4, 5_000 + n % 5);
                let answer = mesh.get_for(client(identity, &source)).await;
                assert_eq!(answer, format!("{source} > 10.96.0.1:80"));
            }
        });
        futures_util::future::join_all(asks).await;
        // Once more, now that connections are there: none is used that was another's, and none is made.
        let before = server.connections();
        assert!(before >= 60, "{before}");
        for n in 0..120_u16 {
            let source = format!("192.0.2.{}:{}", n % 4, 5_000 + n % 5);
            let identity = &accounts[usize::from(n % 3)];
            let answer = mesh.get_for(client(identity, &source)).await;
            assert_eq!(answer, format!("{source} > 10.96.0.1:80"));
        }
        assert_eq!(server.connections(), before);
        assert_eq!(all.lock().len(), before);
        assert_eq!(mesh.hosts()[0].connections(), before);
    }
}

#[tokio::test]
async fn one_address_with_two_identities_has_two_connections() {
    let (server, _) = told(false).await;
    let mesh = Mesh::new(service(), &[server.address], rules(ProxyVersion::V2));
    for account in ["web", "admin", "web", "admin"] {
        mesh.get_for(client(&id(account), "192.0.2.7:50000")).await;
    }
    assert_eq!(server.connections(), 2);
}

#[tokio::test]
async fn what_the_waypoint_asks_for_itself_and_health_checks_speak_for_nobody() {
    for version in [ProxyVersion::V1, ProxyVersion::V2] {
        let (server, all) = told(false).await;
        let checked = TrafficPolicy {
            health_check: Some(HealthCheck {
                probe: Probe::Http {
                    path: "/healthz".into(),
                    host: "".into(),
                    expected: Vec::new(),
                },
                port: None,
                interval: Duration::from_millis(5),
                timeout: Duration::from_secs(5),
                unhealthy_threshold: NonZeroU32::MIN,
                healthy_threshold: NonZeroU32::MIN,
            }),
            ..rules(version)
        };
        let mesh = Mesh::new(service(), &[server.address], checked);
        let web = id("web");
        mesh.get_for(client(&web, "192.0.2.7:50000")).await;
        let connections = server.connections();
        assert_eq!(mesh.get("/").await.unwrap(), "local");
        assert_eq!(mesh.get("/").await.unwrap(), "local");
        assert_eq!(server.connections(), connections + 1);
        mesh.run();
        until("checks", || server.connections() > connections + 3).await;
        assert!(mesh.hosts()[0].is_well());
        let mut told = all.lock().clone();
        told.sort();
        told.dedup();
        assert_eq!(told, ["192.0.2.7:50000 > 10.96.0.1:80", "local"]);
    }
}

#[tokio::test]
async fn connections_of_before_are_not_used_when_headers_begin_or_end() {
    // It takes both.
    let server = Server::raw(|_, mut socket| async move {
        let mut first = [0];
        if socket.peek(&mut first).await.unwrap() == 0 {
            return;
        }
        let told = match first[0] {
            b'G' => "nothing".to_owned(),
            _ => header(&mut socket).await,
        };
        let service = service_fn(move |_| {
            let answer = Response::new(Full::new(Bytes::from(told.clone())));
            async { Ok::<_, std::convert::Infallible>(answer) }
        });
        let builder = hyper::server::conn::http1::Builder::new();
        drop(
            builder
                .serve_connection(TokioIo::new(socket), service)
                .await,
        );
    })
    .await;
    let mesh = Mesh::new(service(), &[server.address], TrafficPolicy::default());
    mesh.run();
    let web = id("web");
    // No port and no destination: what is told under each of the rules differs in nothing else.
    let bare = Client {
        destination: None,
        ..client(&web, "192.0.2.7:0")
    };
    let of = |policy: &TrafficPolicy| match policy.proxy_protocol {
        None => "nothing".to_owned(),
        Some(_) => format!("192.0.2.7:0 > {}", server.address),
    };
    for next in [
        rules(ProxyVersion::V1),
        rules(ProxyVersion::V2),
        TrafficPolicy::default(),
        rules(ProxyVersion::V2),
    ] {
        let now = mesh.cluster().policy();
        assert_eq!(mesh.get_for(bare).await, of(&now));
        mesh.publish([policy(next.clone())]);
        until("the policy", || *mesh.cluster().policy() == next).await;
        assert_eq!(mesh.get_for(bare).await, of(&next));
    }
    until("the others to go", || mesh.hosts()[0].connections() == 1).await;
}

#[tokio::test]
async fn a_connection_of_bytes_begins_with_the_header_and_goes_on_with_them() {
    let server = Server::raw(|_, mut socket| async move {
        let told = header(&mut socket).await;
        socket.write_all(told.as_bytes()).await.unwrap();
        let (mut read, mut write) = socket.split();
        tokio::io::copy(&mut read, &mut write).await.unwrap();
    })
    .await;
    let mesh = Mesh::new(service(), &[server.address], rules(ProxyVersion::V1));
    let web = id("web");
    let for_web = mesh.worker.on_behalf(client(&web, "192.0.2.7:50000"));
    assert_eq!(
        said(&mesh, for_web).await,
        "192.0.2.7:50000 > 10.96.0.1:80hello"
    );
    assert_eq!(said(&mesh, mesh.worker.itself()).await, "localhello");
}

/// Connects, says hello and reads to the end.
async fn said(mesh: &Mesh, by: By<'_>) -> String {
    let (accepted, mut near) = pair().await;
    let relayed = async {
        let connected = mesh.cluster().connect(by, mesh.pick()).await;
        let mut upstream = connected.unwrap();
        let mut downstream = TcpEnd::new(accepted);
        net::relay::relay(&mut downstream, &mut upstream, &Nothing)
            .await
            .unwrap();
    };
    let ((), said) = soon("the bytes", async {
        tokio::join!(relayed, hello(&mut near))
    })
    .await;
    said
}

#[tokio::test]
async fn an_upgraded_connection_has_begun_with_the_header_and_is_nobody_elses() {
    let server = Server::raw(|_, mut socket| async move {
        let told = header(&mut socket).await;
        let mut head = [0; 1024];
        assert!(socket.read(&mut head).await.unwrap() > 0);
        let switch =
            b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n";
        socket.write_all(switch).await.unwrap();
        socket.write_all(told.as_bytes()).await.unwrap();
        let (mut read, mut write) = socket.split();
        tokio::io::copy(&mut read, &mut write).await.unwrap();
    })
    .await;
    let mesh = Mesh::new(service(), &[server.address], rules(ProxyVersion::V2));
    let (web, admin) = (id("web"), id("admin"));
    let mut open = Vec::new();
    for (identity, source) in [
        (&web, "192.0.2.7:1"),
        (&admin, "192.0.2.8:1"),
        (&web, "192.0.2.7:1"),
    ] {
        let mut request = get("/");
        let headers = request.headers_mut();
        headers.insert("connection", "upgrade".parse().unwrap());
        headers.insert("upgrade", "websocket".parse().unwrap());
        let asked = mesh.send_for(client(identity, source), request).await;
        let mut sent = asked.unwrap();
        let upgraded = soon("the upgrade", hyper::upgrade::on(&mut sent.response))
            .await
            .unwrap();
        let (accepted, mut near) = pair().await;
        let relayed = async {
            let mut upstream = UpgradedEnd::new(upgraded);
            let mut downstream = TcpEnd::new(accepted);
            net::relay::relay(&mut downstream, &mut upstream, &Nothing)
                .await
                .unwrap();
        };
        let both = async { tokio::join!(relayed, hello(&mut near)) };
        let ((), said) = soon("the bytes", both).await;
        assert_eq!(said, format!("{source} > 10.96.0.1:80hello"));
        open.push(sent);
    }
    assert_eq!(server.connections(), 3);
}

#[tokio::test]
async fn a_connection_that_cannot_be_made_leaves_nothing_on_its_lane() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let mesh = Mesh::new(
        service(),
        &[address],
        TrafficPolicy {
            pool: ConnectionPool {
                connect_timeout: Duration::from_millis(200),
                ..ConnectionPool::default()
            },
            ..rules(ProxyVersion::V2)
        },
    );
    let web = id("web");
    let error = mesh.send_for(client(&web, "192.0.2.7:1"), get("/")).await;
    assert!(error.unwrap_err().is_connect_failure());
    assert_eq!(mesh.hosts()[0].connections(), 0);
}

#[tokio::test]
async fn every_worker_has_lanes_of_its_own() {
    let (server, _) = told(false).await;
    let mesh = Mesh::with_workers(2, service(), &[server.address], rules(ProxyVersion::V2));
    let web = id("web");
    let host = mesh.hosts().remove(0);
    let lane = || {
        let cluster = mesh.clusters.get(&backend()).unwrap();
        cluster
            .telling()
            .lane(Some(&client(&web, "192.0.2.7:1")), host.way())
            .unwrap()
    };
    let one = host.pool_of(0, lane()).unwrap();
    assert!(!Arc::ptr_eq(&one, &host.pool_of(1, lane()).unwrap()));
    assert!(Arc::ptr_eq(&one, &host.pool_of(0, lane()).unwrap()));
    assert!(!Arc::ptr_eq(&one, host.pool(0)));
}

#[tokio::test]
async fn a_lane_that_carries_something_rests_when_that_has_ended() {
    for (is_http2, protocol) in [(false, AppProtocol::Http11), (true, AppProtocol::Http2)] {
        let (server, _) = told(is_http2).await;
        let mesh = Mesh::new(
            declared(protocol),
            &[server.address],
            rules(ProxyVersion::V2),
        );
        let web = id("web");
        let host = mesh.hosts().remove(0);
        let later = || net::clock::now() + Duration::from_secs(3600);
        let sent = mesh
            .send_for(client(&web, "192.0.2.7:1"), get("/"))
            .await
            .unwrap();
        let body = sent.response.into_body();
        host.tidy(later());
        assert_eq!(host.connections(), 1, "it is in use");
        drop(body);
        until("the end of the lane", || {
            host.tidy(later());
            host.connections() == 0
        })
        .await;
        // It is made anew.
        assert_eq!(
            mesh.get_for(client(&web, "192.0.2.7:1")).await,
            "192.0.2.7:1 > 10.96.0.1:80"
        );
    }
}

struct Nothing;

impl net::relay::Meter for Nothing {
    fn upward(&self, _bytes: u64) {}

    fn downward(&self, _bytes: u64) {}
}

/// Two ends of a connection.
async fn pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let near = TcpStream::connect(listener.local_addr().unwrap());
    let (near, accepted) = tokio::join!(near, listener.accept());
    (accepted.unwrap().0, near.unwrap())
}

async fn hello(socket: &mut TcpStream) -> String {
    socket.write_all(b"hello").await.unwrap();
    socket.shutdown().await.unwrap();
    let mut said = String::new();
    socket.read_to_string(&mut said).await.unwrap();
    said
}
