//! Lines of the access log, against those that Envoy 1.40 wrote.

use std::time::Duration;

use http::{StatusCode, Version};

use super::{AccessLog, DEFAULT_FIELDS, InvalidAccessLog};
use crate::{
    http::{
        Flags, GrpcStatus, Headers, Record, ResponseFlag,
        testkit::{World, times},
    },
    logging::Format,
    testkit::{connection, logging, telemetry},
};

fn line(log: &AccessLog, record: &Record<'_>) -> String {
    let mut out = String::new();
    log.line(record, &mut out);
    out
}

/// A request that was answered by the proxy itself.
fn answered<'a>(
    world: &'a World,
    path: &'a str,
    status: u16,
    flags: Flags,
    details: &'a str,
) -> Record<'a> {
    let mut record = world.get(path);
    record.times = times(443_363, 0);
    record.status = Some(StatusCode::from_u16(status).unwrap());
    record.flags = flags;
    record.details = Some(details);
    record.downstream_remote = Some("127.0.0.1:60674".parse().unwrap());
    record
}

#[test]
fn the_default_line_is_envoys() {
    let world = World::new();
    let log = AccessLog::text(None, false).unwrap();
    assert_eq!(
        line(&log, &world.ok()),
        "[2026-11-22T11:11:31.365Z] \"GET /hdr HTTP/1.1\" 200 - via_upstream - \"-\" 0 372 3 3 \"192.0.2.2\" \"curl/7.88.1\" \"93f3271e-3154-4038-9c0e-ad308e64a4b8\" \"127.0.0.1:19900\" \"127.0.0.1:19902\" up 127.0.0.1:53764 127.0.0.1:19900 127.0.0.1:60640 - hdr\n"
    );
    let missing = answered(
        &world,
        "/none",
        404,
        ResponseFlag::NoRouteFound.into(),
        "route_not_found",
    );
    assert_eq!(
        line(&log, &missing),
        "[2026-11-22T11:11:31.443Z] \"GET /none HTTP/1.1\" 404 NR route_not_found - \"-\" 0 0 0 - \"192.0.2.2\" \"curl/7.88.1\" \"93f3271e-3154-4038-9c0e-ad308e64a4b8\" \"127.0.0.1:19900\" \"-\" - - 127.0.0.1:19900 127.0.0.1:60674 - -\n"
    );
    let mut down = answered(
        &world,
        "/down",
        503,
        ResponseFlag::UpstreamConnectionFailure.into(),
        "upstream_reset_before_response_started{remote_connection_failure|delayed_connect_error: Connection refused}",
    );
    down.bytes_sent = 98;
    down.transport_failure = Some("delayed_connect_error: Connection refused");
    down.upstream_host = Some("127.0.0.1:19903".parse().unwrap());
    down.cluster = Some("down");
    assert_eq!(
        line(&log, &down),
        "[2026-11-22T11:11:31.443Z] \"GET /down HTTP/1.1\" 503 UF upstream_reset_before_response_started{remote_connection_failure|delayed_connect_error:_Connection_refused} - \"delayed_connect_error:_Connection_refused\" 0 98 0 - \"192.0.2.2\" \"curl/7.88.1\" \"93f3271e-3154-4038-9c0e-ad308e64a4b8\" \"127.0.0.1:19900\" \"127.0.0.1:19903\" down - 127.0.0.1:19900 127.0.0.1:60674 - -\n"
    );
}

#[test]
fn a_request_that_could_not_be_read_has_a_line() {
    let world = World::new();
    let mut record = Record::new(times(379_509, 0), world.parties());
    record.version = Some(Version::HTTP_11);
    record.status = Some(StatusCode::BAD_REQUEST);
    record.flags = ResponseFlag::DownstreamProtocolError.into();
    record.details = Some("http1.invalid_characters");
    record.bytes_sent = 11;
    record.downstream_local = Some("127.0.0.1:19900".parse().unwrap());
    record.downstream_remote = Some("127.0.0.1:60642".parse().unwrap());
    assert_eq!(
        line(&AccessLog::text(None, false).unwrap(), &record),
        "[2026-11-22T11:11:31.379Z] \"- - HTTP/1.1\" 400 DPE http1.invalid_characters - \"-\" 0 11 0 - \"-\" \"-\" \"-\" \"-\" \"-\" - - 127.0.0.1:19900 127.0.0.1:60642 - -\n"
    );
}

