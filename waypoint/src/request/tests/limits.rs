//! How often requests may come: whole requests, a backend and a rate limit service of the tests' own.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use http::{HeaderValue, Request, Version, header::HOST};
use mesh::{
    Resource,
    access::{
        Policies, RateLimit,
        authorization::Action,
        limit::{GlobalLimit, LimitKey, LimitKind, LimitValue, TokenBucket},
    },
    route::{Backend, HttpMatch, HttpRule, PathKind, PathMatch, RouteTable, StringMatch},
};

use super::kit::{self, *};
use crate::{access::testkit, body::Body};

mod clients;
mod global;
mod local;

/// So many requests, and no more while a test lasts.
fn local(name: &str, tokens: u32) -> RateLimit {
    RateLimit {
        name: name.into(),
        matches: Vec::new(),
        routes: Vec::new(),
        keys: Vec::new(),
        kind: LimitKind::Local(TokenBucket {
            max_tokens: tokens,
            tokens_per_fill: tokens,
            fill_interval: Duration::from_hours(24),
        }),
        status: 429,
        response_headers: vec![("x-local-rate-limit".into(), "true".into())],
        enabled_ppm: 1_000_000,
        enforced_ppm: 1_000_000,
        resource_exhausted: false,
    }
}

fn key(name: &str, value: LimitValue) -> LimitKey {
    LimitKey {
        name: name.into(),
        value,
    }
}

/// That of the endpoint.
fn service_key() -> mesh::ServiceKey {
    kit::key()
}

fn by_header(name: &str) -> LimitKey {
    key(name, LimitValue::Header(name.into()))
}

fn policies(limits: Vec<RateLimit>) -> Policies {
    Policies {
        rate_limits: limits.into_iter().map(Arc::new).collect(),
        ..Policies::default()
    }
}

fn limited(rules: Vec<HttpRule>, limits: Vec<RateLimit>) -> RouteTable {
    RouteTable {
        policies: policies(limits),
        ..table(rules)
    }
}

/// A waypoint before an endpoint that answers; limits are those of the service.
async fn kit(limits: Vec<RateLimit>) -> Kit {
    let plan = Plan {
        table: Some(limited(vec![forward()], limits)),
        ..Plan::default()
    };
    Kit::new(&[endpoint().await], plan)
}

/// It answers with the header that a rate limit service adds, if there is one.
async fn endpoint() -> SocketAddr {
    backend(Version::HTTP_11, |request| async move {
        let added = request.headers().get("x-added");
        let added = added.map_or("good", |value| value.to_str().unwrap());
        Ok(text(added))
    })
    .await
}

fn with(name: &'static str, value: &str) -> Request<Body> {
    let mut request = get("/");
    let value = HeaderValue::from_str(value).unwrap();
    request.headers_mut().append(name, value);
    request
}

/// The statuses of requests that are alike, one after the other.
async fn statuses(kit: &Kit, count: usize, request: impl Fn() -> Request<Body>) -> Vec<u16> {
    let mut statuses = Vec::new();
    for _ in 0..count {
        statuses.push(kit.ask(request()).await.status());
    }
    statuses
}

fn grpc() -> Request<Body> {
    Request::builder()
        .method("POST")
        .uri("/shop.Reviews/Get")
        .version(Version::HTTP_2)
        .header(HOST, "reviews:80")
        .header("content-type", "application/grpc")
        .body(Body::Empty)
        .unwrap()
}
