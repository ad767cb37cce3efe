//! What outlives a change of configuration, and what is forgotten.

use std::{sync::Arc, time::Duration};

use mesh::{
    ServiceKey,
    access::{
        RateLimit,
        limit::{LimitKey, LimitKind, LimitValue, TokenBucket},
    },
    route::HttpMatch,
};

use super::{FEW, Kept, Limits};
use crate::access::limit::counted::Counted;

const HOUR: Duration = Duration::from_hours(1);

fn limit(name: &str) -> RateLimit {
    RateLimit {
        name: name.into(),
        matches: Vec::new(),
        routes: Vec::new(),
        keys: Vec::new(),
        kind: LimitKind::Local(bucket(2)),
        status: 429,
        response_headers: Vec::new(),
        enabled_ppm: 1_000_000,
        enforced_ppm: 1_000_000,
        resource_exhausted: false,
    }
}

fn bucket(max_tokens: u32) -> TokenBucket {
    TokenBucket {
        max_tokens,
        tokens_per_fill: max_tokens,
        fill_interval: HOUR,
    }
}

fn service(name: &str) -> ServiceKey {
    ServiceKey::new("shop", format!("{name}.shop.svc.cluster.local"))
}

/// How many tokens there are.
fn drain(counted: &Counted, limit: &RateLimit) -> usize {
    let LimitKind::Local(spec) = &limit.kind else {
        panic!("no local limit")
    };
    let values = vec!["value".into(); limit.keys.len()];
    (0..10)
        .filter(|_| counted.take(spec, &values, Duration::ZERO))
        .count()
}

#[test]
fn a_limit_that_stays_keeps_its_tokens() {
    let limits = Limits::new();
    let scope = service("a");
    let drained = |limit: RateLimit| {
        let limit = Arc::new(limit);
        // The object is a new one, as after each change of its resource.
        drain(&limits.of(Some(&scope), &limit), &limit)
    };
    assert_eq!(drained(limit("x")), 2);
    assert_eq!(drained(limit("x")), 0);
    let changes: [fn(&mut RateLimit); 6] = [
        |it| it.status = 503,
        |it| it.matches.push(HttpMatch::default()),
        |it| it.routes.push("r".into()),
        |it| it.enforced_ppm = 1,
        |it| it.resource_exhausted = true,
        |it| it.response_headers.push(("a".into(), "b".into())),
    ];
    for change in changes {
        let mut changed = limit("x");
        change(&mut changed);
        assert_eq!(drained(changed.clone()), 0, "{changed:?}");
    }
}

#[test]
fn a_limit_that_is_another_begins_anew() {
    let limits = Limits::new();
    let scope = service("a");
    let drained = |limit: RateLimit| {
        let limit = Arc::new(limit);
        drain(&limits.of(Some(&scope), &limit), &limit)
    };
    assert_eq!(drained(limit("x")), 2);
    assert_eq!(drained(limit("y")), 2);
    let larger = RateLimit {
        kind: LimitKind::Local(bucket(3)),
        ..limit("x")
    };
    assert_eq!(drained(larger), 3);
    let keyed = RateLimit {
        keys: vec![LimitKey {
            name: "k".into(),
            value: LimitValue::Method,
        }],
        ..limit("x")
    };
    assert_eq!(drained(keyed), 2);
    // And back: who changes a limit to and fro gains nothing.
    assert_eq!(drained(limit("x")), 0);
}

#[test]
fn ports_of_a_service_share_and_services_do_not() {
    let limits = Limits::new();
    let (a, b) = (service("a"), service("b"));
    let drained =
        |scope: Option<&ServiceKey>, limit: &Arc<RateLimit>| drain(&limits.of(scope, limit), limit);
    let (of_80, of_81) = (Arc::new(limit("x")), Arc::new(limit("x")));
    assert_eq!(drained(Some(&a), &of_80), 2);
    assert_eq!(drained(Some(&a), &of_81), 0);
    assert_eq!(drained(Some(&b), &Arc::new(limit("x"))), 2);
    assert_eq!(drained(None, &Arc::new(limit("x"))), 2);
    assert_eq!(drained(Some(&a), &of_80), 0);
}

#[test]
fn what_is_no_more_is_forgotten_once_its_tokens_are_back() {
    let mut kept = Kept::default();
    let (used, unused, held) = (
        Arc::new(limit("used")),
        Arc::new(limit("unused")),
        Arc::new(limit("held")),
    );
    let scope = service("a");
    let now = Duration::ZERO;
    drain(&kept.counted(Some(&scope), &used, now), &used);
    let _ = kept.counted(Some(&scope), &unused, now);
    drain(&kept.counted(Some(&scope), &held, now), &held);
    drop((used, unused));
    let names = |kept: &Kept| {
        let mut names: Vec<_> = kept.by_name.keys().map(|(_, it)| it.to_string()).collect();
        names.sort_unstable();
        names
    };
    kept.forget_dead(now);
    assert_eq!(names(&kept), ["held", "used"]);
    kept.forget_dead(HOUR);
    assert_eq!(names(&kept), ["held"]);
}

#[test]
fn addresses_are_not_kept_for_ever() {
    let limits = Limits::new();
    for _ in 0..100 * FEW {
        let limit = Arc::new(limit("x"));
        let _ = limits.of(None, &limit);
    }
    assert!(limits.by_address.load().len() <= 2 * FEW + 1);
    assert_eq!(limits.counts().len(), 1);
}

#[test]
fn threads_that_ask_first_at_once_share_one() {
    let limits = Limits::new();
    let limit = Arc::new(limit("x"));
    let taken = std::sync::atomic::AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                let counted = limits.of(None, &limit);
                let count = drain(&counted, &limit);
                taken.fetch_add(count, std::sync::atomic::Ordering::Relaxed);
            });
        }
    });
    assert_eq!(taken.into_inner(), 2);
}
