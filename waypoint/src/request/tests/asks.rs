//! Questions of our own to backends.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{Request, Response, Version};
use http_body::Frame;
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::Incoming;
use mesh::route::Backend;

use super::kit::*;
use crate::{
    access::ask::{self, AskError},
    body::{Body, BodyError},
};

const SOON: Duration = Duration::from_millis(30);
const MAX_BYTES: usize = 1000;

fn question(path: &str) -> Request<Bytes> {
    Request::builder().uri(path).body(Bytes::new()).unwrap()
}

fn here() -> Backend {
    Backend::new(key(), 80)
}

async fn whole(kit: &Kit, request: Request<Bytes>) -> Result<Response<Bytes>, AskError> {
    let session = &kit.session;
    let (proxy, worker) = (&session.proxy, &session.worker);
    ask::whole(proxy, worker, &here(), request, PATIENCE, MAX_BYTES).await
}

fn kit(endpoints: &[SocketAddr]) -> Kit {
    Kit::new(endpoints, Plan::default())
}

#[tokio::test]
async fn a_question_is_named_after_its_backend_unless_it_names_somebody() {
    let address = backend(Version::HTTP_11, |request: Request<Incoming>| async move {
        let host = request.headers()["host"].to_str().unwrap().to_owned();
        Ok(text(&format!("{} {host}", request.uri())))
    })
    .await;
    let kit = kit(&[address]);
    let answer = whole(&kit, question("/x?y")).await.unwrap();
    assert_eq!(answer.body(), &format!("/x?y {HOSTNAME}:80"));
    let answer = whole(&kit, question("http://other:1/x")).await.unwrap();
    assert_eq!(answer.body(), "/x other:1");
    let mut named = question("/x");
    named.headers_mut().insert("host", "third".parse().unwrap());
    assert_eq!(whole(&kit, named).await.unwrap().body(), "/x third");
}

#[tokio::test]
async fn an_endpoint_that_nobody_reaches_is_not_the_last_one() {
    let address = backend(Version::HTTP_11, |_| async { Ok(text("here")) }).await;
    let kit = kit(&[nobody().await, address]);
    for _ in 0..10 {
        let mut post = question("/");
        *post.method_mut() = http::Method::POST;
        *post.body_mut() = Bytes::from_static(b"body");
        assert_eq!(whole(&kit, post).await.unwrap().body(), "here");
    }
}

#[tokio::test]
async fn what_an_endpoint_may_have_acted_on_is_not_asked_again() {
    let calls = Calls::default();
    let seen = calls.clone();
    let address = backend(Version::HTTP_11, move |_| {
        seen.next();
        async { Err(std::io::Error::other("dies")) }
    })
    .await;
    let other = seen_backend(&calls).await;
    let kit = kit(&[address, other]);
    let error = whole(&kit, question("/")).await.unwrap_err();
    assert!(matches!(error, AskError::Send(_)), "{error}");
    assert_eq!(calls.count(), 1);
}

async fn seen_backend(calls: &Calls) -> SocketAddr {
    let seen = calls.clone();
    backend(Version::HTTP_11, move |_| {
        seen.next();
        async { Err(std::io::Error::other("dies as well")) }
    })
    .await
}

#[tokio::test]
async fn an_answer_has_an_end_in_time_and_in_length() {
    let stuck = || {
        let frames = futures_util::stream::pending::<Result<Frame<Bytes>, BodyError>>();
        Response::new(Body::boxed(StreamBody::new(frames)))
    };
    let address = backend(
        Version::HTTP_11,
        move |request: Request<Incoming>| async move {
            match request.uri().path() {
                "/late" => std::future::pending().await,
                "/stuck" => Ok(stuck()),
                "/full" => Ok(Response::new(Body::from(Bytes::from(vec![0; MAX_BYTES])))),
                _ => Ok(Response::new(Body::from(Bytes::from(vec![
                    0;
                    MAX_BYTES + 1
                ])))),
            }
        },
    )
    .await;
    let kit = kit(&[address]);
    let (proxy, worker) = (&kit.session.proxy, &kit.session.worker);
    for path in ["/late", "/stuck"] {
        let here = here();
        let asking = ask::whole(proxy, worker, &here, question(path), SOON, MAX_BYTES);
        let error = asking.await.unwrap_err();
        assert!(
            matches!(error, AskError::TimedOut(time) if time == SOON),
            "{path} {error}"
        );
        let asking = ask::http(proxy, worker, &here, question(path), SOON).await;
        match asking {
            Ok(answer) => assert!(answer.into_body().collect().await.is_err(), "{path}"),
            Err(error) => assert!(matches!(error, AskError::TimedOut(_)), "{path} {error}"),
        }
    }
    assert_eq!(
        whole(&kit, question("/full")).await.unwrap().body().len(),
        MAX_BYTES
    );
    let error = whole(&kit, question("/long")).await.unwrap_err();
    assert!(matches!(error, AskError::TooLong(MAX_BYTES)), "{error}");
}

#[tokio::test]
async fn who_is_not_known_is_not_asked() {
    let kit = kit(&[]);
    let (proxy, worker) = (&kit.session.proxy, &kit.session.worker);
    let other = Backend::new(key(), 81);
    let asking = ask::http(proxy, worker, &other, question("/"), PATIENCE);
    let error = asking.await.unwrap_err();
    assert_eq!(
        error.to_string(),
        format!("port 81 of default/{HOSTNAME} is not known")
    );
    let error = whole(&kit, question("/")).await.unwrap_err();
    assert!(matches!(error, AskError::NoHost(_)), "{error}");
}

#[tokio::test]
async fn a_place_among_the_backends_requests_is_given_back_with_the_answer() {
    let address = backend(Version::HTTP_11, |_| async { Ok(text("here")) }).await;
    let mut plan = Plan::default();
    plan.policy.pool.max_requests = Some(1);
    let kit = Kit::new(&[address], plan);
    let (proxy, worker) = (&kit.session.proxy, &kit.session.worker);
    let here = here();
    let ask = || ask::http(proxy, worker, &here, question("/"), PATIENCE);
    let held = ask().await.unwrap();
    let error = ask().await.unwrap_err();
    assert!(matches!(error, AskError::Overflow(_)), "{error}");
    drop(held);
    assert_eq!(ask().await.unwrap().status(), 200);
}

#[tokio::test]
async fn the_first_worker_asks_for_whoever_has_none() {
    let address = backend(Version::HTTP_11, |_| async {
        Ok(text(std::thread::current().name().unwrap_or_default()))
    })
    .await;
    let kit = kit(&[address]);
    let proxy = Arc::clone(&kit.proxy);
    let asking = ask::in_background(&proxy, here(), question("/"), PATIENCE, MAX_BYTES);
    assert_eq!(asking.await.unwrap().status(), 200);
}