#[test]
fn the_default_json_has_istios_fields_in_order_and_null_for_what_is_absent() {
    let world = World::new();
    let log = AccessLog::json([], false).unwrap();
    let ok = line(&log, &world.ok());
    assert_eq!(
        ok,
        "{\"start_time\":\"2026-11-22T11:11:31.365Z\",\"route_name\":\"hdr\",\"method\":\"GET\",\"path\":\"/hdr\",\"protocol\":\"HTTP/1.1\",\"response_code\":200,\"response_flags\":\"-\",\"response_code_details\":\"via_upstream\",\"connection_termination_details\":null,\"bytes_received\":0,\"bytes_sent\":372,\"duration\":3,\"upstream_service_time\":\"3\",\"x_forwarded_for\":\"192.0.2.2\",\"user_agent\":\"curl/7.88.1\",\"request_id\":\"93f3271e-3154-4038-9c0e-ad308e64a4b8\",\"authority\":\"127.0.0.1:19900\",\"upstream_host\":\"127.0.0.1:19902\",\"upstream_cluster\":\"up\",\"upstream_local_address\":\"127.0.0.1:53764\",\"downstream_local_address\":\"127.0.0.1:19900\",\"downstream_remote_address\":\"127.0.0.1:60640\",\"requested_server_name\":null,\"upstream_transport_failure_reason\":null}\n"
    );
    let mut nothing = Record::new(times(0, 0), world.parties());
    nothing.request = Headers::Absent;
    let read: serde_json::Map<String, serde_json::Value> =
        serde_json::from_str(&line(&log, &nothing)).unwrap();
    assert_eq!(read.len(), DEFAULT_FIELDS.len());
    let nulls = read.values().filter(|value| value.is_null()).count();
    // All but the start, the code, the flags and three numbers.
    assert_eq!(nulls, DEFAULT_FIELDS.len() - 6, "{read:?}");
}

#[test]
fn json_fields_of_ones_own_keep_their_order_and_empty_ones_may_go() {
    let world = World::new();
    let fields = [
        ("zz", "%RESPONSE_CODE%"),
        ("none", "%REQ(X-NONE)%"),
        ("mix", "a%REQ(X-NONE)%b"),
        ("mix2", "%REQ(X-NONE)%%REQ(X-NONE2)%"),
        ("f\"l", "%RESPONSE_FLAGS%"),
        ("literal", ""),
    ];
    let log = |omit| AccessLog::json(fields, omit).unwrap();
    assert_eq!(
        line(&log(true), &world.ok()),
        "{\"zz\":200,\"mix\":\"ab\",\"mix2\":\"\",\"f\\\"l\":\"-\",\"literal\":\"\"}\n"
    );
    assert_eq!(
        line(&log(false), &world.ok()),
        "{\"zz\":200,\"none\":null,\"mix\":\"a-b\",\"mix2\":\"--\",\"f\\\"l\":\"-\",\"literal\":\"\"}\n"
    );
    let empty = AccessLog::json([("none", "%REQ(X-NONE)%")], true).unwrap();
    assert_eq!(line(&empty, &world.ok()), "{}\n");
}

#[test]
fn text_without_an_end_gets_one_and_may_omit_what_is_empty() {
    let world = World::new();
    let log = AccessLog::text(
        Some("a=%REQ(X-NONE)% fl=%RESPONSE_FLAGS% rn=%ROUTE_NAME%"),
        true,
    )
    .unwrap();
    assert_eq!(line(&log, &world.ok()), "a= fl=- rn=hdr\n");
    let log = AccessLog::text(Some("%PROTOCOL%\n"), false).unwrap();
    assert_eq!(line(&log, &world.ok()), "HTTP/1.1\n");
}

