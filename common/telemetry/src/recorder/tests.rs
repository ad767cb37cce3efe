//! From events to metrics and log lines.

use std::{
    sync::atomic::{AtomicBool, Ordering::Relaxed},
    thread,
    time::Duration,
};

use prometheus_client::metrics::counter::Counter;

use super::Telemetry;
use crate::{
    event::{Connection, Direction, Outcome, Reason},
    logging::Format,
    metrics::Exposition,
    testkit::{
        Scrape, bare, connection, identity, read_open_metrics, read_prometheus, sum, telemetry,
    },
};

fn scrape(telemetry: &Telemetry) -> Scrape {
    let now = net::clock::now();
    let text = read_prometheus(&telemetry.expose(Exposition::Text, now));
    assert_eq!(
        text,
        read_open_metrics(&telemetry.expose(Exposition::OpenMetrics, now)),
        "both formats say the same"
    );
    text
}

#[test]
fn the_client_behind_a_waypoint_is_logged_and_counted_beside_it() {
    let (telemetry, sink, now) = telemetry(Format::Text, "info");
    let behind = Connection {
        client_identity: Some(Box::new(identity("browser"))),
        ..connection()
    };
    telemetry.opened(behind, now).close(Outcome::Complete, now);
    let line = sink.take(telemetry.logging());
    let both = "src.identity=\"spiffe://cluster.local/ns/default/sa/client\" \
                src.client.identity=\"spiffe://cluster.local/ns/default/sa/browser\" ";
    assert!(line.contains(both), "{line}");
    let labels = [
        "source_principal=\"spiffe://cluster.local/ns/default/sa/client\"",
        "client_principal=\"spiffe://cluster.local/ns/default/sa/browser\"",
    ];
    let opened = "istio_tcp_connections_opened_total";
    assert_eq!(sum(&scrape(&telemetry), opened, &labels), 1.0);
}

#[test]
fn a_completed_connection_leaves_one_line_and_its_counts() {
    let (telemetry, sink, now) = telemetry(Format::Text, "info");
    let open = telemetry.opened(connection(), now);
    open.counters().add_received(456);
    open.counters().add_sent(123);
    open.close(Outcome::Complete, now + Duration::from_micros(12_999));
    assert_eq!(
        sink.take(telemetry.logging()),
        "2024-11-21T15:33:44.464123Z\tinfo\taccess\tconnection complete\t\
         src.addr=10.0.0.5:51234 src.workload=\"client-1\" src.namespace=\"default\" \
         src.identity=\"spiffe://cluster.local/ns/default/sa/client\" src.cluster=\"Kubernetes\" \
         dst.addr=10.0.1.7:15008 dst.hbone_addr=10.0.1.7:8080 dst.service=\"reviews.default.svc.cluster.local\" \
         dst.workload=\"reviews-7\" dst.namespace=\"default\" \
         dst.identity=\"spiffe://cluster.local/ns/default/sa/reviews\" dst.cluster=\"Kubernetes\" \
         direction=\"outbound\" bytes_sent=123 bytes_recv=456 duration=\"12ms\"\n"
    );
    let scrape = scrape(&telemetry);
    let flag = "response_flags=\"-\"";
    assert_eq!(
        sum(
            &scrape,
            "istio_tcp_connections_opened_total",
            &[flag, "reporter=\"source\""]
        ),
        1.0
    );
    assert_eq!(
        sum(&scrape, "istio_tcp_connections_closed_total", &[flag]),
        1.0
    );
    assert_eq!(
        sum(&scrape, "istio_tcp_received_bytes_total", &[flag]),
        456.0
    );
    assert_eq!(sum(&scrape, "istio_tcp_sent_bytes_total", &[flag]), 123.0);
    assert_eq!(sum(&scrape, "istio_tcp_connections_failed_total", &[]), 0.0);
}

#[test]
fn a_failed_connection_is_an_error_with_its_text() {
    let (telemetry, sink, now) = telemetry(Format::Json, "info");
    let open = telemetry.opened(
        Connection {
            service: None,
            ..connection()
        },
        now,
    );
    let error = "connection closed due to policy rejection: explicitly denied by: default/deny-all";
    open.close(Outcome::failed(Reason::Denied, error), now);
    assert_eq!(
        sink.take(telemetry.logging()),
        "{\"level\":\"error\",\"time\":\"2024-11-21T15:33:44.464123Z\",\"scope\":\"access\",\
         \"message\":\"connection complete\",\"src.addr\":\"10.0.0.5:51234\",\"src.workload\":\"client-1\",\
         \"src.namespace\":\"default\",\"src.identity\":\"spiffe://cluster.local/ns/default/sa/client\",\
         \"src.cluster\":\"Kubernetes\",\"dst.addr\":\"10.0.1.7:15008\",\"dst.hbone_addr\":\"10.0.1.7:8080\",\
         \"dst.workload\":\"reviews-7\",\"dst.namespace\":\"default\",\
         \"dst.identity\":\"spiffe://cluster.local/ns/default/sa/reviews\",\"dst.cluster\":\"Kubernetes\",\
         \"direction\":\"outbound\",\"bytes_sent\":0,\"bytes_recv\":0,\"duration\":\"0ms\",\"error\":\
         \"connection closed due to policy rejection: explicitly denied by: default/deny-all\"}\n"
    );
    let scrape = scrape(&telemetry);
    assert_eq!(
        sum(
            &scrape,
            "istio_tcp_connections_opened_total",
            &["response_flags=\"-\""]
        ),
        1.0
    );
    assert_eq!(
        sum(
            &scrape,
            "istio_tcp_connections_closed_total",
            &["response_flags=\"DENY\""]
        ),
        1.0
    );
    assert_eq!(
        sum(
            &scrape,
            "istio_tcp_connections_closed_total",
            &["response_flags=\"-\""]
        ),
        0.0
    );
    assert_eq!(
        sum(
            &scrape,
            "istio_tcp_connections_failed_total",
            &["response_flags=\"DENY\""]
        ),
        1.0
    );
}

