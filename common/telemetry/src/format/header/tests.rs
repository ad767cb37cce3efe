//! What headers get. Envoy 1.40 sent these values for such a request.

use http::HeaderValue;

use super::HeaderTemplate;
use crate::http::{
    Record,
    testkit::{World, times},
};

/// What a header gets.
fn value(template: &str, record: &Record<'_>) -> Option<HeaderValue> {
    HeaderTemplate::parse(template).unwrap().value(record)
}

#[test]
fn headers_get_what_envoy_gives_them_before_there_is_a_response() {
    let mut world = World::new();
    let binary = HeaderValue::from_bytes(b"caf\xc3\xa9\xff").unwrap();
    world.request.insert("x-bin", binary.clone());
    let mut record = world.get("/hdr");
    record.times = times(365_280, 0);
    record.downstream_remote = Some("127.0.0.1:60640".parse().unwrap());
    record.cluster = Some("up");
    record.route = Some("hdr");
    record.attempts = 1;
    for (template, expected) in [
        ("%REQ(x-none)%", None),
        ("", None),
        (
            "b%REQ(x-none)%|%PROTOCOL%|%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%|%RESPONSE_CODE%|%DURATION%|%RESPONSE_FLAGS%|100%%",
            Some("b|HTTP/1.1|127.0.0.1|0|0|-|100%"),
        ),
        ("%START_TIME(%s.%3f)%", Some("1795345891.365")),
        (
            "%BYTES_RECEIVED% %UPSTREAM_CLUSTER% %ROUTE_NAME% %UPSTREAM_HOST% %UPSTREAM_REQUEST_ATTEMPT_COUNT%",
            Some("0 up hdr  1"),
        ),
        ("100%% fixed", Some("100% fixed")),
    ] {
        let found = value(template, &record);
        let found = found.as_ref().map(|value| value.to_str().unwrap());
        assert_eq!(found, expected, "{template}");
    }
    assert_eq!(value("%REQ(x-bin)%", &record), Some(binary));
}

#[test]
fn headers_of_responses_know_how_it_went() {
    let world = World::new();
    let template = "%RESPONSE_CODE%|%DURATION%|%RESPONSE_FLAGS%|%UPSTREAM_HOST%|%RESPONSE_CODE_DETAILS%|%RESP(x-up)%|\
        %RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)%";
    let expected = "200|3|-|127.0.0.1:19902|via_upstream|v|3";
    assert_eq!(value(template, &world.ok()).unwrap(), expected);
}

#[test]
fn a_header_is_never_split() {
    let world = World::new();
    let mut record = world.get("/");
    record.server_name = Some("a\r\nset-cookie: b");
    assert_eq!(value("%REQUESTED_SERVER_NAME%", &record), None);
    for text in ["a\r\nb", "%PROTOCOL%\nx", "\u{0}"] {
        let error = HeaderTemplate::parse(text).unwrap_err();
        assert!(
            error
                .to_string()
                .ends_with("cannot be the value of a header"),
            "{error}"
        );
    }
    assert!(HeaderTemplate::parse("50%").is_err());
    assert_eq!(HeaderTemplate::parse("a%%").unwrap().fixed().unwrap(), "a%");
    assert!(
        HeaderTemplate::parse("%PROTOCOL%")
            .unwrap()
            .fixed()
            .is_none()
    );
}
