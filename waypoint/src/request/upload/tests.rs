//! Tests of bodies that are kept for another try, and when they are let go.

use futures_util::FutureExt as _;
use http_body_util::{BodyExt as _, StreamBody};
use tokio::sync::mpsc;

use super::*;
use crate::filter::mirror;

/// A body that the test feeds.
fn fed() -> (mpsc::UnboundedSender<Result<Frame<Bytes>, BodyError>>, Body) {
    let (sender, mut receiver) = mpsc::unbounded_channel();
    let frames = futures_util::stream::poll_fn(move |cx| receiver.poll_recv(cx));
    (sender, Body::boxed(StreamBody::new(frames)))
}

fn data(text: &'static str) -> Result<Frame<Bytes>, BodyError> {
    Ok(Frame::data(Bytes::from_static(text.as_bytes())))
}

async fn next(body: &mut Body) -> Option<Result<String, ()>> {
    let frame = body.frame().await?;
    Some(match frame {
        Ok(frame) => Ok(String::from_utf8(frame.into_data().unwrap().to_vec()).unwrap()),
        Err(_) => Err(()),
    })
}

fn has_ended(upload: &Upload) -> bool {
    upload.ended_at().is_some()
}

#[tokio::test]
async fn a_second_attempt_begins_with_what_the_first_had_taken() {
    let (sender, body) = fed();
    let upload = Upload::new(body, true, false, Vec::new());
    let mut first = upload.attempt().unwrap();
    sender.send(data("one")).unwrap();
    assert_eq!(next(&mut first).await, Some(Ok("one".into())));
    sender.send(data("two")).unwrap();
    let mut second = upload.attempt().unwrap();
    assert_eq!(next(&mut second).await, Some(Ok("one".into())));
    assert_eq!(next(&mut second).await, Some(Ok("two".into())));
    assert_eq!(next(&mut first).await, Some(Err(())), "it was superseded");
    let mut trailers = HeaderMap::new();
    trailers.insert("x", http::HeaderValue::from_static("1"));
    sender.send(Ok(Frame::trailers(trailers.clone()))).unwrap();
    let mut third = upload.attempt().unwrap();
    let collected = third.borrow_collect().await;
    assert_eq!(collected.trailers(), Some(&trailers));
    assert_eq!(collected.to_bytes(), "onetwo");
    let fourth = upload.attempt().unwrap().collect().await.unwrap();
    assert_eq!(fourth.trailers(), Some(&trailers));
    assert_eq!(fourth.to_bytes(), "onetwo");
    assert_eq!(upload.received().bytes, 6, "each byte counts once");
}

trait BorrowCollect {
    async fn borrow_collect(&mut self) -> http_body_util::Collected<Bytes>;
}

impl BorrowCollect for Body {
    async fn borrow_collect(&mut self) -> http_body_util::Collected<Bytes> {
        std::mem::take(self).collect().await.unwrap()
    }
}

#[tokio::test]
async fn a_body_that_is_too_long_is_sent_once() {
    let chunk = Bytes::from(vec![0; MAX_REPLAY_BYTES / 2 + 1]);
    let (sender, body) = fed();
    let upload = Upload::new(body, true, false, Vec::new());
    let mut first = upload.attempt().unwrap();
    sender.send(Ok(Frame::data(chunk.clone()))).unwrap();
    assert!(first.frame().await.unwrap().is_ok());
    assert!(upload.is_repeatable());
    sender.send(Ok(Frame::data(chunk.clone()))).unwrap();
    assert!(first.frame().await.unwrap().is_ok());
    assert!(!upload.is_repeatable());
    assert!(upload.attempt().is_none());
    sender.send(data("rest")).unwrap();
    drop(sender);
    assert_eq!(next(&mut first).await, Some(Ok("rest".into())));
    assert_eq!(next(&mut first).await, None);
}

#[tokio::test]
async fn many_small_frames_are_too_long_as_well() {
    let (sender, body) = fed();
    let upload = Upload::new(body, true, false, Vec::new());
    let mut first = upload.attempt().unwrap();
    for _ in 0..=MAX_REPLAY_FRAMES {
        sender.send(data("x")).unwrap();
        assert!(first.frame().await.unwrap().is_ok());
    }
    assert!(!upload.is_repeatable());
}

