//! What is asked, and what of an answer counts.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use mesh::{
    ServiceKey,
    access::{
        RateLimit,
        limit::{GlobalLimit, LimitKey, LimitKind, LimitValue},
    },
    route::Backend,
};
use wire::proto::rate_limit::HeaderValue as Said;

use super::{Counted, MAX_HEADERS, Questions, headers};

fn limit(name: &str, domain: &str, fail_closed: bool, keys: &[&str]) -> RateLimit {
    let key = |name: &&str| LimitKey {
        name: (*name).into(),
        value: LimitValue::Path,
    };
    RateLimit {
        name: name.into(),
        matches: Vec::new(),
        routes: Vec::new(),
        keys: keys.iter().map(key).collect(),
        kind: LimitKind::Global(GlobalLimit {
            domain: domain.into(),
            backend: Backend::new(ServiceKey::new("a", "rls.a"), 1),
            timeout: Duration::from_secs(1),
            fail_closed,
        }),
        status: 429,
        response_headers: Vec::new(),
        enabled_ppm: 1_000_000,
        enforced_ppm: 1_000_000,
        resource_exhausted: false,
    }
}

/// Domains, and the descriptors that are asked about.
fn asked(limits: &[RateLimit]) -> Vec<(String, Vec<String>)> {
    let mut questions = Questions::default();
    for limit in limits {
        let LimitKind::Global(whom) = &limit.kind else {
            panic!("a local limit")
        };
        let values = limit
            .keys
            .iter()
            .map(|key| format!("of {}", key.name).into());
        let counted = Arc::new(Counted::new(limit, Duration::ZERO));
        questions.add(whom, limit, counted, values.collect());
    }
    let question = |it: &super::Question<'_>| {
        assert_eq!(it.limits.len(), it.descriptors.len());
        let entries = it.descriptors.iter().map(|descriptor| {
            let entries = descriptor.entries.iter();
            let entries = entries.map(|entry| format!("{}={}", entry.key, entry.value));
            entries.collect::<Vec<_>>().join(" ")
        });
        (it.whom.domain.to_string(), entries.collect())
    };
    questions.0.iter().map(question).collect()
}

#[test]
fn limits_of_one_service_and_domain_are_one_question() {
    let all = [
        limit("a", "one", false, &["x", "y"]),
        limit("b", "two", false, &["x"]),
        limit("c", "one", false, &["z"]),
        // What happens while nobody answers is another matter.
        limit("d", "one", true, &["x"]),
        limit("e", "two", false, &[]),
    ];
    let expected = [
        ("one", vec!["x=of x y=of y", "z=of z"]),
        ("two", vec!["x=of x", "generic_key=e"]),
        ("one", vec!["x=of x"]),
    ];
    let expected: Vec<_> = expected
        .into_iter()
        .map(|(domain, asked)| {
            (
                domain.to_owned(),
                asked.into_iter().map(str::to_owned).collect(),
            )
        })
        .collect();
    assert_eq!(asked(&all), expected);
}

#[test]
fn a_service_adds_no_header_that_frames_a_message_or_names_its_receiver() {
    let said = |key: &str, value: &str, raw: &'static [u8]| Said {
        key: key.to_owned(),
        value: value.to_owned(),
        raw_value: Bytes::from_static(raw),
    };
    let all = [
        said("X-A", "b", b""),
        said("x-a", "c", b"ignored"),
        said("x-raw", "", b"\xff"),
        said("Content-Length", "7", b""),
        said("transfer-encoding", "chunked", b""),
        said("Connection", "x-a", b""),
        said("host", "other", b""),
        said("te", "gzip", b""),
        said("upgrade", "h2c", b""),
        said(":path", "/other", b""),
        said("x b", "c", b""),
        said("x-d", "e\r\nx-f: g", b""),
    ];
    let taken: Vec<_> = headers(&all)
        .map(|(name, value)| (name.to_string(), value.as_bytes().to_vec()))
        .collect();
    let expected = [("x-a", &b"b"[..]), ("x-a", b"c"), ("x-raw", b"\xff")];
    let expected = expected.map(|(name, value)| (name.to_owned(), value.to_vec()));
    assert_eq!(taken, expected);
    let many = vec![said("x-a", "b", b""); 10 * MAX_HEADERS];
    assert_eq!(headers(&many).count(), MAX_HEADERS);
}
