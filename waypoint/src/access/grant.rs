//! What a request or a connection was let in on.
//!
//! In: what was looked at when it was let in. Out: the same, for as long as it is open, so that it can be looked at again
//! ([`super::flip`]). Never: more than the policies looked at that held then; a copy of anything of a request, unless somebody carries a part of it
//! away from its account.
//!
//! | who carries it | what it was let in on | what it asked for |
//! |---|---|---|
//! | the account of a request ([`crate::request::account`]) | [`Terms`] | stands in the account, by reference |
//! | a task of its own: a copy, a WebSocket; a body that is still on its way when its answer begins | [`Basis`], which is its own | a [`Line`], which is its own |
//! | a connection of which no request is read | [`Basis`] | nothing |

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

/// Says that a request was let in. What on, its account knows. Only [`super::admit`] makes one, and nothing is sent without.
#[derive(Debug)]
pub struct Admitted(pub(super) ());

/// What something was let in on, beside who it is and what it asked for.
#[derive(Clone, Debug)]
pub struct Terms {
    /// How often policies had changed when it was last looked at.
    pub(super) seen: u64,
    /// The client that a trusted proxy names, else the tunnel's peer.
    pub(super) client: IpAddr,
    /// What policies looked at besides; `None`: there was none.
    pub(super) kept: Option<Arc<Kept>>,
}

/// All that something was let in on, for whoever carries it away.
#[derive(Clone, Debug)]
pub struct Basis {
    /// The connection.
    pub session: Arc<Session>,
    pub(super) terms: Terms,
    /// The request; `None`: no request is read.
    pub(super) request: Option<Line>,
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

/// The same, where it stands.
#[derive(Clone, Copy, Debug)]
pub struct LineRef<'a> {
    /// Its method.
    pub method: &'a Method,
    /// Its path, normalised, and its query.
    pub path: &'a PathAndQuery,
    /// Whom it names.
    pub named: &'a Named,
    /// Its scheme.
    pub scheme: &'static str,
}

impl Line {
    /// Where it stands.
    #[must_use]
    pub fn borrowed(&self) -> LineRef<'_> {
        LineRef {
            method: &self.method,
            path: &self.path,
            named: &self.named,
            scheme: self.scheme,
        }
    }
}

impl<'a> LineRef<'a> {
    /// A copy.
    #[must_use]
    pub fn owned(self) -> Line {
        Line {
            method: self.method.clone(),
            path: self.path.clone(),
            named: self.named.clone(),
            scheme: self.scheme,
        }
    }

    /// The same with headers, without a token, and before anybody has said anything.
    pub(super) fn asked(self, head: Head<'a>) -> Asked<'a> {
        Asked {
            method: self.method,
            path: self.path,
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

impl Terms {
    pub(super) fn new(seen: u64, client: IpAddr, kept: Option<Kept>) -> Self {
        Self {
            seen,
            client,
            kept: kept.map(Arc::new),
        }
    }

    /// What is kept of it, or nothing.
    #[must_use]
    pub(super) fn kept(&self) -> &Kept {
        self.kept.as_deref().unwrap_or(&NOTHING)
    }

    /// What policies see of it, with these headers or with those that were kept.
    #[must_use]
    pub(super) fn facts<'a>(
        &'a self,
        session: &'a Session,
        line: Option<LineRef<'a>>,
        live: Option<Head<'a>>,
    ) -> Seen<'a> {
        let kept = self.kept();
        let request = line.map(|line| Asked {
            token: kept.token.as_ref(),
            metadata: &kept.metadata,
            ..line.asked(live.unwrap_or(Head::Kept(&kept.headers)))
        });
        Seen::new(session, self.client, request)
    }

    /// What policies that ask somebody see of it: the head that came, before there are tokens and before anybody has said anything.
    #[must_use]
    pub(super) fn facts_that_came<'a>(
        &'a self,
        session: &'a Session,
        line: Option<LineRef<'a>>,
        live: Option<Head<'a>>,
    ) -> Seen<'a> {
        let kept = self.kept();
        let request = match (&kept.came, line) {
            (Some(came), _) => Some(came.line.borrowed().asked(Head::Kept(&came.headers))),
            (None, Some(line)) => Some(line.asked(live.unwrap_or(Head::Kept(&kept.headers)))),
            (None, None) => None,
        };
        Seen::new(session, self.client, request)
    }

    /// How often policies had changed when it was last looked at.
    #[must_use]
    pub fn seen(&self) -> u64 {
        self.seen
    }

    /// Whether policies are what they were when it was last looked at. One comparison.
    #[must_use]
    pub fn is_current(&self, session: &Session) -> bool {
        session.flips.epoch() == self.seen
    }
}

impl Basis {
    /// A copy of what an account has.
    #[must_use]
    pub fn of_request(session: &Arc<Session>, terms: &Terms, line: LineRef<'_>) -> Self {
        Self {
            session: Arc::clone(session),
            terms: terms.clone(),
            request: Some(line.owned()),
        }
    }

    /// The same for a task of its own.
    #[must_use]
    pub fn detached(self) -> Grant {
        let mut grant = Grant::new(self);
        grant.parks = true;
        grant
    }

    /// The client that a trusted proxy names, else the tunnel's peer.
    #[must_use]
    pub fn client(&self) -> IpAddr {
        self.terms.client
    }

    /// How often policies had changed when it was last looked at.
    #[must_use]
    pub fn seen(&self) -> u64 {
        self.terms.seen
    }

    /// Whether policies are what they were when it was last looked at. One comparison.
    #[must_use]
    pub fn is_current(&self) -> bool {
        self.terms.is_current(&self.session)
    }

    /// Looks again, if policies have changed. `live` are the headers as policies saw them, where they are still there.
    ///
    /// # Errors
    /// Why it may not go on.
    pub fn look_again(&mut self, live: Option<&HeaderMap>) -> Result<(), Lost> {
        let line = self.request.as_ref().map(Line::borrowed);
        self.terms.look_again(&self.session, line, live)
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

    /// Whether policies have changed; if not, it is polled again when they do.
    pub fn poll_changed(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if !self.basis.is_current() {
            return Poll::Ready(());
        }
        if !self.parks {
            return Poll::Pending;
        }
        let Basis { session, terms, .. } = &self.basis;
        let flips = &session.flips;
        flips
            .poll_changed(terms.seen, &mut self.place, cx)
            .map(drop)
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
                upload.goes_on(self.basis.seen());
            }
        }
    }
}

impl Drop for Grant {
    fn drop(&mut self) {
        self.basis.session.flips.leave(&mut self.place);
    }
}