#[tokio::test]
async fn nothing_is_kept_where_no_retry_is_wanted() {
    let (sender, body) = fed();
    let upload = Upload::new(body, false, false, Vec::new());
    assert!(upload.is_repeatable(), "nothing was taken yet");
    let mut first = upload.attempt().unwrap();
    assert!(!upload.is_repeatable());
    sender.send(data("one")).unwrap();
    assert_eq!(next(&mut first).await, Some(Ok("one".into())));
}

#[tokio::test]
async fn once_an_answer_has_begun_the_attempt_goes_on_and_nothing_more_is_kept() {
    let (sender, body) = fed();
    let upload = Upload::new(body, true, false, Vec::new());
    let mut first = upload.attempt().unwrap();
    sender.send(data("one")).unwrap();
    sender.send(data("two")).unwrap();
    assert_eq!(next(&mut first).await, Some(Ok("one".into())));
    assert_eq!(next(&mut first).await, Some(Ok("two".into())));
    let mut second = upload.attempt().unwrap();
    assert_eq!(next(&mut second).await, Some(Ok("one".into())));
    upload.release();
    assert!(!upload.is_repeatable());
    assert_eq!(next(&mut second).await, Some(Ok("two".into())));
    sender.send(data("three")).unwrap();
    assert_eq!(next(&mut second).await, Some(Ok("three".into())));
    drop(sender);
    assert_eq!(next(&mut second).await, None);
    assert!(second.is_end_stream());
}

#[tokio::test]
async fn it_has_ended_when_the_last_byte_was_read() {
    let (sender, body) = fed();
    let upload = Upload::new(body, false, false, Vec::new());
    let mut first = upload.attempt().unwrap();
    assert!(!has_ended(&upload));
    sender.send(data("one")).unwrap();
    assert_eq!(next(&mut first).await, Some(Ok("one".into())));
    assert!(!has_ended(&upload));
    drop(sender);
    assert_eq!(next(&mut first).await, None);
    assert!(has_ended(&upload));
}

#[tokio::test]
async fn a_backend_that_wants_no_more_ends_it() {
    let (_sender, body) = fed();
    let upload = Upload::new(body, true, false, Vec::new());
    let first = upload.attempt().unwrap();
    drop(first);
    assert!(!has_ended(&upload), "another attempt may want it");
    upload.release();
    assert!(has_ended(&upload));

    let (_sender, body) = fed();
    let upload = Upload::new(body, true, false, Vec::new());
    let first = upload.attempt().unwrap();
    upload.release();
    assert!(!has_ended(&upload), "the backend still reads");
    drop(first);
    assert!(has_ended(&upload));
}

#[tokio::test]
async fn a_client_that_breaks_off_is_not_tried_again() {
    let (sender, body) = fed();
    let upload = Upload::new(body, true, false, Vec::new());
    let mut first = upload.attempt().unwrap();
    sender.send(Err(failed(UploadError::Broken))).unwrap();
    assert_eq!(next(&mut first).await, Some(Err(())));
    assert!(upload.is_broken());
    assert!(!upload.is_repeatable());
    assert!(has_ended(&upload));
}

#[tokio::test]
async fn an_empty_body_costs_nothing_and_may_be_sent_for_ever() {
    let upload = Upload::new(Body::Empty, true, false, Vec::new());
    for _ in 0..3 {
        assert!(upload.attempt().unwrap().is_end_stream());
    }
    upload.release();
    assert!(upload.is_repeatable());
}

#[tokio::test]
async fn an_attempt_that_is_given_up_ends_at_once_and_reads_nothing_more() {
    let (sender, body) = fed();
    let upload = Upload::new(body, true, false, Vec::new());
    let mut first = upload.attempt().unwrap();
    let waiting = tokio::spawn(async move { next(&mut first).await });
    while upload.0.as_ref().unwrap().lock().reader.is_none() {
        tokio::task::yield_now().await;
    }
    let mut second = upload.attempt().unwrap();
    // It is woken, though its client says nothing.
    assert_eq!(waiting.await.unwrap(), Some(Err(())));
    sender
        .send(Ok(Frame::data(Bytes::from(vec![0; MAX_REPLAY_BYTES + 1]))))
        .unwrap();
    tokio::task::yield_now().await;
    assert!(upload.is_repeatable());
    assert_eq!(upload.received().bytes, 0);
    let read = second.frame().await.unwrap().unwrap().into_data().unwrap();
    assert_eq!(read.len(), MAX_REPLAY_BYTES + 1);
}

