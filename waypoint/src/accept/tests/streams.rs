//! Connections whose bytes are not looked at.

use std::{io, sync::Arc};

use mesh::{
    Resource,
    route::{Backend, HostMatch, Missing, Target, TcpRoute, TlsRoute, WeightedBackend},
    service::AppProtocol,
};
use rustls::{ClientConfig, ClientConnection, RootCertStore, pki_types::ServerName};
use tokio::io::AsyncWriteExt as _;

use super::kit::{
    Waypoint, echo, key, read_all, read_until, server, service, settings, table, talk,
};

/// Says its name first, then answers what it is sent.
async fn banner(name: &'static str) -> std::net::SocketAddr {
    server(move |mut socket| async move {
        socket.write_all(name.as_bytes()).await.unwrap();
        let (mut read, mut write) = socket.split();
        drop(tokio::io::copy(&mut read, &mut write).await);
        drop(write.shutdown().await);
    })
    .await
}

fn to(name: &str) -> Vec<WeightedBackend> {
    vec![WeightedBackend::new(
        1,
        Target::Backend(Backend::new(key(name), 80)),
    )]
}

#[tokio::test]
async fn a_server_of_a_declared_port_may_speak_first_and_each_side_ends_by_itself() {
    let app = banner("220 hello\r\n").await;
    let waypoint = Waypoint::start(vec![(service("smtp", 1, AppProtocol::Tcp), app)]).await;
    let mut client = waypoint.connect("10.96.0.1:80").await.unwrap();
    read_until(&mut client, "220 hello\r\n").await;
    // A request of HTTP is only bytes here.
    client.write_all(b"GET / HTTP/1.1\n\n").await.unwrap();
    client.shutdown().await.unwrap();
    assert_eq!(read_all(&mut client).await, "GET / HTTP/1.1\n\n");
    waypoint
        .logged(&["- 0 - - - inbound-vip|80|tcp|smtp.shop.svc.cluster.local - 16 27 10.96.0.1:80"])
        .await;
}

#[tokio::test]
async fn what_is_no_http_on_an_undeclared_port_is_passed_on_whole() {
    let waypoint = Waypoint::start(vec![(
        service("redis", 1, AppProtocol::Unknown),
        echo().await,
    )])
    .await;
    let mut client = waypoint.connect("10.96.0.1:80").await.unwrap();
    client.write_all(b"*1\r\n$4\r\nPING\r\n").await.unwrap();
    client.shutdown().await.unwrap();
    assert_eq!(read_all(&mut client).await, "*1\r\n$4\r\nPING\r\n");
}

#[tokio::test]
async fn a_backend_without_an_endpoint_is_a_refusal_and_has_its_flag() {
    let gone = {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        listener.local_addr().unwrap()
    };
    let waypoint = Waypoint::start(vec![(service("down", 1, AppProtocol::Tcp), gone)]).await;
    waypoint.publish([
        Resource::RouteTable(Arc::new(table("empty"))),
        Resource::Service(Arc::new(service("empty", 2, AppProtocol::Tcp))),
    ]);
    for (authority, flag) in [("10.96.0.1:80", " UF "), ("10.96.0.2:80", " UH ")] {
        let refused = waypoint.connect(authority).await.unwrap_err();
        assert_eq!(refused.as_u16(), 503);
        waypoint.logged(&[flag, authority]).await;
    }
}

#[tokio::test]
async fn a_policy_that_cannot_be_enforced_ends_every_connection() {
    let app = echo().await;
    let waypoint = Waypoint::start(vec![
        (service("tcp", 1, AppProtocol::Tcp), app),
        (service("auto", 2, AppProtocol::Unknown), app),
    ])
    .await;
    let mut open = waypoint.connect("10.96.0.1:80").await.unwrap();
    open.write_all(b"x").await.unwrap();
    open.flush().await.unwrap();
    read_until(&mut open, "x").await;
    for name in ["tcp", "auto"] {
        let mut table = table(name);
        table.unenforced = vec!["AuthorizationPolicy shop/deny".into()];
        waypoint.publish([Resource::RouteTable(Arc::new(table))]);
    }
    // What is open, what is declared, and what was only detected.
    assert_eq!(read_all(&mut open).await, "");
    assert_eq!(
        waypoint.connect("10.96.0.1:80").await.unwrap_err().as_u16(),
        503
    );
    let mut client = waypoint.connect("10.96.0.2:80").await.unwrap();
    assert_eq!(talk(&mut client, b"*1\r\n").await, "");
    waypoint
        .logged(&["unenforced_policy", "10.96.0.2:80"])
        .await;
    // The same of the whole waypoint.
    waypoint.publish([
        Resource::RouteTable(Arc::new(table("tcp"))),
        Resource::WaypointSettings(Arc::new(mesh::settings::WaypointSettings {
            unenforced: vec!["AuthorizationPolicy shop/deny".into()],
            ..settings()
        })),
    ]);
    assert_eq!(
        waypoint.connect("10.96.0.1:80").await.unwrap_err().as_u16(),
        503
    );
}

