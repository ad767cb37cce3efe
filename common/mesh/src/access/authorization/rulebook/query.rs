//! A request or connection as compiled policies ask it.
//!
//! In: [`Facts`]. Out: the texts of an attribute, as they are compared. Never: knows a policy.
//!
//! **Cost:** nothing is looked at before it is asked for. Only an authority or a server name in upper case, or one that ends
//! with a dot, is copied.

use std::{borrow::Cow, cell::OnceCell, fmt, net::IpAddr};

use super::super::{IpAttribute, TextAttribute};
use crate::{access::facts::Facts, name::Name};

/// Who asks.
pub struct Query<'f> {
    facts: &'f dyn Facts,
    authority: OnceCell<Option<Authority<'f>>>,
}

/// An authority in lower case, in all the ways in which values mean it.
struct Authority<'f> {
    whole: Cow<'f, str>,
    /// How much of `whole` is the host. Units: bytes.
    host: usize,
    /// As `whole`, but without the dot at the end of the host, and how much of it is the host.
    dotless: Option<(String, usize)>,
}

/// One text of an attribute, and what must be known to compare it.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'t> {
    /// The text.
    pub text: &'t [u8],
    /// Where the issuer ends, if it is a request's principal. Units: bytes.
    pub separator: Option<usize>,
    /// Whether it is there even if it is empty, as headers are.
    pub may_be_empty: bool,
}

impl<'t> Subject<'t> {
    fn new(text: &'t [u8]) -> Self {
        Self {
            text,
            separator: None,
            may_be_empty: false,
        }
    }
}

impl<'f> Query<'f> {
    /// Asks about these facts.
    #[must_use]
    pub fn new(facts: &'f dyn Facts) -> Self {
        Self {
            facts,
            authority: OnceCell::new(),
        }
    }

    /// Whether a request is read.
    #[must_use]
    pub fn is_http(&self) -> bool {
        self.facts.is_http()
    }

    /// An address, as what it maps where it is IPv4-mapped.
    #[must_use]
    pub fn ip(&self, attribute: IpAttribute) -> Option<IpAddr> {
        self.facts.ip(attribute).map(|ip| ip.to_canonical())
    }

    /// The port that was asked for.
    #[must_use]
    pub fn destination_port(&self) -> u16 {
        self.facts.destination_port()
    }

    /// Calls `visit` with the names of all headers.
    pub(super) fn header_names(&self, visit: &mut dyn FnMut(&str)) {
        self.facts.header_names(visit);
    }

    /// Calls `test` with the texts of an attribute until it says yes; whether it did.
    pub fn any_text(
        &self,
        attribute: &TextAttribute,
        test: &mut dyn FnMut(Subject<'_>) -> bool,
    ) -> bool {
        use TextAttribute as A;
        if attribute.is_http() && !self.facts.is_http() {
            return false;
        }
        let facts = self.facts;
        let client = || facts.client();
        let mut one =
            |text: Option<&str>| text.is_some_and(|text| test(Subject::new(text.as_bytes())));
        match attribute {
            A::SourcePrincipal => one(client().map(|client| client.principal())),
            A::SourceNamespace => one(client().map(|client| client.id().namespace.as_str())),
            A::SourceServiceAccount => one(client().map(|client| client.account())),
            A::SourceTrustDomain => one(client().map(|client| client.id().trust_domain.as_str())),
            A::Presenter => one(facts.presenter()),
            A::Method => one(facts.method()),
            A::Path => one(facts.path()),
            A::Sni => one(facts.sni().map(lower_case).as_deref()),
            A::RequestPrincipal => facts.request_principal().is_some_and(|principal| {
                test(Subject {
                    separator: Some(principal.separator()),
                    ..Subject::new(principal.as_str().as_bytes())
                })
            }),
            A::Host => {
                let authority = self.authority.get_or_init(|| Authority::new(facts));
                let authority = authority.as_ref();
                authority.is_some_and(|authority| {
                    authority.any(|text| test(Subject::new(text.as_bytes())))
                })
            }
            A::Header(name) => facts.header(name).is_some_and(|text| {
                test(Subject {
                    may_be_empty: true,
                    ..Subject::new(&text)
                })
            }),
            A::Audiences => facts.any_audience(&mut |text| test(Subject::new(text))),
            A::Claim(path) => facts.any_claim(path, &mut |text| test(Subject::new(text))),
            A::Metadata(filter, path) => self.any_metadata(filter, path, test),
        }
    }

    fn any_metadata(
        &self,
        filter: &str,
        path: &[Name],
        test: &mut dyn FnMut(Subject<'_>) -> bool,
    ) -> bool {
        self.facts
            .any_metadata(filter, path, &mut |text| test(Subject::new(text)))
    }
}

impl fmt::Debug for Query<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Query").finish_non_exhaustive()
    }
}

impl<'f> Authority<'f> {
    fn new(facts: &'f dyn Facts) -> Option<Self> {
        let whole = lower_case(facts.authority().filter(|text| !text.is_empty())?);
        let host = host(&whole).len();
        // The root of DNS, which is meant in any case: whoever serves the name serves it with the dot as well.
        let bare = whole.get(..host).and_then(|host| host.strip_suffix('.'));
        let dotless = bare.map(|bare| {
            let port = whole.get(host..).unwrap_or_default();
            ([bare, port].concat(), bare.len())
        });
        Some(Self {
            whole,
            host,
            dotless,
        })
    }

    fn any(&self, mut test: impl FnMut(&str) -> bool) -> bool {
        let mut either = |whole: &str, host: usize| {
            test(whole) || (host < whole.len() && whole.get(..host).is_some_and(&mut test))
        };
        either(&self.whole, self.host)
            || self
                .dotless
                .as_ref()
                .is_some_and(|(whole, host)| either(whole, *host))
    }
}

/// An authority without its port. What is no port stays, and is then part of no name. Source: RFC 3986 §3.2; an IPv6 address is
/// in brackets, which stay.
fn host(authority: &str) -> &str {
    match authority.rsplit_once(':') {
        Some((host, port))
            if port.bytes().all(|byte| byte.is_ascii_digit())
                && (host.ends_with(']') || !host.contains(':')) =>
        {
            host
        }
        Some(_) | None => authority,
    }
}

fn lower_case(text: &str) -> Cow<'_, str> {
    if text.bytes().any(|byte| byte.is_ascii_uppercase()) {
        Cow::Owned(text.to_ascii_lowercase())
    } else {
        Cow::Borrowed(text)
    }
}
