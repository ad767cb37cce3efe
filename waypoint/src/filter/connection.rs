//! Headers that concern one connection and end with it.
//!
//! In: a head as it came from one side. Out: the head as it may go to the other; what upgrade the client asked for.
//! Never: touches a header that is meant for the other end, even if `connection` names it.
//!
//! Source: RFC 9110 §7.6.1 and §7.8, RFC 9113 §8.2.2, RFC 8441.

use bytes::Bytes;
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Request, Version,
    header::{
        AUTHORIZATION, CACHE_CONTROL, CONNECTION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE,
        COOKIE, EXPECT, FORWARDED, HOST, SET_COOKIE, TE, TRANSFER_ENCODING, UPGRADE,
    },
};

/// Not a standard name of the `http` crate.
const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");
/// Names in `connection` that are looked at. Reason: more than this is no client, and each costs a look-up.
const MAX_CONNECTION_OPTIONS: usize = 32;

/// What a client wants its connection or stream to become.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Switch {
    /// Nothing.
    No,
    /// A WebSocket, by `upgrade` of HTTP/1.1 (RFC 6455 §4.1).
    WebSocket,
    /// A WebSocket, by an extended CONNECT of HTTP/2 (RFC 8441 §4).
    WebSocketStream,
    /// A tunnel to wherever it says. Nobody here gives one.
    Connect,
}

/// What `request` asks for. Any other upgrade is ignored, as RFC 9110 §7.8 lets a server do.
pub fn switch<B>(request: &Request<B>) -> Switch {
    if request.method() == Method::CONNECT {
        return match request.extensions().get::<hyper::ext::Protocol>() {
            Some(protocol) if protocol.as_str().eq_ignore_ascii_case("websocket") => {
                Switch::WebSocketStream
            }
            Some(_) | None => Switch::Connect,
        };
    }
    let headers = request.headers();
    if request.version() == Version::HTTP_11
        && has_token(headers, &CONNECTION, "upgrade")
        && has_token(headers, &UPGRADE, "websocket")
    {
        Switch::WebSocket
    } else {
        Switch::No
    }
}

/// Takes what concerns the client's connection alone out of a request. `te` stays if it says `trailers`, which is the
/// one thing that it may say to the next hop of HTTP/2.
///
/// `expect: 100-continue` ends here where `version` is HTTP/1: the engine says 100 when somebody reads the body. On HTTP/2 the
/// engine says nothing before the answer, so the backend is asked, as RFC 9110 §10.1.1 tells a proxy: it can refuse before the
/// body comes. Its 100 does not reach the client, which goes on after a while by itself.
pub fn strip_request(headers: &mut HeaderMap, version: Version) {
    let found = Found::of(headers);
    let trailers = found.te && has_token(headers, &TE, "trailers");
    strip(headers, found);
    if found.te {
        headers.remove(TE);
    }
    if trailers {
        headers.insert(TE, HeaderValue::from_static("trailers"));
    }
    if found.cookie {
        join_cookies(headers);
    }
    if found.expect
        && version != Version::HTTP_2
        && headers
            .get(EXPECT)
            .is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"100-continue"))
    {
        headers.remove(EXPECT);
    }
}

/// Makes one header of several of `cookie`: HTTP/2 may split it, HTTP/1.1 may not (RFC 9113 §8.2.3).
fn join_cookies(headers: &mut HeaderMap) {
    let mut values = headers.get_all(COOKIE).iter();
    let (Some(first), Some(second)) = (values.next(), values.next()) else {
        return;
    };
    let mut joined = first.as_bytes().to_vec();
    for value in [second].into_iter().chain(values) {
        joined.extend_from_slice(b"; ");
        joined.extend_from_slice(value.as_bytes());
    }
    if let Ok(joined) = HeaderValue::from_maybe_shared(Bytes::from(joined)) {
        headers.insert(COOKIE, joined);
    }
}

/// Takes what concerns the backend's connection alone out of a response, and with `transfer-encoding` the length that it
/// overrides (RFC 9112 §6.3).
pub fn strip_response(headers: &mut HeaderMap) {
    let found = Found::of(headers);
    if found.transfer_encoding {
        headers.remove(CONTENT_LENGTH);
    }
    strip(headers, found);
}

/// Which headers there are, of those that are asked for here. Found in one look at all: most heads are short, and have none of them.
#[derive(Clone, Copy, Debug, Default)]
struct Found {
    connection: bool,
    keep_alive: bool,
    proxy_connection: bool,
    transfer_encoding: bool,
    upgrade: bool,
    te: bool,
    cookie: bool,
    expect: bool,
}

impl Found {
    fn of(headers: &HeaderMap) -> Self {
        let mut found = Self::default();
        for name in headers.keys() {
            match name.as_str() {
                "connection" => found.connection = true,
                "keep-alive" => found.keep_alive = true,
                "proxy-connection" => found.proxy_connection = true,
                "transfer-encoding" => found.transfer_encoding = true,
                "upgrade" => found.upgrade = true,
                "te" => found.te = true,
                "cookie" => found.cookie = true,
                "expect" => found.expect = true,
                _ => {}
            }
        }
        found
    }
}

fn strip(headers: &mut HeaderMap, found: Found) {
    if found.connection {
        let named: Vec<HeaderName> = headers
            .get_all(CONNECTION)
            .iter()
            .filter_map(|value| value.to_str().ok())
            // As nearly all say one thing only.
            .filter(|value| !names_nothing(value))
            .flat_map(|value| value.split(','))
            .map(str::trim)
            .filter(|name| !names_nothing(name))
            .filter_map(|name| HeaderName::from_bytes(name.as_bytes()).ok())
            .filter(|name| *name != TE && !is_end_to_end(name))
            .take(MAX_CONNECTION_OPTIONS)
            .collect();
        for name in named {
            headers.remove(name);
        }
        headers.remove(CONNECTION);
    }
    let gone = [
        (found.keep_alive, &KEEP_ALIVE),
        (found.proxy_connection, &PROXY_CONNECTION),
        (found.transfer_encoding, &TRANSFER_ENCODING),
        (found.upgrade, &UPGRADE),
    ];
    for (_, name) in gone.iter().filter(|(is_there, _)| *is_there) {
        headers.remove(*name);
    }
}

/// Whether a word in `connection` is about the connection itself, and names no header that is not taken out anyway. Most connections have no others.
fn names_nothing(option: &str) -> bool {
    ["keep-alive", "upgrade", "close"]
        .iter()
        .any(|word| option.eq_ignore_ascii_case(word))
}

/// Whether a header is meant for everybody, so that a client cannot have it taken away from those behind us.
fn is_end_to_end(name: &HeaderName) -> bool {
    let standard = [
        &HOST,
        &CONTENT_LENGTH,
        &CONTENT_TYPE,
        &CONTENT_ENCODING,
        &CACHE_CONTROL,
        &AUTHORIZATION,
        &COOKIE,
        &SET_COOKIE,
        &FORWARDED,
    ];
    standard.contains(&name)
        || name.as_str().starts_with("x-forwarded-")
        || name.as_str() == "x-request-id"
}

/// Whether one of the comma-separated values of `name` is `token`, in any case.
pub fn has_token(headers: &HeaderMap, name: &HeaderName, token: &str) -> bool {
    headers.get_all(name).iter().any(|value| {
        value.to_str().is_ok_and(|value| {
            value
                .split(',')
                .any(|one| one.trim().eq_ignore_ascii_case(token))
        })
    })
}

#[cfg(test)]
mod tests;
