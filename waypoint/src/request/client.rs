//! Where a client is, by the word of those who may speak for others; and what of that the endpoint is told.
//!
//! In: a head as its connection brought it, the certified peer, the [`ClientAddress`] that holds. Out: the trusted client
//! address, in [`Call::client`] and the account; a head in which nobody else's word stands. Never: acts upon a header of a peer that
//! the policy does not list, or without a policy.
//!
//! ```text
//!                            remote.ip is                            x-forwarded-for        x-envoy-external-address
//!   no policy                the tunnel's peer                       as it came             as it came
//!   policy, peer not listed  the tunnel's peer                       removed                removed
//!   policy, peer listed      the n+1st of its word from the right    as it came, one line   the trusted address
//!     and a PROXY header     the same, the header's source being     the source replaces    the trusted address
//!                            the last word                           (n = 0) or follows it
//! ```
//! The word of a listed peer: the addresses of `x-forwarded-for`, of which the peer itself has written the last; n is
//! `numTrustedProxies`. Where the connection began with a PROXY header the peer has written that, and whoever it spoke for all of
//! `x-forwarded-for`: so the source comes after it. Where there are not so many, or the one is no address, the client is who the connection
//! came from: the header's source, else the tunnel's peer. A shorter list is one that has come around a proxy.
//!
//! Without a policy the endpoint sees what an ingress said, as behind Istio's waypoint; no address in it is read here, so `remoteIpBlocks` cannot
//! be misled, where Envoy's default would believe the last address. With one, what a pod says is gone before rules, policies and endpoints
//! look: all of `x-forwarded-*`, `forwarded` and `x-real-ip`, which are words about a client like the others, though nothing here reads the last two; the endpoint is then told
//! `x-forwarded-proto: http`, which is what the peer speaks. Who is listed may say them all, in their own spelling: the same names with `_` for `-` go, as CGI, WSGI and their kin
//! cannot tell them apart, and the proxy that wrote one may have passed on the other. Behind a PROXY header without a trusted proxy all of them are the client's own, and go.
//!
//! `x-forwarded-client-cert` is always removed (`envoy::sanitize`), and set to the certified client where the waypoint is told to
//! (ID-12): `SANITIZE` and `SANITIZE_SET` of `forwardClientCertDetails`. Its other values would let a pod vouch for itself.
//!
//! Source: Envoy's `use_remote_address: false`, `xff_num_trusted_hops` (with `true` behind a PROXY header), Istio's
//! `gatewayTopology`.

use std::net::{IpAddr, SocketAddr};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, header::FORWARDED};
use mesh::{SpiffeId, access::ClientAddress};

use crate::{
    filter::envoy::{self, X_ENVOY_EXTERNAL_ADDRESS, X_FORWARDED_CLIENT_CERT},
    request::{call::Call, rules::Rules},
    session::Session,
};

mod trust;

pub use trust::trusts;

/// The addresses that a request went through, as each proxy saw its client.
pub const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// The client's address, as some proxies tell it.
const X_REAL_IP: HeaderName = HeaderName::from_static("x-real-ip");

/// Finds out where the client of a request is, and leaves in its head what the endpoint may believe. Costs nothing where no policy holds
/// and no certificate is passed on.
pub fn establish(call: &mut Call, rules: &Rules, headers: &mut HeaderMap) {
    let session = &call.session;
    let of_table = rules.table.as_ref();
    let policy = of_table
        .and_then(|table| table.client_address.as_ref())
        .or(rules.settings.client_address.as_ref());
    if let Some(policy) = policy {
        let client = if trusts(policy, session.identity()) {
            let client = of_chain(session, policy, headers);
            tell(session, policy, client, headers);
            client
        } else {
            envoy::remove(headers, is_of_clients);
            session.client
        };
        call.client = client.ip();
        call.account.came_from(client);
    }
    if rules.settings.include_client_certificate {
        let said = certificate(session.identity());
        headers.extend(said.map(|said| (X_FORWARDED_CLIENT_CERT, said)));
    }
}

