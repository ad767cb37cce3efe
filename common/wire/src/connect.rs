//! The head of an HBONE request: CONNECT, where to, and who asks.
//!
//! In: the head of an HTTP/2 request, as `h2` hands it over.
//! Out: a [`ConnectHead`], or the request and response heads that we send.
//! Never: a decision on whether the tunnel is allowed; trust in any header.
//!
//! Method and authority are the request: if one is wrong, the request is refused with 400. The headers
//! beside them only describe the caller, so one that cannot be read is as good as absent; but for [`crate::principal`], of which
//! it is told, as a decision may rest on it.
//!
//! Source: RFC 9113 §8.5 (CONNECT), Istio HBONE.

use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Version, request,
};

use crate::{
    authority::{Authority, InvalidAuthority},
    baggage::{self, Baggage},
    forwarded::{self, Forwarded},
    header,
    principal::Claim,
    traceparent::{self, Traceparent},
};

/// The header that names the client's network; only on the inner request of a double tunnel.
pub const NETWORK: HeaderName = HeaderName::from_static("x-forwarded-network");

/// The longest network name that is read. A network is a label's value (63 bytes) or comes from a
/// mesh's configuration; this is the length of a DNS name.
pub const MAX_NETWORK_BYTES: usize = 253;

/// How much of a refused method goes into the error: more than any registered method has.
pub const MAX_METHOD_CHARS: usize = 32;

/// What a peer asks of us with a CONNECT.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectHead {
    /// Where the tunnel is to lead.
    pub authority: Authority,
    /// Who the caller says it is.
    pub baggage: Baggage,
    /// Whom the caller says it opens the tunnel for.
    pub forwarded: Option<Forwarded>,
    /// The trace to continue.
    pub traceparent: Option<Traceparent>,
    /// For whom the caller says that it comes. Who may say so is a decision.
    pub client: Claim,
    /// The network the caller says it is in, if it reached us through a gateway. Visible ASCII, not
    /// empty, case kept.
    pub network: Option<String>,
}

/// Why a request head is not that of a tunnel. The answer to each is 400.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Not CONNECT.
    #[error("expected method CONNECT, got {method}")]
    Method {
        /// The method of the request, cut to [`MAX_METHOD_CHARS`]: a peer may make one of any length.
        method: String,
    },
    /// A CONNECT with `:scheme`, and so with `:path`: what an extended CONNECT (RFC 8441 §4) always has.
    #[error("expected CONNECT with an authority only, got a scheme and a path")]
    Extended,
    /// The authority is missing or is not an address or hostname with a port.
    #[error("invalid CONNECT address {0}")]
    Address(InvalidAuthority),
}

impl ConnectHead {
    /// Reads the head of a request.
    ///
    /// # Errors
    ///
    /// [`Error`] for another method, an extended CONNECT, or an `:authority` that is not one; never
    /// for another header.
    pub fn parse(parts: &request::Parts) -> Result<Self, Error> {
        if parts.method != Method::CONNECT {
            return Err(Error::Method {
                method: parts
                    .method
                    .as_str()
                    .chars()
                    .take(MAX_METHOD_CHARS)
                    .collect(),
            });
        }
        // A URI has no path beside an authority unless it has a scheme.
        if parts.uri.scheme().is_some() {
            return Err(Error::Extended);
        }
        let authority = parts
            .uri
            .authority()
            .map_or("", http::uri::Authority::as_str);
        Ok(Self {
            authority: authority.parse().map_err(Error::Address)?,
            baggage: Baggage::from_headers(&parts.headers),
            forwarded: Forwarded::from_headers(&parts.headers),
            traceparent: Traceparent::from_headers(&parts.headers),
            client: Claim::from_headers(&parts.headers),
            network: network(&parts.headers),
        })
    }
}

/// The head of a request for a tunnel. `baggage` is the caller's [`Baggage::header_value`], made once
/// per workload. A client behind another network adds [`NETWORK`] itself.
#[must_use]
pub fn request(
    authority: &Authority,
    baggage: Option<&HeaderValue>,
    forwarded: Option<&Forwarded>,
    traceparent: Option<Traceparent>,
) -> Request<()> {
    /// The three below and [`NETWORK`].
    const MAX_HEADERS: usize = 4;

    let mut request = Request::new(());
    *request.method_mut() = Method::CONNECT;
    *request.uri_mut() = authority.to_uri();
    *request.version_mut() = Version::HTTP_2;
    let mut headers = HeaderMap::with_capacity(MAX_HEADERS);
    if let Some(value) = baggage {
        headers.insert(baggage::NAME, value.clone());
    }
    if let Some(value) = forwarded.map(Forwarded::header_value) {
        headers.insert(forwarded::NAME, value);
    }
    if let Some(value) = traceparent.map(Traceparent::header_value) {
        headers.insert(traceparent::NAME, value);
    }
    *request.headers_mut() = headers;
    request
}

/// The head of the answer to a request for a tunnel; `baggage` says who we are.
#[must_use]
pub fn response(status: StatusCode, baggage: Option<&HeaderValue>) -> Response<()> {
    let mut response = Response::new(());
    *response.status_mut() = status;
    *response.version_mut() = Version::HTTP_2;
    if let Some(value) = baggage {
        response.headers_mut().insert(baggage::NAME, value.clone());
    }
    response
}

fn network(headers: &HeaderMap) -> Option<String> {
    let text = header::trim(headers.get(NETWORK)?.to_str().ok()?);
    let fits = (1..=MAX_NETWORK_BYTES).contains(&text.len());
    (fits && text.bytes().all(|b| b.is_ascii_graphic())).then(|| text.to_owned())
}

#[cfg(test)]
mod tests;
