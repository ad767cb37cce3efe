//! The response's body: pieces of messages, then the status.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::HeaderMap;
use hyper::body::{Body, Frame};
use tokio::sync::mpsc;
use tonic::Status;

/// What the stream's task hands over.
#[derive(Debug)]
pub(super) enum Piece {
    /// Bytes of a message.
    Data(Bytes),
    /// The end, and why.
    End(Status),
}

/// The task went without a word: the client is reset.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the stream was cut")]
pub(super) struct Cut;

/// The body. Ends when the task says so.
#[derive(Debug)]
pub(super) struct Pieces {
    pieces: mpsc::Receiver<Piece>,
    ended: bool,
}

impl Pieces {
    pub(super) fn new(pieces: mpsc::Receiver<Piece>) -> Self {
        Self {
            pieces,
            ended: false,
        }
    }
}

impl Body for Pieces {
    type Data = Bytes;
    type Error = Cut;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Cut>>> {
        if self.ended {
            return Poll::Ready(None);
        }
        self.pieces.poll_recv(context).map(|piece| match piece {
            Some(Piece::Data(bytes)) => Some(Ok(Frame::data(bytes))),
            Some(Piece::End(status)) => {
                self.ended = true;
                let mut trailers = HeaderMap::new();
                // It only fails for a message that no header can hold; ours are plain text.
                drop(status.add_header(&mut trailers));
                Some(Ok(Frame::trailers(trailers)))
            }
            None => {
                self.ended = true;
                Some(Err(Cut))
            }
        })
    }

    fn is_end_stream(&self) -> bool {
        self.ended
    }
}
