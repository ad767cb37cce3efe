//! Requests out of bytes, well-formed and not.

use std::{convert::Infallible, sync::Arc};

use bytes::{BufMut as _, Bytes, BytesMut};
use futures_util::stream;
use http_body_util::StreamBody;
use hyper::body::Frame;
use prost::Message as _;
use tokio::sync::Semaphore;
use wire::proto::discovery::DeltaDiscoveryRequest;

use super::{FrameError, MAX_REQUEST, MAX_SMALL_REQUEST, READ_DEADLINE, Received, Requests};
use crate::xds::testkit::subscribe;

fn framed(request: &DeltaDiscoveryRequest) -> Vec<u8> {
    let mut bytes = BytesMut::new();
    bytes.put_u8(0);
    bytes.put_u32(u32::try_from(request.encoded_len()).unwrap());
    request.encode(&mut bytes).unwrap();
    bytes.to_vec()
}

/// Reads everything of a body that comes in parts of `size` bytes.
async fn read(bytes: Vec<u8>, size: usize) -> (Vec<Received>, Option<FrameError>) {
    let parts: Vec<_> = bytes
        .chunks(size)
        .map(|part| Ok::<_, Infallible>(Frame::data(Bytes::copy_from_slice(part))))
        .collect();
    let body = StreamBody::new(stream::iter(parts));
    let mut requests = Requests::new(body, Arc::new(Semaphore::new(1)));
    let mut all = Vec::new();
    loop {
        match requests.next().await {
            Ok(Some(received)) => all.push(received),
            Ok(None) => return (all, None),
            Err(error) => return (all, Some(error)),
        }
    }
}

#[tokio::test]
async fn requests_are_read_however_they_are_cut() {
    let (one, two) = (subscribe("a", &["x", "y"]), subscribe("b", &[]));
    let bytes = [framed(&one), framed(&two)].concat();
    for size in 1..bytes.len() {
        let (received, error) = read(bytes.clone(), size).await;
        assert!(error.is_none());
        let received: Vec<_> = received.into_iter().map(|one| one.request).collect();
        assert_eq!(received, [one.clone(), two.clone()]);
    }
}

#[tokio::test]
async fn a_large_request_takes_a_turn_and_gives_it_back() {
    let name = "n".repeat(MAX_SMALL_REQUEST);
    let bytes = framed(&subscribe("a", &[&name]));
    let parts = [bytes.clone(), bytes].concat();
    let body = StreamBody::new(stream::iter([Ok::<_, Infallible>(Frame::data(
        Bytes::from(parts),
    ))]));
    let turns = Arc::new(Semaphore::new(1));
    let mut requests = Requests::new(body, Arc::clone(&turns));
    let first = requests.next().await.unwrap().unwrap();
    assert!(first.turn.is_some());
    assert_eq!(turns.available_permits(), 0);
    drop(first);
    assert!(requests.next().await.unwrap().is_some());
}

#[tokio::test]
async fn what_is_no_request_is_refused() {
    let head = |flags: u8, length: u32| [&[flags][..], &length.to_be_bytes()].concat();
    let error = |bytes| async { read(bytes, 3).await.1.unwrap() };
    let large = u32::try_from(MAX_REQUEST + 1).unwrap();
    assert!(matches!(
        error(head(0, large)).await,
        FrameError::Large { .. }
    ));
    assert!(matches!(
        error(head(1, 0)).await,
        FrameError::Flags { flags: 1 }
    ));
    assert!(matches!(
        error(head(0, 9)).await,
        FrameError::Truncated { found: 0 }
    ));
    assert!(matches!(
        error(vec![0, 0]).await,
        FrameError::Truncated { found: 2 }
    ));
    let garbage = [head(0, 4), vec![0xff; 4]].concat();
    assert!(matches!(error(garbage).await, FrameError::Malformed(_)));
}

#[tokio::test(start_paused = true)]
async fn a_request_that_does_not_arrive_is_given_up() {
    let first = stream::iter([Ok::<_, Infallible>(Frame::data(Bytes::from_static(&[
        0, 0, 0, 0, 9, 1,
    ])))]);
    let body = StreamBody::new(futures_util::StreamExt::chain(first, stream::pending()));
    let mut requests = Requests::new(body, Arc::new(Semaphore::new(1)));
    assert!(matches!(
        requests.next().await,
        Err(FrameError::Slow { length: 9 })
    ));
}

#[tokio::test(start_paused = true)]
async fn waiting_for_a_turn_is_not_slowness_and_has_an_end() {
    let bytes = framed(&subscribe("a", &[&"n".repeat(MAX_SMALL_REQUEST)]));
    let turns = Arc::new(Semaphore::new(1));
    let requests = |bytes: &[u8]| {
        let frame = Frame::data(Bytes::copy_from_slice(bytes));
        let body = StreamBody::new(stream::iter([Ok::<_, Infallible>(frame)]));
        Requests::new(body, Arc::clone(&turns))
    };
    let held = Arc::clone(&turns).acquire_owned().await.unwrap();
    let mut waiting = requests(&bytes);
    let (received, ()) = tokio::join!(waiting.next(), async {
        tokio::time::sleep(READ_DEADLINE * 3).await;
        drop(held);
    });
    assert!(received.unwrap().unwrap().turn.is_some());
    let held = Arc::clone(&turns).acquire_owned().await.unwrap();
    assert!(matches!(
        requests(&bytes).next().await,
        Err(FrameError::Busy { .. })
    ));
    drop(held);
}
