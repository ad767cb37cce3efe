//! A response that must be over in time, whether its client reads or not.
//!
//! In: a [`Download`] and its deadline. Out: the same body, which fails when the time is over; what it holds of the backend
//! is given back then, also where nobody asks for the next frame. Never: outlives its response.
//!
//! Tasks: one per response that has a deadline and does not end with its head. It ends with the body.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Waker},
};

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use parking_lot::Mutex;
use tokio::task::AbortHandle;

use super::Download;
use crate::{
    body::BodyError,
    request::deadline::{Deadline, passed},
};

/// The request took too long, after its answer had begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the response did not end in time")]
pub struct TimedOut;

/// The body of a response that has a deadline. The lock is held while one frame is looked at.
#[derive(Debug)]
pub(super) struct Timed {
    state: Arc<Mutex<State>>,
    timer: AbortHandle,
}

#[derive(Debug)]
struct State {
    download: Download,
    time: Time,
    /// Who waits for the next frame.
    reader: Option<Waker>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Time {
    Left,
    /// It is over, and the reader is to be told.
    Over,
    Told,
}

impl Timed {
    pub(super) fn new(download: Download, deadline: Deadline) -> Self {
        let state = Arc::new(Mutex::new(State {
            download,
            time: Time::Left,
            reader: None,
        }));
        let timed = Arc::downgrade(&state);
        let timer = tokio::spawn(async move {
            passed(&mut Some(deadline)).await;
            let Some(state) = timed.upgrade() else {
                return;
            };
            let mut state = state.lock();
            state.time = Time::Over;
            state.download.expire();
            if let Some(reader) = state.reader.take() {
                reader.wake();
            }
        });
        Self {
            state,
            timer: timer.abort_handle(),
        }
    }
}

impl HttpBody for Timed {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let mut state = self.state.lock();
        match state.time {
            Time::Left => {}
            Time::Over => {
                state.time = Time::Told;
                return Poll::Ready(Some(Err(BodyError::Filter(Box::new(TimedOut)))));
            }
            Time::Told => return Poll::Ready(None),
        }
        let polled = Pin::new(&mut state.download).poll_frame(cx);
        if polled.is_pending() {
            match &mut state.reader {
                Some(reader) => reader.clone_from(cx.waker()),
                None => state.reader = Some(cx.waker().clone()),
            }
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        let state = self.state.lock();
        match state.time {
            Time::Left => state.download.is_end_stream(),
            Time::Over => false,
            Time::Told => true,
        }
    }

    fn size_hint(&self) -> SizeHint {
        let state = self.state.lock();
        match state.time {
            Time::Left => state.download.size_hint(),
            Time::Over | Time::Told => SizeHint::default(),
        }
    }
}

impl Drop for Timed {
    fn drop(&mut self) {
        self.timer.abort();
    }
}
