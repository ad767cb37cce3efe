//! What the HTTP/2 engine lets pass and RFC 9113 does not.
//!
//! In: a head. Out: whether it has one meaning. Never: changes it.
//!
//! The engine has refused connection-specific headers, upper-case names and bodies of another length than was said.

use http::{HeaderValue, Request, header};

use crate::http1::{MAX_FIELDS, MAX_HEAD_BYTES, Refusal, is_authority};

/// Judges the head of a request of HTTP/2.
///
/// # Errors
/// What is wrong with it.
pub(super) fn head<B>(request: &Request<B>) -> Result<(), Refusal> {
    let headers = request.headers();
    if headers.len() > MAX_FIELDS {
        return Err(Refusal::TooMany);
    }
    let fields: usize = headers
        .iter()
        .map(|(name, value)| name.as_str().len() + value.len())
        .sum();
    let authority = request.uri().authority().map(http::uri::Authority::as_str);
    let target = request.uri().path().len()
        + request.uri().query().map_or(0, str::len)
        + authority.map_or(0, str::len);
    if fields + target > MAX_HEAD_BYTES {
        return Err(Refusal::TooLarge);
    }
    let mut hosts = headers
        .get_all(header::HOST)
        .iter()
        .map(HeaderValue::as_bytes);
    let host = hosts.next();
    if hosts.next().is_some() {
        return Err(Refusal::SeveralHosts);
    }
    match (authority, host) {
        (None, None | Some(b"")) => Err(Refusal::MissingHost),
        (None, Some(host)) if !is_authority(host) => Err(Refusal::Host),
        (Some(authority), _) if !is_authority(authority.as_bytes()) => Err(Refusal::Host),
        (Some(authority), Some(host)) if !host.eq_ignore_ascii_case(authority.as_bytes()) => {
            Err(Refusal::HostMismatch)
        }
        (Some(_), _) | (None, Some(_)) => Ok(()),
    }
}

#[cfg(test)]
mod tests;