#[tokio::test(start_paused = true)]
async fn it_is_on_its_way_while_somebody_reads() {
    let second = Duration::from_secs(1);
    let (sender, body) = fed();
    let upload = Upload::new(body, true, false, Vec::new());
    assert_eq!(upload.on_its_way(), Duration::ZERO);
    let mut first = upload.attempt().unwrap();
    tokio::time::advance(second).await;
    assert_eq!(upload.on_its_way(), Duration::ZERO, "nobody reads yet");
    assert!(first.frame().now_or_never().is_none());
    tokio::time::advance(second).await;
    assert_eq!(upload.on_its_way(), second, "the client is waited for");
    sender.send(data("one")).unwrap();
    assert_eq!(next(&mut first).await, Some(Ok("one".into())));
    tokio::time::advance(second).await;
    assert_eq!(upload.on_its_way(), second, "the backend stands still");
    assert!(first.frame().now_or_never().is_none());
    assert_eq!(upload.on_its_way(), 2 * second, "it went on");
    let _second = upload.attempt().unwrap();
    tokio::time::advance(second).await;
    assert_eq!(upload.on_its_way(), 2 * second, "the next has yet to read");
}

#[tokio::test]
async fn a_known_length_is_known_to_every_attempt() {
    let body = Body::Full(Bytes::from_static(b"twelve bytes"));
    let upload = Upload::new(body, true, false, Vec::new());
    for _ in 0..2 {
        let mut attempt = upload.attempt().unwrap();
        assert_eq!(attempt.size_hint().exact(), Some(12));
        assert_eq!(next(&mut attempt).await, Some(Ok("twelve bytes".into())));
        assert_eq!(attempt.size_hint().exact(), Some(0));
        assert!(attempt.is_end_stream());
    }
}

#[tokio::test]
async fn a_mirror_gets_each_frame_once_however_often_it_is_sent() {
    let (tap, copy) = mirror::tap(SizeHint::default());
    let (sender, body) = fed();
    let upload = Upload::new(body, true, true, vec![tap]);
    sender.send(data("\0\0\0\0\x03one")).unwrap();
    drop(sender);
    let mut first = upload.attempt().unwrap();
    assert!(first.frame().await.is_some());
    let second = upload.attempt().unwrap().collect().await.unwrap();
    assert_eq!(second.to_bytes(), copy.collect().await.unwrap().to_bytes());
    assert_eq!(
        upload.received(),
        Received {
            bytes: 8,
            messages: 1
        }
    );
}

#[tokio::test]
async fn what_all_bodies_keep_is_bounded_and_given_back() {
    static SMALL: Budget = Budget::new(1000);
    let begun = || {
        let (sender, body) = fed();
        let upload = Upload::within(&SMALL, body, true, false, Vec::new());
        let attempt = upload.attempt().unwrap();
        sender
            .send(Ok(Frame::data(Bytes::from(vec![0; 500]))))
            .unwrap();
        (sender, upload, attempt)
    };
    let (_sender, kept, mut of_kept) = begun();
    assert!(of_kept.frame().await.unwrap().is_ok());
    assert!(kept.is_repeatable());
    let held = SMALL.kept();
    assert!(held > 500);
    // The next one finds no room: it is sent, but once.
    let (sender, unkept, mut of_unkept) = begun();
    assert!(of_unkept.frame().await.unwrap().is_ok());
    assert!(!unkept.is_repeatable());
    assert_eq!(SMALL.kept(), held);
    sender.send(data("rest")).unwrap();
    assert_eq!(next(&mut of_unkept).await, Some(Ok("rest".into())));
    // A second attempt has yet to take it when an answer begins.
    let mut second = kept.attempt().unwrap();
    kept.release();
    assert_eq!(SMALL.kept(), held);
    assert!(second.frame().await.unwrap().is_ok());
    assert_eq!(SMALL.kept(), 0);
    // One that is given up.
    let (sender, dropped, mut of_dropped) = begun();
    assert!(of_dropped.frame().await.unwrap().is_ok());
    assert_eq!(SMALL.kept(), held);
    drop((sender, dropped, of_dropped));
    assert_eq!(SMALL.kept(), 0);
}
