//! What is counted of requests, under which labels, and how much of it at most.

use std::{
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use http::StatusCode;

use super::Http;
use crate::{
    event::{Direction, Security},
    http::{
        Flags, GrpcStatus, Parties, RequestProtocol, ResponseFlag, SeriesCache,
        handles::MAX_KEPT,
        outcomes::{Budget, MAX_OUTCOMES, Outcome, Requests},
        testkit::World,
    },
    logging::Format,
    metrics::{
        Exposition,
        series::Counters as _,
        store::{GRACE, Limits},
    },
    testkit::{Scrape, read_open_metrics, read_prometheus, sum, telemetry, workload},
};

fn scrape(telemetry: &crate::Telemetry, now: Instant) -> Scrape {
    read_prometheus(&telemetry.expose(Exposition::Text, now))
}

/// What the series of a family whose labels contain all of `labels` have counted.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "counts of a test are small"
)]
fn total(scrape: &Scrape, family: &str, labels: &[&str]) -> usize {
    sum(scrape, family, labels) as usize
}

#[test]
fn a_request_shows_with_every_label_of_istio() {
    let (telemetry, _, now) = telemetry(Format::Text, "off");
    let world = World::new();
    let series = telemetry.http().series(&world.parties(), now);
    series.ended(&world.ok());
    let text = telemetry.expose(Exposition::OpenMetrics, now);
    read_open_metrics(&text);
    let labels = "reporter=\"waypoint\",source_workload=\"client\",source_canonical_service=\"client\",\
        source_canonical_revision=\"v1\",source_workload_namespace=\"default\",\
        source_principal=\"spiffe://cluster.local/ns/default/sa/client\",source_app=\"client\",source_version=\"v1\",\
        source_cluster=\"Kubernetes\",destination_workload=\"reviews\",destination_workload_namespace=\"default\",\
        destination_principal=\"spiffe://cluster.local/ns/default/sa/reviews\",destination_app=\"reviews\",\
        destination_version=\"v1\",destination_service=\"reviews.default.svc.cluster.local\",\
        destination_service_name=\"reviews\",destination_service_namespace=\"default\",\
        destination_canonical_service=\"reviews\",destination_canonical_revision=\"v1\",\
        destination_cluster=\"Kubernetes\",request_protocol=\"http\",response_code=\"200\",\
        grpc_response_status=\"\",response_flags=\"-\",connection_security_policy=\"mutual_tls\"";
    for line in [
        format!("istio_requests_total{{{labels}}} 1\n"),
        format!("istio_request_duration_milliseconds_sum{{{labels}}} 3.0\n"),
        format!("istio_request_duration_milliseconds_count{{{labels}}} 1\n"),
        format!("istio_request_duration_milliseconds_bucket{{le=\"1.0\",{labels}}} 0\n"),
        format!("istio_request_duration_milliseconds_bucket{{le=\"5.0\",{labels}}} 1\n"),
        format!("istio_request_duration_milliseconds_bucket{{le=\"3600000.0\",{labels}}} 1\n"),
        format!("istio_request_duration_milliseconds_bucket{{le=\"+Inf\",{labels}}} 1\n"),
        format!("istio_request_bytes_bucket{{le=\"0.5\",{labels}}} 1\n"),
        format!("istio_response_bytes_bucket{{le=\"250.0\",{labels}}} 0\n"),
        format!("istio_response_bytes_bucket{{le=\"500.0\",{labels}}} 1\n"),
        format!("istio_response_bytes_sum{{{labels}}} 372.0\n"),
    ] {
        assert!(text.contains(&line), "{line} is not in\n{text}");
    }
    let lines = text.lines().filter(|line| line.contains("source_workload"));
    // A counter, and three histograms of 20 buckets with sum and count.
    assert_eq!(lines.count(), 1 + 3 * 22);
}

#[test]
fn a_process_without_layer_7_shows_nothing_of_it() {
    let (telemetry, _, now) = telemetry(Format::Text, "off");
    let text = telemetry.expose(Exposition::Text, now);
    assert!(
        !text.contains("istio_request") && !text.contains("envoy_") && !text.contains("waypoint")
    );
    assert_eq!(telemetry.http().shown(), 0);
    assert!(
        telemetry
            .expose(Exposition::Text, now)
            .contains("# TYPE istio_requests_total counter")
    );
}

