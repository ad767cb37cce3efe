//! Bodies that an authorizer sees a part of, and that go on whole.

use std::collections::VecDeque;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request};
use http_body::{Body as _, Frame};
use http_body_util::{BodyExt as _, StreamBody};
use mesh::access::external::IncludeBody;

use super::{Budget, Gathered, Sample, sample};
use crate::body::{Body, BodyError};

fn limits(max_bytes: u32, allow_partial: bool) -> IncludeBody {
    IncludeBody {
        max_bytes,
        allow_partial,
        as_bytes: false,
    }
}

/// A body of frames, whose length is not known.
fn streamed(frames: &[&'static [u8]], trailers: Option<HeaderMap>) -> Request<Body> {
    let data = frames
        .iter()
        .map(|data| Frame::data(Bytes::from_static(data)));
    let mut frames: VecDeque<_> = data.chain(trailers.map(Frame::trailers)).collect();
    let next = move |_: &mut std::task::Context<'_>| {
        std::task::Poll::Ready(frames.pop_front().map(Ok::<_, BodyError>))
    };
    let body = StreamBody::new(futures_util::stream::poll_fn(next));
    Request::new(Body::boxed(body))
}

fn trailers() -> HeaderMap {
    HeaderMap::from_iter([("x-sum".parse().unwrap(), HeaderValue::from_static("7"))])
}

async fn rest(request: Request<Body>) -> (Bytes, Option<HeaderMap>) {
    let whole = request.into_body().collect().await.unwrap();
    let trailers = whole.trailers().cloned();
    (whole.to_bytes(), trailers)
}

fn seen(sample: Option<Sample>) -> (Bytes, bool) {
    let sample = sample.unwrap();
    (sample.bytes, sample.is_partial)
}

#[tokio::test]
async fn a_body_within_the_limit_is_seen_whole_and_goes_on_whole() {
    for partial in [true, false] {
        let mut request = streamed(&[b"hel", b"", b"lo"], Some(trailers()));
        let found = sample(&mut request, limits(6, partial)).await.unwrap();
        assert_eq!(seen(found), ("hello".into(), false));
        assert_eq!(rest(request).await, ("hello".into(), Some(trailers())));
    }
}

#[tokio::test]
async fn a_longer_body_is_refused_unless_a_part_will_do() {
    let mut request = streamed(&[b"hel", b"lo"], None);
    let reply = sample(&mut request, limits(4, false)).await.unwrap_err();
    assert_eq!(reply.status, 413);
    assert_eq!(&*reply.details, "request_payload_too_large");
    assert_eq!(reply.body, "Payload Too Large");
    let mut request = streamed(&[b"hel", b"lo", b" world"], Some(trailers()));
    let found = sample(&mut request, limits(4, true)).await.unwrap();
    assert_eq!(seen(found), ("hell".into(), true));
    assert_eq!(
        rest(request).await,
        ("hello world".into(), Some(trailers()))
    );
}

#[tokio::test]
async fn a_body_of_exactly_the_limit_is_whole_and_one_that_may_go_on_is_not() {
    let mut request = Request::new(Body::Full(Bytes::from_static(b"hello")));
    let found = sample(&mut request, limits(5, true)).await.unwrap();
    assert_eq!(seen(found), ("hello".into(), false));
    assert_eq!(request.body().size_hint().exact(), Some(5));
    // Nobody knows yet whether more comes, and waiting for it could take for ever.
    let mut request = streamed(&[b"hello", b"!"], None);
    let found = sample(&mut request, limits(5, true)).await.unwrap();
    assert_eq!(seen(found), ("hello".into(), true));
    assert_eq!(rest(request).await.0, "hello!");
}

#[tokio::test]
async fn a_declared_length_is_enough_to_refuse() {
    let mut request = Request::new(Body::boxed(StreamBody::new(
        futures_util::stream::pending::<Result<Frame<Bytes>, BodyError>>(),
    )));
    request
        .headers_mut()
        .insert("content-length", HeaderValue::from_static("11"));
    let reply = sample(&mut request, limits(10, false)).await.unwrap_err();
    assert_eq!(reply.status, 413);
}

#[tokio::test]
async fn no_body_is_none_and_an_empty_one_too() {
    let mut request = Request::new(Body::Empty);
    assert!(
        sample(&mut request, limits(5, true))
            .await
            .unwrap()
            .is_none()
    );
    let mut request = Request::new(Body::Full(Bytes::from_static(b"x")));
    assert!(
        sample(&mut request, limits(0, true))
            .await
            .unwrap()
            .is_none()
    );
    assert_eq!(rest(request).await.0, "x");
    // Its end was not in sight before it was read.
    let mut request = streamed(&[], Some(trailers()));
    let found = sample(&mut request, limits(5, false)).await.unwrap();
    assert_eq!(seen(found), (Bytes::new(), false));
    assert_eq!(rest(request).await, (Bytes::new(), Some(trailers())));
}

#[tokio::test]
async fn every_split_of_a_body_comes_out_as_it_went_in() {
    let text = b"0123456789";
    for cut in 0..=10 {
        for max in 1..=11_u32 {
            let (first, second) = text.split_at(cut);
            let mut request = streamed(&[first, second], None);
            let found = sample(&mut request, limits(max, true)).await.unwrap();
            let (bytes, is_partial) = seen(found);
            let max = usize::try_from(max).unwrap();
            assert_eq!(bytes, &text[..text.len().min(max)]);
            assert!(is_partial || max >= 10, "{cut} {max}");
            assert_eq!(rest(request).await.0, &text[..]);
            let mut request = streamed(&[first, second], None);
            let whole = sample(&mut request, limits(u32::try_from(max).unwrap(), false)).await;
            assert_eq!(whole.is_ok(), max >= 10, "{cut} {max}");
        }
    }
}

#[tokio::test]
async fn a_body_that_breaks_off_is_no_body() {
    let broken = Err::<Frame<Bytes>, _>(BodyError::Filter("broken".into()));
    let frames = [Ok(Frame::data(Bytes::from_static(b"x"))), broken];
    let body = StreamBody::new(futures_util::stream::iter(frames));
    let mut request = Request::new(Body::boxed(body));
    let reply = sample(&mut request, limits(5, true)).await.unwrap_err();
    assert_eq!(reply.status, 400);
}

#[test]
fn what_is_held_of_all_bodies_is_bounded_and_given_back() {
    static SMALL: Budget = Budget {
        max: 100,
        taken: std::sync::atomic::AtomicUsize::new(0),
    };
    let taken = || SMALL.taken.load(std::sync::atomic::Ordering::Relaxed);
    let mut one = Gathered::new(&SMALL);
    one.add(Bytes::from_static(&[0; 40])).unwrap();
    let before = taken();
    let mut two = Gathered::new(&SMALL);
    let reply = two.add(Bytes::from_static(&[0; 40])).unwrap_err();
    assert_eq!(reply.status, 503);
    assert!(reply.overloaded);
    assert_eq!(taken(), before);
    let (data, share) = one.whole();
    assert_eq!((data.len(), taken()), (40, before));
    drop(share);
    assert_eq!(taken(), 0);
    two.add(Bytes::from_static(&[0; 40])).unwrap();
}
