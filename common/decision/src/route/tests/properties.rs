//! The index finds what the oracle finds: random tables, random requests, few texts, so that many nearly match.

use std::{
    sync::LazyLock,
    sync::atomic::{AtomicUsize, Ordering},
};

use mesh::{
    Name,
    route::{ClaimMatch, Claims, HeaderMatch, HostMatch, QueryMatch, StringMatch},
};
use proptest::{collection::vec, option, prelude::*, sample::select, test_runner::Config};

use super::{
    Head, HttpMatch, HttpRule, HttpRules, PathKind, PathMatch, Pattern, Request, answer, headers,
    oracle, pick,
};

/// Tables, and requests for each of them.
const TABLES: u32 = 20_000;
const REQUESTS: usize = 5;

const PATHS: [&str; 16] = [
    "/", "/a", "/a/", "/a/b", "/a/bc", "/ab", "/A", "/a/B/c", "/b", "/b/a", "/ba", "*", "/a/b/c/d",
    "/aa", "/-", "/a.b",
];
const PREFIXES: [&str; 9] = ["/", "/a", "/a/", "/a/b", "/A", "/ab", "/b", "/a/b/c", ""];
const VALUES: [&str; 6] = ["", "1", "2", "12", "a,1", "v"];
const NAMES: [&str; 3] = ["x", "y", ":method"];
const WAYS: [&str; 3] = ["role", "realm/role", "realm"];
const KEYS: [&str; 3] = ["k", "l", "k k"];
const HOSTS: [&str; 5] = ["web", "a.web", "b.a.web", "other.example", "[fd00::1]"];

static PATTERNS: LazyLock<Vec<Pattern>> = LazyLock::new(|| {
    let texts = [
        "/a.*",
        "/[ab]",
        "/a|/b/.*",
        "(?i)/A(/b)?",
        ".*",
        "/a?b?",
        "/ab{0,1}",
        r"/a\.b",
        "1|2",
        "[0-9]+",
        "",
        "/b(/a|/b)",
        "/a/b/c/.",
        "w?eb",
    ];
    texts
        .iter()
        .map(|text| Pattern::new(text).unwrap())
        .collect()
});

fn pattern() -> impl Strategy<Value = Pattern> {
    (0..PATTERNS.len()).prop_map(|place| PATTERNS[place].clone())
}

fn path() -> impl Strategy<Value = PathMatch> {
    let kind = prop_oneof![
        4 => select(&PATHS[..]).prop_map(|text| PathKind::Exact(text.into())),
        2 => select(&PREFIXES[..]).prop_map(|text| PathKind::Prefix(text.into())),
        2 => select(&PREFIXES[..]).prop_map(|text| PathKind::Segments(text.into())),
        2 => pattern().prop_map(PathKind::Regex),
    ];
    (kind, prop::bool::weighted(0.2)).prop_map(|(kind, ignore)| PathMatch::new(kind, ignore))
}

fn text(texts: &'static [&'static str]) -> impl Strategy<Value = StringMatch> {
    prop_oneof![
        6 => select(texts).prop_map(|text| StringMatch::Exact(text.into())),
        1 => select(texts).prop_map(|text| StringMatch::Prefix(text.into())),
        1 => select(texts).prop_map(|text| StringMatch::Suffix(text.into())),
        1 => pattern().prop_map(StringMatch::Regex),
    ]
}

fn condition() -> impl Strategy<Value = HttpMatch> {
    let header = (
        select(&NAMES[..]),
        option::weighted(0.8, text(&VALUES)),
        prop::bool::weighted(0.2),
    )
        .prop_map(|(name, value, invert)| HeaderMatch {
            name: name.into(),
            value,
            invert,
        });
    let query =
        (select(&KEYS[..]), option::weighted(0.8, text(&VALUES))).prop_map(|(name, value)| {
            QueryMatch {
                name: name.into(),
                value,
            }
        });
    let claim = (
        select(&WAYS[..]),
        option::weighted(0.8, text(&VALUES)),
        prop::bool::weighted(0.2),
    )
        .prop_map(|(way, value, invert)| ClaimMatch {
            claim: way.split('/').map(Name::from).collect(),
            value,
            invert,
        });
    let host = select(
        &[
            "web",
            "a.web",
            "*.web",
            "*.a.web",
            "*",
            "*.example",
            "[fd00::1]",
        ][..],
    )
    .prop_map(HostMatch::new);
    (
        option::weighted(0.7, path()),
        vec(header, 0..2),
        vec(query, 0..2),
        option::weighted(0.1, text(&["GET", "POST"])),
        option::weighted(0.1, text(&["http", "https"])),
        option::weighted(0.2, text(&["web", "web:80", "a.web"])),
        prop_oneof![3 => Just(Vec::new()), 1 => vec(host, 1..3)],
        prop_oneof![4 => Just(Vec::new()), 1 => vec(claim, 1..3)],
    )
        .prop_map(
            |(path, headers, query, method, scheme, authority, hostnames, claims)| HttpMatch {
                path,
                headers,
                query,
                method,
                scheme,
                authority,
                hostnames,
                claims,
            },
        )
}

