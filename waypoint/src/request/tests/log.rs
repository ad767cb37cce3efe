//! Requests that do not come to an end.

use std::io;

use bytes::Bytes;
use http::Version;
use http_body_util::{BodyExt as _, StreamBody};
use mesh::route::RetryOn;
use tokio::sync::mpsc;

use super::kit::*;
use crate::body::{Body, BodyError};

#[tokio::test]
async fn a_client_that_goes_before_there_is_an_answer_has_no_status() {
    let calls = Calls::default();
    let count = calls.clone();
    let address = backend(Version::HTTP_11, move |_| {
        count.next();
        std::future::pending()
    })
    .await;
    let kit = Kit::new(&[address], Plan::default());
    tokio::select! {
        _ = kit.serve(get("/")) => panic!("nobody answers"),
        () = calls.reach(1) => {}
    }
    let line = kit.line();
    assert_eq!(line["code"], 0);
    assert_eq!(line["flags"], "DC");
    assert_eq!(line["details"], "downstream_remote_disconnect");
    assert_eq!(line["host"], address.to_string());
    assert!(kit.requests_total().contains("response_code=\"0\""));
}

/// An answer that the test feeds.
async fn fed(
    version: Version,
) -> (
    mpsc::UnboundedSender<io::Result<&'static str>>,
    std::net::SocketAddr,
) {
    let (sender, receiver) = mpsc::unbounded_channel();
    let receiver = std::sync::Arc::new(parking_lot::Mutex::new(Some(receiver)));
    let address = backend(version, move |_| {
        let mut receiver: mpsc::UnboundedReceiver<io::Result<&'static str>> =
            receiver.lock().take().unwrap();
        async move {
            let frames = futures_util::stream::poll_fn(move |cx| {
                receiver.poll_recv(cx).map(|frame| {
                    frame.map(|frame| {
                        frame
                            .map(|text| http_body::Frame::data(Bytes::from_static(text.as_bytes())))
                            .map_err(|error| BodyError::Filter(Box::new(error)))
                    })
                })
            });
            Ok(http::Response::new(Body::boxed(StreamBody::new(frames))))
        }
    })
    .await;
    (sender, address)
}

#[tokio::test]
async fn a_client_that_goes_in_the_middle_of_an_answer_keeps_its_status() {
    let (sender, address) = fed(Version::HTTP_11).await;
    let kit = Kit::new(&[address], Plan::default());
    let mut response = kit.serve(get("/")).await;
    sender.send(Ok("part")).unwrap();
    let frame = response.body_mut().frame().await.unwrap().unwrap();
    assert_eq!(frame.into_data().unwrap(), "part");
    assert!(kit.lines().is_empty());
    drop(response);
    let line = kit.line();
    assert_eq!(line["code"], 200);
    assert_eq!(line["flags"], "DC");
    assert_eq!(line["sent"], 4);
}

#[tokio::test]
async fn an_endpoint_that_breaks_off_in_the_middle_is_named() {
    for (version, flags, details) in [
        (
            Version::HTTP_11,
            "UC",
            "upstream_reset_after_response_started{connection_termination}",
        ),
        (
            Version::HTTP_2,
            "UR",
            "upstream_reset_after_response_started{remote_reset}",
        ),
    ] {
        let (sender, address) = fed(version).await;
        // Once an answer has begun there is no other try.
        let rule = retrying(3, RetryOn::RESET.with(RetryOn::SERVER_ERROR));
        let mut plan = Plan {
            table: Some(table(vec![rule])),
            ..Plan::default()
        };
        if version == Version::HTTP_2 {
            plan.policy.pool.http2 = mesh::backend::Upgrade::Http2;
        }
        let kit = Kit::new(&[address], plan);
        let response = kit.serve(get("/")).await;
        sender.send(Ok("part")).unwrap();
        sender.send(Err(io::ErrorKind::Other.into())).unwrap();
        let collected = response.into_body().collect();
        assert!(
            tokio::time::timeout(PATIENCE, collected)
                .await
                .unwrap()
                .is_err()
        );
        let line = kit.line();
        assert_eq!(line["code"], 200);
        assert_eq!(line["flags"], flags, "{version:?}");
        assert_eq!(line["details"], details, "{version:?}");
        assert_eq!(line["attempts"], 1, "{version:?}");
    }
}

#[tokio::test]
async fn an_answer_that_does_not_end_in_time_is_cut() {
    let (_sender, address) = fed(Version::HTTP_11).await;
    let rule = mesh::route::HttpRule {
        timeout: Some(std::time::Duration::from_secs(1)),
        ..forward()
    };
    let kit = Kit::new(
        &[address],
        Plan {
            table: Some(table(vec![rule])),
            ..Plan::default()
        },
    );
    let response = kit.serve(get("/")).await;
    assert_eq!(response.status(), 200);
    let collected = response.into_body().collect();
    assert!(
        tokio::time::timeout(PATIENCE, collected)
            .await
            .unwrap()
            .is_err()
    );
    let line = kit.line();
    assert_eq!(line["flags"], "UT");
    assert_eq!(line["details"], "response_timeout");
}

#[tokio::test]
async fn an_answer_that_nobody_reads_is_given_up_in_time() {
    let (sender, address) = fed(Version::HTTP_11).await;
    let rule = mesh::route::HttpRule {
        timeout: Some(std::time::Duration::from_millis(300)),
        ..forward()
    };
    let kit = Kit::new(
        &[address],
        Plan {
            table: Some(table(vec![rule])),
            ..Plan::default()
        },
    );
    let response = kit.serve(get("/")).await;
    assert_eq!(response.status(), 200);
    sender.send(Ok("part")).unwrap();
    let line = kit.line_soon().await;
    assert_eq!(line["flags"], "UT");
    assert_eq!(line["sent"], 0);
    let cluster = kit.proxy.clusters.all().remove(0);
    let requests = crate::upstream::breaker::Limit::Requests;
    assert_eq!(cluster.breakers().count(requests), 0);
    // Whoever reads after all is told that it is not whole.
    let mut body = response.into_body();
    assert!(!http_body::Body::is_end_stream(&body));
    assert!(body.frame().await.unwrap().is_err());
    assert!(body.frame().await.is_none());
}
