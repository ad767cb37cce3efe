use futures_util::FutureExt as _;
use http_body_util::{BodyExt as _, StreamBody};
use tokio::sync::mpsc;

use super::*;
use crate::body::Body;

#[tokio::test(start_paused = true)]
async fn the_time_runs_from_the_end_of_the_request() {
    let (sender, mut receiver) = mpsc::unbounded_channel();
    let frames = futures_util::stream::poll_fn(move |cx| receiver.poll_recv(cx));
    let upload = Upload::new(
        Body::boxed(StreamBody::new(frames)),
        false,
        false,
        Vec::new(),
    );
    let mut deadline = Some(Deadline::new(Duration::from_secs(5), upload.clone()));
    tokio::time::advance(Duration::from_secs(60)).await;
    assert!(passed(&mut deadline).now_or_never().is_none());
    drop(sender);
    upload.attempt().unwrap().collect().await.unwrap();
    assert!(passed(&mut deadline).now_or_never().is_none());
    tokio::time::advance(Duration::from_secs(4)).await;
    assert!(passed(&mut deadline).now_or_never().is_none());
    tokio::time::advance(Duration::from_secs(2)).await;
    passed(&mut deadline).await;
    passed(&mut deadline).await;
}

#[tokio::test(start_paused = true)]
async fn without_a_limit_there_is_no_end() {
    tokio::time::advance(Duration::from_secs(1_000_000)).await;
    assert!(passed(&mut None).now_or_never().is_none());
}
