//! The part of a request's body that authorizers see.
//!
//! In: a request whose body is on its way, how much of it is to be seen. Out: a copy of that much; the request with a body
//! that yields everything, in order, trailers included. Never: reads more than it must; holds more than [`MAX_HELD_BYTES`] of all
//! requests.
//!
//! **What is counted** is what is there: the room that was made for a body while it is gathered, then its bytes, until the last who holds them has let
//! go (the request, a question, what sends them on), and each copy that a question is made of. Several authorizers of one request look at the same bytes.

use std::{
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode, header::CONTENT_LENGTH};
use http_body::{Body as HttpBody, Frame, SizeHint};
use http_body_util::BodyExt as _;
use mesh::access::external::IncludeBody;
use telemetry::http::Details;

use super::held::{Budget, Gathered, Share};
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

static HELD: Budget = Budget::new(MAX_HELD_BYTES);

/// What an authorizer sees of a body.
#[derive(Clone, Debug)]
pub(super) struct Sample {
    /// The beginning, or all of it.
    pub(super) bytes: Bytes,
    /// Whether there is more.
    pub(super) is_partial: bool,
    budget: &'static Budget,
}

impl Sample {
    fn of(held: &Beginning, budget: &'static Budget, max: usize) -> Self {
        Self {
            bytes: held.bytes.slice(..held.bytes.len().min(max)),
            is_partial: held.bytes.len() > max || !held.is_whole,
            budget,
        }
    }

    /// Counts copies of it, for as long as what is returned lives.
    ///
    /// # Errors
    /// 503 where too much is held.
    pub(super) fn copied(&self, times: usize) -> Result<Share, Reply> {
        let mut share = Share::of(self.budget);
        share.take(self.bytes.len().saturating_mul(times))?;
        Ok(share)
    }

    /// One that nobody has gathered.
    #[cfg(test)]
    pub(super) fn made(bytes: Bytes, is_partial: bool) -> Self {
        Self {
            bytes,
            is_partial,
            budget: &HELD,
        }
    }
}

/// What was gathered of one request's body so far, for the authorizers that are still to be asked.
#[derive(Debug, Default)]
pub(super) struct Held(Option<Beginning>);

#[derive(Debug)]
struct Beginning {
    bytes: Bytes,
    is_whole: bool,
}

/// Gathers what an authorizer is to see; `None`: there is no body. Afterwards the body of `request` is whole again. `held` is what was gathered
/// for another one before.
///
/// # Errors
/// 413 where the body is longer than the authorizer may be sent and must be sent whole; the answer to a client whose body breaks
/// off; 408 where it takes too long; 503 where too many bodies are held.
pub(super) async fn sample(
    request: &mut Request<Body>,
    limits: IncludeBody,
    held: &mut Held,
) -> Result<Option<Sample>, Reply> {
    sample_within(&HELD, request, limits, held).await
}

async fn sample_within(
    budget: &'static Budget,
    request: &mut Request<Body>,
    limits: IncludeBody,
    held: &mut Held,
) -> Result<Option<Sample>, Reply> {
    if limits.max_bytes == 0 || (held.0.is_none() && request.body().is_end_stream()) {
        return Ok(None);
    }
    let max = usize::try_from(limits.max_bytes).unwrap_or(usize::MAX);
    if !limits.allow_partial && declared(request.headers()).is_some_and(|length| length > max) {
        return Err(too_long());
    }
    if let Some(before) = &held.0 {
        if !limits.allow_partial && before.bytes.len() > max {
            return Err(too_long());
        }
        if before.is_whole || (limits.allow_partial && before.bytes.len() >= max) {
            return Ok(Some(Sample::of(before, budget, max)));
        }
    }
    // It begins with what was held before.
    let mut body = std::mem::take(request.body_mut());
    let mut gathered = Gathered::new(budget);
    let deadline = net::clock::now() + MAX_TIME;
    let mut trailers = None;
    let mut is_whole = false;
    let is_enough = |gathered: &Gathered| limits.allow_partial && gathered.bytes.len() >= max;
    while !is_whole && !is_enough(&gathered) {
        let frame = tokio::time::timeout_at(deadline.into(), body.frame());
        match frame.await.map_err(|_elapsed| too_slow())? {
            None => is_whole = true,
            Some(Ok(frame)) => match frame.into_data() {
                Ok(data) => {
                    gathered.add(&data)?;
                    if gathered.bytes.len() > max && !limits.allow_partial {
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
    let bytes = gathered.whole();
    *request.body_mut() = Body::boxed(Replayed {
        data: Some(bytes.clone()),
        trailers,
        rest: if is_whole { Body::Empty } else { body },
    });
    let now = held.0.insert(Beginning { bytes, is_whole });
    Ok(Some(Sample::of(now, budget, max)))
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

/// A body of which something was read before: that, and the rest.
struct Replayed {
    data: Option<Bytes>,
    /// Only where there is no rest.
    trailers: Option<HeaderMap>,
    rest: Body,
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
