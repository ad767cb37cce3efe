//! The body of an answer to a question of our own.
//!
//! In: the backend's body. Out: the same until it ends or its time is over. Never: outlives its place among the backend's
//! requests that are under way.

use std::{
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use tokio::time::{Instant, Sleep};

use crate::{
    body::{Body, BodyError},
    upstream::RequestPermit,
};

/// The time of a question was over before its answer.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("not whole within {} ms", .0.as_millis())]
pub(super) struct Late(Duration);

/// A body with a place and an end.
pub(super) struct Held {
    body: Body,
    _permit: RequestPermit,
    end: Pin<Box<Sleep>>,
    timeout: Duration,
}

impl Held {
    pub(super) fn new(body: Body, permit: RequestPermit, end: Instant, timeout: Duration) -> Self {
        Self {
            body,
            _permit: permit,
            end: Box::pin(tokio::time::sleep_until(end)),
            timeout,
        }
    }
}

impl HttpBody for Held {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let held = self.get_mut();
        if let Poll::Ready(frame) = Pin::new(&mut held.body).poll_frame(cx) {
            return Poll::Ready(frame);
        }
        held.end
            .as_mut()
            .poll(cx)
            .map(|()| Some(Err(BodyError::Filter(Box::new(Late(held.timeout))))))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
