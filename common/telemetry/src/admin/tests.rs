//! The endpoints over real connections.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    time::timeout,
};

use super::{
    BindError, Console, Readiness, bind, serve_admin, serve_metrics, serve_readiness,
    server::MAX_CONNECTIONS,
};
use crate::{
    event::Outcome,
    logging::{Format, Logging},
    testkit::{connection, logging, read_open_metrics, read_prometheus, sum, telemetry},
};

const DEADLINE: Duration = Duration::from_secs(10);

async fn listener() -> (TcpListener, SocketAddr) {
    let listener = bind("test", "127.0.0.1:0".parse().unwrap(), "TEST_ADDR")
        .await
        .unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

/// Sends a request as it stands and reads the answer to its end: the status, the head and the body.
async fn exchange(address: SocketAddr, request: &str) -> (u16, String, String) {
    let answer = timeout(DEADLINE, async {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    })
    .await
    .expect("an answer in time");
    let (head, body) = answer
        .split_once("\r\n\r\n")
        .unwrap_or_else(|| panic!("no answer: {answer:?}"));
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, head.to_lowercase(), body.to_owned())
}

async fn ask(address: SocketAddr, method: &str, target: &str) -> (u16, String) {
    let (status, _, body) = exchange(
        address,
        &format!("{method} {target} HTTP/1.1\r\nhost: x\r\n\r\n"),
    )
    .await;
    (status, body)
}

/// An admin endpoint over a log of level info; the count is of requests for shutdown.
async fn admin() -> (SocketAddr, Logging, Arc<AtomicUsize>) {
    let (logging, _) = logging(Format::Text, "info");
    let quits = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&quits);
    let dump = || serde_json::json!({"workloads": [{"uid": "a"}]});
    let console = Console::new(logging.clone(), dump, move || {
        counted.fetch_add(1, Relaxed);
    });
    let (listener, address) = listener().await;
    tokio::spawn(serve_admin(listener, console));
    (address, logging, quits)
}

#[tokio::test]
async fn metrics_are_served_in_the_format_that_is_asked_for() {
    let (telemetry, _, now) = telemetry(Format::Text, "info");
    let open = telemetry.opened(connection(), now);
    open.counters().add_received(456);
    open.close(Outcome::Complete, now);
    let (listener, address) = listener().await;
    tokio::spawn(serve_metrics(listener, telemetry));

    let (status, head, body) = exchange(address, "GET /metrics HTTP/1.1\r\nhost: x\r\n\r\n").await;
    assert_eq!(status, 200);
    assert!(
        head.contains("content-type: text/plain; version=0.0.4; charset=utf-8"),
        "{head}"
    );
    assert_eq!(
        sum(
            &read_prometheus(&body),
            "istio_tcp_received_bytes_total",
            &["source_workload=\"client\""]
        ),
        456.0
    );

    let accept = "accept: application/openmetrics-text;version=1.0.0,text/plain;q=0.1";
    let request = format!("GET /stats/prometheus HTTP/1.1\r\nhost: x\r\n{accept}\r\n\r\n");
    let (status, head, body) = exchange(address, &request).await;
    assert_eq!(status, 200);
    assert!(
        head.contains("content-type: application/openmetrics-text;charset=utf-8;version=1.0.0"),
        "{head}"
    );
    assert_eq!(
        sum(
            &read_open_metrics(&body),
            "istio_tcp_connections_closed_total",
            &[]
        ),
        1.0
    );

    assert_eq!(ask(address, "POST", "/metrics").await.0, 405);
    assert_eq!(ask(address, "GET", "/").await.0, 404);
}

#[tokio::test]
async fn readiness_waits_for_every_condition_and_follows_them() {
    let readiness = Readiness::default();
    let (listener, address) = listener().await;
    tokio::spawn(serve_readiness(listener, readiness.clone()));
    assert_eq!(
        ask(address, "GET", "/healthz/ready").await,
        (200, "ready\n".into())
    );
    let (configuration, agent) = (
        readiness.condition("configuration"),
        readiness.condition("agent"),
    );
    let pending = "not ready, pending: configuration, agent\n";
    assert_eq!(
        ask(address, "GET", "/healthz/ready").await,
        (503, pending.into())
    );
    configuration.meet();
    assert_eq!(
        ask(address, "GET", "/healthz/ready").await,
        (503, "not ready, pending: agent\n".into())
    );
    agent.meet();
    drop(configuration);
    assert_eq!(
        ask(address, "GET", "/healthz/ready").await,
        (200, "ready\n".into())
    );
    agent.withdraw();
    assert_eq!(ask(address, "GET", "/healthz/ready").await.0, 503);
    assert_eq!(ask(address, "GET", "/").await.0, 404);
}

#[tokio::test]
async fn levels_are_shown_changed_and_reset() {
    let (address, logging, _) = admin().await;
    let shown = |level: &str| (200, format!("current log level is {level}\n"));
    assert_eq!(ask(address, "GET", "/logging").await, shown("info"));
    assert_eq!(
        ask(address, "POST", "/logging?level=access:debug,warn").await,
        shown("access=debug,warn")
    );
    assert_eq!(
        ask(
            address,
            "POST",
            "/logging?level=hbone%3A%3Apool%3Atrace%2Cinfo"
        )
        .await,
        shown("access=debug,hbone::pool=trace,info")
    );
    assert_eq!(
        ask(address, "POST", "/logging").await,
        shown("access=debug,hbone::pool=trace,info")
    );
    assert_eq!(
        ask(address, "POST", "/logging?reset&level=access:off").await,
        shown("access=off,info")
    );
    assert_eq!(ask(address, "POST", "/logging?reset").await, shown("info"));
    assert_eq!(logging.level(), "info");
}

