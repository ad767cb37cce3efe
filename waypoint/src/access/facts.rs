//! What policies see of a request, or of a connection whose bytes are not looked at.
//!
//! In: a session, the trusted address of its client, a head with one meaning and one spelling. Out: [`mesh::access::Facts`], borrowed:
//! nothing is copied before a policy asks for it. Never: an identity from anywhere but the certificate; an address from a header.
//!
//! **Headers:** several of one name count as one value, joined by `,`, cookies by `; `: for routes and for policies alike. `host` is `:authority`, as in Envoy, and `:method`, `:scheme` and
//! `:path` (with its query) are there too. What a request is judged by first is its live head ([`Head::Live`]); once that has
//! gone on, what was kept of it ([`Head::Kept`]).

use std::{borrow::Cow, cell::OnceCell, net::IpAddr};

use bytes::Bytes;
use decision::route::Headers;
use http::{HeaderMap, HeaderName, HeaderValue, Method, uri::PathAndQuery};
use jwt::Verified;
use mesh::{
    Name,
    access::{Certified, Facts, RequestPrincipal, authorization::IpAttribute, facts::TextTest},
};

use super::metadata::Metadata;
use crate::session::Session;

/// What policies see.
#[derive(Clone, Debug)]
pub struct Seen<'a> {
    /// The connection.
    pub session: &'a Session,
    /// The client that a trusted proxy names, else the tunnel's peer.
    pub client: IpAddr,
    /// The request; `None`: no request is read.
    pub request: Option<Asked<'a>>,
    principal: OnceCell<Option<RequestPrincipal>>,
}

/// A request.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// Its method.
    pub method: &'a Method,
    /// Its path, normalised, and its query.
    pub path: &'a PathAndQuery,
    /// Whom it names.
    pub authority: &'a str,
    /// Its scheme.
    pub scheme: &'static str,
    /// Its headers.
    pub head: Head<'a>,
    /// The token that was believed.
    pub token: Option<&'a Verified>,
    /// What external authorizers said.
    pub metadata: &'a Metadata,
}

/// Headers of a request.
#[derive(Clone, Copy, Debug)]
pub enum Head<'a> {
    /// All of them.
    Live(&'a HeaderMap),
    /// Those that policies looked at.
    Kept(&'a [KeptHeader]),
}

/// A header that policies looked at; without a value it was not there.
pub type KeptHeader = (HeaderName, Option<HeaderValue>);

impl<'a> Head<'a> {
    fn get(self, name: &str) -> Option<Cow<'a, [u8]>> {
        match self {
            Self::Live(headers) => Headers::joined(headers, name),
            Self::Kept(kept) => {
                let (_, value) = kept.iter().find(|(found, _)| found.as_str() == name)?;
                Some(Cow::Borrowed(value.as_ref()?.as_bytes()))
            }
        }
    }

    fn names(self, visit: &mut dyn FnMut(&str)) {
        match self {
            Self::Live(headers) => headers.keys().for_each(|name| visit(name.as_str())),
            Self::Kept(kept) => {
                for (name, value) in kept {
                    if value.is_some() {
                        visit(name.as_str());
                    }
                }
            }
        }
    }
}

/// The values of a header, joined, as a header of its own. Joined, they are as valid as each was.
pub(super) fn joined_value(headers: &HeaderMap, name: &HeaderName) -> Option<HeaderValue> {
    let mut values = headers.get_all(name).iter();
    let first = values.next()?;
    if values.next().is_none() {
        return Some(first.clone());
    }
    let all = Headers::joined(headers, name.as_str())?.into_owned();
    HeaderValue::from_maybe_shared(Bytes::from(all)).ok()
}

impl<'a> Seen<'a> {
    /// A request, or a connection of which none is read.
    #[must_use]
    pub fn new(session: &'a Session, client: IpAddr, request: Option<Asked<'a>>) -> Self {
        Self {
            session,
            client,
            request,
            principal: OnceCell::new(),
        }
    }

    fn token(&self) -> Option<&'a Verified> {
        self.request?.token
    }
}

impl Facts for Seen<'_> {
    fn is_http(&self) -> bool {
        self.request.is_some()
    }

    fn client(&self) -> Option<&Certified> {
        Some(self.session.certified())
    }

    fn ip(&self, attribute: IpAttribute) -> Option<IpAddr> {
        let address = match attribute {
            IpAttribute::Source => self.session.client.ip(),
            IpAttribute::Remote => self.client,
            IpAttribute::Destination => self.session.destination?.ip(),
        };
        Some(address.to_canonical())
    }

    fn destination_port(&self) -> u16 {
        self.session.target.port()
    }

    fn sni(&self) -> Option<&str> {
        self.session.sni.as_deref()
    }

    fn authority(&self) -> Option<&str> {
        Some(self.request?.authority)
    }

    fn method(&self) -> Option<&str> {
        Some(self.request?.method.as_str())
    }

    fn path(&self) -> Option<&str> {
        Some(self.request?.path.path())
    }

    fn header(&self, name: &str) -> Option<Cow<'_, [u8]>> {
        let request = self.request?;
        match name {
            ":authority" | "host" => Some(Cow::Borrowed(request.authority.as_bytes())),
            ":method" => Some(Cow::Borrowed(request.method.as_str().as_bytes())),
            ":path" => Some(Cow::Borrowed(request.path.as_str().as_bytes())),
            ":scheme" => Some(Cow::Borrowed(request.scheme.as_bytes())),
            _header => request.head.get(name),
        }
    }

    fn header_names(&self, visit: &mut dyn FnMut(&str)) {
        if let Some(request) = self.request {
            visit("host");
            request.head.names(visit);
        }
    }

    fn request_principal(&self) -> Option<&RequestPrincipal> {
        let token = self.token()?;
        let principal = self.principal.get_or_init(|| {
            let subject = token.subject()?;
            Some(RequestPrincipal::new(token.issuer(), subject))
        });
        principal.as_ref()
    }

    fn presenter(&self) -> Option<&str> {
        self.token()?.presenter()
    }

    fn any_audience(&self, test: TextTest<'_>) -> bool {
        self.token()
            .is_some_and(|token| token.audiences().any(|text| test(text.as_bytes())))
    }

    fn any_claim(&self, path: &[Name], test: TextTest<'_>) -> bool {
        self.token()
            .is_some_and(|token| token.claim(path).any(|text| test(text.as_bytes())))
    }

    fn any_metadata(&self, filter: &str, path: &[Name], test: TextTest<'_>) -> bool {
        self.request.is_some_and(|request| {
            let mut texts = request.metadata.texts(filter, path);
            texts.any(|text| test(text.as_bytes()))
        })
    }
}
