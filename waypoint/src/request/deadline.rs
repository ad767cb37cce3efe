//! How long a request may take.
//!
//! In: a limit, and the request's body. Out: the moment at which it has taken too long. Never: counts the time in which
//! the client is still sending.
//!
//! Source: Envoy's route timeout, which runs from the end of the request to the end of the response, and its per-try
//! timeout, which begins there too. A stream whose client never ends it has no limit.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::time::Sleep;

use crate::request::upload::Upload;

/// A limit on the time of one request or attempt.
#[derive(Debug)]
pub struct Deadline {
    limit: Duration,
    upload: Upload,
    /// Runs once the request has been read.
    sleep: Option<Pin<Box<Sleep>>>,
}

impl Deadline {
    /// A limit from the end of `upload`.
    #[must_use]
    pub fn new(limit: Duration, upload: Upload) -> Self {
        Self {
            limit,
            upload,
            sleep: None,
        }
    }

    /// Ready when the time is over, and then again and again.
    pub fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let sleep = match &mut self.sleep {
            Some(sleep) => sleep,
            None => {
                ready!(self.upload.poll_ended(cx));
                self.sleep.insert(Box::pin(tokio::time::sleep(self.limit)))
            }
        };
        if sleep.is_elapsed() {
            return Poll::Ready(());
        }
        sleep.as_mut().poll(cx)
    }
}

/// Ready when `deadline` has passed; never, where there is none.
pub async fn passed(deadline: &mut Option<Deadline>) {
    std::future::poll_fn(|cx| match deadline {
        Some(deadline) => deadline.poll(cx),
        None => Poll::Pending,
    })
    .await;
}

#[cfg(test)]
mod tests;
