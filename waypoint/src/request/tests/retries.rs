//! Other tries.

use std::{io, time::Duration};

use http::Version;
use http_body_util::BodyExt as _;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use mesh::{
    backend::{ConsistentHash, HashKey, HashTable, RetryBudget},
    route::{HttpRule, RetryOn},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
};

use super::{super::upload::MAX_REPLAY_BYTES, kit::*};
use crate::body::{Body, BodyError};

fn plan(rule: HttpRule) -> Plan {
    Plan {
        table: Some(table(vec![rule])),
        ..Plan::default()
    }
}

fn broken() -> io::Error {
    io::ErrorKind::ConnectionAborted.into()
}

#[tokio::test]
async fn a_failure_is_hidden_by_another_try() {
    let calls = Calls::default();
    let count = calls.clone();
    let address = backend(Version::HTTP_11, move |request| {
        let number = count.next();
        async move {
            let attempt = &request.headers()["x-envoy-attempt-count"];
            assert_eq!(attempt, number.to_string().as_str());
            Ok(if number < 3 {
                status(503)
            } else {
                text("third")
            })
        }
    })
    .await;
    let kit = Kit::new(&[address], plan(retrying(2, RetryOn::GATEWAY_ERROR)));
    let answered = kit.ask(get("/")).await;
    assert_eq!((answered.status(), &*answered.body), (200, "third"));
    let line = kit.line();
    assert_eq!(line["attempts"], 3);
    assert_eq!(line["flags"], "-");
    let stats = kit.proxy.clusters.all().remove(0);
    assert_eq!(stats.stats().upstream_rq_retry.get(), 2);
    assert_eq!(stats.stats().upstream_rq_retry_success.get(), 1);
}

#[tokio::test]
async fn the_last_failure_is_the_answer_and_the_log_says_that_tries_were_used_up() {
    let calls = Calls::default();
    let count = calls.clone();
    let address = backend(Version::HTTP_11, move |_| {
        count.next();
        async { Ok(status(503)) }
    })
    .await;
    let kit = Kit::new(&[address], plan(retrying(2, RetryOn::SERVER_ERROR)));
    assert_eq!(kit.ask(get("/")).await.status(), 503);
    assert_eq!(calls.count(), 3);
    let line = kit.line();
    assert_eq!(line["flags"], "URX");
    assert_eq!(line["details"], "via_upstream");
}

#[tokio::test]
async fn what_the_rule_does_not_name_is_not_tried_again() {
    let calls = Calls::default();
    let count = calls.clone();
    let address = backend(Version::HTTP_11, move |_| {
        count.next();
        async { Ok(status(500)) }
    })
    .await;
    let kit = Kit::new(&[address], plan(retrying(2, RetryOn::GATEWAY_ERROR)));
    assert_eq!(kit.ask(get("/")).await.status(), 500);
    assert_eq!(calls.count(), 1);
    assert_eq!(kit.line()["flags"], "-");
}

#[tokio::test]
async fn the_settings_say_when_to_try_again_where_the_rule_does_not() {
    let calls = Calls::default();
    let count = calls.clone();
    let address = backend(Version::HTTP_11, move |_| {
        let number = count.next();
        async move {
            if number == 1 {
                Err(broken())
            } else {
                Ok(text("ok"))
            }
        }
    })
    .await;
    let kit = Kit::new(
        &[address],
        Plan {
            default_retry: Some(retry(1, RetryOn::RESET)),
            ..Plan::default()
        },
    );
    assert_eq!(kit.ask(get("/")).await.status(), 200);
    assert_eq!(calls.count(), 2);
}

#[tokio::test]
async fn another_endpoint_is_tried_where_the_first_cannot_be_reached() {
    let address = backend(Version::HTTP_11, |_| async { Ok(text("ok")) }).await;
    let mut rule = retrying(3, RetryOn::CONNECT_FAILURE);
    if let Some(retry) = &mut rule.retry {
        retry.other_hosts = true;
    }
    let kit = Kit::new(&[nobody().await, address], plan(rule));
    for _ in 0..20 {
        assert_eq!(kit.ask(get("/")).await.status(), 200);
    }
    let lines = kit.lines();
    let tried_twice = lines.iter().filter(|line| line["attempts"] == 2).count();
    assert!(tried_twice > 0, "{lines:?}");
    assert!(lines.iter().all(|line| line["host"] == address.to_string()));
}

