//! What format strings say. Where a test speaks of Envoy, version 1.40 wrote the expected text for such a request.

use http::{HeaderName, HeaderValue, StatusCode, Version, header};

use super::{Format, HeaderTemplate, InvalidFormat, Needs, render::Absent};
use crate::http::{
    Flags, GrpcStatus, Record, ResponseFlag,
    testkit::{World, headers, times},
};

fn text(format: &str, record: &Record<'_>) -> String {
    let mut out = String::new();
    Format::parse(format).unwrap().write(record, &mut out);
    out
}

fn json(format: &str, record: &Record<'_>) -> String {
    let mut out = String::new();
    Format::parse(format)
        .unwrap()
        .write_json(record, &mut out, Absent::Dash);
    out
}

#[track_caller]
fn check(record: &Record<'_>, expected: &[(&str, &str)]) {
    for (format, expected) in expected {
        assert_eq!(text(format, record), *expected, "{format}");
    }
}

#[test]
fn commands_say_what_envoy_says_of_an_answered_request() {
    let world = World::new();
    check(
        &world.ok(),
        &[
            ("%REQ(:METHOD)% %METHOD% %REQ(:SCHEME)%", "GET GET http"),
            (
                "%REQ(HOST)% %REQ(:AUTHORITY)%",
                "127.0.0.1:19900 127.0.0.1:19900",
            ),
            ("%REQ(X-NONE?USER-AGENT)% %REQ(x-none?)%", "curl/7.88.1 -"),
            (
                "%REQUEST_HEADER(user-agent):5%|%REQ(USER-AGENT):500%",
                "curl/|curl/7.88.1",
            ),
            (
                "%RESP(:STATUS)% %RESP(X-UP)% %RESPONSE_HEADER(x-no)%",
                "200 v -",
            ),
            ("%TRAILER(X)% %RESPONSE_TRAILER(X)%", "- -"),
            ("%PROTOCOL% 100%% %RESPONSE_CODE%", "HTTP/1.1 100% 200"),
            ("%RESPONSE_FLAGS% %RESPONSE_FLAGS_LONG%", "- -"),
            ("%DURATION% %REQUEST_DURATION% %RESPONSE_DURATION%", "3 0 3"),
            ("%RESPONSE_TX_DURATION% %REQUEST_TX_DURATION%", "0 -"),
            (
                "%UPSTREAM_CLUSTER% %UPSTREAM_CLUSTER_RAW% %UPSTREAM_HOST%",
                "up up 127.0.0.1:19902",
            ),
            (
                "%UPSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%:%UPSTREAM_REMOTE_PORT%",
                "127.0.0.1:19902",
            ),
            (
                "%DOWNSTREAM_LOCAL_PORT% %DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%",
                "19900 127.0.0.1",
            ),
            ("%DOWNSTREAM_DIRECT_REMOTE_ADDRESS%", "127.0.0.1:60640"),
            (
                "%GRPC_STATUS% %GRPC_STATUS_NUMBER% %GRPC_STATUS(NUMBER)%",
                "- - -",
            ),
            ("%UPSTREAM_REQUEST_ATTEMPT_COUNT% %HOSTNAME%", "1 vm"),
            (
                "%DOWNSTREAM_PEER_URI_SAN% %UPSTREAM_PEER_URI_SAN%",
                "spiffe://cluster.local/ns/default/sa/client spiffe://cluster.local/ns/default/sa/reviews",
            ),
            ("", ""),
        ],
    );
}

#[test]
fn paths_are_the_original_one_where_it_was_rewritten() {
    let world = World::new();
    let mut record = world.get("/rewritten?a=1&b=2&a=3&c");
    record.original_path = Some("/ok?a=1&b=2");
    check(
        &record,
        &[
            (
                "%PATH% %PATH(WQ)% %PATH(:ORIG_OR_PATH)%",
                "/ok?a=1&b=2 /ok?a=1&b=2 /ok?a=1&b=2",
            ),
            (
                "%PATH(NQ)% %PATH(NQ:PATH)% %PATH(WQ:ORIG)%",
                "/ok /rewritten /ok?a=1&b=2",
            ),
            ("%REQ(X-ENVOY-ORIGINAL-PATH?:PATH)%", "/ok?a=1&b=2"),
            ("%REQ(:PATH):10%", "/rewritten"),
            (
                "%QUERY_PARAM(a)% %QUERY_PARAM(b):0% %QUERY_PARAM(c)% %QUERY_PARAM(d)%",
                "1   -",
            ),
        ],
    );
    record.original_path = None;
    check(&record, &[("%PATH(NQ:ORIG)% %PATH(NQ)%", "- /rewritten")]);
}

