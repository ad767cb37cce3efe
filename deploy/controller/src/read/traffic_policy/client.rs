//! `clientAddress`.

use std::ops::RangeInclusive;

use yaml::{
    Cursor, Error,
    scalar::{boolean, checked},
};

use crate::{
    objects::traffic_policy::ClientAddress,
    read::{field, number},
};

/// More identities than a mesh has load balancers.
const MAX_PEERS: usize = 64;
/// A trust domain, a namespace and a service account, and what is between them.
const MAX_PEER_BYTES: usize = 1024;
/// A chain of more is no chain.
const PROXIES: RangeInclusive<u32> = 0..=100;

const PEERS: &str = "a list of at least one principal";
const PEER: &str = "a principal such as cluster.local/ns/ingress/sa/haproxy without spiffe://, or one with a * at its \
                    beginning or its end; not * alone";

pub(super) fn client_address(at: &Cursor<'_>) -> Result<ClientAddress, Error> {
    let object = at.exact_object(
        "a mapping with trustedPeers",
        &["numTrustedProxies", "proxyProtocol", "trustedPeers"],
    )?;
    let trusted_peers = object.required("trustedPeers", PEERS, |at| {
        let peers = field::items_up_to(at, PEERS, MAX_PEERS, |at| {
            checked(at, PEER, is_peer).map(str::to_owned)
        })?;
        if peers.is_empty() {
            return Err(at.unexpected(PEERS));
        }
        Ok(peers)
    })?;
    Ok(ClientAddress {
        trusted_peers,
        trusted_proxies: object.nullable("numTrustedProxies", trusted_proxies)?,
        proxy_protocol: object.nullable("proxyProtocol", boolean)?,
    })
}

/// `numTrustedProxies`.
pub(in crate::read) fn trusted_proxies(at: &Cursor<'_>) -> Result<u32, Error> {
    number::within(at, PROXIES, "a whole number from 0 to 100")
}

/// A principal, or how one begins or ends. A star elsewhere would never match, and one alone would match everybody.
fn is_peer(text: &str) -> bool {
    let inner = text.strip_suffix('*').or_else(|| text.strip_prefix('*'));
    let inner = inner.unwrap_or(text);
    let is_written = |text: &str| text.chars().all(|c| c.is_ascii_graphic() && c != '*');
    text.len() <= MAX_PEER_BYTES
        && !inner.is_empty()
        && is_written(inner)
        && !text.contains("://")
        // Nobody is called so.
        && (text.contains('*') || is_principal(text))
}

/// `<trust domain>/ns/<namespace>/sa/<service account>`.
fn is_principal(text: &str) -> bool {
    let parts: Vec<&str> = text.split('/').collect();
    matches!(parts.as_slice(), [domain, "ns", namespace, "sa", account]
        if [domain, namespace, account].iter().all(|part| !part.is_empty()))
}
