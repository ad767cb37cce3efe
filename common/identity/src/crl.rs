//! Certificates that their authority has taken back.
//!
//! In: a file of CRLs, and chains of peers. Out: which certificate of a chain is revoked, if one is.
//! Never: decides about a chain that no list speaks of; only authorities that publish a list are covered.
//!
//! ```text
//!  file ──(changed?)──▶ Crl: lists by issuer ──▶ handshake: is a (issuer, serial) of the chain on a list?
//!   CrlFile::run            │                          │ yes: has an authority of the chain signed it?
//!                           └─▶ subscribe ─▶ open connections are looked at again with Store::revocation
//! ```
//!
//! A list counts if a root that we believe, or an intermediate of the chain, has its issuer's name and has
//! signed it. That is checked when a certificate is found on it, once per list: every other handshake pays
//! for a search in a sorted list and for no signature. Roots that share a name, as those of a rotation do,
//! may each have a list: what any of them revokes is revoked.
//!
//! A list whose next update is overdue still counts, with a warning: what was revoked stays revoked.
//! Source: RFC 5280 §5; Istio `CRL_PATH`.

mod chain;
mod file;
mod revocation_list;

pub(crate) use chain::{Authority, Chain, Serial};
pub use file::{BadList, CrlError, CrlFile, CrlStats};
pub(crate) use revocation_list::RevocationList;

use crate::refusal::PeerRefusal;

/// All lists of one file; never changes.
#[derive(Debug, Default)]
pub(crate) struct Crl {
    lists: Box<[RevocationList]>,
}

impl Crl {
    pub(crate) fn new(lists: Vec<RevocationList>) -> Self {
        Self {
            lists: lists.into(),
        }
    }

    pub(crate) fn lists(&self) -> &[RevocationList] {
        &self.lists
    }

    /// Whether nothing can be revoked by it.
    pub(crate) fn is_empty(&self) -> bool {
        self.lists.iter().all(|list| list.len() == 0)
    }

    /// Whether both say the same.
    pub(crate) fn says_what(&self, other: &Self) -> bool {
        self.lists.len() == other.lists.len()
            && self
                .lists
                .iter()
                .zip(&other.lists)
                .all(|(ours, theirs)| ours.is(theirs))
    }

    /// The first certificate of a chain that is on a list which one of `roots` or of the chain's own
    /// authorities has signed.
    pub(crate) fn find(&self, chain: &Chain, roots: &[Authority]) -> Option<PeerRefusal> {
        chain.links().iter().find_map(|link| {
            let on_a_list = self.lists.iter().any(|list| {
                list.issuer() == link.issuer()
                    && list.holds(&link.serial)
                    && list.is_signed_by_any(roots.iter().chain(chain.authorities()))
            });
            on_a_list.then(|| PeerRefusal::Revoked {
                serial: link.serial.to_string(),
                issuer: link.issuer_name(),
            })
        })
    }
}

#[cfg(test)]
mod tests;
