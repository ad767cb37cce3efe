//! Which headers may cross between a request, its response and an authorizer.
//!
//! In: names. Out: whether they may be written. Never: lets an authorizer's connection, or the length of its own message, become
//! that of somebody else's.

use http::{
    HeaderName,
    header::{CONNECTION, CONTENT_LENGTH, EXPECT, HOST, TE, TRAILER, TRANSFER_ENCODING, UPGRADE},
};
use mesh::access::authorization::TextMatch;

const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");
/// Whether an authorizer sees a body that is not whole. Source: Envoy.
pub(super) const PARTIAL_BODY: HeaderName = HeaderName::from_static("x-envoy-auth-partial-body");
/// Headers that are to be taken out of the request, in an answer by HTTP. Source: Envoy.
pub(super) const HEADERS_TO_REMOVE: HeaderName =
    HeaderName::from_static("x-envoy-auth-headers-to-remove");

/// Whether a header belongs to one connection, or says how long one message is (RFC 9110 §7.6.1).
pub(super) fn is_of_hop(name: &HeaderName) -> bool {
    [
        CONNECTION,
        CONTENT_LENGTH,
        EXPECT,
        KEEP_ALIVE,
        PROXY_CONNECTION,
        TE,
        TRAILER,
        TRANSFER_ENCODING,
        UPGRADE,
    ]
    .contains(name)
}

/// Whether an authorizer may have a header taken out of a request: not where that would leave none.
pub(super) fn is_removable(name: &HeaderName) -> bool {
    *name != HOST && !is_of_hop(name)
}

/// Whether one of `patterns` covers a name.
pub(super) fn covers(patterns: &[TextMatch], name: &HeaderName) -> bool {
    let name = name.as_str().as_bytes();
    patterns.iter().any(|pattern| pattern.matches(name))
}
