//! Picking, rewriting, redirecting, by the cases that are easily got wrong; the index against the oracle.

use mesh::{
    ServiceKey,
    route::{
        Action, Backend, DirectResponse, Forward, HttpMatch, HttpRule, HttpRules, PathKind,
        PathMatch, Pattern, Target, WeightedBackend,
    },
};

use super::{Head, Request, backend, oracle, pick};

mod cors;
mod matching;
mod properties;
mod redirect;
mod rewrite;
mod stream;

/// A GET of `/` from nobody to `web.example`.
fn head() -> Head<'static> {
    Head {
        method: "GET",
        scheme: "http",
        authority: "web.example",
        path: "/",
        query: None,
        port: 80,
    }
}

fn headers(all: &[(&str, &str)]) -> http::HeaderMap {
    let mut headers = http::HeaderMap::new();
    for (name, value) in all {
        let name: http::HeaderName = name.parse().unwrap();
        headers.append(name, value.parse().unwrap());
    }
    headers
}

fn answer(matches: Vec<HttpMatch>) -> HttpRule {
    HttpRule {
        matches,
        ..HttpRule::new(Action::Respond(DirectResponse {
            status: 200,
            body: [].into(),
        }))
    }
}

fn path(kind: PathKind) -> PathMatch {
    PathMatch::new(kind, false)
}

fn prefix(text: &str) -> PathMatch {
    path(PathKind::Prefix(text.into()))
}

fn segments(text: &str) -> PathMatch {
    path(PathKind::Segments(text.into()))
}

fn exact(text: &str) -> PathMatch {
    path(PathKind::Exact(text.into()))
}

fn regex(text: &str) -> PathMatch {
    path(PathKind::Regex(Pattern::new(text).unwrap()))
}

fn forward(weights: &[u32]) -> Forward {
    let ports = 1_u16..;
    let one = |(weight, port): (&u32, u16)| {
        let service = ServiceKey::new("default", "web.example");
        WeightedBackend::new(*weight, Target::Backend(Backend::new(service, port)))
    };
    Forward {
        backends: weights.iter().zip(ports).map(one).collect(),
        fallback_status: 500,
    }
}

/// How many of a thousand numbers, spread over all of them, lead to each backend.
fn shares(weights: &[u32]) -> Vec<usize> {
    let forward = forward(weights);
    let mut shares = vec![0; weights.len()];
    for number in 0..1000_u64 {
        let picked = backend(&forward, u64::MAX / 2000 * (2 * number + 1)).unwrap();
        let place = forward.backends.iter().position(|it| it == picked).unwrap();
        shares[place] += 1;
    }
    shares
}

#[test]
fn each_backend_gets_its_weights_part() {
    assert_eq!(shares(&[90, 10]), [900, 100]);
    assert_eq!(shares(&[0, 1, 0, 1]), [0, 500, 0, 500]);
    assert_eq!(shares(&[1]), [1000]);
    // Their sum is no number of 32 bits.
    assert_eq!(shares(&[u32::MAX, u32::MAX]), [500, 500]);
}

#[test]
fn the_greatest_number_leads_somewhere() {
    let forward = forward(&[1, 2, 3, 0]);
    let picked = backend(&forward, u64::MAX).unwrap();
    assert_eq!(picked, &forward.backends[2]);
}

#[test]
fn without_weights_there_is_no_backend() {
    assert_eq!(backend(&forward(&[0, 0]), 7), None);
    assert_eq!(backend(&forward(&[]), 7), None);
}