#[tokio::test]
async fn a_wrong_level_is_answered_with_what_was_expected_and_changes_nothing() {
    let (address, logging, _) = admin().await;
    logging.set_level("access:debug").unwrap();
    let (status, body) = ask(address, "POST", "/logging?reset&level=loud").await;
    assert_eq!(status, 400);
    assert_eq!(
        body,
        "\"loud\" is not a level: expected off, error, warn, info, debug or trace, or target:level\n"
    );
    assert_eq!(ask(address, "POST", "/logging?level=%zz").await.0, 400);
    assert_eq!(ask(address, "POST", "/logging?colour=red").await.0, 400);
    assert_eq!(ask(address, "GET", "/logging?level=debug").await.0, 405);
    assert_eq!(ask(address, "DELETE", "/logging").await.0, 405);
    assert_eq!(logging.level(), "access=debug,info");
}

#[tokio::test]
async fn the_configuration_can_be_dumped() {
    let (address, _, _) = admin().await;
    let (status, head, body) =
        exchange(address, "GET /config_dump HTTP/1.1\r\nhost: x\r\n\r\n").await;
    assert_eq!(status, 200);
    assert!(head.contains("content-type: application/json"), "{head}");
    let read: serde_json::Value = serde_json::from_str(&body).unwrap();
    assert_eq!(read["workloads"][0]["uid"], "a");
    let (status, body) = ask(address, "GET", "/").await;
    assert!(
        status == 200 && body.contains("href=\"/config_dump\""),
        "{body}"
    );
}

#[tokio::test]
async fn shutdown_is_asked_for_by_post_only() {
    let (address, _, quits) = admin().await;
    assert_eq!(ask(address, "GET", "/quitquitquit").await.0, 405);
    assert_eq!(quits.load(Relaxed), 0);
    assert_eq!(
        ask(address, "POST", "/quitquitquit").await,
        (200, "shutdown now\n".into())
    );
    assert_eq!(quits.load(Relaxed), 1);
}

#[tokio::test]
async fn a_body_is_read_up_to_its_bound() {
    let (address, _, quits) = admin().await;
    let with = |length: usize| {
        format!(
            "POST /quitquitquit HTTP/1.1\r\nhost: x\r\ncontent-length: {length}\r\n\r\n{}",
            "x".repeat(length)
        )
    };
    assert_eq!(exchange(address, &with(1000)).await.0, 200);
    // Refused for what is announced, before it is sent: an answer cannot be lost in a reset then.
    let announced = "POST /quitquitquit HTTP/1.1\r\nhost: x\r\ncontent-length: 70000\r\n\r\n";
    assert_eq!(exchange(address, announced).await.0, 413);
    assert_eq!(quits.load(Relaxed), 1);
}

#[tokio::test]
async fn garbage_and_large_heads_are_refused_or_closed() {
    let (address, _, _) = admin().await;
    let long = format!(
        "GET / HTTP/1.1\r\nhost: x\r\nx-long: {}\r\n\r\n",
        "x".repeat(20_000)
    );
    let many = format!("GET / HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(200));
    let garbage = "\u{16}\u{3}\u{1}\r\n\r\n".to_owned();
    for (request, status) in [(long, "431"), (many, "431"), (garbage, "400")] {
        let mut stream = TcpStream::connect(address).await.unwrap();
        // It may be closed before all is sent, and the answer be lost in the reset.
        let _ = stream.write_all(request.as_bytes()).await;
        let mut answer = Vec::new();
        let _ = timeout(DEADLINE, stream.read_to_end(&mut answer))
            .await
            .expect("it is closed");
        let refused = answer.starts_with(format!("HTTP/1.1 {status} ").as_bytes());
        assert!(
            refused || answer.is_empty(),
            "{:?}",
            String::from_utf8_lossy(&answer)
        );
    }
    assert_eq!(ask(address, "GET", "/").await.0, 200);
}

#[tokio::test]
async fn idle_clients_keep_nobody_out() {
    let readiness = Readiness::default();
    let (listener, address) = listener().await;
    tokio::spawn(serve_readiness(listener, readiness));
    let mut idle = Vec::new();
    for _ in 0..3 * MAX_CONNECTIONS {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream
            .write_all(b"GET /healthz/ready HTTP/1.1\r\n")
            .await
            .unwrap();
        idle.push(stream);
    }
    assert_eq!(ask(address, "GET", "/healthz/ready").await.0, 200);
    // The oldest made room: it reads the end.
    let mut answer = Vec::new();
    let end = timeout(DEADLINE, idle[0].read_to_end(&mut answer))
        .await
        .expect("it is closed");
    assert!(end.is_err() || answer.is_empty());
}

#[tokio::test]
async fn an_address_in_use_is_named_with_its_variable() {
    let (_kept, address) = listener().await;
    let error: BindError = bind("metrics", address, "STATS_ADDR").await.unwrap_err();
    assert_eq!(
        error.to_string(),
        format!("failed to bind to address {address} of the metrics endpoint (see STATS_ADDR)")
    );
    assert_eq!(error.source.kind(), std::io::ErrorKind::AddrInUse);
}
