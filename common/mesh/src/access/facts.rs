//! What policies look at: a request or a connection, as the one who asks knows it.
//!
//! In: nothing. Out: the trait that the asker implements. Never: a guess: what is not known is absent.
//!
//! **Shape:** an attribute that is absent satisfies no value, so a field that is negated holds for it.

use std::{borrow::Cow, net::IpAddr};

use super::authorization::IpAttribute;
use crate::{name::Name, spiffe::SpiffeId};

/// Asks one text of an attribute that may have several; whether it is the one that was looked for.
pub type TextTest<'t> = &'t mut dyn FnMut(&[u8]) -> bool;

/// What policies look at. What concerns a request is asked only if [`Facts::is_http`].
///
/// Methods that take a test call it with one text after the other until it says yes, and return whether it did.
pub trait Facts {
    /// Whether a request is read. If not, fields that only a request has are as AZ-05 says.
    fn is_http(&self) -> bool;
    /// The certified client; `None`: it showed no certificate. Never from a header or an address.
    fn client(&self) -> Option<&Certified>;
    /// An address; IPv4-mapped ones count as what they map. `None`: it is not known.
    fn ip(&self, attribute: IpAttribute) -> Option<IpAddr>;
    /// The port of the service or workload that was asked for.
    fn destination_port(&self) -> u16;
    /// The server name of the client's own TLS.
    fn sni(&self) -> Option<&str>;
    /// The authority as it was sent, in any case, perhaps with a port.
    fn authority(&self) -> Option<&str>;
    /// The method.
    fn method(&self) -> Option<&str>;
    /// The normalised path without query.
    fn path(&self) -> Option<&str>;
    /// The values of a header joined by `,`; `None`: it is not there. `name` is in lower case; it may be one of `:method`,
    /// `:path` (with its query), `:scheme`, `:authority`, or `host`, which is the authority.
    fn header(&self, name: &str) -> Option<Cow<'_, [u8]>>;
    /// Calls `visit` with the name of every header that is there, in lower case, at least once each. Not of those that begin
    /// with `:`.
    fn header_names(&self, visit: &mut dyn FnMut(&str));
    /// `<iss>/<sub>` of the verified token; `None`: there is no token, or it lacks one of the two.
    fn request_principal(&self) -> Option<&RequestPrincipal>;
    /// `azp` of the verified token.
    fn presenter(&self) -> Option<&str>;
    /// Whether a text of `aud` of the verified token passes.
    fn any_audience(&self, test: TextTest<'_>) -> bool;
    /// Whether a text of the claim of the verified token, by the way into it, passes.
    fn any_claim(&self, path: &[Name], test: TextTest<'_>) -> bool;
    /// Whether a text that the external authorizer `filter` has said, by the way into it, passes.
    fn any_metadata(&self, filter: &str, path: &[Name], test: TextTest<'_>) -> bool;
}

/// A certified client as policies see it. **Shape:** made once per connection, so that a request costs nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certified {
    id: SpiffeId,
    principal: Box<str>,
    account: Box<str>,
}

impl Certified {
    /// Lays out the texts that policies compare.
    #[must_use]
    pub fn new(id: SpiffeId) -> Self {
        Self {
            principal: id.principal().into(),
            account: format!("{}/{}", id.namespace, id.service_account).into(),
            id,
        }
    }

    /// Who it is.
    #[must_use]
    pub fn id(&self) -> &SpiffeId {
        &self.id
    }

    /// `<trust domain>/ns/<namespace>/sa/<service account>`.
    #[must_use]
    pub fn principal(&self) -> &str {
        &self.principal
    }

    /// `<namespace>/<service account>`.
    #[must_use]
    pub fn account(&self) -> &str {
        &self.account
    }
}

/// `<iss>/<sub>` of a verified token.
///
/// **Shape:** it is known where one ends and the other begins: the subject `b/c` of `https://a` is not the subject `c` of
/// `https://a/b`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestPrincipal {
    text: Box<str>,
    separator: usize,
}

impl RequestPrincipal {
    /// Joins issuer and subject.
    #[must_use]
    pub fn new(issuer: &str, subject: &str) -> Self {
        Self {
            text: format!("{issuer}/{subject}").into(),
            separator: issuer.len(),
        }
    }

    /// `<iss>/<sub>`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Where the slash between them is. Units: bytes.
    #[must_use]
    pub fn separator(&self) -> usize {
        self.separator
    }
}
