//! Lines of the access log, as a waypoint writes them.

use super::Line;

const LINE: &str = "[2026-01-31T12:34:56.123Z] \"GET /?one HTTP/1.1\" 200 - via_upstream - \"-\" 0 23 3 2 \"-\" \"curl/7.88.1\" \
    \"0f5c\" \"10.96.1.13\" \"10.10.1.14:8080\" inbound-vip|80|http/v2|catalog.default.svc.cluster.local 10.10.2.14:40000 \
    10.96.1.13:80 10.10.1.10:40000 - canary";

#[test]
fn a_line_is_read_back() {
    let line = Line::parse(LINE).unwrap();
    assert_eq!((line.status.as_str(), line.flags.as_str()), ("200", "-"));
    assert_eq!(line.details, "via_upstream");
    assert_eq!(line.host, "10.10.1.14:8080");
    assert_eq!(
        line.cluster,
        "inbound-vip|80|http/v2|catalog.default.svc.cluster.local"
    );
    assert_eq!(line.route, "canary");
    assert_eq!(line.text, LINE);
}

#[test]
fn other_lines_are_none() {
    for text in [
        "",
        "2026-01-02T03:04:05.678901Z\tinfo\twaypoint::app\twaypoint started\tworkers=2",
        &LINE[1..],
        &LINE[..LINE.len() - " canary".len()],
        "[x] \"GET / HTTP/1.1",
    ] {
        assert_eq!(Line::parse(text), None, "{text}");
    }
}
