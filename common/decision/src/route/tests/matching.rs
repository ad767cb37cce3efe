//! What a request shows to rules.

use mesh::{
    Name,
    route::{ClaimMatch, Claims, Facts, HeaderMatch, HostMatch, QueryMatch, StringMatch},
};

use super::{Head, HttpMatch, HttpRules, Pattern, Request, answer, exact, head, headers, pick};
use crate::route::{Headers as _, authority::split};

fn holds(one: HttpMatch, head: Head<'_>, all: &[(&str, &str)]) -> bool {
    let headers = headers(all);
    let request = Request::new(head, &headers);
    let rules = HttpRules::new(vec![answer(vec![one])]);
    pick(&rules, &request).is_some()
}

fn text(exact: &str) -> StringMatch {
    StringMatch::Exact(exact.into())
}

fn header(name: &str, value: StringMatch) -> HttpMatch {
    HttpMatch {
        headers: vec![HeaderMatch {
            name: name.into(),
            value: Some(value),
            invert: false,
        }],
        ..HttpMatch::default()
    }
}

#[test]
fn several_values_of_a_header_count_as_one() {
    let all = [("x", "a"), ("y", "-"), ("x", "b")];
    assert!(holds(header("x", text("a,b")), head(), &all));
    assert!(!holds(header("x", text("a")), head(), &all));
    let whole = StringMatch::Regex(Pattern::new("a,.").unwrap());
    assert!(holds(header("x", whole), head(), &all));
    let part = StringMatch::Regex(Pattern::new("a").unwrap());
    assert!(!holds(header("x", part), head(), &all));
}

#[test]
fn cookies_of_several_lines_are_one_cookie_header() {
    let all = headers(&[("cookie", "a=1"), ("cookie", "b=2")]);
    assert_eq!(all.joined("cookie").as_deref(), Some(&b"a=1; b=2"[..]));
    assert_eq!(all.joined("x"), None);
}

#[test]
fn pseudo_headers_are_headers_too() {
    let asked = Head {
        path: "/a",
        query: Some("b=c"),
        ..head()
    };
    assert!(holds(header(":path", text("/a?b=c")), asked, &[]));
    assert!(holds(header(":method", text("GET")), asked, &[]));
    assert!(holds(header(":scheme", text("http")), asked, &[]));
    for name in [":authority", "host"] {
        assert!(holds(header(name, text("web.example")), asked, &[]));
    }
}

#[test]
fn a_header_that_must_not_match_may_be_absent() {
    let mut without = header("x", text("1"));
    without.headers[0].invert = true;
    assert!(holds(without.clone(), head(), &[]));
    assert!(holds(without.clone(), head(), &[("x", "2")]));
    assert!(!holds(without, head(), &[("x", "1")]));
}

#[test]
fn authorities_are_compared_in_lower_case_with_the_port_that_was_sent() {
    let to = |authority| Head {
        authority,
        ..head()
    };
    let wants = |authority: &str| HttpMatch {
        authority: Some(text(authority)),
        ..HttpMatch::default()
    };
    for (wanted, sent, expected) in [
        ("web.example", "web.example", true),
        ("web.example", "WEB.example", true),
        ("web.example", "web.example:80", false),
        ("web.example:80", "Web.Example:80", true),
    ] {
        assert_eq!(
            holds(wants(wanted), to(sent), &[]),
            expected,
            "{wanted} {sent}"
        );
    }
    let hostname = |text: &str| HttpMatch {
        hostnames: vec![HostMatch::new(text)],
        ..HttpMatch::default()
    };
    for (wanted, sent, expected) in [
        ("web.example", "WEB.example:8080", true),
        ("*.example", "web.example:80", true),
        ("*.example", "example", false),
        ("[::1]", "[::1]:80", true),
        ("[::1]", "[::1]", true),
    ] {
        assert_eq!(
            holds(hostname(wanted), to(sent), &[]),
            expected,
            "{wanted} {sent}"
        );
    }
}

#[test]
fn authorities_are_taken_apart() {
    for (authority, host, port) in [
        ("a", "a", None),
        ("a:80", "a", Some(80)),
        ("a:", "a", None),
        ("a:x", "a:x", None),
        ("a:+8", "a:+8", None),
        ("a:65536", "a:65536", None),
        ("[::1]", "[::1]", None),
        ("[::1]:80", "[::1]", Some(80)),
        ("", "", None),
        (":80", "", Some(80)),
    ] {
        assert_eq!(split(authority), (host, port), "{authority}");
    }
}