/// Where the client of a whole connection is: what its PROXY header said, if the peer may still speak for others by the policy that
/// holds now; else the tunnel's peer.
#[must_use]
pub fn of_connection(session: &Session, policy: Option<&ClientAddress>) -> SocketAddr {
    match (&session.proxied, policy) {
        (Some(proxied), Some(policy)) if trusts(policy, session.identity()) => proxied.source,
        (Some(_) | None, Some(_) | None) => session.client,
    }
}

/// The client, by the word of a peer that is listed.
fn of_chain(session: &Session, policy: &ClientAddress, headers: &HeaderMap) -> SocketAddr {
    let hops = usize::try_from(policy.trusted_proxies).unwrap_or(usize::MAX);
    let direct = of_connection(session, Some(policy));
    let at = match ends_with_connection(session, policy) {
        false => Some(hops),
        true => hops.checked_sub(1),
    };
    // The port of a client that somebody else saw is not known.
    at.and_then(|at| from_right(headers, at))
        .map_or(direct, |ip| SocketAddr::new(ip, 0))
}

/// Whether the peer's own word is that on the connection, and not the last address of `x-forwarded-for`: also where it ought to have begun
/// with a PROXY header and came before that was asked for, and where it did and it is not asked for any more.
fn ends_with_connection(session: &Session, policy: &ClientAddress) -> bool {
    policy.proxy_protocol || session.proxied.is_some()
}

/// The address that is so many from the right, 0 being the last.
fn from_right(headers: &HeaderMap, at: usize) -> Option<IpAddr> {
    let lines = headers.get_all(X_FORWARDED_FOR).iter().rev();
    // An empty one counts: who wrote it did not know the client, and the next one is not its word.
    let word = lines
        .flat_map(|line| line.as_bytes().rsplit(|byte| *byte == b','))
        .nth(at)?;
    address(word.trim_ascii())
}

/// An address as proxies write it, some with a port.
fn address(word: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(word).ok()?;
    let ip = text
        .parse::<IpAddr>()
        .or_else(|_| text.parse::<SocketAddr>().map(|address| address.ip()));
    Some(ip.ok()?.to_canonical())
}

/// Leaves the word of a listed peer in a head.
fn tell(session: &Session, policy: &ClientAddress, client: SocketAddr, headers: &mut HeaderMap) {
    let mut lines: Vec<Bytes> = Vec::new();
    let by_connection = ends_with_connection(session, policy);
    // With none trusted behind the header, all of it is what the client itself said, and so is every other word.
    let is_heard = !by_connection || policy.trusted_proxies > 0;
    if is_heard {
        let said = headers.get_all(X_FORWARDED_FOR).iter();
        lines.extend(said.map(|line| Bytes::copy_from_slice(line.as_bytes())));
    }
    if by_connection {
        let direct = of_connection(session, Some(policy));
        lines.push(Bytes::from(direct.ip().to_canonical().to_string()));
    }
    envoy::remove(headers, |found| {
        is_of_clients(found)
            && (!is_heard
                || *found == X_FORWARDED_FOR
                || *found == X_ENVOY_EXTERNAL_ADDRESS
                || found.as_str().contains('_'))
    });
    // One line: some look at the first alone.
    let joined = Bytes::from(lines.join(&b", "[..]));
    if !joined.is_empty()
        && let Ok(value) = HeaderValue::from_maybe_shared(joined)
    {
        headers.insert(X_FORWARDED_FOR, value);
    }
    if let Ok(value) = HeaderValue::try_from(client.ip().to_canonical().to_string()) {
        headers.insert(X_ENVOY_EXTERNAL_ADDRESS, value);
    }
}

/// Whether a header speaks of a client, as only who is listed may; also where somebody wrote `_` for `-`.
fn is_of_clients(found: &HeaderName) -> bool {
    [FORWARDED, X_REAL_IP, X_ENVOY_EXTERNAL_ADDRESS]
        .iter()
        .any(|name| envoy::is_alike(found, name))
        || envoy::begins_alike(found.as_str(), "x-forwarded-")
}

/// What an application is told of the certified client. Source: `x-forwarded-client-cert`, key `URI`.
fn certificate(identity: &SpiffeId) -> Option<HeaderValue> {
    // An identity has no character that would need quotes.
    HeaderValue::try_from(format!("URI={identity}")).ok()
}

#[cfg(test)]
mod tests;
