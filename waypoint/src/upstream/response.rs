//! The body of an endpoint's answer, which holds what the exchange occupies.
//!
//! In: what the endpoint sends. Out: frames, and at the end the connection goes back to its pool.
//! Never: holds a frame back; keeps a connection whose answer was not read to its end.

use std::{
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use h2::RecvStream;
use http::{HeaderMap, StatusCode, header, response};
use http_body::{Body as HttpBody, Frame, SizeHint};
use hyper::body::Incoming;

use crate::{
    body::BodyError,
    upstream::{cluster::Pick, http1, http2, pool::HostPool},
};

/// An endpoint's body. The exchange counts as under way until it has ended or is dropped.
pub struct UpstreamBody {
    frames: Frames,
    held: Option<Held>,
}

enum Frames {
    Http1(Incoming),
    Http2(Http2Frames),
}

struct Http2Frames {
    stream: RecvStream,
    /// What is left by `content-length`; `None`: it was not said. Units: bytes.
    left: Option<u64>,
    is_data_ended: bool,
    is_ended: bool,
}

/// What an exchange occupies.
#[derive(Debug)]
struct Held {
    pick: Pick,
    carrier: Carrier,
}

#[derive(Debug)]
enum Carrier {
    Http1 {
        idle: http1::Idle,
        pool: Arc<HostPool>,
        /// How many requests the connection may carry.
        requests: Option<u32>,
    },
    Http2 {
        _stream: http2::Stream,
    },
}

impl UpstreamBody {
    pub(super) fn http1(
        head: &response::Parts,
        body: Incoming,
        pick: Pick,
        idle: http1::Idle,
        pool: Arc<HostPool>,
        requests: Option<u32>,
    ) -> Self {
        let is_upgrade = head.status == StatusCode::SWITCHING_PROTOCOLS;
        let carrier = Carrier::Http1 {
            idle,
            pool,
            // The connection is something else from here on.
            requests: if is_upgrade { Some(0) } else { requests },
        };
        Self::new(Frames::Http1(body), pick, carrier, is_upgrade)
    }

    pub(super) fn http2(
        head: &response::Parts,
        stream: RecvStream,
        pick: Pick,
        carrier: http2::Stream,
    ) -> Self {
        let frames = Http2Frames {
            is_ended: stream.is_end_stream(),
            is_data_ended: false,
            left: content_length(&head.headers),
            stream,
        };
        let carrier = Carrier::Http2 { _stream: carrier };
        Self::new(Frames::Http2(frames), pick, carrier, false)
    }

    fn new(frames: Frames, pick: Pick, carrier: Carrier, is_upgrade: bool) -> Self {
        let mut body = Self {
            frames,
            held: Some(Held { pick, carrier }),
        };
        if body.frames.is_ended() && !is_upgrade {
            body.finish();
        }
        body
    }

    /// The exchange is over.
    fn finish(&mut self) {
        if let Some(held) = self.held.take() {
            held.finish();
        }
    }

    /// The exchange has failed: counts it and keeps nothing.
    fn fail(&mut self, error: FrameError) -> BodyError {
        let Some(Held { pick, carrier }) = self.held.take() else {
            return error.alone();
        };
        let address = pick.host().address();
        let error = match (error, &carrier) {
            (FrameError::Http1(error), Carrier::Http1 { idle, .. }) => {
                http1::late_fault(address, error, idle)
            }
            (FrameError::Http2(error), _) => http2::fault(address, error, true),
            (error, _) => return error.alone(),
        };
        if error.is_upstream() {
            pick.failed();
        }
        BodyError::Upstream(Box::new(error))
    }
}

enum FrameError {
    Http1(hyper::Error),
    Http2(h2::Error),
}

impl FrameError {
    /// It comes from a body that had ended, which neither engine does.
    fn alone(self) -> BodyError {
        match self {
            Self::Http1(error) => BodyError::Filter(Box::new(error)),
            Self::Http2(error) => BodyError::Filter(Box::new(error)),
        }
    }
}

impl Held {
    fn finish(self) {
        match self.carrier {
            Carrier::Http1 {
                idle,
                pool,
                requests,
            } => {
                if idle.is_fit(requests) {
                    pool.put(idle.rested());
                }
            }
            Carrier::Http2 { .. } => {}
        }
    }
}

impl Drop for UpstreamBody {
    fn drop(&mut self) {
        // A reader that knows the length does not ask for the end.
        if self.frames.is_ended() {
            self.finish();
        }
    }
}

impl Frames {
    fn is_ended(&self) -> bool {
        match self {
            Self::Http1(body) => body.is_end_stream(),
            Self::Http2(frames) => frames.is_ended || frames.stream.is_end_stream(),
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, FrameError>>> {
        match self {
            Self::Http1(body) => Pin::new(body).poll_frame(cx).map_err(FrameError::Http1),
            Self::Http2(frames) => frames.poll(cx).map_err(FrameError::Http2),
        }
    }
}

impl Http2Frames {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, h2::Error>>> {
        if self.is_ended {
            return Poll::Ready(None);
        }
        if !self.is_data_ended {
            match ready!(self.stream.poll_data(cx)) {
                Some(Ok(bytes)) => {
                    // It fails only when the stream is gone, and then nobody waits for the window.
                    drop(self.stream.flow_control().release_capacity(bytes.len()));
                    self.left = self
                        .left
                        .map(|left| left.saturating_sub(bytes.len() as u64));
                    return Poll::Ready(Some(Ok(Frame::data(bytes))));
                }
                Some(Err(error)) => {
                    self.is_ended = true;
                    return Poll::Ready(Some(Err(error)));
                }
                None => self.is_data_ended = true,
            }
        }
        let trailers = ready!(self.stream.poll_trailers(cx));
        self.is_ended = true;
        Poll::Ready(match trailers {
            Ok(trailers) => trailers.map(|trailers| Ok(Frame::trailers(trailers))),
            Err(error) => Some(Err(error)),
        })
    }
}

impl HttpBody for UpstreamBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let body = self.get_mut();
        let frame = ready!(body.frames.poll(cx));
        Poll::Ready(match frame {
            Some(Ok(frame)) => {
                if frame.is_trailers() {
                    body.finish();
                }
                Some(Ok(frame))
            }
            Some(Err(error)) => Some(Err(body.fail(error))),
            None => {
                body.finish();
                None
            }
        })
    }

    fn is_end_stream(&self) -> bool {
        self.frames.is_ended()
    }

    fn size_hint(&self) -> SizeHint {
        match &self.frames {
            Frames::Http1(body) => body.size_hint(),
            Frames::Http2(_) if self.frames.is_ended() => SizeHint::with_exact(0),
            Frames::Http2(frames) => frames.left.map_or_else(SizeHint::new, SizeHint::with_exact),
        }
    }
}

impl fmt::Debug for UpstreamBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UpstreamBody")
            .field("is_ended", &self.frames.is_ended())
            .field("held", &self.held)
            .finish_non_exhaustive()
    }
}

/// The length that a head tells; `None` where it tells none, or several.
fn content_length(headers: &HeaderMap) -> Option<u64> {
    let mut values = headers.get_all(header::CONTENT_LENGTH).iter();
    let value = values.next()?.to_str().ok()?.parse().ok()?;
    values.next().is_none().then_some(value)
}