fn rule() -> impl Strategy<Value = HttpRule> {
    prop_oneof![
        1 => Just(answer(Vec::new())),
        30 => vec(condition(), 1..4).prop_map(answer),
    ]
}

fn request() -> impl Strategy<Value = oracle::Plain> {
    let header = (select(&["x", "y", "z"][..]), select(&VALUES[..]))
        .prop_map(|(name, value)| (name.to_owned(), value.to_owned()));
    let claim = (select(&WAYS[..]), select(&VALUES[..]))
        .prop_map(|(way, text)| (way.to_owned(), text.to_owned()));
    let parameter = (
        select(&["k", "l", "%6b", "k%20k", "K"][..]),
        select(&["", "=", "=1", "=2", "=%31", "=12", "=a,1", "=v=1"][..]),
    )
        .prop_map(|(name, value)| [name, value].concat());
    let query = vec(parameter, 0..4).prop_map(|parameters| parameters.join("&"));
    let authority = (
        select(&HOSTS[..]),
        select(&["", ":80", ":8080"][..]),
        any::<bool>(),
    );
    (
        select(&["GET", "POST", "get"][..]),
        select(&["http", "https"][..]),
        authority.prop_map(|(host, port, upper)| {
            let authority = [host, port].concat();
            if upper {
                authority.to_uppercase()
            } else {
                authority
            }
        }),
        select(&PATHS[..]),
        option::of(query),
        vec(header, 0..4),
        vec(claim, 0..4),
    )
        .prop_map(
            |(method, scheme, authority, path, query, headers, claims)| oracle::Plain {
                method: method.to_owned(),
                scheme: scheme.to_owned(),
                authority,
                path: path.to_owned(),
                query,
                headers,
                claims,
            },
        )
}

/// A token of a request: without claims there is none.
struct Said<'t>(&'t [(String, String)]);

impl Claims for Said<'_> {
    fn any(&self, claim: &[Name], wanted: &dyn Fn(&str) -> bool) -> bool {
        let names: Vec<&str> = claim.iter().map(|name| name.as_str()).collect();
        let way = names.join("/");
        let mut texts = self.0.iter().filter(|(found, _)| *found == way);
        texts.any(|(_, text)| wanted(text))
    }
}

fn by_index(rules: &HttpRules, plain: &oracle::Plain) -> Option<usize> {
    let pairs = plain.headers.iter();
    let pairs: Vec<_> = pairs.map(|(name, value)| (&**name, &**value)).collect();
    let headers = headers(&pairs);
    let head = Head {
        method: &plain.method,
        scheme: &plain.scheme,
        authority: &plain.authority,
        path: &plain.path,
        query: plain.query.as_deref(),
        port: 80,
    };
    let said = Said(&plain.claims);
    let token = Some(&said as &dyn Claims).filter(|_| !plain.claims.is_empty());
    pick(rules, &Request::new(head, &headers).with_claims(token)).map(|found| found.position)
}

#[test]
fn the_index_finds_the_first_rule_that_the_oracle_finds() {
    let (late, none) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let tables = (vec(rule(), 0..12), vec(request(), REQUESTS));
    let mut runner = proptest::test_runner::TestRunner::new(Config::with_cases(TABLES));
    let outcome = runner.run(&tables, |(rules, requests)| {
        let compiled = HttpRules::new(rules.clone());
        for request in &requests {
            // The oracle reads pseudo-headers as headers.
            let mut plain = request.clone();
            plain
                .headers
                .push((":method".to_owned(), plain.method.clone()));
            let expected = oracle::first_match(&rules, &plain);
            prop_assert_eq!(by_index(&compiled, request), expected, "{:?}", request);
            match expected {
                None => none.fetch_add(1, Ordering::Relaxed),
                Some(place) => late.fetch_add(usize::from(place > 0), Ordering::Relaxed),
            };
        }
        Ok(())
    });
    outcome.unwrap();
    // Both happen often, so the comparison says something.
    let (late, none) = (late.into_inner(), none.into_inner());
    let asked = usize::try_from(TABLES).unwrap() * REQUESTS;
    assert!(
        late > asked / 10 && none > asked / 10,
        "{late} late, {none} none of {asked}"
    );
}
