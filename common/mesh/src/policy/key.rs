//! Conditions of policies as bit strings, so that one question answers them all: does this begin that?
//!
//! In: values of a policy's lists. Out: [`Key`]s. Never: looks at a connection (that is `query`).
//!
//! | condition | attribute | bits |
//! |---|---|---|
//! | exact text | as it is | the text and [`END`] |
//! | prefix | as it is | the text |
//! | suffix | reversed | the text, last byte first |
//! | presence | as it is, or `NamespacePresent` | none |
//! | service account | as it is | namespace, [`END`], name, [`END`] |
//! | range of addresses | by family | the network's bits |
//! | port | as it is | its 16 bits |
//!
//! [`END`] is a byte that UTF-8 never holds, so no text can pretend to be longer or shorter than it is.

use std::{cmp, net::IpAddr, sync::Arc};

use ipnet::IpNet;

use crate::authorization::{ServiceAccountMatch, StringMatch};

/// Ends an exact text. Source: RFC 3629 §1, the octet FF never appears.
pub(super) const END: u8 = 0xff;

/// The longest key that rules are found by; more of it is cut off, and the whole rule decides.
/// Reason: it bounds the depth of a trie, and no principal of Kubernetes is longer in practice.
pub(super) const MAX_INDEXED_BYTES: usize = 512;

/// What a condition looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Attribute {
    Principal,
    PrincipalReversed,
    Namespace,
    NamespaceReversed,
    NamespacePresent,
    ServiceAccount,
    SourceV4,
    SourceV6,
    DestinationV4,
    DestinationV6,
    Port,
}

impl Attribute {
    /// How many there are.
    pub(super) const COUNT: usize = Self::ALL.len();

    /// All of them, in the order of their numbers.
    pub(super) const ALL: [Self; 11] = [
        Self::Principal,
        Self::PrincipalReversed,
        Self::Namespace,
        Self::NamespaceReversed,
        Self::NamespacePresent,
        Self::ServiceAccount,
        Self::SourceV4,
        Self::SourceV6,
        Self::DestinationV4,
        Self::DestinationV6,
        Self::Port,
    ];

    /// Its place in a table of all attributes.
    pub(super) fn index(self) -> usize {
        self as usize
    }
}

/// One condition: the attribute's bits begin with these.
///
/// **Shape:** `bytes` holds exactly `bits` bits; what is left of the last byte is zero.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Key {
    pub(super) attribute: Attribute,
    pub(super) bits: usize,
    /// The first 64 bits, the first one highest: most conditions are decided by them.
    head: u64,
    bytes: Arc<[u8]>,
}

impl Key {
    fn new(attribute: Attribute, bits: usize, bytes: &[u8]) -> Self {
        Self {
            attribute,
            bits,
            head: head(bytes),
            bytes: Arc::from(bytes),
        }
    }

    /// A condition on a text that is also there in reverse; `present` is the attribute that presence looks at.
    fn text(
        forward: Attribute,
        reversed: Attribute,
        present: Attribute,
        condition: &StringMatch,
    ) -> Self {
        match condition {
            StringMatch::Exact(text) => {
                let bytes: Vec<u8> = text.bytes().chain([END]).collect();
                Self::new(forward, bytes.len() * 8, &bytes)
            }
            StringMatch::Prefix(text) => Self::new(forward, text.len() * 8, text.as_bytes()),
            StringMatch::Suffix(text) => {
                let bytes: Vec<u8> = text.bytes().rev().collect();
                Self::new(reversed, bytes.len() * 8, &bytes)
            }
            StringMatch::Presence => Self::new(present, 0, &[]),
        }
    }

    /// A condition on the principal, which is never empty where there is one.
    pub(super) fn principal(condition: &StringMatch) -> Self {
        Self::text(
            Attribute::Principal,
            Attribute::PrincipalReversed,
            Attribute::Principal,
            condition,
        )
    }

    /// A condition on the source's namespace.
    pub(super) fn namespace(condition: &StringMatch) -> Self {
        Self::text(
            Attribute::Namespace,
            Attribute::NamespaceReversed,
            Attribute::NamespacePresent,
            condition,
        )
    }

    /// A condition on the source's service account.
    pub(super) fn service_account(condition: &ServiceAccountMatch) -> Self {
        let (namespace, name) = (&condition.namespace, &condition.service_account);
        let bytes: Vec<u8> = namespace
            .bytes()
            .chain([END])
            .chain(name.bytes())
            .chain([END])
            .collect();
        Self::new(Attribute::ServiceAccount, bytes.len() * 8, &bytes)
    }