#[tokio::test]
async fn a_port_of_which_nothing_was_told_is_passed_to_nobody() {
    let app = echo().await;
    let waypoint = Waypoint::start(vec![
        (service("tcp", 1, AppProtocol::Tcp), app),
        (service("auto", 2, AppProtocol::Unknown), app),
    ])
    .await;
    waypoint.forget_tables(["tcp", "auto"]);
    let refused = waypoint.connect("10.96.0.1:80").await.unwrap_err();
    assert_eq!(refused.as_u16(), 503);
    waypoint
        .logged(&[" NR ", "route_table_missing", "10.96.0.1:80"])
        .await;
    let mut client = waypoint.connect("10.96.0.2:80").await.unwrap();
    assert_eq!(talk(&mut client, b"*1\r\n").await, "");
    waypoint
        .logged(&[" NR ", "route_table_missing", "10.96.0.2:80"])
        .await;
    let mut client = waypoint.connect("10.96.0.2:80").await.unwrap();
    let request = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    let text = talk(&mut client, request).await;
    assert!(text.starts_with("HTTP/1.1 503 "), "{text}");
    waypoint
        .logged(&["503 NR route_table_missing", "10.96.0.2:80"])
        .await;
}

#[tokio::test]
async fn routes_of_tcp_choose_a_backend_or_none() {
    let waypoint = Waypoint::start(vec![
        (service("front", 1, AppProtocol::Tcp), banner("front").await),
        (service("back", 2, AppProtocol::Tcp), banner("back").await),
    ])
    .await;
    let route = |source: Option<&str>, backends| TcpRoute {
        name: "r".into(),
        destination_subnets: Vec::new(),
        source_subnet: source.map(|net| net.parse().unwrap()),
        backends,
    };
    let mut routed = table("front");
    routed.tcp = vec![
        route(Some("10.0.0.0/8"), to("front")),
        route(Some("127.0.0.0/8"), to("back")),
    ];
    waypoint.publish([Resource::RouteTable(Arc::new(routed))]);
    let mut client = waypoint.connect("10.96.0.1:80").await.unwrap();
    read_until(&mut client, "back").await;
    let missing = Missing {
        status: 503,
        name: "gone".into(),
    };
    for (routes, flag) in [
        (vec![route(Some("10.0.0.0/8"), to("front"))], " NR "),
        (
            vec![route(
                None,
                vec![WeightedBackend::new(1, Target::Missing(missing))],
            )],
            " NC ",
        ),
        (vec![route(None, Vec::new())], " NC "),
    ] {
        let mut routed = table("front");
        routed.tcp = routes;
        waypoint.publish([Resource::RouteTable(Arc::new(routed))]);
        assert_eq!(
            waypoint.connect("10.96.0.1:80").await.unwrap_err().as_u16(),
            503
        );
        waypoint.logged(&[flag]).await;
    }
}

/// What a client of TLS says first to a server of this name.
fn hello(name: &str) -> Vec<u8> {
    let config = ClientConfig::builder_with_provider(identity::tls::provider())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(RootCertStore::empty())
        .with_no_client_auth();
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let mut bytes = Vec::new();
    let written: io::Result<usize> = ClientConnection::new(Arc::new(config), name)
        .unwrap()
        .write_tls(&mut bytes);
    assert!(written.is_ok());
    bytes
}

#[tokio::test]
async fn tls_goes_where_its_server_name_says_and_is_not_ended() {
    let waypoint = Waypoint::start(vec![
        (service("front", 1, AppProtocol::Tls), echo().await),
        (service("back", 2, AppProtocol::Tcp), banner("back").await),
        (service("auto", 3, AppProtocol::Unknown), echo().await),
    ])
    .await;
    let mut routed = table("front");
    routed.tls = vec![
        TlsRoute {
            name: "one".into(),
            server_names: vec![HostMatch::new("a.example")],
            backends: to("front"),
        },
        TlsRoute {
            name: "two".into(),
            server_names: vec![HostMatch::new("*.b.example")],
            backends: to("back"),
        },
    ];
    waypoint.publish([Resource::RouteTable(Arc::new(routed))]);
    // The endpoint sees every byte as it was sent.
    for (authority, name) in [
        ("10.96.0.1:80", "A.example"),
        ("10.96.0.3:80", "anything.example"),
    ] {
        let mut client = waypoint.connect(authority).await.unwrap();
        let hello = hello(name);
        client.write_all(&hello).await.unwrap();
        client.flush().await.unwrap();
        let mut back = vec![0; hello.len()];
        tokio::io::AsyncReadExt::read_exact(&mut client, &mut back)
            .await
            .unwrap();
        assert!(back == hello);
        drop(client);
        waypoint.logged(&[&name.to_ascii_lowercase()]).await;
    }
    let mut client = waypoint.connect("10.96.0.1:80").await.unwrap();
    client.write_all(&hello("x.b.example")).await.unwrap();
    client.flush().await.unwrap();
    let mut name = [0; 4];
    tokio::io::AsyncReadExt::read_exact(&mut client, &mut name)
        .await
        .unwrap();
    assert_eq!(&name, b"back");
    for unrouted in [
        hello("c.example"),
        hello("10.0.0.1"),
        b"no TLS at all".to_vec(),
    ] {
        let mut client = waypoint.connect("10.96.0.1:80").await.unwrap();
        assert_eq!(talk(&mut client, &unrouted).await, "");
    }
    waypoint.logged(&[" NR ", "c.example"]).await;
}