#[test]
fn start_times_are_written_as_envoy_writes_them() {
    let world = World::new();
    let record = world.ok();
    check(
        &record,
        &[
            ("%START_TIME%", "2026-11-22T11:11:31.365Z"),
            ("%START_TIME(%s.%3f)%", "1795345891.365"),
            (
                "%START_TIME(%f|%6f|%1f|%9f)%",
                "365280000|365280|3|365280000",
            ),
            (
                "%START_TIME(%z %Z %E3S %E*S %E0S)%",
                "+0000 UTC 31.365 31.36528 31",
            ),
            (
                "%START_TIME(%e %j %c %x %X)%",
                "22 326 Sun Nov 22 11:11:31 2026 11/22/26 11:11:31",
            ),
            (
                "%START_TIME(%r %p %k %l %y %C %a %A)%",
                "11:11:31 AM AM 11 11 26 20 Sun Sunday",
            ),
            (
                "%START_TIME(%b %B %D %F %T %R %u %w)%",
                "Nov November 11/22/26 2026-11-22 11:11:31 11:11 7 0",
            ),
            (
                "%START_TIME(%U %V %W %G %g %h %I 100%%)%",
                "47 47 46 2026 26 Nov 11 100%",
            ),
            (
                "%START_TIME(%Y/%m/%dT%H:%M:%S%z (%s))%",
                "2026/11/22T11:11:31+0000 (1795345891)",
            ),
        ],
    );
    let mut record = record;
    record.times = times(0, 0);
    check(
        &record,
        &[(
            "%START_TIME(%E*S %9f)% %START_TIME%",
            "31 000000000 2026-11-22T11:11:31.000Z",
        )],
    );
}

#[test]
fn grpc_statuses_have_names_and_numbers() {
    let world = World::new();
    let mut record = world.get("/");
    for (status, expected) in [
        (GrpcStatus::UNAVAILABLE, "Unavailable UNAVAILABLE 14"),
        (GrpcStatus::CANCELLED, "Canceled CANCELLED 1"),
        (GrpcStatus::OK, "OK OK 0"),
        (GrpcStatus::new(4242), "4242 4242 4242"),
    ] {
        record.grpc_status = Some(status);
        let format = "%GRPC_STATUS% %GRPC_STATUS(SNAKE_STRING)% %GRPC_STATUS_NUMBER%";
        assert_eq!(text(format, &record), expected);
    }
}

#[test]
fn several_flags_stand_in_envoys_order() {
    let world = World::new();
    let mut record = world.get("/");
    record.flags = [
        ResponseFlag::UpstreamRetryLimitExceeded,
        ResponseFlag::UpstreamConnectionFailure,
    ]
    .into_iter()
    .collect();
    record.details = Some("upstream reset\tbefore");
    check(
        &record,
        &[
            ("%RESPONSE_FLAGS%", "UF,URX"),
            (
                "%RESPONSE_FLAGS_LONG%",
                "UpstreamConnectionFailure,UpstreamRetryLimitExceeded",
            ),
            ("%RESPONSE_CODE_DETAILS%", "upstream_reset_before"),
            (
                "%RESPONSE_CODE_DETAILS(ALLOW_WHITESPACES)%",
                "upstream reset\\tbefore",
            ),
        ],
    );
}

#[test]
fn a_connection_of_tcp_has_neither_method_nor_protocol() {
    let world = World::new();
    let record = Record::new(times(0, 9), world.parties());
    check(
        &record,
        &[
            (
                "\"%REQ(:METHOD)% %REQ(:PATH)% %PROTOCOL%\" %RESPONSE_CODE%",
                "\"- - -\" 0",
            ),
            ("%REQUEST_DURATION% %DURATION% %HOSTNAME%", "- 9 -"),
        ],
    );
}

#[test]
fn json_has_numbers_strings_and_null_where_envoy_has_them() {
    let world = World::new();
    let mut record = world.ok();
    record.request = (&world.request).into();
    for (format, expected) in [
        ("%RESPONSE_CODE%", "200"),
        ("%DURATION%", "3"),
        ("%UPSTREAM_REQUEST_ATTEMPT_COUNT%", "1"),
        ("%DOWNSTREAM_LOCAL_PORT%", "19900"),
        ("%RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)%", "\"3\""),
        ("%RESP(:STATUS)%", "\"200\""),
        ("%RESPONSE_FLAGS%", "\"-\""),
        ("%START_TIME%", "\"2026-11-22T11:11:31.365Z\""),
        ("%START_TIME(\"%s\")%", "\"\\\"1795345891\\\"\""),
        ("%REQ(X-NONE)%", "null"),
        ("%GRPC_STATUS_NUMBER%", "null"),
        ("%REQUEST_TX_DURATION%", "null"),
        ("a%REQ(X-NONE)%b", "\"a-b\""),
        ("%BYTES_SENT%.0", "\"372.0\""),
        ("a \"literal\" 100%%", "\"a \\\"literal\\\" 100%\""),
        ("", "\"\""),
    ] {
        assert_eq!(json(format, &record), expected, "{format}");
    }
    record.grpc_status = Some(GrpcStatus::new(14));
    assert_eq!(json("%GRPC_STATUS_NUMBER%", &record), "14");
    assert_eq!(json("%GRPC_STATUS%", &record), "\"Unavailable\"");
    record.grpc_status = Some(GrpcStatus::new(99));
    assert_eq!(json("%GRPC_STATUS%", &record), "\"99\"");
}