#[test]
fn a_refused_connection_shows_what_is_known_of_it() {
    let (telemetry, sink, now) = telemetry(Format::Text, "info");
    telemetry.refused(
        &bare(Direction::Inbound),
        Reason::ProtocolError,
        "expected method CONNECT, got GET",
        now,
    );
    assert_eq!(
        sink.take(telemetry.logging()),
        "2024-11-21T15:33:44.464123Z\twarn\taccess\tconnection failed\tsrc.addr=10.0.0.5:51234 \
         dst.addr=10.0.1.7:15008 direction=\"inbound\" error=\"expected method CONNECT, got GET\"\n"
    );
    let known = Connection {
        hbone_addr: connection().hbone_addr,
        source_identity: connection().source_identity,
        ..bare(Direction::Through)
    };
    telemetry.refused(&known, Reason::ProtocolError, "no such VIP", now);
    let line = sink.take(telemetry.logging());
    for part in [
        "src.identity=\"spiffe://",
        "dst.hbone_addr=",
        "error=\"no such VIP\"",
    ] {
        assert!(line.contains(part), "{part} is not in {line}");
    }
    let scrape = scrape(&telemetry);
    assert_eq!(
        sum(
            &scrape,
            "istio_tcp_connections_failed_total",
            &["response_flags=\"DPE\"", "reporter=\"destination\""]
        ),
        1.0
    );
    assert!(
        !scrape
            .keys()
            .any(|series| series.starts_with("istio_tcp_connections_opened_total"))
    );
    assert!(
        !scrape
            .keys()
            .any(|series| series.starts_with("istio_tcp_sent_bytes_total"))
    );
}

#[test]
fn what_is_not_known_is_left_out_of_the_line() {
    let (telemetry, sink, now) = telemetry(Format::Text, "debug");
    let open = telemetry.opened(
        Connection {
            passthrough: true,
            ..bare(Direction::Outbound)
        },
        now,
    );
    open.close(Outcome::Complete, now);
    assert_eq!(
        sink.take(telemetry.logging()),
        "2024-11-21T15:33:44.464123Z\tdebug\taccess\tconnection opened\tsrc.addr=10.0.0.5:51234 \
         dst.addr=10.0.1.7:15008 direction=\"outbound\"\n\
         2024-11-21T15:33:44.464123Z\tinfo\taccess\tconnection complete\tsrc.addr=10.0.0.5:51234 \
         dst.addr=10.0.1.7:15008 direction=\"outbound\" bytes_sent=0 bytes_recv=0 duration=\"0ms\"\n"
    );
    let passthrough = "destination_service_name=\"PassthroughCluster\"";
    assert_eq!(
        sum(
            &scrape(&telemetry),
            "istio_tcp_connections_closed_total",
            &[passthrough]
        ),
        1.0
    );
}

#[test]
fn the_access_log_can_be_turned_off_while_metrics_go_on() {
    let (telemetry, sink, now) = telemetry(Format::Text, "access=off,info");
    telemetry
        .opened(connection(), now)
        .close(Outcome::failed(Reason::Io, "broken"), now);
    telemetry.refused(&bare(Direction::Inbound), Reason::Io, "broken", now);
    assert_eq!(sink.take(telemetry.logging()), "");
    assert_eq!(
        sum(
            &scrape(&telemetry),
            "istio_tcp_connections_failed_total",
            &["response_flags=\"CONNECT\""]
        ),
        2.0
    );
}

#[test]
fn bytes_show_while_the_connection_is_open() {
    let (telemetry, _, now) = telemetry(Format::Text, "info");
    let open = telemetry.opened(connection(), now);
    open.counters().add_received(10);
    assert_eq!(
        sum(&scrape(&telemetry), "istio_tcp_received_bytes_total", &[]),
        10.0
    );
    open.counters().add_received(5);
    open.counters().add_sent(1);
    let scrape = scrape(&telemetry);
    assert_eq!(sum(&scrape, "istio_tcp_received_bytes_total", &[]), 15.0);
    assert_eq!(sum(&scrape, "istio_tcp_sent_bytes_total", &[]), 1.0);
    assert_eq!(
        (open.counters().received(), open.counters().sent()),
        (15, 1)
    );
    assert_eq!(sum(&scrape, "istio_tcp_connections_closed_total", &[]), 0.0);
}