#[tokio::test]
async fn a_body_is_sent_again_from_its_beginning() {
    let calls = Calls::default();
    let count = calls.clone();
    let address = backend(Version::HTTP_11, move |request| {
        let number = count.next();
        async move {
            let body = request.into_body().collect().await.unwrap().to_bytes();
            assert_eq!(body, "all of it");
            Ok(if number == 1 { status(503) } else { text("ok") })
        }
    })
    .await;
    let kit = Kit::new(&[address], plan(retrying(1, RetryOn::SERVER_ERROR)));
    let answered = kit.ask(post("/", "all of it")).await;
    assert_eq!(answered.status(), 200);
    let line = kit.line();
    assert_eq!(line["received"], 9);
    assert_eq!(line["attempts"], 2);
}

#[tokio::test]
async fn a_body_that_is_not_kept_is_not_sent_again() {
    let calls = Calls::default();
    let count = calls.clone();
    let address = backend(Version::HTTP_11, move |request| {
        count.next();
        async move {
            request.into_body().collect().await.unwrap();
            Ok(status(503))
        }
    })
    .await;
    let kit = Kit::new(&[address], plan(retrying(2, RetryOn::SERVER_ERROR)));
    let answered = kit.ask(post("/", vec![0; MAX_REPLAY_BYTES + 1])).await;
    assert_eq!(answered.status(), 503);
    assert_eq!(calls.count(), 1);
    assert_eq!(kit.line()["flags"], "-");
}

#[tokio::test]
async fn a_budget_bounds_other_tries() {
    let calls = Calls::default();
    let count = calls.clone();
    let address = backend(Version::HTTP_11, move |_| {
        count.next();
        async { Ok(status(503)) }
    })
    .await;
    let mut wanted = plan(retrying(2, RetryOn::SERVER_ERROR));
    wanted.policy.retry_budget = Some(RetryBudget {
        share_ppm: 0,
        min_concurrency: 0,
        interval: None,
    });
    let kit = Kit::new(&[address], wanted);
    assert_eq!(kit.ask(get("/")).await.status(), 503);
    assert_eq!(calls.count(), 1);
    assert_eq!(kit.line()["flags"], "UO");
}

#[tokio::test]
async fn the_last_try_that_takes_too_long_says_that_it_was_a_try() {
    let address = backend(Version::HTTP_11, |_| std::future::pending()).await;
    let mut rule = retrying(1, RetryOn::SERVER_ERROR);
    if let Some(retry) = &mut rule.retry {
        retry.per_try_timeout = Some(Duration::from_millis(50));
    }
    let kit = Kit::new(&[address], plan(rule));
    assert_eq!(kit.ask(get("/")).await.status(), 504);
    let line = kit.line();
    assert_eq!(line["flags"], "UT,URX");
    assert_eq!(line["details"], "upstream_per_try_timeout");
    let cluster = kit.proxy.clusters.all().remove(0);
    assert_eq!(cluster.stats().upstream_rq_timeout.get(), 0, "it was a try");
}

#[tokio::test]
async fn a_status_of_grpc_in_the_head_counts() {
    let calls = Calls::default();
    let count = calls.clone();
    let address = backend(Version::HTTP_2, move |_| {
        let number = count.next();
        async move {
            let mut response = status(200);
            let code = if number == 1 { "14" } else { "0" };
            let headers = response.headers_mut();
            headers.insert("content-type", "application/grpc".parse().unwrap());
            headers.insert("grpc-status", code.parse().unwrap());
            Ok(response)
        }
    })
    .await;
    let mut wanted = plan(retrying(1, RetryOn::UNAVAILABLE));
    wanted.policy.pool.http2 = mesh::backend::Upgrade::Http2;
    let kit = Kit::new(&[address], wanted);
    let mut request = get("/a.B/C");
    request
        .headers_mut()
        .insert("content-type", "application/grpc".parse().unwrap());
    let answered = kit.ask(request).await;
    assert_eq!(answered.header("grpc-status"), Some("0"));
    assert_eq!(calls.count(), 2);
    assert_eq!(kit.line()["grpc"], 0);
}

