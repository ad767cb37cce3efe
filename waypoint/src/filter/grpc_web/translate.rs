//! The bodies of gRPC-Web, one frame at a time.
//!
//! In: frames of one side. Out: frames for the other. Never: holds a frame back.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body as HttpBody, Frame};

use crate::{
    body::{Body, BodyError},
    filter::base64::{Decoder, Encoder, NotBase64},
};

/// The flag of a message that holds trailers.
const TRAILERS: u8 = 0x80;

/// A request's body: base64 becomes bytes.
#[derive(Debug)]
pub(super) struct Decode {
    inner: Body,
    decoder: Decoder,
    finished: bool,
}

impl Decode {
    pub(super) fn new(inner: Body) -> Self {
        Self {
            inner,
            decoder: Decoder::default(),
            finished: false,
        }
    }
}

fn not_base64() -> BodyError {
    BodyError::Filter(Box::new(NotBase64))
}

impl HttpBody for Decode {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = &mut *self;
        while !this.finished {
            let Some(frame) = ready!(Pin::new(&mut this.inner).poll_frame(cx)?) else {
                this.finished = true;
                let whole = this.decoder.is_complete();
                return Poll::Ready((!whole).then(|| Err(not_base64())));
            };
            // Browsers send no trailers, and gRPC knows none of a client.
            let Ok(data) = frame.into_data() else {
                continue;
            };
            let mut out = Vec::with_capacity(data.len() / 4 * 3 + 3);
            if this.decoder.push(&data, &mut out).is_err() {
                this.finished = true;
                return Poll::Ready(Some(Err(not_base64())));
            }
            if !out.is_empty() {
                return Poll::Ready(Some(Ok(Frame::data(out.into()))));
            }
        }
        Poll::Ready(None)
    }

    fn is_end_stream(&self) -> bool {
        self.finished || (self.inner.is_end_stream() && self.decoder.is_complete())
    }
}

/// An answer's body: trailers become its last message; all of it becomes base64 where that is asked for.
#[derive(Debug)]
pub(super) struct Encode {
    inner: Body,
    text: Option<Encoder>,
    finished: bool,
}

impl Encode {
    pub(super) fn new(inner: Body, text: bool) -> Self {
        Self {
            inner,
            text: text.then(Encoder::default),
            finished: false,
        }
    }

    fn code(&mut self, data: Bytes) -> Bytes {
        let Some(encoder) = &mut self.text else {
            return data;
        };
        let mut out = Vec::with_capacity(data.len() / 3 * 4 + 4);
        encoder.push(&data, &mut out);
        encoder.flush(&mut out);
        out.into()
    }
}

impl HttpBody for Encode {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = &mut *self;
        if this.finished {
            return Poll::Ready(None);
        }
        let Some(frame) = ready!(Pin::new(&mut this.inner).poll_frame(cx)?) else {
            this.finished = true;
            return Poll::Ready(None);
        };
        let data = match frame.into_data() {
            Ok(data) => data,
            Err(frame) => {
                this.finished = true;
                match frame.into_trailers() {
                    Ok(trailers) => message(&trailers),
                    Err(_) => return Poll::Ready(None),
                }
            }
        };
        Poll::Ready(Some(Ok(Frame::data(this.code(data)))))
    }

    fn is_end_stream(&self) -> bool {
        self.finished || self.inner.is_end_stream()
    }
}

/// Trailers as a message: a flag, a length, and lines as HTTP/1.1 writes them.
fn message(trailers: &HeaderMap) -> Bytes {
    let mut out = vec![TRAILERS, 0, 0, 0, 0];
    for (name, value) in trailers {
        out.extend_from_slice(name.as_str().as_bytes());
        out.push(b':');
        out.extend_from_slice(value.as_bytes());
        out.extend_from_slice(b"\r\n");
    }
    // A header block is bounded far below that.
    let length = u32::try_from(out.len() - 5).unwrap_or(u32::MAX);
    if let Some(place) = out.get_mut(1..5) {
        place.copy_from_slice(&length.to_be_bytes());
    }
    out.into()
}