#[test]
fn a_connection_that_is_dropped_ends_as_aborted_and_once_only() {
    let (telemetry, sink, now) = telemetry(Format::Text, "info");
    drop(telemetry.opened(connection(), now));
    let line = sink.take(telemetry.logging());
    assert!(
        line.contains("\terror\taccess\tconnection complete\t"),
        "{line}"
    );
    assert!(line.ends_with(" error=\"connection aborted\"\n"), "{line}");
    telemetry
        .opened(connection(), now)
        .close(Outcome::Complete, now);
    let scrape = scrape(&telemetry);
    assert_eq!(
        sum(
            &scrape,
            "istio_tcp_connections_closed_total",
            &["response_flags=\"LR\""]
        ),
        1.0
    );
    assert_eq!(sum(&scrape, "istio_tcp_connections_closed_total", &[]), 2.0);
    assert_eq!(sum(&scrape, "istio_tcp_connections_failed_total", &[]), 1.0);
}

#[test]
fn an_open_connection_still_counts_after_its_workload_left() {
    let (telemetry, _, now) = telemetry(Format::Text, "info");
    let open = telemetry.opened(connection(), now);
    telemetry.forget_workloads(|_| true);
    open.counters().add_sent(7);
    open.close(Outcome::Complete, now);
    assert_eq!(
        sum(&scrape(&telemetry), "istio_tcp_sent_bytes_total", &[]),
        7.0
    );
}

#[test]
fn sockets_the_build_and_dns_are_shown() {
    let (telemetry, _, _) = telemetry(Format::Text, "info");
    let first = telemetry.socket(Direction::Outbound);
    let _second = telemetry.socket(Direction::Outbound);
    drop(first);
    telemetry.dns().requests.inc();
    telemetry.dns().upstream_request_duration.observe(0.02);
    telemetry.register(|registry| {
        let counter: Counter = Counter::default();
        counter.inc_by(3);
        registry.register("others", "Of another component", counter);
    });
    let scrape = scrape(&telemetry);
    assert_eq!(scrape["istio_tcp_sockets_open{reporter=\"source\"}"], 1.0);
    assert_eq!(
        scrape["istio_tcp_sockets_open{reporter=\"destination\"}"],
        0.0
    );
    assert_eq!(
        scrape["istio_build{component=\"ztunnel\",tag=\"1.2.3\"}"],
        1.0
    );
    assert_eq!(scrape["istio_dns_requests_total"], 1.0);
    assert_eq!(scrape["istio_dns_upstream_requests_total"], 0.0);
    assert_eq!(scrape["istio_dns_upstream_failures_total"], 0.0);
    let bucket = |le: &str| {
        scrape[&format!("istio_dns_upstream_request_duration_seconds_bucket{{le=\"{le}\"}}")]
    };
    let counts = ["0.0005", "0.001", "0.01", "0.1", "1.0", "5.0", "+Inf"].map(bucket);
    assert_eq!(counts, [0.0, 0.0, 0.0, 1.0, 1.0, 1.0, 1.0]);
    assert_eq!(
        scrape["ambit_log_lines_dropped_total{scope=\"access\"}"],
        0.0
    );
    assert_eq!(scrape["ambit_series_evicted_total"], 0.0);
    assert_eq!(scrape["others_total"], 3.0);
}

#[test]
fn scrapes_and_connections_do_not_disturb_each_other() {
    let (telemetry, _, now) = telemetry(Format::Text, "access=off");
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let scraper = scope.spawn(|| {
            let mut last = 0.0;
            while !done.load(Relaxed) {
                let bytes = sum(
                    &read_prometheus(&telemetry.expose(Exposition::Text, now)),
                    "istio_tcp_sent_bytes_total",
                    &[],
                );
                assert!(bytes >= last, "a counter never falls");
                last = bytes;
            }
        });
        let workers = [0, 1].map(|_| {
            scope.spawn(|| {
                for _ in 0..2000 {
                    let open = telemetry.opened(connection(), now);
                    open.counters().add_sent(3);
                    open.close(Outcome::Complete, now);
                }
            })
        });
        for worker in workers {
            worker.join().unwrap();
        }
        done.store(true, Relaxed);
        scraper.join().unwrap();
    });
    let scrape = scrape(&telemetry);
    assert_eq!(
        sum(&scrape, "istio_tcp_connections_opened_total", &[]),
        4000.0
    );
    assert_eq!(
        sum(&scrape, "istio_tcp_connections_closed_total", &[]),
        4000.0
    );
    assert_eq!(sum(&scrape, "istio_tcp_sent_bytes_total", &[]), 12_000.0);
}
