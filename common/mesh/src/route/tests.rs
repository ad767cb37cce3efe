//! How texts match, and that the index finds what it must.

use std::{borrow::Cow, sync::Arc};

use super::{
    Action, Claims, DirectResponse, Facts, HeaderMatch, HostMatch, HttpMatch, HttpRule, HttpRules,
    PathKind, PathMatch, Pattern, RetryOn, Share, StringMatch,
};

mod patterns;
mod rules;

/// A path, whether it matches.
type Asked<'t> = (&'t str, bool);

fn check_path(kind: PathKind, ignore_case: bool, asked: &[Asked<'_>]) {
    let wanted = PathMatch::new(kind, ignore_case);
    for (path, expected) in asked {
        assert_eq!(wanted.matches(path), *expected, "{wanted:?} {path}");
    }
}

#[test]
fn a_prefix_of_a_virtual_service_ends_anywhere() {
    let asked = [
        ("/a", true),
        ("/a/b", true),
        ("/ab", true),
        ("/", false),
        ("/A", false),
    ];
    check_path(PathKind::Prefix("/a".into()), false, &asked);
    let asked = [("/a/", true), ("/a/b", true), ("/a", false)];
    check_path(PathKind::Prefix("/a/".into()), false, &asked);
}

#[test]
fn a_prefix_of_the_gateway_api_ends_with_a_segment() {
    for written in ["/a", "/a/"] {
        let asked = [
            ("/a", true),
            ("/a/", true),
            ("/a/b", true),
            ("/ab", false),
            ("/", false),
        ];
        check_path(PathKind::Segments(written.into()), false, &asked);
    }
    let asked = [("/", true), ("/a", true), ("*", false)];
    check_path(PathKind::Segments("/".into()), false, &asked);
}

#[test]
fn case_is_ignored_where_it_is_said() {
    let asked = [("/aB", true), ("/AB", true), ("/abc", false)];
    check_path(PathKind::Exact("/Ab".into()), true, &asked);
    check_path(
        PathKind::Prefix("/A".into()),
        true,
        &[("/ab", true), ("/b", false)],
    );
    check_path(
        PathKind::Segments("/A".into()),
        true,
        &[("/a/B", true), ("/ab", false)],
    );
    let pattern = PathKind::Regex(Pattern::new("/A").unwrap());
    check_path(pattern, true, &[("/A", true), ("/a", false)]);
}

#[test]
fn a_host_wildcard_stands_for_one_label_and_more() {
    let wanted = HostMatch::new("*.Example.com");
    for (host, expected) in [
        ("a.example.com", true),
        ("a.b.example.com", true),
        ("example.com", false),
        (".example.com", false),
        ("badexample.com", false),
    ] {
        assert_eq!(wanted.matches(host), expected, "{host}");
    }
    assert!(HostMatch::new("*").matches(""));
    assert!(HostMatch::new("A.b").matches("a.b"));
    assert!(!wanted.matches(&format!("{}.example.com", "a".repeat(300))));
}

#[test]
fn a_header_that_must_not_match_passes_where_it_is_absent() {
    let mut wanted = HeaderMatch {
        name: "x".into(),
        value: Some(StringMatch::Exact("1".into())),
        invert: false,
    };
    let check = |wanted: &HeaderMatch, expected: [bool; 3]| {
        let values = [None, Some(&b"1"[..]), Some(b"")];
        assert_eq!(
            values.map(|value| wanted.holds(value)),
            expected,
            "{wanted:?}"
        );
    };
    check(&wanted, [false, true, false]);
    wanted.invert = true;
    check(&wanted, [true, false, true]);
    wanted.value = None;
    check(&wanted, [true, false, false]);
    wanted.invert = false;
    check(&wanted, [false, true, true]);
}

#[test]
fn a_share_takes_its_part_of_all_numbers() {
    let taken = |share: Share| {
        let numbers = (0..1000_u64).map(|i| u64::MAX / 2000 * (2 * i + 1));
        numbers.filter(|random| share.takes(*random)).count()
    };
    assert_eq!(taken(Share::NONE), 0);
    assert_eq!(taken(Share::from_ppm(250_000)), 250);
    assert_eq!(taken(Share::ALL), 1000);
    assert!(Share::from_ppm(u32::MAX).takes(u64::MAX));
    assert!(!Share::from_ppm(999_999).takes(u64::MAX));
}

#[test]
fn every_word_of_a_retry_is_known_by_its_name() {
    let words = "5xx gateway-error reset reset-before-request connect-failure envoy-ratelimited retriable-4xx \
                 refused-stream retriable-status-codes retriable-headers http3-post-connect-failure cancelled \
                 deadline-exceeded internal resource-exhausted unavailable";
    let all: RetryOn = words
        .split_whitespace()
        .map(|word| {
            let set = RetryOn::word(word).unwrap();
            assert_eq!(set.words().collect::<Vec<_>>(), [word]);
            set
        })
        .collect();
    assert_eq!(all.words().count(), 16);
    assert_eq!(RetryOn::word("5XX"), None);
    let some = RetryOn::RESET.with(RetryOn::UNAVAILABLE);
    assert!(all.contains(some) && !some.contains(all));
    assert!(some.intersects(RetryOn::RESET) && !some.intersects(RetryOn::CANCELLED));
}

/// A rule whose answer says which it is.
fn rule(number: u16, matches: Vec<HttpMatch>) -> HttpRule {
    HttpRule {
        matches,
        ..HttpRule::new(Action::Respond(DirectResponse {
            status: number,
            body: Arc::new([]),
        }))
    }
}

fn exact(path: &str) -> HttpMatch {
    HttpMatch {
        path: Some(PathMatch::new(PathKind::Exact(path.into()), false)),
        ..HttpMatch::default()
    }
}

/// A request of a path and perhaps one header, which counts what it is asked.
struct Get<'t> {
    path: &'t str,
    header: Option<(&'t str, &'t str)>,
    methods: std::cell::Cell<usize>,
}

impl<'t> Get<'t> {
    fn new(path: &'t str) -> Self {
        Self {
            path,
            header: None,
            methods: std::cell::Cell::new(0),
        }
    }
}

impl Facts for Get<'_> {
    fn path(&self) -> &str {
        self.path
    }

    fn method(&self) -> &str {
        self.methods.set(self.methods.get() + 1);
        "GET"
    }

    fn scheme(&self) -> &'static str {
        "http"
    }

    fn authority(&self) -> &'static str {
        "web:80"
    }

    fn host(&self) -> &'static str {
        "web"
    }

    fn header(&self, name: &str) -> Option<Cow<'_, [u8]>> {
        let (present, value) = self.header?;
        (present == name).then_some(Cow::Borrowed(value.as_bytes()))
    }

    fn parameter(&self, _: &str) -> Option<&[u8]> {
        None
    }

    fn claims(&self) -> Option<&dyn Claims> {
        None
    }
}

fn found(rules: &HttpRules, facts: &Get<'_>) -> Option<usize> {
    rules.first_match(facts).map(|found| found.position)
}