#[test]
fn ways_to_end_are_told_apart() {
    let (telemetry, _, now) = telemetry(Format::Text, "off");
    let world = World::new();
    let series = telemetry.http().series(&world.parties(), now);
    let mut record = world.ok();
    series.ended(&record);
    series.ended(&record);
    record.status = Some(StatusCode::SERVICE_UNAVAILABLE);
    record.flags = Flags::from(ResponseFlag::UpstreamConnectionFailure)
        .with(ResponseFlag::UpstreamRetryLimitExceeded);
    series.ended(&record);
    // The client left before there was an answer.
    record.status = None;
    record.flags = ResponseFlag::DownstreamConnectionTermination.into();
    series.ended(&record);

    let parties = Parties {
        protocol: RequestProtocol::Grpc,
        ..world.parties()
    };
    let calls = telemetry.http().series(&parties, now);
    record.status = Some(StatusCode::OK);
    record.flags = Flags::NONE;
    for status in [0, 14, 14, 77, 78] {
        record.grpc_status = Some(GrpcStatus::new(status));
        calls.ended(&record);
    }
    calls.add_request_messages(7);
    calls.add_response_messages(9);

    let scrape = scrape(&telemetry, now);
    let requests = |labels: &[&str]| total(&scrape, "istio_requests_total", labels);
    assert_eq!(
        requests(&["response_code=\"200\"", "request_protocol=\"http\""]),
        2
    );
    assert_eq!(
        requests(&["response_code=\"503\"", "response_flags=\"UF,URX\""]),
        1
    );
    assert_eq!(
        requests(&["response_code=\"0\"", "response_flags=\"DC\""]),
        1
    );
    let grpc = |status| {
        let status = format!("grpc_response_status=\"{status}\"");
        requests(&[status.as_str(), "request_protocol=\"grpc\""])
    };
    assert_eq!(["0", "14", "77", "unknown"].map(grpc), [1, 2, 0, 2]);
    let of_client = ["source_workload=\"client\"", "request_protocol=\"grpc\""];
    assert_eq!(
        total(&scrape, "istio_request_messages_total", &of_client),
        7
    );
    assert_eq!(
        total(&scrape, "istio_response_messages_total", &of_client),
        9
    );
}

#[test]
fn tcp_connections_through_a_waypoint_have_its_reporter() {
    let (telemetry, _, now) = telemetry(Format::Text, "off");
    let mut connection = crate::testkit::connection();
    connection.direction = Direction::Through;
    let open = telemetry.opened(connection, now);
    open.counters().add_sent(5);
    let socket = telemetry.socket(Direction::Through);
    let shown = scrape(&telemetry, now);
    let of = |name, labels: &[&str]| total(&shown, name, labels);
    let reporter = "reporter=\"waypoint\"";
    assert_eq!(
        of(
            "istio_tcp_connections_opened_total",
            &[reporter, "request_protocol=\"tcp\""]
        ),
        1
    );
    assert_eq!(of("istio_tcp_sent_bytes_total", &[reporter]), 5);
    assert_eq!(of("istio_tcp_sockets_open", &[reporter]), 1);
    drop(socket);
    open.close(crate::Outcome::Complete, now);
    let shown = scrape(&telemetry, now);
    assert_eq!(total(&shown, "istio_tcp_sockets_open", &[reporter]), 0);
    assert_eq!(
        total(&shown, "istio_tcp_connections_closed_total", &[reporter]),
        1
    );
}

#[test]
fn the_same_parties_share_a_series_and_the_cache_finds_it_again() {
    let now = net::clock::now();
    let http = Http::new(now);
    let world = World::new();
    let mut cache = SeriesCache::new(&http);
    let first = cache.series(&world.parties(), now);
    assert!(first.is_same(&cache.series(&world.parties(), now)));
    assert!(first.is_same(&http.series(&world.parties(), now)));
    let other = workload("reviews", 8);
    let replica = Parties {
        destination: Some(&other),
        ..world.parties()
    };
    // Another pod of the same owner.
    assert!(first.is_same(&cache.series(&replica, now)));
    let plain = Parties {
        security: Security::Unknown,
        ..world.parties()
    };
    assert!(!first.is_same(&cache.series(&plain, now)));
    assert_eq!(http.shown(), 2);
}

