//! Tests of edits of headers: remove, set, add, and formats.

use telemetry::http::{Parties, RequestProtocol, Times};

use super::*;

fn text(name: &str, value: &str) -> HeaderText {
    HeaderText {
        name: name.into(),
        value: value.into(),
    }
}

fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
    pairs
        .iter()
        .map(|(name, value)| {
            (
                HeaderName::from_static(name),
                HeaderValue::from_static(value),
            )
        })
        .collect()
}

fn edit(
    edits: &HeaderEdits,
    before: &[(&'static str, &'static str)],
) -> (HeaderMap, Option<HeaderValue>) {
    let edits = Edits::new(edits);
    let mut map = headers(before);
    let values = edits.evaluate(|| {
        let times = Times::new(std::time::SystemTime::UNIX_EPOCH, net::clock::now());
        let parties = Parties::unknown(RequestProtocol::Http, telemetry::Security::MutualTls);
        let mut record = Record::new(times, parties);
        record.method = Some("GET");
        record.request = (&map).into();
        record
    });
    let authority = edits.apply(values, &mut map);
    (map, authority)
}

#[test]
fn what_is_removed_may_be_set_and_what_is_set_may_be_added_to() {
    let edits = HeaderEdits {
        remove: vec!["x-a".into(), "x-gone".into()],
        set: vec![text("x-a", "1"), text("x-b", "2")],
        add: vec![text("x-b", "3")],
    };
    let (found, authority) = edit(
        &edits,
        &[("x-a", "0"), ("x-b", "0"), ("x-gone", "0"), ("x-c", "0")],
    );
    assert_eq!(
        found,
        headers(&[("x-a", "1"), ("x-b", "2"), ("x-b", "3"), ("x-c", "0")])
    );
    assert_eq!(authority, None);
}

#[test]
fn values_are_made_of_the_request_as_it_was() {
    let edits = HeaderEdits {
        remove: vec!["x-user".into()],
        set: vec![
            text("x-copy", "%REQ(x-user)%/%REQ(:METHOD)%"),
            text("x-fixed", "f"),
        ],
        add: vec![text("x-percent", "100%%")],
    };
    let (found, _) = edit(&edits, &[("x-user", "ann")]);
    assert_eq!(
        found,
        headers(&[
            ("x-copy", "ann/GET"),
            ("x-fixed", "f"),
            ("x-percent", "100%")
        ])
    );
}

#[test]
fn an_empty_value_is_left_out() {
    let edits = HeaderEdits {
        set: vec![text("x-copy", "%REQ(x-user)%")],
        ..HeaderEdits::default()
    };
    assert_eq!(edit(&edits, &[]).0, HeaderMap::new());
}

#[test]
fn the_authority_is_no_header() {
    for name in [":authority", "host"] {
        let edits = HeaderEdits {
            set: vec![text(name, "other:80")],
            ..HeaderEdits::default()
        };
        let (found, authority) = edit(&edits, &[]);
        assert_eq!(found, HeaderMap::new());
        assert_eq!(authority, Some(HeaderValue::from_static("other:80")));
    }
}

#[test]
fn what_cannot_be_read_is_left_out_and_the_host_cannot_be_removed() {
    let edits = Edits::new(&HeaderEdits {
        remove: vec!["host".into(), "a b".into()],
        set: vec![text("x", "%NO_SUCH_COMMAND%"), text(":path", "/x")],
        add: vec![text("x", "a\nb")],
    });
    assert!(edits.is_empty());
}
