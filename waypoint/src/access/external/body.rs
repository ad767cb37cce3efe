//! The part of a request's body that an authorizer sees.
//!
//! In: a request whose body is on its way, how much of it is to be seen. Out: a copy of that much; the request with a body
//! that yields everything, in order, trailers included. Never: reads more than it must; holds more than [`MAX_HELD_BYTES`] of all
//! requests.

use std::{
    pin::Pin,
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
    task::{Context, Poll},
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, Request, StatusCode, header::CONTENT_LENGTH};
use http_body::{Body as HttpBody, Frame, SizeHint};
use http_body_util::BodyExt as _;
use mesh::access::external::IncludeBody;
use telemetry::http::Details;

use crate::{
    body::{Body, BodyError},
    http1::Refusal,
    request::reply::Reply,
};

/// What is held of all requests' bodies for authorizers. Reason: clients choose how many requests with the longest bodies wait
/// at once. Units: bytes.
const MAX_HELD_BYTES: usize = 256 * 1024 * 1024;

/// How long a client may take for what an authorizer is to see: what it holds meanwhile, others cannot.
const MAX_TIME: Duration = Duration::from_secs(60);

static HELD: Budget = Budget {
    max: MAX_HELD_BYTES,
    taken: AtomicUsize::new(0),
};

/// What an authorizer sees of a body.
#[derive(Clone, Debug)]
pub(super) struct Sample {
    /// The beginning, or all of it.
    pub(super) bytes: Bytes,
    /// Whether there is more.
    pub(super) is_partial: bool,
}

/// Gathers what an authorizer is to see; `None`: there is no body. Afterwards the body of `request` is whole again.
///
/// # Errors
/// 413 where the body is longer than the authorizer may be sent and must be sent whole; the answer to a client whose body breaks
/// off; 408 where it takes too long; 503 where too many bodies are held.
pub(super) async fn sample(
    request: &mut Request<Body>,
    limits: IncludeBody,
) -> Result<Option<Sample>, Reply> {
    if limits.max_bytes == 0 || request.body().is_end_stream() {
        return Ok(None);
    }
    let max = usize::try_from(limits.max_bytes).unwrap_or(usize::MAX);
    if !limits.allow_partial && declared(request.headers()).is_some_and(|length| length > max) {
        return Err(too_long());
    }
    let mut body = std::mem::take(request.body_mut());
    let mut held = Gathered::new(&HELD);
    let deadline = net::clock::now() + MAX_TIME;
    let mut trailers = None;
    let mut is_whole = false;
    let is_enough = |held: &Gathered| limits.allow_partial && held.bytes >= max;
    while !is_whole && !is_enough(&held) {
        let frame = tokio::time::timeout_at(deadline.into(), body.frame());
        match frame.await.map_err(|_elapsed| too_slow())? {
            None => is_whole = true,
            Some(Ok(frame)) => match frame.into_data() {
                Ok(data) => {
                    held.add(data)?;
                    if held.bytes > max && !limits.allow_partial {
                        return Err(too_long());
                    }
                    is_whole = body.is_end_stream();
                }
                Err(frame) => {
                    // Nothing comes after them.
                    trailers = frame.into_trailers().ok();
                    is_whole = true;
                }
            },
            Some(Err(error)) => return Err(broken(&error)),
        }
    }
    let (data, share) = held.whole();
    let sample = Sample {
        bytes: data.slice(..data.len().min(max)),
        is_partial: data.len() > max || !is_whole,
    };
    *request.body_mut() = Body::boxed(Replayed {
        data: Some(data),
        trailers,
        rest: if is_whole { Body::Empty } else { body },
        share: Some(share),
    });
    Ok(Some(sample))
}

/// The length that a head tells.
fn declared(headers: &HeaderMap) -> Option<usize> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

fn too_slow() -> Reply {
    Reply::new(
        StatusCode::REQUEST_TIMEOUT,
        Details::from("request_body_timeout"),
    )
    .saying("Request Timeout")
}

