//! What a request or a connection was let in on.
//!
//! In: what was looked at when it was let in. Out: the same, for as long as it is open, so that it can be looked at again
//! ([`super::flip`]). Never: more than the policies looked at that held then; anything at all of a request on a target without
//! policies but what its account keeps, too: method, path and authority, by reference.

use std::{
    future::poll_fn,
    net::IpAddr,
    sync::{Arc, LazyLock},
    task::{Context, Poll},
};

use http::{HeaderMap, Method, uri::PathAndQuery};
use jwt::Verified;
use mesh::access::RequestAuthentication;

use super::{
    external::LetBy,
    facts::{Asked, Head, KeptHeader, Seen},
    flip::Lost,
    metadata::Metadata,
};
use crate::{
    request::{head::Named, upload::Upload},
    session::{Place, Protocol, Session},
};

/// What it was let in on. Whoever carries a part of a request has a clone.
#[derive(Clone, Debug)]
pub struct Basis {
    /// The connection.
    pub session: Arc<Session>,
    /// How often policies had changed when it was last looked at.
    pub(super) seen: u64,
    /// The client that a trusted proxy names, else the tunnel's peer.
    pub(super) client: IpAddr,
    /// The request; `None`: no request is read.
    pub(super) request: Option<Line>,
    /// What policies looked at besides; `None`: there was none.
    pub(super) kept: Option<Arc<Kept>>,
}

/// What a request asks for, before rules change it.
#[derive(Clone, Debug)]
pub struct Line {
    /// Its method.
    pub method: Method,
    /// Its path, normalised, and its query.
    pub path: PathAndQuery,
    /// Whom it names.
    pub named: Named,
    /// Its scheme.
    pub scheme: &'static str,
}

impl Line {
    /// The same with headers, without a token, and before anybody has said anything.
    fn asked<'a>(&'a self, head: Head<'a>) -> Asked<'a> {
        Asked {
            method: &self.method,
            path: &self.path,
            authority: self.named.as_str(),
            scheme: self.scheme,
            head,
            token: None,
            metadata: &NOTHING_SAID,
        }
    }
}

static NOTHING_SAID: Metadata = Metadata::new();

/// What policies looked at.
#[derive(Debug, Default)]
pub struct Kept {
    /// Headers that they name. **Shape:** each once; without a value, where it was not there.
    pub headers: Box<[KeptHeader]>,
    /// The token that was believed.
    pub token: Option<Verified>,
    /// The policies that say which tokens are believed, as they were.
    pub authentication: Box<[Arc<RequestAuthentication>]>,
    /// What external authorizers said.
    pub metadata: Metadata,
    /// External authorizers that were asked, and let it by.
    pub asked: Box<[LetBy]>,
    /// The head as it came, where authorizers or tokens may have changed it.
    pub came: Option<Came>,
}

/// The head of a request before anybody changed it. Whom CUSTOM policies ask is found out by it, also when they are looked at again.
#[derive(Clone, Debug)]
pub struct Came {
    /// What it asked for.
    pub line: Line,
    /// Headers that policies name. **Shape:** as [`Kept::headers`].
    pub headers: Box<[KeptHeader]>,
}

/// What is kept where there was no policy.
static NOTHING: LazyLock<Kept> = LazyLock::new(Kept::default);

impl Basis {
    /// What is kept of it, or nothing.
    #[must_use]
    pub(super) fn kept(&self) -> &Kept {
        self.kept.as_deref().unwrap_or(&NOTHING)
    }

    /// What policies see of it, with these headers or with those that were kept.
    #[must_use]
    pub(super) fn facts<'a>(&'a self, live: Option<Head<'a>>) -> Seen<'a> {
        let kept = self.kept();
        let request = self.request.as_ref().map(|line| Asked {
            token: kept.token.as_ref(),
            metadata: &kept.metadata,
            ..line.asked(live.unwrap_or(Head::Kept(&kept.headers)))
        });
        Seen::new(&self.session, self.client, request)
    }

    /// What policies that ask somebody see of it: the head that came, before there are tokens and before anybody has said anything.
    #[must_use]
    pub(super) fn facts_that_came<'a>(&'a self, live: Option<Head<'a>>) -> Seen<'a> {
        let kept = self.kept();
        let request = match (&kept.came, &self.request) {
            (Some(came), _) => Some(came.line.asked(Head::Kept(&came.headers))),
            (None, Some(line)) => Some(line.asked(live.unwrap_or(Head::Kept(&kept.headers)))),
            (None, None) => None,
        };
        Seen::new(&self.session, self.client, request)
    }

    /// The same for a task of its own, which carries a copy of the request.
    #[must_use]
    pub fn again(&self) -> Grant {
        Grant::new(self.clone()).detached()
    }

    /// The client that a trusted proxy names, else the tunnel's peer.
    #[must_use]
    pub fn client(&self) -> IpAddr {
        self.client
    }

    /// How often policies had changed when it was last looked at.
    #[must_use]
    pub fn seen(&self) -> u64 {
        self.seen
    }

    /// Whether policies are what they were when it was last looked at. One comparison.
    #[must_use]
    pub fn is_current(&self) -> bool {
        self.session.flips.epoch() == self.seen
    }
}

/// A [`Basis`], and the place in which its request waits for policies to change.
#[derive(Debug)]
pub struct Grant {
    /// What it was let in on.
    pub basis: Basis,
    place: Place,
    /// Whether it is woken by itself. A connection with one request at a time is woken as a whole, see [`crate::serve`].
    parks: bool,
}

impl Grant {
    /// Lets it in.
    #[must_use]
    pub(super) fn new(basis: Basis) -> Self {
        Self {
            parks: match basis.session.protocol {
                Protocol::Http1 => false,
                Protocol::Http2 | Protocol::Tls | Protocol::Tcp => true,
            },
            basis,
            place: Place::default(),
        }
    }

    /// It goes on in a task of its own.
    #[must_use]
    pub fn detached(mut self) -> Self {
        self.parks = true;
        self
    }

    /// Whether policies have changed; if not, it is polled again when they do.
    pub fn poll_changed(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if !self.basis.is_current() {
            return Poll::Ready(());
        }
        if !self.parks {
            return Poll::Pending;
        }
        let Basis { session, seen, .. } = &self.basis;
        let flips = &session.flips;
        flips.poll_changed(*seen, &mut self.place, cx).map(drop)
    }

    /// Waits until policies have changed, and then for the body of the request to be let go on or not. Returns why it may not.
    ///
    /// `live` are the headers as policies saw them, where they are still there.
    pub async fn lost(&mut self, live: Option<&HeaderMap>, upload: Option<&Upload>) -> Lost {
        loop {
            poll_fn(|cx| self.poll_changed(cx)).await;
            if let Err(lost) = self.basis.look_again(live) {
                return lost;
            }
            if let Some(upload) = upload {
                upload.goes_on(self.basis.seen);
            }
        }
    }
}

impl Drop for Grant {
    fn drop(&mut self) {
        self.basis.session.flips.leave(&mut self.place);
    }
}
