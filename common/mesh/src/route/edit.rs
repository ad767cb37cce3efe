//! What a rule changes: headers, path and authority; and where it redirects to.

use std::{num::NonZeroU16, sync::Arc};

use super::substitution::RegexRewrite;

/// Edits of headers. **Shape:** first `remove`, then `set`, then `add`, each in its order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HeaderEdits {
    /// In the place of all values that there are.
    pub set: Vec<HeaderText>,
    /// Beside the values that there are.
    pub add: Vec<HeaderText>,
    /// Lower case.
    pub remove: Vec<Arc<str>>,
}

impl HeaderEdits {
    /// Whether nothing changes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.set.is_empty() && self.add.is_empty() && self.remove.is_empty()
    }
}

/// A header and how its value is made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeaderText {
    /// Lower case; `:authority` is the authority.
    pub name: Arc<str>,
    /// A format string of Envoy, as in `%REQ(x)%`. Whether it is one is for the reader of formats to say.
    pub value: Arc<str>,
}

/// What becomes of a request's path and authority. The query stays.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rewrite {
    /// `None`: as it is.
    pub authority: Option<Arc<str>>,
    /// `None`: as it is.
    pub path: Option<PathRewrite>,
}

/// What becomes of a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PathRewrite {
    /// This.
    Full(Arc<str>),
    /// This, in the place of what the match's prefix matched, or of the whole path where it was none of a prefix.
    Prefix(Arc<str>),
    /// Every match of a pattern is replaced. Source: VirtualService `uriRegexRewrite`.
    Regex(RegexRewrite),
}

/// Where a request is redirected to. Source: VirtualService `redirect`, HTTPRoute `RequestRedirect`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Redirect {
    /// Lower case. `None`: the request's.
    pub scheme: Option<Arc<str>>,
    /// `None`: the request's.
    pub authority: Option<Arc<str>>,
    /// The location's port.
    pub port: RedirectPort,
    /// `None`: the request's.
    pub path: Option<PathRedirect>,
    /// 301, 302, 303, 307 or 308.
    pub status: u16,
}

/// The port of a location. The default port of its scheme is never written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum RedirectPort {
    /// That of `authority` as written, else the request's authority's, unless it is the default of a scheme that changes.
    #[default]
    Authority,
    /// This one.
    Number(NonZeroU16),
    /// The default of the scheme (`FROM_PROTOCOL_DEFAULT`).
    Scheme,
    /// The one that the client called (`FROM_REQUEST_PORT`).
    Request,
}

/// The path of a location.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PathRedirect {
    /// This; its query, if it has none, is the request's.
    Full(Arc<str>),
    /// As [`PathRewrite::Prefix`].
    Prefix(Arc<str>),
}
