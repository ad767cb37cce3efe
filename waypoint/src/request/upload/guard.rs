//! A request's body, and policies that change while it is on its way.
//!
//! In: what the request was let in on. Out: whether the next frame may go by. Never: lets one by that came after policies have changed
//! and before somebody has looked at the request again.
//!
//! Until an answer begins, the exchange looks, which still has the head; the body waits for it. Afterwards it looks itself, as nobody may
//! ask for the answer for a while.

use std::{
    sync::Arc,
    task::{Context, Poll, Waker},
};

use crate::{
    access::{flip::Lost, grant::Basis},
    session::Session,
};

/// Who looks.
#[derive(Debug)]
pub(super) enum Guard {
    /// The exchange.
    Exchange {
        /// The connection.
        session: Arc<Session>,
        /// How often policies had changed when it looked last.
        seen: u64,
        /// The attempt that waits for it.
        waiting: Option<Waker>,
    },
    /// The body; `None`: it was not let in.
    Body(Option<Basis>),
}

impl Guard {
    /// Whether the next frame may go by.
    pub(super) fn poll(&mut self, cx: &Context<'_>) -> Poll<Result<(), Lost>> {
        match self {
            Self::Exchange {
                session,
                seen,
                waiting,
            } => {
                if session.flips.epoch() == *seen {
                    return Poll::Ready(Ok(()));
                }
                *waiting = Some(cx.waker().clone());
                Poll::Pending
            }
            Self::Body(basis) => Poll::Ready(match basis {
                Some(basis) => basis.look_again(None),
                None => Err(Lost::Unknown),
            }),
        }
    }

    /// The exchange has looked.
    pub(super) fn goes_on(&mut self, now: u64) {
        match self {
            Self::Exchange { seen, waiting, .. } => {
                *seen = now;
                if let Some(waiting) = waiting.take() {
                    waiting.wake();
                }
            }
            Self::Body(_) => {}
        }
    }

    /// An answer has begun.
    pub(super) fn answered(&mut self, basis: Option<Basis>) {
        let before = std::mem::replace(self, Self::Body(basis));
        match before {
            Self::Exchange { waiting, .. } => {
                if let Some(waiting) = waiting {
                    waiting.wake();
                }
            }
            Self::Body(_) => {}
        }
    }
}
