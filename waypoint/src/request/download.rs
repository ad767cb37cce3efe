//! A response on its way to the client.
//!
//! In: the body of an answer. Out: the same body, counted, until its end, its failure, its deadline, or until the client
//! has gone. Never: holds a frame.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use telemetry::http::{Details, ResponseFlag};

use crate::{
    body::{Body, BodyError},
    request::{account::Account, deadline::Deadline},
};

mod timed;

use timed::Timed;
pub use timed::TimedOut;

/// The body of a response and what is to be told of it.
#[derive(Debug)]
pub struct Download {
    inner: Body,
    account: Option<Box<Account>>,
    /// What is to come, where its length is known. Units: bytes.
    left: Option<u64>,
    /// Whether policies are to let it go on.
    is_watched: bool,
}

impl Download {
    /// Tells `account` when `inner` has ended, which is at once where it `is_watched` and policies do not let it go on any more. A body that is over
    /// at once needs nothing of this.
    #[must_use]
    pub fn body(
        inner: Body,
        account: Box<Account>,
        deadline: Option<Deadline>,
        is_watched: bool,
    ) -> Body {
        if inner.is_end_stream() {
            account.finish();
            return inner;
        }
        let download = Self {
            left: inner.size_hint().exact(),
            inner,
            account: Some(account),
            is_watched,
        };
        match deadline {
            Some(deadline) => Body::boxed(Timed::new(download, deadline)),
            None => Body::boxed(download),
        }
    }

    /// It has taken too long: nothing is held for it any more.
    fn expire(&mut self) {
        self.inner = Body::Empty;
        self.fail(
            Some(ResponseFlag::UpstreamRequestTimeout),
            Details::RESPONSE_TIMEOUT,
        );
    }

    /// Looks again, if policies have changed. What is held of the backend is given back where they do not let it go on.
    fn look_again(&mut self) -> Result<(), BodyError> {
        // Without an account nothing is to come any more.
        let Some(account) = self.account.as_mut().filter(|_| self.is_watched) else {
            return Ok(());
        };
        let Err(lost) = account.look_again(None) else {
            return Ok(());
        };
        self.inner = Body::Empty;
        self.fail(None, lost.details());
        Err(BodyError::Filter(Box::new(lost)))
    }

    fn finish(&mut self) {
        if let Some(account) = self.account.take() {
            account.finish();
        }
    }

    fn fail(&mut self, flag: Option<ResponseFlag>, details: Details) {
        if let Some(mut account) = self.account.take() {
            if let Some(flag) = flag {
                account.flag(flag);
            }
            account.because(details);
            account.finish();
        }
    }
}

impl HttpBody for Download {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = &mut *self;
        let polled = loop {
            if let Err(lost) = this.look_again() {
                return Poll::Ready(Some(Err(lost)));
            }
            let polled = Pin::new(&mut this.inner).poll_frame(cx);
            let changed = polled.is_pending()
                && this.is_watched
                && this
                    .account
                    .as_mut()
                    .is_some_and(|account| account.poll_changed(cx).is_ready());
            if !changed {
                break polled;
            }
        };
        match &polled {
            Poll::Ready(Some(Ok(frame))) => {
                if let Some(account) = &mut this.account {
                    if let Some(data) = frame.data_ref() {
                        account.sends(data);
                        this.left = this.left.map(|left| left.saturating_sub(data.len() as u64));
                    } else if let Some(trailers) = frame.trailers_ref() {
                        account.trails(trailers);
                        this.finish();
                    }
                }
            }
            Poll::Ready(Some(Err(error))) => {
                let (flag, details) = what_befell(error);
                this.fail(flag, details);
            }
            Poll::Ready(None) => this.finish(),
            Poll::Pending => {}
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

fn what_befell(error: &BodyError) -> (Option<ResponseFlag>, Details) {
    match error {
        BodyError::Upstream(error) => {
            let reset = error.reset();
            (Some(reset.flag()), reset.details_after_start().into())
        }
        BodyError::Downstream(_) => (
            Some(ResponseFlag::DownstreamConnectionTermination),
            Details::DOWNSTREAM_REMOTE_DISCONNECT,
        ),
        BodyError::Filter(_) => (Some(ResponseFlag::LocalReset), Details::LATE_RESET),
    }
}

impl Drop for Download {
    /// An engine does not ask again for what it knows to have ended.
    fn drop(&mut self) {
        if let Some(account) = self.account.take() {
            if self.left == Some(0) || self.inner.is_end_stream() {
                account.finish();
            } else {
                account.abandoned();
            }
        }
    }
}
