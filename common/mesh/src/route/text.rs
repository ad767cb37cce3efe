//! How texts match: values, paths, hosts.

use std::sync::Arc;

use super::pattern::Pattern;

/// The longest host that a wildcard holds for: what is longer is no name of DNS. Source: RFC 1035 §2.3.4, and a dot.
pub(super) const MAX_HOST_BYTES: usize = 254;

/// A condition on a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StringMatch {
    /// It is this.
    Exact(Arc<str>),
    /// It begins with this.
    Prefix(Arc<str>),
    /// It ends with this.
    Suffix(Arc<str>),
    /// All of it matches.
    Regex(Pattern),
}

impl StringMatch {
    /// Whether it holds.
    #[must_use]
    pub fn matches(&self, text: &[u8]) -> bool {
        match self {
            Self::Exact(wanted) => text == wanted.as_bytes(),
            Self::Prefix(wanted) => text.starts_with(wanted.as_bytes()),
            Self::Suffix(wanted) => text.ends_with(wanted.as_bytes()),
            Self::Regex(pattern) => pattern.matches(text),
        }
    }
}

/// A condition on the path of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathMatch {
    kind: PathKind,
    ignore_case: bool,
}

/// How a path matches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PathKind {
    /// It is this.
    Exact(Arc<str>),
    /// It begins with this, anywhere. Source: VirtualService `uri.prefix`.
    Prefix(Arc<str>),
    /// It is this or goes on with `/`; without a `/` at its end, so that the root is empty.
    /// Source: HTTPRoute `PathPrefix`.
    Segments(Arc<str>),
    /// All of it matches.
    Regex(Pattern),
}

impl PathMatch {
    /// A condition. To ignore case means nothing for a pattern, which says so itself.
    #[must_use]
    pub fn new(kind: PathKind, ignore_case: bool) -> Self {
        let fold = |text: Arc<str>| {
            if ignore_case && text.bytes().any(|byte| byte.is_ascii_uppercase()) {
                text.to_ascii_lowercase().into()
            } else {
                text
            }
        };
        match kind {
            PathKind::Exact(text) => Self {
                kind: PathKind::Exact(fold(text)),
                ignore_case,
            },
            PathKind::Prefix(text) => Self {
                kind: PathKind::Prefix(fold(text)),
                ignore_case,
            },
            PathKind::Segments(text) => {
                let bare = text.trim_end_matches('/');
                let bare = if bare.len() == text.len() {
                    Arc::clone(&text)
                } else {
                    bare.into()
                };
                Self {
                    kind: PathKind::Segments(fold(bare)),
                    ignore_case,
                }
            }
            PathKind::Regex(pattern) => Self {
                kind: PathKind::Regex(pattern),
                ignore_case: false,
            },
        }
    }

    /// How it matches. Texts are in lower case if case is ignored.
    #[must_use]
    pub fn kind(&self) -> &PathKind {
        &self.kind
    }

    /// Whether upper and lower case of ASCII are alike.
    #[must_use]
    pub fn ignores_case(&self) -> bool {
        self.ignore_case
    }

    /// Whether it holds for a path without query.
    #[must_use]
    pub fn matches(&self, path: &str) -> bool {
        match &self.kind {
            PathKind::Exact(wanted) => {
                path.len() == wanted.len() && self.begins(path.as_bytes(), wanted)
            }
            PathKind::Prefix(wanted) => self.begins(path.as_bytes(), wanted),
            PathKind::Segments(wanted) => {
                let next = path.as_bytes().get(wanted.len());
                matches!(next, None | Some(b'/')) && self.begins(path.as_bytes(), wanted)
            }
            PathKind::Regex(pattern) => pattern.matches(path.as_bytes()),
        }
    }

    fn begins(&self, path: &[u8], wanted: &str) -> bool {
        path.get(..wanted.len()).is_some_and(|beginning| {
            if self.ignore_case {
                beginning.eq_ignore_ascii_case(wanted.as_bytes())
            } else {
                beginning == wanted.as_bytes()
            }
        })
    }
}

/// A condition on a host, without port. All in lower case. Source: Gateway API `Hostname`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum HostMatch {
    /// It is this.
    Exact(Arc<str>),
    /// It ends with this, which begins with a dot, and has something before it.
    Suffix(Arc<str>),
    /// Whatever it is, be it nothing.
    Any,
}

impl HostMatch {
    /// A name, `*.suffix`, or `*`.
    #[must_use]
    pub fn new(text: &str) -> Self {
        let text = text.to_ascii_lowercase();
        match text.strip_prefix('*') {
            Some("") => Self::Any,
            Some(suffix) if suffix.starts_with('.') => Self::Suffix(suffix.into()),
            Some(_) | None => Self::Exact(text.into()),
        }
    }

    /// Whether it holds for a host in lower case.
    #[must_use]
    pub fn matches(&self, host: &str) -> bool {
        match self {
            Self::Exact(wanted) => host == &**wanted,
            Self::Suffix(wanted) => {
                host.len() > wanted.len()
                    && host.len() <= MAX_HOST_BYTES
                    && host.ends_with(&**wanted)
            }
            Self::Any => true,
        }
    }
}