/// The value of `k`, by a query.
fn parameter(query: &str) -> Option<String> {
    let (headers, head) = (
        headers(&[]),
        Head {
            query: Some(query),
            ..head()
        },
    );
    let request = Request::new(head, &headers);
    let value = request.parameter("k")?;
    Some(String::from_utf8_lossy(value).into_owned())
}

#[test]
fn the_first_parameter_of_a_name_counts_decoded() {
    for (query, expected) in [
        ("k=1", Some("1")),
        ("a=0&k=1&k=2", Some("1")),
        ("z&k", Some("")),
        ("k=", Some("")),
        ("k=a=b", Some("a=b")),
        ("%6b=%31%2f", Some("1/")),
        ("k=a+b", Some("a+b")),
        ("k=%", Some("%")),
        ("k=%2", Some("%2")),
        ("k=%+1", Some("%+1")),
        ("k=%zz%41", Some("%zzA")),
        ("&&k=1&&", Some("1")),
        ("K=1", None),
        ("kk=1&=k", None),
        ("", None),
    ] {
        assert_eq!(parameter(query).as_deref(), expected, "{query}");
    }
}

#[test]
fn a_parameter_may_be_asked_for_alone_or_with_a_value() {
    let wants = |value: Option<StringMatch>| HttpMatch {
        query: vec![QueryMatch {
            name: "k".into(),
            value,
        }],
        ..HttpMatch::default()
    };
    let to = |query| Head { query, ..head() };
    for (value, query, expected) in [
        (None, Some("k"), true),
        (None, Some("k="), true),
        (None, Some("x=k"), false),
        (None, None, false),
        (Some(text("")), Some("k"), true),
        (Some(text("")), Some("k=1"), false),
        (Some(text("a b")), Some("k=a%20b"), true),
        (Some(StringMatch::Prefix("a".into())), Some("k=ab"), true),
    ] {
        assert_eq!(holds(wants(value), to(query), &[]), expected, "{query:?}");
    }
}

#[test]
fn methods_know_case_and_the_path_is_without_query() {
    let get = HttpMatch {
        method: Some(text("GET")),
        path: Some(exact("/a")),
        ..HttpMatch::default()
    };
    let asked = Head {
        path: "/a",
        query: Some("x"),
        ..head()
    };
    assert!(holds(get.clone(), asked, &[]));
    assert!(!holds(
        get,
        Head {
            method: "get",
            ..asked
        },
        &[]
    ));
}

/// A token that says one thing.
struct Says(&'static [&'static str], &'static [&'static str]);

impl Claims for Says {
    fn any(&self, claim: &[Name], wanted: &dyn Fn(&str) -> bool) -> bool {
        let is_it = claim
            .iter()
            .map(|name| name.as_str())
            .eq(self.0.iter().copied());
        is_it && self.1.iter().any(|text| wanted(text))
    }
}

fn claims(one: ClaimMatch, token: Option<&dyn Claims>) -> bool {
    let headers = headers(&[]);
    let request = Request::new(head(), &headers).with_claims(token);
    let one = HttpMatch {
        claims: vec![one],
        ..HttpMatch::default()
    };
    let rules = HttpRules::new(vec![answer(vec![one])]);
    pick(&rules, &request).is_some()
}

#[test]
fn a_claim_matches_by_one_of_its_texts_and_only_of_a_verified_token() {
    let wants = |value: Option<StringMatch>, invert| ClaimMatch {
        claim: vec!["realm".into(), "roles".into()],
        value,
        invert,
    };
    let token = Says(&["realm", "roles"], &["user", "admin"]);
    let other = Says(&["roles"], &["admin"]);
    let admin = || Some(text("admin"));
    assert!(claims(wants(admin(), false), Some(&token)));
    assert!(claims(wants(None, false), Some(&token)));
    assert!(!claims(wants(Some(text("root")), false), Some(&token)));
    assert!(!claims(wants(admin(), false), Some(&other)));
    assert!(!claims(wants(admin(), false), None));
    assert!(!claims(wants(None, false), None));
    // What must not hold does not hold where there is no token.
    assert!(!claims(wants(admin(), true), Some(&token)));
    assert!(claims(wants(admin(), true), Some(&other)));
    assert!(claims(wants(admin(), true), None));
}
