//! Bodies that an authorizer sees a part of, and that go on whole.

use std::collections::VecDeque;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request};
use http_body::{Body as _, Frame};
use http_body_util::{BodyExt as _, StreamBody};
use mesh::access::external::IncludeBody;

use super::{Budget, Gathered, Held, Sample, Share, sample_within};
use crate::body::{Body, BodyError};
use crate::request::reply::Reply;

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

/// For the first who looks.
async fn sample(request: &mut Request<Body>, limits: IncludeBody) -> Result<Option<Sample>, Reply> {
    super::sample(request, limits, &mut Held::default()).await
}

fn seen(sample: Option<Sample>) -> (Bytes, bool) {
    let sample = sample.unwrap();
    (sample.bytes.clone(), sample.is_partial)
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

/// A budget of a test's own.
fn budget(max: usize) -> &'static Budget {
    Box::leak(Box::new(Budget::new(max)))
}

fn taken(budget: &Budget) -> usize {
    budget.taken()
}

#[test]
fn what_is_held_of_all_bodies_is_bounded_and_given_back() {
    let small = budget(3000);
    let mut one = Gathered::new(small);
    one.add(&[0; 1500]).unwrap();
    let before = taken(small);
    assert!(before >= 1500);
    let mut two = Gathered::new(small);
    let reply = two.add(&[0; 1501]).unwrap_err();
    assert_eq!(reply.status, 503);
    assert!(reply.overloaded);
    assert_eq!(taken(small), before);
    let bytes = one.whole();
    assert_eq!((bytes.len(), taken(small)), (1500, 1500));
    // Whoever has a part of it holds all of it.
    let part = bytes.slice(7..8);
    drop(bytes);
    assert_eq!(taken(small), 1500);
    drop(part);
    assert_eq!(taken(small), 0);
    two.add(&[0; 1501]).unwrap();
}

#[test]
fn a_body_of_one_byte_at_a_time_costs_no_more_than_twice_its_length() {
    let large = budget(usize::MAX);
    let mut gathered = Gathered::new(large);
    for length in 1..=10_000 {
        gathered.add(&[7]).unwrap();
        assert!(
            taken(large) <= 2 * length + 1024,
            "{length}: {}",
            taken(large)
        );
        assert!(taken(large) >= gathered.bytes.capacity());
    }
    assert_eq!(gathered.whole().len(), 10_000);
    assert_eq!(taken(large), 0);
}

#[test]
fn copies_count_for_as_long_as_they_live() {
    let small = budget(100);
    let mut share = Share::of(small);
    share.take(30).unwrap();
    let sample = Sample {
        bytes: Bytes::from_static(&[0; 30]),
        is_partial: false,
        budget: small,
    };
    assert!(sample.copied(0).is_ok());
    let copies = sample.copied(2).unwrap();
    assert_eq!(taken(small), 90);
    // A third one has no room, and takes none.
    assert_eq!(sample.copied(1).unwrap_err().status, 503);
    assert_eq!(taken(small), 90);
    drop(copies);
    assert_eq!(taken(small), 30);
}

#[tokio::test]
async fn several_who_look_at_a_body_hold_it_once_and_who_wants_more_gets_it() {
    let large = budget(usize::MAX);
    let mut request = streamed(&[b"hel", b"lo", b" wor", b"ld"], Some(trailers()));
    let mut held = Held::default();
    let mut look = async |request: &mut Request<Body>, limits| {
        let found = sample_within(large, request, limits, &mut held).await;
        found.map(seen)
    };
    let first = look(&mut request, limits(4, true)).await.unwrap();
    assert_eq!((first, taken(large)), (("hell".into(), true), 5));
    // What is there will do.
    let second = look(&mut request, limits(5, true)).await.unwrap();
    assert_eq!((second, taken(large)), (("hello".into(), true), 5));
    let third = look(&mut request, limits(100, false)).await.unwrap();
    assert_eq!(third, ("hello world".into(), false));
    let fourth = look(&mut request, limits(2, true)).await.unwrap();
    assert_eq!(fourth, ("he".into(), true));
    assert_eq!(
        look(&mut request, limits(2, false))
            .await
            .unwrap_err()
            .status,
        413
    );
    // Both of what was gathered last, and none of what was before.
    drop((third, fourth, held));
    assert_eq!(taken(large), 11);
    assert_eq!(
        rest(request).await,
        ("hello world".into(), Some(trailers()))
    );
    assert_eq!(taken(large), 0);
}

#[tokio::test]
async fn a_body_counts_until_the_last_who_sends_it_on_has_let_go() {
    let large = budget(usize::MAX);
    let mut request = streamed(&[b"hello"], None);
    let mut held = Held::default();
    let found = sample_within(large, &mut request, limits(9, false), &mut held).await;
    drop((found.unwrap(), held));
    let mut body = request.into_body();
    let frame = body.frame().await.unwrap().unwrap();
    // A slow endpoint, or a mirror.
    let copy = frame.into_data().unwrap();
    drop(body);
    assert_eq!(taken(large), 5);
    drop(copy);
    assert_eq!(taken(large), 0);
}
