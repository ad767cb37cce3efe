//! A request, and policies that change while it is open.
//!
//! In: what it was let in on. Out: whether it may go on; a copy of all that for whoever carries a part of it away. Never: yes for a request that
//! was not let in; a copy for the request itself: what policies saw of it stands in its account, and is kept apart only where a rule
//! changes it.

use std::{
    future::poll_fn,
    task::{Context, Poll},
};

use http::HeaderMap;

use super::Account;
use crate::{
    access::{
        flip::Lost,
        grant::{Basis, LineRef, Terms},
    },
    request::upload::Upload,
    session::Protocol,
};

impl Account {
    /// It was let in.
    pub fn let_in(&mut self, terms: Terms) {
        self.terms = Some(terms);
    }

    /// What it asks for, as policies saw it.
    #[must_use]
    pub fn asked(&self) -> LineRef<'_> {
        match &self.asked {
            Some(asked) => asked.borrowed(),
            None => LineRef {
                method: &self.method,
                path: &self.path,
                named: &self.named,
                scheme: self.scheme,
            },
        }
    }

    /// What it asks for is about to be changed. What policies saw of it is kept.
    pub fn keep_asked(&mut self) {
        if self.asked.is_none() {
            self.asked = Some(Box::new(self.asked().owned()));
        }
    }

    /// What it was let in on, for whoever carries a part of it away. `None`: it was not.
    #[must_use]
    pub fn basis(&self) -> Option<Basis> {
        let terms = self.terms.as_ref()?;
        Some(Basis::of_request(&self.session, terms, self.asked()))
    }

    /// How often policies had changed when it was last looked at. `None`: it was not let in.
    #[must_use]
    pub fn seen(&self) -> Option<u64> {
        self.terms.as_ref().map(Terms::seen)
    }

    fn is_current(&self) -> bool {
        let terms = self.terms.as_ref();
        terms.is_some_and(|terms| terms.is_current(&self.session))
    }

    /// Looks again, if policies have changed. `live` are the headers as policies saw them, where they are still there.
    ///
    /// # Errors
    /// Why it may not go on.
    pub fn look_again(&mut self, live: Option<&HeaderMap>) -> Result<(), Lost> {
        if self.is_current() {
            return Ok(());
        }
        // What is not there any more where this fails is not missed: it ends.
        let mut terms = self.terms.take().ok_or(Lost::Unknown)?;
        terms.look_again(&self.session, Some(self.asked()), live)?;
        self.terms = Some(terms);
        Ok(())
    }

    /// Whether policies have changed; if not, it is polled again when they do. A connection with one request at a time is woken as a
    /// whole, see [`crate::serve`].
    pub fn poll_changed(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(terms) = &self.terms else {
            return Poll::Ready(());
        };
        if !terms.is_current(&self.session) {
            return Poll::Ready(());
        }
        match self.session.protocol {
            Protocol::Http1 => Poll::Pending,
            Protocol::Http2 | Protocol::Tls | Protocol::Tcp => {
                let flips = &self.session.flips;
                flips
                    .poll_changed(terms.seen(), &mut self.place, cx)
                    .map(drop)
            }
        }
    }

    /// Waits until policies have changed, and then for the body of the request to be let go on or not. Returns why it may not.
    ///
    /// `live` are the headers as policies saw them, where they are still there.
    pub async fn lost(&mut self, live: Option<&HeaderMap>, upload: &Upload) -> Lost {
        loop {
            poll_fn(|cx| self.poll_changed(cx)).await;
            if let Err(lost) = self.look_again(live) {
                return lost;
            }
            if let Some(seen) = self.seen() {
                upload.goes_on(seen);
            }
        }
    }

    /// Waits for nothing any more.
    pub fn leave(&mut self) {
        self.session.flips.leave(&mut self.place);
    }
}
