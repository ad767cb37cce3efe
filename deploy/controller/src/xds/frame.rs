//! Requests as they come in: gRPC's length-prefixed messages out of an HTTP/2 body.
//!
//! In: a body. Out: `DeltaDiscoveryRequest`s, one at a time. Never: buffers more than a message may have; large ones
//! are few at a time over all streams.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use bytes::{Buf as _, Bytes, BytesMut};
use http_body_util::BodyExt as _;
use hyper::body::Body;
use prost::Message as _;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use wire::proto::discovery::DeltaDiscoveryRequest;

/// The largest request: names and versions of 200,000 resources that a client has when it comes back.
pub(crate) const MAX_REQUEST: usize = 32 * 1024 * 1024;
/// What is read without asking: subscriptions and acknowledgements are far smaller.
pub(super) const MAX_SMALL_REQUEST: usize = 64 * 1024;
/// Larger requests that are read or answered at a time, over all streams.
pub(super) const MAX_LARGE_REQUESTS: usize = 4;
/// How long a request may take from its first to its last byte, once it is its turn.
const READ_DEADLINE: Duration = Duration::from_secs(30);

/// How long it may have to wait for its turn, which is others' doing: after a restart, all clients come back.
const TURN_DEADLINE: Duration = Duration::from_secs(600);

/// Why there is no further request.
#[derive(Debug, thiserror::Error)]
pub(super) enum FrameError {
    /// The transport failed, or the peer reset the stream.
    #[error("the request stream broke: {0}")]
    Broken(String),
    /// It ended in the middle of a message.
    #[error("the request stream ended inside a message, after {found} bytes")]
    Truncated {
        /// What there was of it.
        found: usize,
    },
    /// The message is compressed, which was never offered.
    #[error("a request has the flags {flags:#04x}, expected 0 (not compressed)")]
    Flags {
        /// The first byte.
        flags: u8,
    },
    /// The message is too large.
    #[error("a request has {length} bytes, at most {MAX_REQUEST} are allowed")]
    Large {
        /// Its length as announced.
        length: usize,
    },
    /// It came too slowly.
    #[error("a request of {length} bytes did not arrive within {} s", READ_DEADLINE.as_secs())]
    Slow {
        /// Its length as announced.
        length: usize,
    },
    /// It was not its turn for too long.
    #[error("a request of {length} bytes did not get its turn within {} s", TURN_DEADLINE.as_secs())]
    Busy {
        /// Its length as announced.
        length: usize,
    },
    /// It is not what it should be.
    #[error("a request is no DeltaDiscoveryRequest: {0}")]
    Malformed(#[from] prost::DecodeError),
}

/// One request. A large one keeps others waiting until it is dropped.
#[derive(Debug)]
pub(super) struct Received {
    pub(super) request: DeltaDiscoveryRequest,
    pub(super) turn: Option<OwnedSemaphorePermit>,
}

/// The requests of one stream.
#[derive(Debug)]
pub(super) struct Requests<B> {
    body: B,
    buffer: BytesMut,
    large: Arc<Semaphore>,
    reading: Arc<AtomicBool>,
}

impl<B: Body<Data = Bytes> + Unpin> Requests<B>
where
    B::Error: std::fmt::Display,
{
    pub(super) fn new(body: B, large: Arc<Semaphore>) -> Self {
        Self {
            body,
            buffer: BytesMut::new(),
            large,
            reading: Arc::default(),
        }
    }

    /// Whether a request has begun to come and is not wholly read: it has deadlines of its own. **Shape**: kept up to date while the
    /// next request is waited for.
    pub(super) fn reading(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.reading)
    }

    /// Reads until there are `length` bytes; `false` if the body ends before.
    async fn fill(&mut self, length: usize) -> Result<bool, FrameError> {
        while self.buffer.len() < length {
            match self.body.frame().await {
                None => return Ok(false),
                Some(Err(error)) => return Err(FrameError::Broken(error.to_string())),
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        self.buffer.extend_from_slice(&data);
                    }
                }
            }
        }
        Ok(true)
    }

    /// The next request; `None` if the client has ended its side. Not cancel-safe for a large one's turn.
    pub(super) async fn next(&mut self) -> Result<Option<Received>, FrameError> {
        if !self.fill(1).await? {
            return Ok(None);
        }
        self.reading.store(true, Ordering::Relaxed);
        let length = match tokio::time::timeout(READ_DEADLINE, self.head()).await {
            Ok(head) => head?,
            Err(_) => return Err(FrameError::Slow { length: 5 }),
        };
        let turn = self.turn(length).await?;
        match tokio::time::timeout(READ_DEADLINE, self.fill(length)).await {
            Ok(filled) => {
                if !filled? {
                    let found = self.buffer.len();
                    return Err(FrameError::Truncated { found });
                }
            }
            Err(_) => return Err(FrameError::Slow { length }),
        }
        let bytes = self.buffer.split_to(length).freeze();
        let request = if turn.is_none() {
            DeltaDiscoveryRequest::decode(bytes)?
        } else {
            // A large request's memory is given back, not kept for the small ones that follow.
            self.buffer = BytesMut::from(&self.buffer[..]);
            // It takes a while, and other streams of this thread do not wait for it.
            tokio::task::spawn_blocking(|| DeltaDiscoveryRequest::decode(bytes))
                .await
                .map_err(|error| FrameError::Broken(error.to_string()))??
        };
        self.reading.store(false, Ordering::Relaxed);
        Ok(Some(Received { request, turn }))
    }

    /// The head of a message: its length.
    async fn head(&mut self) -> Result<usize, FrameError> {
        if !self.fill(5).await? {
            let found = self.buffer.len();
            return Err(FrameError::Truncated { found });
        }
        let flags = self.buffer.get_u8();
        let length = self.buffer.get_u32() as usize;
        if flags != 0 {
            return Err(FrameError::Flags { flags });
        }
        if length > MAX_REQUEST {
            return Err(FrameError::Large { length });
        }
        Ok(length)
    }

    /// Leave to read a message, if it needs one.
    async fn turn(&mut self, length: usize) -> Result<Option<OwnedSemaphorePermit>, FrameError> {
        if length <= MAX_SMALL_REQUEST {
            return Ok(None);
        }
        let turn = Arc::clone(&self.large).acquire_owned();
        match tokio::time::timeout(TURN_DEADLINE, turn).await {
            Ok(turn) => Ok(turn.ok()),
            Err(_) => Err(FrameError::Busy { length }),
        }
    }
}

#[cfg(test)]
mod tests;