    /// A condition on the source's address.
    pub(super) fn source(range: &IpNet) -> Self {
        Self::range(Attribute::SourceV4, Attribute::SourceV6, range)
    }

    /// A condition on the destination's address.
    pub(super) fn destination(range: &IpNet) -> Self {
        Self::range(Attribute::DestinationV4, Attribute::DestinationV6, range)
    }

    /// A range of IPv4-mapped addresses is the range of the IPv4 addresses that it maps.
    fn range(v4: Attribute, v6: Attribute, range: &IpNet) -> Self {
        let bits = usize::from(range.prefix_len());
        match range.network() {
            IpAddr::V4(network) => Self::new(v4, bits, &network.octets()[..bits.div_ceil(8)]),
            IpAddr::V6(network) => match network.to_ipv4_mapped() {
                Some(network) if bits >= 96 => {
                    Self::new(v4, bits - 96, &network.octets()[..(bits - 96).div_ceil(8)])
                }
                Some(_) | None => Self::new(v6, bits, &network.octets()[..bits.div_ceil(8)]),
            },
        }
    }

    /// A condition on the destination's port.
    pub(super) fn port(port: u16) -> Self {
        Self::new(Attribute::Port, 16, &port.to_be_bytes())
    }

    /// The condition as rules are found by it: the same or, where that is too long, a weaker one.
    pub(super) fn indexed(&self) -> Self {
        match self.bytes.get(..MAX_INDEXED_BYTES) {
            Some(bytes) if self.bytes.len() > MAX_INDEXED_BYTES => {
                Self::new(self.attribute, MAX_INDEXED_BYTES * 8, bytes)
            }
            Some(_) | None => self.clone(),
        }
    }

    /// Whether `text` begins with the key. Both are of the same attribute.
    pub(super) fn begins(&self, text: Text<'_>) -> bool {
        if self.bits > text.bits() {
            return false;
        }
        let mask = match self.bits {
            0 => 0,
            1..64 => u64::MAX << (64 - self.bits),
            64.. => u64::MAX,
        };
        if (self.head ^ text.head) & mask != 0 {
            return false;
        }
        self.bits <= 64 || {
            let whole = self.bits / 8;
            let rest = self.bits % 8;
            self.bytes[8..whole] == text.bytes[8..whole]
                && (rest == 0 || (self.bytes[whole] ^ text.bytes[whole]) >> (8 - rest) == 0)
        }
    }

    /// The bit at a place below `bits`: 0 or 1.
    pub(super) fn bit(&self, place: usize) -> usize {
        bit(&self.bytes, place)
    }

    /// How many bits this and `other` begin with alike, `most` or fewer. Units: bits.
    pub(super) fn common(&self, other: &Self, most: usize) -> usize {
        let most = most.min(self.bits).min(other.bits);
        let differing = self
            .bytes
            .iter()
            .zip(other.bytes.iter())
            .position(|(a, b)| a != b);
        differing.map_or(most, |byte| {
            let alike = (self.bytes[byte] ^ other.bytes[byte]).leading_zeros();
            cmp::min(most, byte * 8 + usize::try_from(alike).unwrap_or(0))
        })
    }
}

/// An attribute of a connection.
#[derive(Clone, Copy, Debug)]
pub(super) struct Text<'a> {
    /// The [`head`] of the bytes.
    pub(super) head: u64,
    pub(super) bytes: &'a [u8],
}

impl Text<'_> {
    /// How long it is. Units: bits.
    pub(super) fn bits(self) -> usize {
        self.bytes.len() * 8
    }

    /// The bit at a place below [`Self::bits`]: 0 or 1.
    pub(super) fn bit(self, place: usize) -> usize {
        bit(self.bytes, place)
    }
}

fn bit(bytes: &[u8], place: usize) -> usize {
    usize::from(bytes[place / 8] >> (7 - place % 8) & 1)
}

/// The first 64 bits, the first one highest; what is not there is zero.
pub(super) fn head(bytes: &[u8]) -> u64 {
    let mut head = [0; 8];
    let len = bytes.len().min(8);
    head[..len].copy_from_slice(&bytes[..len]);
    u64::from_be_bytes(head)
}

#[cfg(test)]
mod tests;