/// Source: Envoy.
fn too_long() -> Reply {
    Reply::new(
        StatusCode::PAYLOAD_TOO_LARGE,
        Details::REQUEST_PAYLOAD_TOO_LARGE,
    )
    .saying("Payload Too Large")
}

fn broken(error: &BodyError) -> Reply {
    match (Refusal::of(error), error) {
        // What came after the head was no HTTP.
        (Some(refusal), _) => Reply::refused(refusal),
        (None, BodyError::Downstream(_)) => Reply::gone(),
        (None, BodyError::Upstream(_) | BodyError::Filter(_)) => Reply::malformed_body(),
    }
}

/// Bytes that may be held.
#[derive(Debug)]
struct Budget {
    max: usize,
    taken: AtomicUsize,
}

/// What one body has taken of it, until this is dropped.
#[derive(Debug)]
struct Share {
    budget: &'static Budget,
    bytes: usize,
}

impl Share {
    fn take(&mut self, bytes: usize) -> bool {
        let before = self.budget.taken.fetch_add(bytes, Relaxed);
        if before.saturating_add(bytes) > self.budget.max {
            self.budget.taken.fetch_sub(bytes, Relaxed);
            return false;
        }
        self.bytes += bytes;
        true
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.budget.taken.fetch_sub(self.bytes, Relaxed);
    }
}

/// What has come so far.
struct Gathered {
    frames: Vec<Bytes>,
    bytes: usize,
    share: Share,
}

impl Gathered {
    fn new(budget: &'static Budget) -> Self {
        Self {
            frames: Vec::new(),
            bytes: 0,
            share: Share { budget, bytes: 0 },
        }
    }

    fn add(&mut self, data: Bytes) -> Result<(), Reply> {
        // One of no length would cost its handle for nothing.
        if data.is_empty() {
            return Ok(());
        }
        if !self
            .share
            .take(data.len().saturating_add(size_of::<Bytes>()))
        {
            let mut reply = Reply::new(StatusCode::SERVICE_UNAVAILABLE, Details::OVERLOAD);
            reply.overloaded = true;
            return Err(reply);
        }
        self.bytes += data.len();
        self.frames.push(data);
        Ok(())
    }

    /// All of it in one piece.
    fn whole(mut self) -> (Bytes, Share) {
        if self.frames.len() == 1
            && let Some(only) = self.frames.pop()
        {
            return (only, self.share);
        }
        let mut whole = BytesMut::with_capacity(self.bytes);
        for frame in self.frames {
            whole.extend_from_slice(&frame);
        }
        (whole.freeze(), self.share)
    }
}

/// A body of which something was read before: that, and the rest.
struct Replayed {
    data: Option<Bytes>,
    /// Only where there is no rest.
    trailers: Option<HeaderMap>,
    rest: Body,
    share: Option<Share>,
}

impl HttpBody for Replayed {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let body = self.get_mut();
        if let Some(data) = body.data.take().filter(|data| !data.is_empty()) {
            return Poll::Ready(Some(Ok(Frame::data(data))));
        }
        // Whoever has it now answers for it.
        drop(body.share.take());
        if let Some(trailers) = body.trailers.take() {
            return Poll::Ready(Some(Ok(Frame::trailers(trailers))));
        }
        Pin::new(&mut body.rest).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.data.as_ref().is_none_or(Bytes::is_empty)
            && self.trailers.is_none()
            && self.rest.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let data = self.data.as_ref().map_or(0, |data| data.len() as u64);
        let rest = self.rest.size_hint();
        let mut hint = SizeHint::new();
        hint.set_lower(rest.lower().saturating_add(data));
        // A length that is known would be written before the body by HTTP/1.1, and then there is no place for trailers.
        if let Some(upper) = rest.upper().filter(|_| self.trailers.is_none()) {
            hint.set_upper(upper.saturating_add(data));
        }
        hint
    }
}

#[cfg(test)]
mod tests;