#[test]
fn bytes_that_are_no_text_are_shown_as_envoys_json_shows_them() {
    let mut world = World::new();
    let value = HeaderValue::from_bytes(b"caf\xc3\xa9\xff\"\ttab").unwrap();
    world.request.insert("x-bin", value);
    let record = world.get("/");
    let read: String = serde_json::from_str(&json("%REQ(X-BIN)%", &record)).unwrap();
    assert_eq!(read, "caf\u{c3}\u{a9}\u{ff}\"\ttab");
    assert_eq!(text("%REQ(X-BIN)%", &record), "caf\u{e9}\u{fffd}\"\\ttab");
    assert_eq!(text("%REQ(X-BIN):4%", &record), "caf\u{fffd}");
}

#[test]
fn no_peer_can_begin_a_line_or_leave_its_string() {
    let mut world = World::new();
    let forged = "a\u{2028}[2026]\u{85}\u{2029}\u{9b}31m\" 200 \\";
    world.request.insert(
        "user-agent",
        HeaderValue::from_bytes(forged.as_bytes()).unwrap(),
    );
    let mut record = world.get("/a\nb\r\n[forged]\u{1b}[31m\0");
    record.authority = Some("host\n");
    record.server_name = Some("sni\n\u{7f}");
    record.details = Some("de\ntails\u{1}");
    record.termination_details = Some("x\ny");
    record.transport_failure = Some("TLS\nerror");
    record.route = Some("ro\nute");
    record.cluster = Some("clus\nter");
    let format = "%REQ(:PATH)%%REQ(:AUTHORITY)%%REQ(USER-AGENT)%%REQUESTED_SERVER_NAME%\
        %RESPONSE_CODE_DETAILS%%RESPONSE_CODE_DETAILS(ALLOW_WHITESPACES)%%CONNECTION_TERMINATION_DETAILS%\
        %UPSTREAM_TRANSPORT_FAILURE_REASON%%ROUTE_NAME%%UPSTREAM_CLUSTER%%PATH%%QUERY_PARAM(a)%";
    let ends = |c: char| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}');
    let line = text(format, &record);
    assert!(!line.contains(ends), "{line:?}");
    assert!(
        line.contains("/a\\nb\\r\\n[forged]\\u001b[31m\\u0000"),
        "{line:?}"
    );
    for part in ["%REQ(:PATH)%", "%REQ(USER-AGENT)%", format] {
        let value = json(part, &record);
        assert!(!value.contains(ends), "{value:?}");
        let read: serde_json::Value = serde_json::from_str(&value).unwrap();
        assert!(read.is_string(), "{value:?}");
    }
    let read: String = serde_json::from_str(&json("%REQ(USER-AGENT)%", &record)).unwrap();
    assert_eq!(read, forged);
}

#[test]
fn a_long_value_is_cut() {
    let world = World::new();
    let path = format!("/{}", "a".repeat(10_000));
    let record = world.get(&path);
    let line = text("%REQ(:PATH)%", &record);
    assert_eq!(
        line.chars().count(),
        crate::logging::line::MAX_VALUE_BYTES + 1
    );
    assert!(line.ends_with('…'));
    // Half of a character is not shown.
    let record = world.get("/é");
    assert_eq!(text("%REQ(:PATH):2%", &record), "/");
}

