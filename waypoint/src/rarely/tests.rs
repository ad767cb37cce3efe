//! Tests of futures that are polled when they are woken.

use std::{cell::Cell, future::poll_fn, pin::pin, task::Poll};

use tokio::sync::Notify;

use super::*;

#[tokio::test]
async fn it_is_polled_when_it_is_woken_and_not_when_its_task_is() {
    let (told, polled) = (Notify::new(), Cell::new(0));
    let mut notified = pin!(told.notified());
    let waits = poll_fn(|cx| {
        polled.set(polled.get() + 1);
        notified.as_mut().poll(cx)
    });
    let mut waits = pin!(rarely(waits));
    for _ in 0..3 {
        poll_fn(|cx| {
            assert!(waits.as_mut().poll(cx).is_pending());
            Poll::Ready(())
        })
        .await;
    }
    assert_eq!(polled.get(), 1);
    told.notify_one();
    waits.await;
    assert_eq!(polled.get(), 2);
}
