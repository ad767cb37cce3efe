//! Which headers somebody whom we ask may write, or is shown.
//!
//! In: names. Out: whether they may be written. Never: lets the connection of an authorizer or a rate limit service, or the length of its own message, become
//! that of somebody else's.

use http::{
    HeaderName,
    header::{CONNECTION, CONTENT_LENGTH, EXPECT, HOST, TE, TRAILER, TRANSFER_ENCODING, UPGRADE},
};
use mesh::access::authorization::TextMatch;

const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");
/// Whether an authorizer sees a body that is not whole. Source: Envoy.
pub(in crate::access) const PARTIAL_BODY: HeaderName =
    HeaderName::from_static("x-envoy-auth-partial-body");
/// Headers that are to be taken out of the request, in an answer by HTTP. Source: Envoy.
pub(in crate::access) const HEADERS_TO_REMOVE: HeaderName =
    HeaderName::from_static("x-envoy-auth-headers-to-remove");

/// Whether a header belongs to one connection, or says how long one message is (RFC 9110 §7.6.1).
pub(in crate::access) fn is_of_hop(name: &HeaderName) -> bool {
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

/// Whether who is asked may write a header of a request or a response, or have it taken out: not where that would leave no message, or say whom it is for.
pub(in crate::access) fn is_removable(name: &HeaderName) -> bool {
    *name != HOST && !is_of_hop(name)
}

/// Whether one of `patterns` covers a name.
pub(in crate::access) fn covers(patterns: &[TextMatch], name: &HeaderName) -> bool {
    let name = name.as_str().as_bytes();
    patterns.iter().any(|pattern| pattern.matches(name))
}
