//! The time that a request and its tries may take.

use std::{num::NonZeroU32, sync::Arc, time::Duration};

use http::Version;
use mesh::{
    backend::OutlierDetection,
    route::{Backend, HttpRule, RetryOn},
};

use super::kit::*;
use crate::{body::Body, upstream::Ask};

fn plan(rule: HttpRule) -> Plan {
    Plan {
        table: Some(table(vec![rule])),
        ..Plan::default()
    }
}

#[tokio::test]
async fn a_request_that_takes_too_long_is_given_up() {
    let address = backend(Version::HTTP_11, |_| std::future::pending()).await;
    let rule = HttpRule {
        timeout: Some(Duration::from_millis(50)),
        ..forward()
    };
    let kit = Kit::new(&[address], plan(rule));
    let answered = kit.ask(get("/")).await;
    assert_eq!(
        (answered.status(), &*answered.body),
        (504, "upstream request timeout")
    );
    let line = kit.line();
    assert_eq!(line["flags"], "UT");
    assert_eq!(line["details"], "response_timeout");
    let stats = kit.proxy.clusters.all().remove(0);
    assert_eq!(stats.stats().upstream_rq_timeout.get(), 1);
}

#[tokio::test]
async fn a_try_that_takes_too_long_is_followed_by_another() {
    let calls = Calls::default();
    let count = calls.clone();
    let address = backend(Version::HTTP_11, move |_| {
        let number = count.next();
        async move {
            if number == 1 {
                std::future::pending::<()>().await;
            }
            Ok(text("second"))
        }
    })
    .await;
    let mut rule = retrying(10, RetryOn::SERVER_ERROR);
    if let Some(retry) = &mut rule.retry {
        retry.per_try_timeout = Some(Duration::from_millis(300));
    }
    let kit = Kit::new(&[address], plan(rule));
    assert_eq!(kit.ask(get("/")).await.body, "second");
    assert!(kit.line()["attempts"].as_u64() >= Some(2));
}

#[tokio::test]
async fn the_time_of_the_request_bounds_all_of_its_tries() {
    let calls = Calls::default();
    let count = calls.clone();
    let address = backend(Version::HTTP_11, move |_| {
        count.next();
        async { Ok(status(503)) }
    })
    .await;
    let mut rule = retrying(1_000_000, RetryOn::SERVER_ERROR);
    rule.timeout = Some(Duration::from_millis(500));
    let kit = Kit::new(&[address], plan(rule));
    assert_eq!(kit.ask(get("/")).await.status(), 504);
    assert!(calls.count() > 1);
    assert_eq!(kit.line()["flags"], "UT");
}

#[tokio::test]
async fn a_request_that_waits_for_a_connection_has_its_limit_and_blames_nobody() {
    let calls = Calls::default();
    let count = calls.clone();
    let address = backend(Version::HTTP_11, move |_| {
        count.next();
        std::future::pending()
    })
    .await;
    let rule = HttpRule {
        timeout: Some(Duration::from_millis(100)),
        ..forward()
    };
    let mut wanted = plan(rule);
    wanted.policy.pool.max_connections = Some(1);
    wanted.policy.outlier = Some(OutlierDetection {
        consecutive_5xx: NonZeroU32::new(1),
        max_ejection_percent: 100,
        ..OutlierDetection::default()
    });
    let kit = Kit::new(&[address], wanted);
    let backend = Backend::new(key(), 80);
    let cluster = kit.proxy.clusters.get(&backend).unwrap();
    let (worker, holds) = (Arc::clone(&kit.session.worker), Arc::clone(&cluster));
    let held = tokio::spawn(async move {
        let pick = holds.pick(&Ask::default()).unwrap();
        let (head, _) = get("/").into_parts();
        drop(holds.send(worker.itself(), pick, &head, Body::Empty).await);
    });
    calls.reach(1).await;
    let answered = kit.ask(post("/", "it is not read")).await;
    assert_eq!(answered.status(), 504);
    assert_eq!(kit.line()["flags"], "UT");
    assert_eq!(calls.count(), 1);
    assert!(!cluster.hosts()[0].is_ejected(), "it was not asked");
    held.abort();
    drop(held.await);
    let answered = kit.ask(post("/", "it is read")).await;
    assert_eq!(answered.status(), 504);
    calls.reach(2).await;
    assert!(cluster.hosts()[0].is_ejected());
    assert_eq!(cluster.stats().upstream_rq_timeout.get(), 2);
}

#[tokio::test]
async fn a_client_of_grpc_bounds_its_request() {
    let address = backend(Version::HTTP_2, |_| std::future::pending()).await;
    for limit in [None, Some(Duration::from_secs(3600))] {
        let rule = HttpRule {
            timeout: limit,
            ..forward()
        };
        let mut wanted = plan(rule);
        wanted.policy.pool.http2 = mesh::backend::Upgrade::Http2;
        let kit = Kit::new(&[address], wanted);
        let mut request = post("/a.B/C", "\0\0\0\0\0");
        let headers = request.headers_mut();
        headers.insert("content-type", "application/grpc".parse().unwrap());
        headers.insert("grpc-timeout", "50m".parse().unwrap());
        let answered = kit.ask(request).await;
        assert_eq!(answered.header("grpc-status"), Some("14"));
        assert_eq!(kit.line()["flags"], "UT");
    }
}
