//! The one type of body, both ways: it streams, and nothing gathers it.
//!
//! In: what hyper, a backend or a filter yields. Out: frames, in order, as they come.
//! Never: holds more than the frame that is passed on.

use std::{
    error::Error as StdError,
    fmt,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use hyper::body::Incoming;

use crate::upstream::{SendError, UpstreamBody};

/// A body that is made elsewhere, for what the variants of [`Body`] do not cover.
pub type BoxedBody = Pin<Box<dyn HttpBody<Data = Bytes, Error = BodyError> + Send>>;

/// A request's or a response's body. **Shape:** frames of data, then trailers at most once.
#[derive(Default)]
pub enum Body {
    /// None.
    #[default]
    Empty,
    /// All of it at once; it is empty afterwards.
    Full(Bytes),
    /// What a client of ours sends.
    Incoming(Incoming),
    /// What an endpoint answers. It counts as under way until it ends or is dropped.
    Upstream(UpstreamBody),
    /// Anything else.
    Boxed(BoxedBody),
}

/// Why a body did not come to its end.
#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    /// The client did not send it to its end.
    #[error("the client's message broke off")]
    Downstream(#[source] hyper::Error),
    /// The endpoint did not send it to its end.
    #[error("the endpoint's message broke off")]
    Upstream(#[source] Box<SendError>),
    /// A filter did not let it through.
    #[error("the message was not let through")]
    Filter(#[source] Box<dyn StdError + Send + Sync>),
}

impl Body {
    /// A body that is made elsewhere.
    pub fn boxed(body: impl HttpBody<Data = Bytes, Error = BodyError> + Send + 'static) -> Self {
        Self::Boxed(Box::pin(body))
    }
}

impl HttpBody for Body {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let body = self.get_mut();
        match body {
            Self::Empty => Poll::Ready(None),
            Self::Full(bytes) => {
                let bytes = std::mem::take(bytes);
                *body = Self::Empty;
                Poll::Ready((!bytes.is_empty()).then(|| Ok(Frame::data(bytes))))
            }
            Self::Incoming(body) => Pin::new(body).poll_frame(cx).map_err(BodyError::Downstream),
            Self::Upstream(body) => Pin::new(body).poll_frame(cx),
            Self::Boxed(body) => body.as_mut().poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Empty => true,
            Self::Full(bytes) => bytes.is_empty(),
            Self::Incoming(body) => body.is_end_stream(),
            Self::Upstream(body) => body.is_end_stream(),
            Self::Boxed(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Empty => SizeHint::with_exact(0),
            Self::Full(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Self::Incoming(body) => body.size_hint(),
            Self::Upstream(body) => body.size_hint(),
            Self::Boxed(body) => body.size_hint(),
        }
    }
}

impl From<Incoming> for Body {
    fn from(body: Incoming) -> Self {
        Self::Incoming(body)
    }
}

impl From<Bytes> for Body {
    fn from(bytes: Bytes) -> Self {
        Self::Full(bytes)
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("Empty"),
            Self::Full(bytes) => f.debug_tuple("Full").field(&bytes.len()).finish(),
            Self::Incoming(body) => f.debug_tuple("Incoming").field(body).finish(),
            Self::Upstream(body) => f.debug_tuple("Upstream").field(body).finish(),
            Self::Boxed(_) => f.debug_struct("Boxed").finish_non_exhaustive(),
        }
    }
}
