//! Whom a client believes, and what it says when it does not.

use std::{error::Error as _, path::PathBuf};

use http::Uri;
use tokio::net::TcpListener;

use super::{ConnectError, Target};
use crate::{
    Endpoint, Roots, RootsError,
    status::chain,
    testkit::{Folder, Server, TestCa},
};

const H2: &[&[u8]] = &[b"h2"];

async fn server(ca: &TestCa, names: &[&str]) -> Server {
    Server::start(Some(ca.server(names, H2))).await
}

/// The error of a connection that must not come about.
async fn refused(endpoint: &Endpoint) -> ConnectError {
    endpoint
        .connect()
        .await
        .map(|channel| format!("{channel:?}"))
        .expect_err("the connection must fail")
}

#[tokio::test]
async fn a_server_of_our_roots_with_the_name_of_the_address_is_believed() {
    let ca = TestCa::new();
    let server = server(&ca, &["localhost", "127.0.0.1"]).await;
    for host in ["localhost", "127.0.0.1"] {
        let endpoint = server.endpoint("https", host, Roots::Pem(ca.pem()));
        let channel = endpoint.connect().await.unwrap();
        assert!(channel.is_open());
    }
}

#[tokio::test]
async fn a_server_of_other_roots_is_refused() {
    let (ours, theirs) = (TestCa::new(), TestCa::new());
    let server = server(&theirs, &["localhost"]).await;
    let error = refused(&server.endpoint("https", "localhost", Roots::Pem(ours.pem()))).await;
    assert!(matches!(error, ConnectError::Tls { .. }), "{error:?}");
    let text = chain(&error);
    assert!(text.contains("TLS handshake with localhost:"), "{text}");
    assert!(text.contains("invalid peer certificate"), "{text}");
}

#[tokio::test]
async fn a_server_of_another_name_is_refused_unless_the_name_is_the_alternative_one() {
    let ca = TestCa::new();
    let server = server(&ca, &["istiod.istio-system.svc"]).await;
    for host in ["localhost", "127.0.0.1"] {
        let mut endpoint = server.endpoint("https", host, Roots::Pem(ca.pem()));
        let error = refused(&endpoint).await;
        assert!(
            matches!(&error, ConnectError::Tls { name, .. } if name == host),
            "{error:?}"
        );
        endpoint.alternative_name = Some("istiod.istio-system.svc".into());
        assert!(endpoint.connect().await.unwrap().is_open());
    }
}

#[tokio::test]
async fn with_an_alternative_name_the_name_of_the_address_does_not_help() {
    let ca = TestCa::new();
    let server = server(&ca, &["localhost"]).await;
    let mut endpoint = server.endpoint("https", "localhost", Roots::Pem(ca.pem()));
    endpoint.alternative_name = Some("istiod.istio-system.svc".into());
    let error = refused(&endpoint).await;
    assert!(
        matches!(&error, ConnectError::Tls { name, .. } if name == "istiod.istio-system.svc"),
        "{error:?}"
    );
}

#[tokio::test]
async fn the_roots_file_is_read_anew_for_every_connection() {
    let (old, new, folder) = (TestCa::new(), TestCa::new(), Folder::new());
    let server = server(&new, &["localhost"]).await;
    let path = folder.write("root-cert.pem", old.pem());
    let endpoint = server.endpoint("https", "localhost", Roots::File(path.clone()));
    assert!(matches!(refused(&endpoint).await, ConnectError::Tls { .. }));

    folder.write("root-cert.pem", old.pem() + &new.pem());
    assert!(endpoint.connect().await.unwrap().is_open());

    folder.write("root-cert.pem", "no certificate");
    let error = refused(&endpoint).await;
    assert!(
        matches!(&error, ConnectError::Roots(RootsError::Empty { .. })),
        "{error:?}"
    );
    assert!(
        error.to_string().contains(path.to_str().unwrap()),
        "{error}"
    );

    std::fs::remove_file(&path).unwrap();
    let error = refused(&endpoint).await;
    assert!(
        matches!(&error, ConnectError::Roots(RootsError::Read { path: at, .. }) if *at == path),
        "{error:?}"
    );
}

