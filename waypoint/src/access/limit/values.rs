//! What tells requests apart.
//!
//! In: a request and what is certain of its client. Out: whether a limit is meant for it, and the values of the limit's keys.
//! Never: an identity or a claim that nobody has proven.

use std::{borrow::Cow, net::IpAddr};

use decision::route::{Headers as _, Request as Facts};
use http::Request;
use jwt::Verified;
use mesh::{
    Name,
    access::{
        RateLimit,
        limit::{LimitKey, LimitValue},
    },
};

use crate::{body::Body, session::Session};

/// The value of one key.
pub(super) type Value<'a> = Cow<'a, str>;

/// What is known of a request.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seen<'a> {
    pub(super) session: &'a Session,
    /// Whom a trusted proxy names, else the peer.
    pub(super) client: IpAddr,
    pub(super) token: Option<&'a Verified>,
    /// The name of the rule that it meets.
    pub(super) route: &'a str,
    pub(super) request: &'a Request<Body>,
}

impl<'a> Seen<'a> {
    /// Whether a limit is meant for the request at all.
    pub(super) fn is_meant(&self, limit: &RateLimit, facts: &Facts<'_>) -> bool {
        let routes = &limit.routes;
        let matches = &limit.matches;
        (routes.is_empty() || routes.iter().any(|route| **route == *self.route))
            && (matches.is_empty() || matches.iter().any(|wanted| wanted.holds(facts)))
    }

    /// The values of keys, in their order; `None` where the request lacks one.
    pub(super) fn values(&self, keys: &[LimitKey]) -> Option<Vec<Value<'a>>> {
        keys.iter().map(|key| self.value(&key.value)).collect()
    }

    fn value(&self, value: &LimitValue) -> Option<Value<'a>> {
        Some(match value {
            LimitValue::Header(name) => text(self.request.headers().joined(name)?),
            LimitValue::Claim(path) => self.claim(path)?,
            LimitValue::Principal => {
                let session: &'a Session = self.session;
                Cow::Borrowed(session.certified().principal())
            }
            LimitValue::RemoteAddress => Cow::Owned(self.client.to_canonical().to_string()),
            LimitValue::Route => Cow::Borrowed(self.route),
            LimitValue::Constant(text) => Cow::Owned(text.to_string()),
            LimitValue::Service => {
                let session: &'a Session = self.session;
                Cow::Borrowed(session.target.service()?.hostname.as_str())
            }
            LimitValue::Path => Cow::Borrowed(self.request.uri().path()),
            LimitValue::Method => Cow::Borrowed(self.request.method().as_str()),
        })
    }

    /// A list is one value, in its order.
    fn claim(&self, path: &[Name]) -> Option<Value<'a>> {
        let token: &'a Verified = self.token?;
        let mut texts = token.claim(path);
        let first = texts.next()?;
        let Some(second) = texts.next() else {
            return Some(Cow::Borrowed(first));
        };
        let mut joined = format!("{first},{second}");
        for text in texts {
            joined.push(',');
            joined.push_str(text);
        }
        Some(Cow::Owned(joined))
    }
}

/// Bytes that are no text of UTF-8 are replaced, so that some values share tokens.
fn text(bytes: Cow<'_, [u8]>) -> Value<'_> {
    match bytes {
        Cow::Borrowed(bytes) => String::from_utf8_lossy(bytes),
        Cow::Owned(bytes) => Cow::Owned(String::from_utf8_lossy(&bytes).into_owned()),
    }
}
