//! `forwarded`: whom a tunnel is opened for.
//!
//! In: a `forwarded` header.
//! Out: a [`Forwarded`], or the header value for one.
//! Never: a refusal (what cannot be read is absent), trust (a peer writes what it likes).

use std::{borrow::Cow, net::SocketAddr};

use http::{HeaderMap, HeaderName, HeaderValue};

use crate::{
    authority::{DnsName, PlainAddress, parse_address},
    header,
};

/// The header's name. Source: RFC 7239 §4.
pub const NAME: HeaderName = HeaderName::from_static("forwarded");

/// The most bytes of a header that are read; a longer one is absent. Our own form has at most 320; the
/// rest is room for the elements that proxies on the way append.
pub const MAX_BYTES: usize = 4096;

/// The connection a tunnel is opened for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Forwarded {
    /// `for`: the application's socket address in the client pod. Port 1 to 65535 after parsing.
    pub source: SocketAddr,
    /// `host`: the service that the application called, if it called one.
    pub host: Option<DnsName>,
}

impl Forwarded {
    /// Reads the header of a request: `None` unless there is one and its first element names an IP
    /// address with a port.
    #[must_use]
    pub fn from_headers(headers: &HeaderMap) -> Option<Self> {
        Self::parse(headers.get(NAME)?.as_bytes())
    }

    /// Reads one header value.
    ///
    /// **Shape**: of several elements the first counts, which is the one nearest to the client (RFC
    /// 7239 §4). Parameters may come in any order and case, as tokens or quoted; unknown ones are
    /// skipped. A `host` that is not a DNS name is absent. A parameter given twice spoils the element.
    #[must_use]
    pub fn parse(value: &[u8]) -> Option<Self> {
        if value.len() > MAX_BYTES {
            return None;
        }
        let mut rest = std::str::from_utf8(value).ok()?;
        let mut source = None;
        let mut host = None;
        loop {
            let (name, after) = rest.split_once('=')?;
            let (value, after) = parse_value(header::trim_start(after))?;
            let name = header::trim(name);
            if !is_token(name) {
                return None;
            }
            let slot = if name.eq_ignore_ascii_case("for") {
                Some(&mut source)
            } else if name.eq_ignore_ascii_case("host") {
                Some(&mut host)
            } else {
                None
            };
            if slot.is_some_and(|slot| slot.replace(value).is_some()) {
                return None;
            }
            rest = header::trim_start(after);
            if rest.is_empty() || rest.starts_with(',') {
                break;
            }
            rest = header::trim_start(rest.strip_prefix(';')?);
            // A semicolon at the end of an element is forgiven.
            if rest.is_empty() || rest.starts_with(',') {
                break;
            }
        }
        Some(Self {
            source: parse_address(&source?)?,
            host: host.and_then(|host| host.parse().ok()),
        })
    }

    /// The header value, in one allocation.
    #[must_use]
    pub fn header_value(&self) -> HeaderValue {
        use std::fmt::Write as _;

        /// `for="[`, the longest IPv6 address, `]:65535";host=`.
        const MAX_FIXED_BYTES: usize = 60;
        let host = self.host.as_ref().map_or("", DnsName::as_str);
        let mut text = String::with_capacity(MAX_FIXED_BYTES + host.len());
        // Quoted also for IPv4: a colon may not stand in a token (RFC 7239 §4).
        let written = write!(text, "for=\"{}\"", PlainAddress(self.source));
        debug_assert!(written.is_ok(), "writing into a String has no way to fail");
        if !host.is_empty() {
            text.push_str(";host=");
            text.push_str(host);
        }
        header::value(text)
    }
}

/// Source: RFC 9110 §5.6.2.
fn is_token(text: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b))
}

/// A token or a quoted string at the start of `text`, unescaped, and what follows it.
fn parse_value(text: &str) -> Option<(Cow<'_, str>, &str)> {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find([';', ',', ' ', '\t']).unwrap_or(text.len());
        let (token, rest) = text.split_at_checked(end)?;
        return Some((Cow::Borrowed(token), rest));
    };
    let end = quoted.find(['"', '\\'])?;
    let (plain, rest) = quoted.split_at_checked(end)?;
    if let Some(rest) = rest.strip_prefix('"') {
        return Some((Cow::Borrowed(plain), rest));
    }
    // The rare form with `\x` for `x`.
    let mut unescaped = plain.to_owned();
    let mut chars = rest.chars();
    loop {
        match chars.next()? {
            '"' => return Some((Cow::Owned(unescaped), chars.as_str())),
            '\\' => unescaped.push(chars.next()?),
            other => unescaped.push(other),
        }
    }
}

#[cfg(test)]
mod tests;