#[tokio::test]
async fn a_certificate_that_cannot_be_a_root_is_counted_out() {
    let ca = TestCa::new();
    let bad = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    let server = server(&ca, &["localhost"]).await;
    let error = refused(&server.endpoint("https", "localhost", Roots::Pem(ca.pem() + bad))).await;
    assert!(
        matches!(
            &error,
            ConnectError::Roots(RootsError::Certificate { position: 2, .. })
        ),
        "{error:?}"
    );
}

#[tokio::test]
async fn a_server_that_does_not_agree_on_http_2_is_refused() {
    let ca = TestCa::new();
    let silent = Server::start(Some(ca.server(&["localhost"], &[]))).await;
    let error = refused(&silent.endpoint("https", "localhost", Roots::Pem(ca.pem()))).await;
    assert!(matches!(error, ConnectError::Alpn { .. }), "{error:?}");
    let old = Server::start(Some(ca.server(&["localhost"], &[b"http/1.1"]))).await;
    let error = refused(&old.endpoint("https", "localhost", Roots::Pem(ca.pem()))).await;
    assert!(matches!(error, ConnectError::Tls { .. }), "{error:?}");
}

#[tokio::test]
async fn each_step_that_fails_is_named() {
    let ca = TestCa::new();
    let server = server(&ca, &["localhost"]).await;
    let endpoint = server.endpoint("https", "localhost", Roots::Pem(ca.pem()));

    // Nobody listens on a port that was just given back.
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = free.local_addr().unwrap().port();
    drop(free);
    let mut nobody = endpoint.clone();
    nobody.address = format!("https://127.0.0.1:{port}").parse().unwrap();
    let error = refused(&nobody).await;
    assert!(
        matches!(&error, ConnectError::Tcp { count: 1, source, .. }
            if source.kind() == std::io::ErrorKind::ConnectionRefused),
        "{error:?}"
    );
    assert!(error.source().is_some());

    let mut unnamed = endpoint.clone();
    unnamed.alternative_name = Some("not a name".into());
    let error = refused(&unnamed).await;
    assert!(matches!(error, ConnectError::Name { .. }), "{error:?}");

    let mut cluster = endpoint;
    cluster.cluster = "two\nlines".into();
    let error = refused(&cluster).await;
    assert!(matches!(error, ConnectError::Cluster { .. }), "{error:?}");
}

#[test]
fn an_address_that_is_no_server_is_refused_with_the_reason() {
    let check = |address: &str| {
        let address: Uri = address.parse().unwrap();
        Target::new(&address).map(|target| (target.to_string(), target.host, target.port))
    };
    for (address, host, port) in [
        (
            "https://istiod.istio-system.svc:15012",
            "istiod.istio-system.svc",
            15012,
        ),
        (
            "istiod.istio-system.svc:15012",
            "istiod.istio-system.svc",
            15012,
        ),
        (
            "https://istiod.istio-system.svc",
            "istiod.istio-system.svc",
            443,
        ),
        ("http://127.0.0.1/", "127.0.0.1", 80),
        ("https://[fd00::7]:15012/", "fd00::7", 15012),
    ] {
        let (_, found_host, found_port) = check(address).unwrap();
        assert_eq!((found_host.as_str(), found_port), (host, port), "{address}");
    }
    for (address, expected) in [
        (
            "tcp://host:1",
            "has a scheme that is neither https nor http",
        ),
        ("/path", "has no host"),
        ("https://host:1/path", "has a path"),
        ("https://host:1/?query", "has a path"),
        ("https://me@host:1", "has a user name"),
        ("https://host:0", "has no port that can be connected to"),
        ("https://host:99999", "has no port that can be connected to"),
    ] {
        let error = check(address).unwrap_err();
        assert!(
            matches!(&error, ConnectError::Address { problem, .. } if *problem == expected),
            "{address}: {error:?}"
        );
    }
}

#[test]
fn a_setting_of_roots_is_a_file_a_text_or_the_system() {
    let pem = TestCa::new().pem();
    assert_eq!(Roots::from_setting("SYSTEM"), Roots::System);
    assert_eq!(Roots::from_setting(&pem), Roots::Pem(pem));
    assert_eq!(
        Roots::from_setting("./var/run/secrets/istio/root-cert.pem"),
        Roots::File(PathBuf::from("./var/run/secrets/istio/root-cert.pem"))
    );
}
