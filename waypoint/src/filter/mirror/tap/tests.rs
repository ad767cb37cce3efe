//! Tests of the copy of a body for a mirror: bounded, and never in the way.

use http_body_util::BodyExt as _;

use super::*;

#[tokio::test]
async fn a_copy_has_the_frames_and_trailers_of_its_body() {
    let (mut tap, copy) = tap(SizeHint::default());
    assert!(tap.push(&Bytes::from_static(b"one")));
    assert!(tap.push(&Bytes::from_static(b"two")));
    let mut trailers = HeaderMap::new();
    trailers.insert("x", http::HeaderValue::from_static("1"));
    tap.finish(Some(&trailers));
    let collected = copy.collect().await.unwrap();
    assert_eq!(collected.trailers(), Some(&trailers));
    assert_eq!(collected.to_bytes(), "onetwo");
}

#[tokio::test]
async fn a_copy_whose_body_breaks_off_breaks_off() {
    let (mut tap, copy) = tap(SizeHint::default());
    assert!(tap.push(&Bytes::from_static(b"one")));
    drop(tap);
    assert!(copy.collect().await.is_err());
}

#[tokio::test]
async fn a_copy_that_falls_behind_breaks_off_and_nobody_waits() {
    let (mut tap, copy) = tap(SizeHint::default());
    let chunk = Bytes::from(vec![0; MAX_BEHIND_BYTES / 4]);
    for _ in 0..4 {
        assert!(tap.push(&chunk));
    }
    assert!(!tap.push(&chunk));
    drop(tap);
    assert!(copy.collect().await.is_err());
}

#[tokio::test]
async fn small_frames_are_bounded_too_and_the_end_finds_a_place() {
    let (mut tap, copy) = tap(SizeHint::default());
    let chunk = Bytes::from_static(b"x");
    let mut taken = 0;
    while tap.push(&chunk) {
        taken += 1;
    }
    assert_eq!(taken, MAX_BEHIND_FRAMES);
    tap.finish(None);
    assert_eq!(copy.collect().await.unwrap().to_bytes().len(), taken);
}
