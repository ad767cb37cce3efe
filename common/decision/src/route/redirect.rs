//! The location that a request is redirected to.

use std::borrow::Cow;

use mesh::route::{PathMatch, PathRedirect, Redirect, RedirectPort};

use super::{
    authority::{default_port, split},
    request::Head,
    rewrite::{join, replace_prefix},
};

/// The value of `location`. `matched` is the condition that the request's path met.
///
/// It is absolute, unless the request has no authority and the redirect brings none.
#[must_use]
pub fn location(redirect: &Redirect, matched: Option<&PathMatch>, head: &Head<'_>) -> String {
    let path = match &redirect.path {
        None => Cow::Borrowed(head.path),
        Some(PathRedirect::Full(path)) => Cow::Borrowed(&**path),
        Some(PathRedirect::Prefix(replacement)) => replace_prefix(replacement, matched, head.path),
    };
    // A request for no resource has no path that could be anywhere else.
    let path = if path == "*" {
        Cow::Borrowed("/")
    } else {
        path
    };
    join(&origin(redirect, head), &path, head.query)
}

/// Scheme, host and port.
fn origin(redirect: &Redirect, head: &Head<'_>) -> String {
    let scheme = redirect.scheme.as_deref().unwrap_or(head.scheme);
    let (host, written) = split(redirect.authority.as_deref().unwrap_or(head.authority));
    if host.is_empty() {
        return String::new();
    }
    let port = match redirect.port {
        RedirectPort::Number(port) => Some(port.get()),
        RedirectPort::Scheme => None,
        RedirectPort::Request => Some(head.port),
        RedirectPort::Authority if redirect.authority.is_some() => written,
        RedirectPort::Authority => {
            // 80 was written for http, and means nothing for https.
            let changes = scheme != head.scheme;
            written.filter(|port| !changes || default_port(head.scheme) != Some(*port))
        }
    };
    match port.filter(|port| default_port(scheme) != Some(*port)) {
        None => [scheme, "://", host].concat(),
        Some(port) => [scheme, "://", host, ":", &port.to_string()].concat(),
    }
}
