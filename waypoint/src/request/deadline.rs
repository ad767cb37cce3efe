//! How long a request may take.
//!
//! In: a limit, and the request's body. Out: the moment at which it has taken too long. Never: counts the time in which
//! the client is still sending.
//!
//! Source: Envoy's route timeout, which runs from the end of the request to the end of the response, and its per-try
//! timeout, which begins there too. A stream whose client never ends it has no limit.
//!
//! Envoy reads a request before it has a connection for it, and here nobody does. So that a request which nobody takes waits
//! no longer than its limit, time in which nobody reads its body counts as well: in the queue for a connection, while it
//! is dialled, between tries, and while a backend stands still.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::time::{Instant, Sleep};

use crate::request::upload::Upload;

/// A limit on the time of one request or attempt.
#[derive(Debug)]
pub struct Deadline {
    limit: Duration,
    upload: Upload,
    began: Instant,
    /// For how long the body had been on its way then.
    before: Duration,
    sleep: Pin<Box<Sleep>>,
    is_over: bool,
}

impl Deadline {
    /// A limit from now on, but for the time in which `upload` is on its way.
    #[must_use]
    pub fn new(limit: Duration, upload: Upload) -> Self {
        Self {
            limit,
            before: upload.on_its_way(),
            upload,
            began: Instant::now(),
            sleep: Box::pin(tokio::time::sleep(limit)),
            is_over: false,
        }
    }

    /// Ready when the time is over, and then again and again.
    pub fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        while !self.is_over {
            if !self.sleep.is_elapsed() {
                ready!(self.sleep.as_mut().poll(cx));
            }
            let spared = self.upload.on_its_way().saturating_sub(self.before);
            // Moments beyond what the clock can say do not come.
            let due = self
                .began
                .checked_add(self.limit.saturating_add(spared))
                .unwrap_or_else(|| self.sleep.deadline());
            if due <= Instant::now() {
                self.is_over = true;
            } else {
                self.sleep.as_mut().reset(due);
            }
        }
        Poll::Ready(())
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