#[test]
fn the_series_of_workloads_that_left_go_though_a_connection_had_kept_them() {
    let (telemetry, _, now) = telemetry(Format::Text, "off");
    let world = World::new();
    let other = workload("ratings", 1);
    let mut cache = SeriesCache::new(telemetry.http());
    drop(cache.series(&world.parties(), now));
    telemetry.forget_workloads(|uid| *uid == world.destination.uid);
    let stays = Parties {
        destination: Some(&other),
        ..world.parties()
    };
    // The next request of the connection lets go of what it had kept.
    let kept = cache.series(&stays, now);
    let later = now + GRACE + Duration::from_secs(2);
    drop(telemetry.expose(Exposition::Text, later));
    assert_eq!(telemetry.http().shown(), 1);
    drop((cache, kept));
}

#[test]
fn a_cache_is_bounded_and_works_when_full() {
    let now = net::clock::now();
    let http = Http::new(now);
    let world = World::new();
    let many: Vec<_> = (0..2 * MAX_KEPT)
        .map(|n| workload(&format!("w{n}"), 0))
        .collect();
    let mut cache = SeriesCache::new(&http);
    for _ in 0..2 {
        for destination in &many {
            let parties = Parties {
                destination: Some(destination),
                ..world.parties()
            };
            cache.series(&parties, now).ended(&world.ok());
        }
    }
    assert_eq!(http.shown(), many.len());
}

#[test]
fn label_sets_are_bounded_and_the_rest_is_counted() {
    let now = net::clock::now();
    let limits = Limits {
        cached: 100,
        series: 4,
    };
    let http = Http::with_limits(now, limits, 1000);
    let world = World::new();
    let many: Vec<_> = (0..10).map(|n| workload(&format!("w{n}"), 0)).collect();
    let held: Vec<_> = many
        .iter()
        .map(|source| {
            let parties = Parties {
                source: Some(source),
                ..world.parties()
            };
            let series = http.series(&parties, now);
            series.ended(&world.ok());
            series
        })
        .collect();
    // And one for all that found no room.
    assert_eq!(http.shown(), 5);
    let mut registry = prometheus_client::registry::Registry::default();
    http.register(&mut registry);
    let scrape = read_prometheus(&Exposition::Text.render(&registry));
    assert_eq!(total(&scrape, "istio_requests_total", &[]), held.len());
    let unknown = ["source_workload=\"unknown\"", "reporter=\"waypoint\""];
    assert_eq!(total(&scrape, "istio_requests_total", &unknown), 6);
}

#[test]
fn an_endpoint_cannot_make_series_by_inventing_statuses() {
    let now = net::clock::now();
    let http = Http::with_limits(now, Limits::default(), 1000);
    let world = World::new();
    let series = http.series(&world.parties(), now);
    let mut record = world.ok();
    for status in 200..1000 {
        record.status = Some(StatusCode::from_u16(status).unwrap());
        series.ended(&record);
    }
    let mut registry = prometheus_client::registry::Registry::default();
    http.register(&mut registry);
    let scrape = read_prometheus(&Exposition::Text.render(&registry));
    let count = |labels: &[&str]| {
        let name = |series: &&String| series.starts_with("istio_requests_total{");
        let found = scrape.keys().filter(name);
        found
            .filter(|series| labels.iter().all(|label| series.contains(label)))
            .count()
    };
    assert_eq!(count(&[]), MAX_OUTCOMES + 1);
    assert_eq!(total(&scrape, "istio_requests_total", &[]), 800);
    let rest = ["response_code=\"unknown\"", "source_workload=\"unknown\""];
    assert_eq!(
        total(&scrape, "istio_requests_total", &rest),
        800 - MAX_OUTCOMES
    );
}