#[tokio::test]
async fn equal_keys_meet_the_same_endpoint_and_a_new_client_gets_a_cookie() {
    let mut endpoints = Vec::new();
    for _ in 0..4 {
        endpoints.push(backend(Version::HTTP_11, |_| async { Ok(text("ok")) }).await);
    }
    let mut wanted = plan(forward());
    wanted.policy.load_balancer.hash = Some(ConsistentHash {
        key: HashKey::Cookie(mesh::backend::HashCookie {
            name: "session".into(),
            path: "/".into(),
            ttl: Some(Duration::from_secs(60)),
            attributes: Vec::new(),
        }),
        table: HashTable::default(),
    });
    let kit = Kit::new(&endpoints, wanted);
    let answered = kit.ask(get("/")).await;
    let made = answered.header("set-cookie").unwrap().to_owned();
    let first = kit.line()["host"].clone();
    let cookie = made.split(';').next().unwrap();
    for _ in 0..10 {
        let mut request = get("/");
        request
            .headers_mut()
            .insert("cookie", cookie.parse().unwrap());
        let answered = kit.ask(request).await;
        assert_eq!(answered.header("set-cookie"), None);
        assert_eq!(kit.line()["host"], first);
    }
}

/// Answers 503 to the first request before its body has come, and reads on; the others get a server.
async fn hasty(
    said: tokio::sync::oneshot::Sender<()>,
) -> (std::net::SocketAddr, tokio::sync::oneshot::Receiver<usize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (ended, end) = tokio::sync::oneshot::channel();
    tokio::spawn(async move {
        let (mut first, _) = listener.accept().await.unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(first.read_u8().await.unwrap());
        }
        let answer = b"HTTP/1.1 503 Not Yet\r\ncontent-length: 0\r\n\r\n";
        first.write_all(answer).await.unwrap();
        said.send(()).unwrap();
        tokio::spawn(async move {
            let mut rest = Vec::new();
            // A reset is an end, too.
            drop(first.read_to_end(&mut rest).await);
            ended.send(rest.len()).unwrap();
        });
        let (second, _) = listener.accept().await.unwrap();
        let service = service_fn(|request: http::Request<hyper::body::Incoming>| async move {
            let attempt = request.headers()["x-envoy-attempt-count"].clone();
            let body = request.into_body().collect().await.unwrap().to_bytes();
            let said = format!("{} of try {}", body.len(), attempt.to_str().unwrap());
            Ok::<_, io::Error>(text(&said))
        });
        let builder = hyper::server::conn::http1::Builder::new();
        drop(
            builder
                .serve_connection(TokioIo::new(second), service)
                .await,
        );
    });
    (address, end)
}

#[tokio::test]
async fn a_body_is_whole_after_an_answer_that_came_before_its_end() {
    const PART: usize = 64 * 1024;
    let total = MAX_REPLAY_BYTES + 4 * PART;
    for length in [None, Some(total)] {
        let (said, early) = tokio::sync::oneshot::channel();
        let (address, ended) = hasty(said).await;
        let mut rule = retrying(1, RetryOn::SERVER_ERROR);
        if let Some(retry) = &mut rule.retry {
            retry.backoff = Some(Duration::from_millis(400));
        }
        let kit = Kit::new(&[address], plan(rule));
        let (sender, mut receiver) = tokio::sync::mpsc::unbounded_channel();
        let frames = futures_util::stream::poll_fn(move |cx| receiver.poll_recv(cx));
        let body = Body::boxed(http_body_util::StreamBody::new(frames));
        let mut request = post("/", "").map(|_| body);
        *request.method_mut() = http::Method::PUT;
        request.headers_mut().remove("content-length");
        if let Some(length) = length {
            let headers = request.headers_mut();
            headers.insert("content-length", length.into());
        }
        let part = || Ok::<_, BodyError>(http_body::Frame::data(vec![7; PART].into()));
        let feeding = async {
            sender.send(part()).unwrap();
            early.await.unwrap();
            for _ in 1..total / PART {
                // What was given up must not read it now.
                sender.send(part()).unwrap();
                tokio::task::yield_now().await;
            }
            drop(sender);
        };
        let (answered, ()) = tokio::join!(kit.ask(request), feeding);
        assert_eq!(answered.status(), 200, "{length:?}");
        assert_eq!(answered.body, format!("{total} of try 2"));
        let read = tokio::time::timeout(PATIENCE, ended).await.unwrap();
        assert!(read.unwrap() < total, "the first try broke off");
        assert_eq!(kit.line()["received"], total);
    }
}