#[test]
fn what_cannot_be_read_is_named() {
    let source = |error: &InvalidAccessLog| std::error::Error::source(error).unwrap().to_string();
    let error = AccessLog::text(Some("%NOPE%"), false).unwrap_err();
    assert_eq!(error.to_string(), "the text format of the access log");
    assert_eq!(source(&error), "command NOPE at byte 0 is not known");
    let error = AccessLog::json([("a", "%PROTOCOL%"), ("b", "%")], false).unwrap_err();
    assert_eq!(error.to_string(), "field \"b\" of the JSON access log");
    let error = AccessLog::json([("a", "x"), ("a", "y")], false).unwrap_err();
    assert_eq!(error, InvalidAccessLog::Twice { name: "a".into() });
    let names: Vec<String> = (0..=super::MAX_FIELDS).map(|n| n.to_string()).collect();
    let error = AccessLog::json(names.iter().map(|name| (name.as_str(), "x")), false).unwrap_err();
    assert_eq!(
        error,
        InvalidAccessLog::TooMany {
            count: super::MAX_FIELDS + 1
        }
    );
}

#[test]
fn lines_reach_the_sink_as_they_are_whatever_the_levels_and_none_while_it_is_off() {
    let world = World::new();
    let (logging, sink) = logging(Format::Json, "off");
    AccessLog::text(Some("%REQ(:PATH)%"), false)
        .unwrap()
        .write(&logging, &world.ok());
    assert_eq!(sink.take(&logging), "/hdr\n");
    let off = AccessLog::off();
    off.write(&logging, &world.ok());
    assert_eq!(sink.take(&logging), "");
    assert!(!off.is_on());
    assert!(off.captures().request.is_empty() && off.captures().response.is_empty());
}

#[test]
fn a_line_needs_no_header_map_once_its_headers_were_kept() {
    let mut world = World::new();
    for name in ["x-1", "x-2", "x-3"] {
        world.request.insert(name, name.parse().unwrap());
    }
    for format in [
        None,
        Some("%REQ(X-1)%%REQ(X-2)%%REQ(X-3)%%REQ(X-4)%%REQ(USER-AGENT)%%REQ(X-5)%%RESP(X-UP)%"),
    ] {
        let log = AccessLog::text(format, false).unwrap();
        let mut record = world.ok();
        let whole = line(&log, &record);
        let request = log.captures().request.take(&world.request);
        let response = log.captures().response.take(&world.response);
        record.request = (&request).into();
        record.response = (&response).into();
        assert_eq!(line(&log, &record), whole);
        assert!(record.request.get(&http::header::AUTHORIZATION).is_none());
    }
}

#[test]
fn a_waypoints_connections_have_no_second_line() {
    let (telemetry, sink, now) = telemetry(Format::Text, "access=debug");
    let mut connection = connection();
    connection.direction = crate::Direction::Through;
    let open = telemetry.opened(connection.clone(), now);
    open.close(crate::Outcome::failed(crate::Reason::Io, "broken"), now);
    assert_eq!(sink.take(telemetry.logging()), "");
    telemetry.refused(&connection, crate::Reason::NoRoute, "no such VIP", now);
    assert!(sink.take(telemetry.logging()).contains("no such VIP"));
}

#[test]
fn grpc_answers_of_the_proxy_itself_have_their_status() {
    let world = World::new();
    let mut record = answered(
        &world,
        "/svc/M",
        200,
        ResponseFlag::NoHealthyUpstream.into(),
        "no_healthy_upstream",
    );
    record.version = Some(Version::HTTP_2);
    record.grpc_status = Some(GrpcStatus::of(StatusCode::SERVICE_UNAVAILABLE));
    record.upstream_service_time = Some(Duration::from_micros(2999));
    let log = AccessLog::text(
        Some(
            "%PROTOCOL% %RESPONSE_CODE% %GRPC_STATUS_NUMBER% %RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)%",
        ),
        false,
    )
    .unwrap();
    assert_eq!(line(&log, &record), "HTTP/2 200 14 2\n");
}
