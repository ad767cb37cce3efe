//! Tests of when a request's time begins and ends.

use futures_util::FutureExt as _;
use http_body_util::{BodyExt as _, StreamBody};
use tokio::sync::mpsc;

use super::*;
use crate::body::{Body, BodyError};

type Frames = mpsc::UnboundedSender<Result<http_body::Frame<bytes::Bytes>, BodyError>>;

fn fed() -> (Frames, Upload) {
    let (sender, mut receiver) = mpsc::unbounded_channel();
    let frames = futures_util::stream::poll_fn(move |cx| receiver.poll_recv(cx));
    let body = Body::boxed(StreamBody::new(frames));
    (sender, Upload::new(body, false, false, Vec::new()))
}

async fn advance(seconds: u64) {
    tokio::time::advance(Duration::from_secs(seconds)).await;
}

fn is_over(deadline: &mut Option<Deadline>) -> bool {
    passed(deadline).now_or_never().is_some()
}

#[tokio::test(start_paused = true)]
async fn the_time_runs_from_the_end_of_the_request() {
    let (sender, upload) = fed();
    let mut deadline = Some(Deadline::new(Duration::from_secs(5), upload.clone()));
    let mut attempt = upload.attempt().unwrap();
    assert!(attempt.frame().now_or_never().is_none());
    for _ in 0..20 {
        advance(3).await;
        assert!(!is_over(&mut deadline), "the client is waited for");
    }
    drop(sender);
    attempt.collect().await.unwrap();
    assert!(!is_over(&mut deadline));
    advance(4).await;
    assert!(!is_over(&mut deadline));
    advance(2).await;
    passed(&mut deadline).await;
    passed(&mut deadline).await;
}

#[tokio::test(start_paused = true)]
async fn a_request_that_nobody_reads_waits_no_longer_than_its_limit() {
    let (_sender, upload) = fed();
    let mut deadline = Some(Deadline::new(Duration::from_secs(5), upload.clone()));
    let _attempt = upload.attempt().unwrap();
    advance(4).await;
    assert!(!is_over(&mut deadline));
    advance(2).await;
    assert!(is_over(&mut deadline));
}

#[tokio::test(start_paused = true)]
async fn time_in_the_queue_is_not_given_back_when_the_body_is_read() {
    let (sender, upload) = fed();
    let mut deadline = Some(Deadline::new(Duration::from_secs(5), upload.clone()));
    advance(4).await;
    drop(sender);
    upload.attempt().unwrap().collect().await.unwrap();
    assert!(!is_over(&mut deadline));
    advance(2).await;
    assert!(is_over(&mut deadline));
}

#[tokio::test(start_paused = true)]
async fn a_backend_that_stands_still_is_not_waited_for() {
    let (sender, upload) = fed();
    let mut deadline = Some(Deadline::new(Duration::from_secs(5), upload.clone()));
    let mut attempt = upload.attempt().unwrap();
    for _ in 0..10 {
        let frame = http_body::Frame::data(bytes::Bytes::from_static(b"part"));
        sender.send(Ok(frame)).unwrap();
        assert!(attempt.frame().await.is_some());
        advance(3).await;
        assert!(!is_over(&mut deadline), "slow, but it reads");
    }
    advance(3).await;
    assert!(is_over(&mut deadline));
}

#[tokio::test(start_paused = true)]
async fn each_try_has_its_own_time() {
    let (sender, upload) = fed();
    let mut attempt = upload.attempt().unwrap();
    assert!(attempt.frame().now_or_never().is_none());
    drop(sender);
    drop(Deadline::new(Duration::from_secs(5), upload.clone()));
    assert!(attempt.frame().await.is_none());
    advance(60).await;
    let mut deadline = Some(Deadline::new(Duration::from_secs(5), upload));
    advance(4).await;
    assert!(!is_over(&mut deadline));
    advance(2).await;
    assert!(is_over(&mut deadline));
}

#[tokio::test(start_paused = true)]
async fn without_a_limit_there_is_no_end() {
    tokio::time::advance(Duration::from_secs(1_000_000)).await;
    assert!(passed(&mut None).now_or_never().is_none());
}

#[tokio::test]
async fn a_limit_beyond_all_time_does_not_come() {
    let (_sender, upload) = fed();
    let mut deadline = Some(Deadline::new(Duration::MAX, upload));
    assert!(!is_over(&mut deadline));
}
