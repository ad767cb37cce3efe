//! Shares, and what a client is told. Whole requests: `request::tests::limits`.

use mesh::access::{
    RateLimit,
    limit::{LimitKind, TokenBucket},
};
use telemetry::http::GrpcStatus;

use super::{LOCAL, MILLION, falls_into, over};

fn limit() -> RateLimit {
    RateLimit {
        name: "x".into(),
        matches: Vec::new(),
        routes: Vec::new(),
        keys: Vec::new(),
        kind: LimitKind::Local(TokenBucket {
            max_tokens: 1,
            tokens_per_fill: 1,
            fill_interval: std::time::Duration::from_secs(1),
        }),
        status: 429,
        response_headers: vec![("x-local-rate-limit".into(), "true".into())],
        enabled_ppm: MILLION,
        enforced_ppm: MILLION,
        resource_exhausted: false,
    }
}

#[test]
fn shares_are_drawn_as_they_are_written() {
    let mut random = fastrand::Rng::with_seed(1);
    let mut drawn = |ppm| {
        let draws = (0..100_000).filter(|_| falls_into(ppm, &mut random));
        draws.count()
    };
    assert_eq!(drawn(0), 0);
    assert_eq!(drawn(MILLION), 100_000);
    // Five standard deviations of a fair draw are less than a per cent.
    for share in [100_000, 250_000, 500_000, 900_000] {
        let expected = usize::try_from(share / 10).unwrap();
        let count = drawn(share);
        assert!(count.abs_diff(expected) < 1_000, "{share}: {count}");
    }
    // The smallest share is one.
    assert!((0..20).any(|_| drawn(1) > 0));
}

#[test]
fn a_client_is_told_what_the_limit_says() {
    let reply = over(&limit(), LOCAL.into());
    assert_eq!((reply.status.as_u16(), reply.grpc), (429, None));
    assert_eq!(reply.grpc_status(), GrpcStatus::UNAVAILABLE);
    assert_eq!(reply.headers.len(), 1);
    let other = RateLimit {
        status: 503,
        resource_exhausted: true,
        // No header can be like this; the others are told all the same.
        response_headers: vec![("a b".into(), "c".into()), ("d".into(), "e".into())],
        ..limit()
    };
    let reply = over(&other, LOCAL.into());
    assert_eq!(reply.status.as_u16(), 503);
    assert_eq!(reply.grpc_status(), GrpcStatus::RESOURCE_EXHAUSTED);
    assert_eq!(reply.headers.len(), 1);
}
