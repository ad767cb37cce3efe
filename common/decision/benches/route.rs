//! What it costs to find the rule of a request, and to build a table.
//!
//! `cargo bench -p decision --bench route`. Goal: a thousand routes cost like one, whatever tells them apart.

use std::{hint::black_box, time::Duration};

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use decision::route::{Head, Request, oracle, pick};
use mesh::route::{
    Action, Forward, HeaderMatch, HostMatch, HttpMatch, HttpRule, HttpRules, PathKind, PathMatch,
    Pattern, QueryMatch, StringMatch,
};

/// The request matches the last one of its own kind.
type Mix = (&'static str, fn(usize) -> HttpMatch);

fn path(kind: PathKind) -> HttpMatch {
    HttpMatch {
        path: Some(PathMatch::new(kind, false)),
        ..HttpMatch::default()
    }
}

fn exactly(value: impl Into<String>) -> Option<StringMatch> {
    Some(StringMatch::Exact(value.into().into()))
}

const MIXES: [Mix; 8] = [
    ("exact paths", |n| {
        path(PathKind::Exact(format!("/service/{n}/items/1").into()))
    }),
    ("prefixes", |n| {
        path(PathKind::Prefix(format!("/service/{n}/").into()))
    }),
    ("segments", |n| {
        path(PathKind::Segments(format!("/service/{n}").into()))
    }),
    ("ignored case", |n| HttpMatch {
        path: Some(PathMatch::new(
            PathKind::Prefix(format!("/Service/{n}/").into()),
            true,
        )),
        ..HttpMatch::default()
    }),
    ("expressions", |n| {
        let pattern = format!("/service/{n}/[a-z]+/[0-9]+");
        path(PathKind::Regex(Pattern::new(&pattern).expect("a pattern")))
    }),
    ("hosts", |n| HttpMatch {
        hostnames: vec![HostMatch::new(&format!("service-{n}.example"))],
        ..path(PathKind::Segments("/".into()))
    }),
    ("headers", |n| HttpMatch {
        headers: vec![HeaderMatch {
            name: "x-tenant".into(),
            value: exactly(n.to_string()),
            invert: false,
        }],
        ..path(PathKind::Segments("/service".into()))
    }),
    ("query parameters", |n| HttpMatch {
        query: vec![QueryMatch {
            name: "tenant".into(),
            value: exactly(n.to_string()),
        }],
        ..path(PathKind::Segments("/service".into()))
    }),
];

fn rules(count: usize, mix: Mix) -> Vec<HttpRule> {
    let rule = |matches| HttpRule {
        matches,
        ..HttpRule::new(Action::Forward(Forward {
            backends: Vec::new(),
            fallback_status: 503,
        }))
    };
    // The last one is for everything else, as in most tables.
    (0..count)
        .map(|n| rule(vec![mix.1(n)]))
        .chain([rule(Vec::new())])
        .collect()
}

/// A request for the last rule of each mix.
struct Asked {
    path: String,
    authority: String,
    query: String,
    headers: http::HeaderMap,
}

fn asked(count: usize) -> Asked {
    let last = count - 1;
    let mut headers = http::HeaderMap::new();
    for (name, value) in [
        ("user-agent", "bench"),
        ("accept", "*/*"),
        ("x-request-id", "1"),
    ] {
        headers.insert(name, http::HeaderValue::from_static(value));
    }
    let tenant = http::HeaderValue::from_str(&last.to_string());
    headers.insert("x-tenant", tenant.expect("digits"));
    Asked {
        path: format!("/service/{last}/items/1"),
        authority: format!("service-{last}.example"),
        query: format!("a=1&tenant={last}"),
        headers,
    }
}

impl Asked {
    fn request(&self) -> Request<'_> {
        let head = Head {
            method: "GET",
            scheme: "http",
            authority: &self.authority,
            path: &self.path,
            query: Some(&self.query),
            port: 80,
        };
        Request::new(head, &self.headers)
    }

    fn plain(&self) -> oracle::Plain {
        let header = |(name, value): (&http::HeaderName, &http::HeaderValue)| {
            let value = value.to_str().expect("text");
            (name.as_str().to_owned(), value.to_owned())
        };
        oracle::Plain {
            method: "GET".to_owned(),
            scheme: "http".to_owned(),
            authority: self.authority.clone(),
            path: self.path.clone(),
            query: Some(self.query.clone()),
            headers: self.headers.iter().map(header).collect(),
            ..oracle::Plain::default()
        }
    }
}

fn picking(c: &mut Criterion) {
    let mut group = c.benchmark_group("pick");
    group
        .sample_size(20)
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_millis(400));
    for mix in MIXES {
        for count in [1, 1_000] {
            let table = HttpRules::new(rules(count, mix));
            let asked = asked(count);
            let found = pick(&table, &asked.request()).map(|found| found.position);
            assert_eq!(found, Some(count - 1), "{}", mix.0);
            group.bench_function(BenchmarkId::new(mix.0, count), |b| {
                b.iter(|| {
                    let request = asked.request();
                    pick(black_box(&table), black_box(&request)).map(|found| found.position)
                });
            });
        }
    }
    group.finish();
}

fn oracle_for_comparison(c: &mut Criterion) {
    let rules = rules(1_000, MIXES[0]);
    let plain = asked(1_000).plain();
    let mut group = c.benchmark_group("oracle");
    group
        .sample_size(10)
        .measurement_time(Duration::from_millis(400));
    group.bench_function("exact paths/1000", |b| {
        b.iter(|| oracle::first_match(black_box(&rules), black_box(&plain)));
    });
    group.finish();
}

fn building(c: &mut Criterion) {
    let mut group = c.benchmark_group("build");
    group
        .sample_size(10)
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_millis(400));
    for mix in MIXES {
        let rules = rules(1_000, mix);
        group.bench_function(BenchmarkId::new(mix.0, 1_000), |b| {
            b.iter_with_setup(|| rules.clone(), HttpRules::new);
        });
    }
    group.finish();
}

criterion_group!(benches, picking, oracle_for_comparison, building);
criterion_main!(benches);
