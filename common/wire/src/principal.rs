//! `x-ambit-client-principal`: for whom a waypoint opens a tunnel, as it says itself.
//!
//! In: the headers of a CONNECT. Out: a [`Claim`], or the header value for one. Never: trust (a peer writes what it likes); the
//! best of several: whoever believes the peer has to know exactly what it says.
//!
//! **Shape:** one line with one SPIFFE ID and nothing around it. Istio's ztunnel ignores the header.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, header::InvalidHeaderValue};
use mesh::{SpiffeId, spiffe::InvalidSpiffeId};

/// The header's name.
pub const NAME: HeaderName = HeaderName::from_static("x-ambit-client-principal");

/// For whom a peer says that it comes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Claim {
    /// It says nothing.
    #[default]
    Absent,
    /// For this one.
    Named(SpiffeId),
    /// It says something that names nobody.
    Unreadable(Unreadable),
}

/// Why a claim names nobody.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// It is there more than once.
    #[error("{NAME}: several of them, expected one")]
    Several,
    /// Its bytes are no text.
    #[error("{NAME}: expected visible ASCII")]
    Text,
    /// It is no SPIFFE ID, or a longer one than there are.
    #[error("{NAME}: {0}")]
    Identity(InvalidSpiffeId),
}

impl Claim {
    /// Reads the headers of a request.
    #[must_use]
    pub fn from_headers(headers: &HeaderMap) -> Self {
        let mut values = headers.get_all(NAME).iter();
        let Some(value) = values.next() else {
            return Self::Absent;
        };
        if values.next().is_some() {
            return Self::Unreadable(Unreadable::Several);
        }
        let Ok(text) = value.to_str() else {
            return Self::Unreadable(Unreadable::Text);
        };
        match text.parse() {
            Ok(identity) => Self::Named(identity),
            Err(error) => Self::Unreadable(Unreadable::Identity(error)),
        }
    }
}

/// The header's value for a client.
///
/// # Errors
/// When the identity has a byte that no header has, as none has that was ever read.
pub fn value(client: &SpiffeId) -> Result<HeaderValue, InvalidHeaderValue> {
    HeaderValue::from_maybe_shared(Bytes::from(client.to_string()))
}

#[cfg(test)]
mod tests;
