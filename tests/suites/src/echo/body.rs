//! Bodies of answers: known, repeated, or as they come.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use tokio::sync::mpsc;

/// The length of one piece of a long body.
const PIECE_BYTES: usize = 16 * 1024;

static PIECE: [u8; PIECE_BYTES] = [b'x'; PIECE_BYTES];

/// A body.
#[derive(Debug)]
pub(super) enum Body {
    /// Known as a whole; `None` once it was sent.
    Whole(Option<Bytes>),
    /// So many times `x`.
    Long(u64),
    /// What a task sends; an error ends the connection.
    Frames(mpsc::Receiver<io::Result<Frame<Bytes>>>),
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        match self.get_mut() {
            Self::Whole(bytes) => {
                let bytes = bytes.take().filter(|bytes| !bytes.is_empty());
                Poll::Ready(bytes.map(|bytes| Ok(Frame::data(bytes))))
            }
            Self::Long(0) => Poll::Ready(None),
            Self::Long(left) => {
                let length = usize::try_from(*left).map_or(PIECE_BYTES, |it| it.min(PIECE_BYTES));
                *left -= u64::try_from(length).unwrap_or(0);
                let piece = Bytes::from_static(&PIECE).slice(..length);
                Poll::Ready(Some(Ok(Frame::data(piece))))
            }
            Self::Frames(frames) => frames.poll_recv(context),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Whole(bytes) => bytes.as_ref().is_none_or(Bytes::is_empty),
            Self::Long(left) => *left == 0,
            Self::Frames(_) => false,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(bytes) => {
                let length = bytes.as_ref().map_or(0, Bytes::len);
                SizeHint::with_exact(u64::try_from(length).unwrap_or(u64::MAX))
            }
            Self::Long(left) => SizeHint::with_exact(*left),
            Self::Frames(_) => SizeHint::default(),
        }
    }
}
