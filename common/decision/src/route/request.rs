//! What rules look at.

use std::{borrow::Cow, cell::OnceCell, fmt};

use mesh::route::{Claims, Facts};

use super::{authority, query::Parameters};

/// The headers of a request.
pub trait Headers {
    /// All values of a header, joined by a comma; `None` where it is not there. `name` is in lower case.
    fn joined(&self, name: &str) -> Option<Cow<'_, [u8]>>;
}

impl Headers for http::HeaderMap {
    fn joined(&self, name: &str) -> Option<Cow<'_, [u8]>> {
        let mut values = self.get_all(name).iter();
        let first = values.next()?.as_bytes();
        let Some(second) = values.next() else {
            return Some(Cow::Borrowed(first));
        };
        // HTTP/2 may send one cookie a line. Source: RFC 9113 §8.2.3.
        let separator: &[u8] = if name == "cookie" { b"; " } else { b"," };
        let mut joined = first.to_vec();
        for value in std::iter::once(second).chain(values) {
            joined.extend_from_slice(separator);
            joined.extend_from_slice(value.as_bytes());
        }
        Some(Cow::Owned(joined))
    }
}

/// The head of a request, as it is after normalization.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head<'a> {
    /// As it was sent: methods know case.
    pub method: &'a str,
    /// `http` or `https`.
    pub scheme: &'a str,
    /// As it was sent; empty where there is none.
    pub authority: &'a str,
    /// Without query; `*` for a request that is for no resource.
    pub path: &'a str,
    /// Without its question mark. `None`: there is none, which an empty one is not.
    pub query: Option<&'a str>,
    /// The service port that the client called.
    pub port: u16,
}

/// A request, as rules see it. **Shape:** made once per request; its query is read when the first rule asks for it.
pub struct Request<'a> {
    head: Head<'a>,
    /// In lower case.
    authority: Cow<'a, str>,
    headers: &'a dyn Headers,
    claims: Option<&'a dyn Claims>,
    parameters: OnceCell<Parameters<'a>>,
}

impl<'a> Request<'a> {
    /// A request. Allocates only where the authority is not in lower case.
    #[must_use]
    pub fn new(head: Head<'a>, headers: &'a dyn Headers) -> Self {
        let upper = head.authority.bytes().any(|byte| byte.is_ascii_uppercase());
        Self {
            head,
            authority: if upper {
                Cow::Owned(head.authority.to_ascii_lowercase())
            } else {
                Cow::Borrowed(head.authority)
            },
            headers,
            claims: None,
            parameters: OnceCell::new(),
        }
    }

    /// With what its verified token says; without this call it has none.
    #[must_use]
    pub fn with_claims(mut self, claims: Option<&'a dyn Claims>) -> Self {
        self.claims = claims;
        self
    }

    /// The head, as it was given.
    #[must_use]
    pub fn head(&self) -> &Head<'a> {
        &self.head
    }
}

impl Facts for Request<'_> {
    fn path(&self) -> &str {
        self.head.path
    }

    fn method(&self) -> &str {
        self.head.method
    }

    fn scheme(&self) -> &str {
        self.head.scheme
    }

    fn authority(&self) -> &str {
        &self.authority
    }

    fn host(&self) -> &str {
        authority::split(&self.authority).0
    }

    fn header(&self, name: &str) -> Option<Cow<'_, [u8]>> {
        match name {
            ":method" => Some(Cow::Borrowed(self.head.method.as_bytes())),
            ":scheme" => Some(Cow::Borrowed(self.head.scheme.as_bytes())),
            // HTTP/1.1 sends the one as the other. Source: RFC 9113 §8.3.1.
            ":authority" | "host" => Some(Cow::Borrowed(self.head.authority.as_bytes()))
                .filter(|authority| !authority.is_empty()),
            ":path" => Some(match self.head.query {
                None => Cow::Borrowed(self.head.path.as_bytes()),
                Some(query) => Cow::Owned([self.head.path, "?", query].concat().into_bytes()),
            }),
            name => self.headers.joined(name),
        }
    }

    fn parameter(&self, name: &str) -> Option<&[u8]> {
        let query = self.head.query?;
        let parameters = self.parameters.get_or_init(|| Parameters::read(query));
        parameters.first(name.as_bytes())
    }

    fn claims(&self) -> Option<&dyn Claims> {
        self.claims
    }
}

impl fmt::Debug for Request<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("Request");
        debug.field("head", &self.head).finish_non_exhaustive()
    }
}