#[test]
fn outcomes_are_bounded_over_all_label_sets_and_come_back_with_theirs() {
    let budget = Arc::new(Budget::new(3));
    let outcome = |status| Outcome {
        status,
        flags: Flags::NONE,
        grpc: None,
    };
    let first = Requests::new(&budget);
    let second = Requests::new(&budget);
    for status in [200, 201] {
        first.cell(outcome(status));
    }
    let cell = |requests: &Requests, status| std::ptr::from_ref(requests.cell(outcome(status)));
    let rest = std::ptr::from_ref(&budget.rest);
    assert_ne!(cell(&second, 200), rest);
    assert_eq!(cell(&second, 201), rest);
    // What was told apart stays so.
    assert_ne!(cell(&first, 201), rest);
    drop(first);
    assert_ne!(cell(&second, 201), rest);
}

#[test]
fn an_outcome_is_read_back_from_its_key() {
    let budget = Arc::new(Budget::new(1000));
    let all: Flags = ResponseFlag::ALL.iter().copied().collect();
    for flags in [Flags::NONE, all] {
        for grpc in [None, Some(0), Some(17)] {
            let outcome = Outcome {
                status: 999,
                flags,
                grpc,
            };
            let requests = Requests::new(&budget);
            requests.cell(outcome);
            let read: Vec<Outcome> = requests.outcomes().map(|(outcome, _)| outcome).collect();
            assert_eq!(read, [outcome]);
        }
    }
}

#[test]
fn workers_that_race_for_a_place_count_in_one() {
    let now = net::clock::now();
    let http = Http::new(now);
    let world = World::new();
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let mut cache = SeriesCache::new(&http);
                let mut record = world.ok();
                for turn in 0..4_000_u16 {
                    record.status = Some(StatusCode::from_u16(200 + turn % 20).unwrap());
                    cache.series(&world.parties(), now).ended(&record);
                }
            });
        }
    });
    let mut registry = prometheus_client::registry::Registry::default();
    http.register(&mut registry);
    let scrape = read_prometheus(&Exposition::Text.render(&registry));
    for status in 200..220 {
        let label = format!("response_code=\"{status}\"");
        assert_eq!(total(&scrape, "istio_requests_total", &[&label]), 800);
    }
}

#[test]
fn clusters_show_under_envoys_names() {
    let (telemetry, _, now) = telemetry(Format::Text, "off");
    let name = "inbound-vip|80|http|reviews.default.svc.cluster.local;";
    let stats = telemetry.http().cluster(name);
    stats.upstream_rq_retry.increment();
    stats.upstream_rq_retry.increment();
    stats.outlier_detection_ejections_total.increment();
    stats.upstream_cx_active.increment();
    stats.upstream_cx_active.decrement();
    stats.upstream_cx_active.decrement();
    stats.circuit_breakers_default_rq_pending_open.set(1);
    stats.membership_total.set(3);
    // A new configuration goes on counting.
    let again = telemetry.http().cluster(name);
    assert!(Arc::ptr_eq(&stats, &again));
    let text = telemetry.expose(Exposition::Text, now);
    read_prometheus(&text);
    read_open_metrics(&telemetry.expose(Exposition::OpenMetrics, now));
    for line in [
        "envoy_cluster_upstream_rq_retry{C} 2",
        "envoy_cluster_upstream_rq_retry_success{C} 0",
        "envoy_cluster_upstream_rq_retry_overflow{C} 0",
        "envoy_cluster_upstream_rq_timeout{C} 0",
        "envoy_cluster_upstream_rq_pending_overflow{C} 0",
        "envoy_cluster_upstream_cx_active{C} 0",
        "envoy_cluster_circuit_breakers_default_cx_open{C} 0",
        "envoy_cluster_circuit_breakers_default_rq_open{C} 0",
        "envoy_cluster_circuit_breakers_default_rq_pending_open{C} 1",
        "envoy_cluster_circuit_breakers_default_rq_retry_open{C} 0",
        "envoy_cluster_outlier_detection_ejections_active{C} 0",
        "envoy_cluster_outlier_detection_ejections_total{C} 1",
        "envoy_cluster_membership_healthy{C} 0",
        "envoy_cluster_membership_total{C} 3",
    ] {
        let line = line.replace("{C}", &format!("{{cluster_name=\"{name}\"}}"));
        assert!(
            text.lines().any(|found| found == line),
            "{line} is not in\n{text}"
        );
    }
    drop((stats, again));
    assert!(
        !telemetry
            .expose(Exposition::Text, now)
            .contains("inbound-vip")
    );
}
