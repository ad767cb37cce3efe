//! Who may speak for others.
//!
//! In: a policy, a certified identity. Out: yes or no. Never: copies a name.

use mesh::{
    SpiffeId,
    access::{ClientAddress, authorization::TextMatch},
};

/// Whether a policy lists a certified peer.
#[must_use]
pub fn trusts(policy: &ClientAddress, identity: &SpiffeId) -> bool {
    policy
        .trusted_peers
        .iter()
        .any(|peer| matches(peer, identity))
}

/// Whether a condition holds for `<trust domain>/ns/<namespace>/sa/<service account>`.
fn matches(peer: &TextMatch, identity: &SpiffeId) -> bool {
    let parts = [
        identity.trust_domain.as_str(),
        "/ns/",
        identity.namespace.as_str(),
        "/sa/",
        identity.service_account.as_str(),
    ];
    let length: usize = parts.iter().map(|part| part.len()).sum();
    let bytes = parts.iter().flat_map(|part| part.bytes());
    match peer {
        TextMatch::Exact(text) => length == text.len() && bytes.eq(text.bytes()),
        TextMatch::Prefix(text) => length >= text.len() && bytes.take(text.len()).eq(text.bytes()),
        TextMatch::Suffix(text) => length
            .checked_sub(text.len())
            .is_some_and(|before| bytes.skip(before).eq(text.bytes())),
        TextMatch::Present => true,
        // Paths alone have templates.
        TextMatch::Template(_) => false,
    }
}

#[cfg(test)]
mod tests;