#[test]
fn what_is_no_format_is_refused_with_its_place() {
    let error = |text: &str| Format::parse(text).unwrap_err().to_string();
    for (format, expected) in [
        (
            "100%",
            "no command at byte 3: expected %COMMAND% or, for a percent sign, %%",
        ),
        (
            "a %b%",
            "no command at byte 2: expected %COMMAND% or, for a percent sign, %%",
        ),
        (
            "%PROTOCOL",
            "no command at byte 0: expected %COMMAND% or, for a percent sign, %%",
        ),
        (
            "%REQ(X%",
            "no command at byte 0: expected %COMMAND% or, for a percent sign, %%",
        ),
        (
            "%REQ(X):%",
            "no command at byte 0: expected %COMMAND% or, for a percent sign, %%",
        ),
        (
            "%REQ(X):-1%",
            "no command at byte 0: expected %COMMAND% or, for a percent sign, %%",
        ),
        ("x %% %NONSENSE%", "command NONSENSE at byte 5 is not known"),
        (
            "%DYNAMIC_METADATA(a:b)%",
            "command DYNAMIC_METADATA at byte 0 is not known",
        ),
        ("%LOCAL_PORT%", "command LOCAL_PORT at byte 0 is not known"),
        (
            "%REQ%",
            "command REQ at byte 0 has the argument \"\": expected the name of a header, or two as in X?Y",
        ),
        (
            "%RESP(a b)%",
            "command RESP at byte 0 has the argument \"a b\": expected the name of a header, or two as in X?Y",
        ),
        (
            "%REQ(a?b?c)%",
            "command REQ at byte 0 has the argument \"a?b?c\": expected the name of a header, or two as in X?Y",
        ),
        (
            "%REQ(:nothing)%",
            "command REQ at byte 0 has the argument \":nothing\": expected the name of a header, or two as in X?Y",
        ),
        (
            "%PROTOCOL(x)%",
            "command PROTOCOL at byte 0 has the argument \"x\": expected none",
        ),
        (
            "%PROTOCOL:5%",
            "command PROTOCOL at byte 0 has the length \"5\": expected none",
        ),
        (
            "%REQ(X):99999999999999999999%",
            "command REQ at byte 0 has the length \"99999999999999999999\": expected a number of bytes",
        ),
        (
            "%GRPC_STATUS(X)%",
            "command GRPC_STATUS at byte 0 has the argument \"X\": expected CAMEL_STRING, SNAKE_STRING or NUMBER",
        ),
        (
            "%PATH(XQ)%",
            "command PATH at byte 0 has the argument \"XQ\": expected WQ or NQ, and ORIG, PATH or ORIG_OR_PATH, as in NQ:ORIG",
        ),
        (
            "%QUERY_PARAM()%",
            "command QUERY_PARAM at byte 0 has the argument \"\": expected the name of a query parameter",
        ),
    ] {
        assert_eq!(error(format), expected, "{format}");
    }
    for format in [
        "%START_TIME(%n)%",
        "%START_TIME(%Q)%",
        "%START_TIME(%)%",
        "%START_TIME(%E3f)%",
        "%START_TIME(%3d)%",
        "%START_TIME(a\nb)%",
    ] {
        assert!(
            matches!(
                Format::parse(format),
                Err(InvalidFormat::Argument { at: 0, .. })
            ),
            "{format:?}"
        );
    }
    let long = "a".repeat(super::MAX_FORMAT_BYTES + 1);
    assert_eq!(
        Format::parse(&long),
        Err(InvalidFormat::TooLong { bytes: long.len() })
    );
}

#[test]
fn a_format_says_which_headers_it_reads() {
    let needs = Format::parse(
        "%REQ(X-A?X-B)% %REQ(:PATH)% %REQ(HOST)% %REQ(X-ENVOY-ORIGINAL-PATH)% %REQ(x-a)% %RESP(X-C)% \
         %RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)% %RESP(:STATUS)% %TRAILER(GRPC-MESSAGE)%",
    )
    .unwrap()
    .needs();
    let name = HeaderName::from_static;
    let expected = Needs {
        request: vec![name("x-a"), name("x-b")],
        response: vec![name("x-c")],
        trailers: vec![name("grpc-message")],
    };
    assert_eq!(needs, expected);
    let more = HeaderTemplate::parse("%REQ(USER-AGENT)%%REQ(X-B)%")
        .unwrap()
        .needs();
    let both = needs.and(&more);
    assert_eq!(both.request, [name("x-a"), name("x-b"), header::USER_AGENT]);
}

#[test]
fn every_version_of_http_has_its_name() {
    let world = World::new();
    let mut record = world.get("/");
    for (version, name) in [
        (Version::HTTP_10, "HTTP/1.0"),
        (Version::HTTP_11, "HTTP/1.1"),
        (Version::HTTP_2, "HTTP/2"),
        (Version::HTTP_3, "HTTP/3"),
    ] {
        record.version = Some(version);
        assert_eq!(text("%PROTOCOL%", &record), name);
    }
    record.status = Some(StatusCode::IM_A_TEAPOT);
    record.flags = Flags::from(ResponseFlag::FaultInjected);
    assert_eq!(text("%RESPONSE_CODE% %RESPONSE_FLAGS%", &record), "418 FI");
    let several = headers(&[("x-dup", "1"), ("x-dup", "2")]);
    record.request = (&several).into();
    assert_eq!(text("%REQ(X-DUP)%", &record), "1");
}
