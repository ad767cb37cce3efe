//! A request's body on its way to an endpoint that speaks HTTP/2.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use h2::{Reason, SendStream};
use http_body::Body as _;

use crate::body::{Body, BodyError};

/// What the first frame of a body may have to go without waiting for room: h2 gives a stream none before its head has left, so a
/// short body would leave by itself, one turn of the connection later. The peer's windows are kept to by h2. Units: bytes.
const MAX_FIRST_BYTES: usize = 16 * 1024;

/// A request's body on its way.
pub(super) struct Upload {
    pub(super) body: Body,
    stream: SendStream<Bytes>,
    /// What was read and has no room in the window yet.
    pending: Option<Bytes>,
    /// Nothing was handed to h2.
    is_first: bool,
    /// Nothing was asked of the body.
    pub(super) is_whole: bool,
    pub(super) is_done: bool,
}

impl Upload {
    /// A body of which nothing was sent; `is_empty`: the head has ended the request already.
    pub(super) fn new(body: Body, stream: SendStream<Bytes>, is_empty: bool) -> Self {
        Self {
            body,
            stream,
            pending: None,
            is_first: true,
            is_whole: true,
            is_done: is_empty,
        }
    }

    /// Ready when all is sent, or the endpoint wants no more.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BodyError>> {
        while !self.is_done {
            if let Some(bytes) = &mut self.pending {
                let is_ahead = std::mem::take(&mut self.is_first) && bytes.len() <= MAX_FIRST_BYTES;
                if !is_ahead && self.stream.capacity() == 0 {
                    self.stream.reserve_capacity(bytes.len());
                    match ready!(self.stream.poll_capacity(cx)) {
                        Some(Ok(_)) => {}
                        // The response tells what happened.
                        Some(Err(_)) | None => {
                            self.is_done = true;
                            break;
                        }
                    }
                }
                let room = if is_ahead {
                    bytes.len()
                } else {
                    self.stream.capacity().min(bytes.len())
                };
                if room > 0 {
                    let part = bytes.split_to(room);
                    let is_last = bytes.is_empty() && self.body.is_end_stream();
                    if bytes.is_empty() {
                        self.pending = None;
                    }
                    self.is_done = self.stream.send_data(part, is_last).is_err() || is_last;
                }
                continue;
            }
            if let Poll::Ready(_reset) = self.stream.poll_reset(cx) {
                self.is_done = true;
                break;
            }
            let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
            self.is_whole = false;
            match frame {
                Some(Ok(frame)) => match frame.into_data() {
                    // An empty frame counts as an attack with some.
                    Ok(bytes) if bytes.is_empty() => {}
                    Ok(bytes) => self.pending = Some(bytes),
                    Err(frame) => {
                        if let Ok(trailers) = frame.into_trailers() {
                            drop(self.stream.send_trailers(trailers));
                            self.is_done = true;
                        }
                    }
                },
                Some(Err(error)) => {
                    self.stream.send_reset(Reason::CANCEL);
                    self.is_done = true;
                    return Poll::Ready(Err(error));
                }
                None => {
                    drop(self.stream.send_data(Bytes::new(), true));
                    self.is_done = true;
                }
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Sends the rest.
    pub(super) async fn finish(mut self) {
        if let Err(error) = std::future::poll_fn(|cx| self.poll(cx)).await {
            tracing::debug!(%error, "request broke off");
        }
    }
}
