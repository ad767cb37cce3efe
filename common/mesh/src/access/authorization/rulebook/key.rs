//! Values of policies as keys of tries: what must hold of a text so that the value can.
//!
//! In: values. Out: [`Key`]s, and the tries that find them. Never: decides: what is found is asked as a whole.
//!
//! | value | place | bytes |
//! |---|---|---|
//! | exact text | whole | the text |
//! | prefix | begins | the text |
//! | suffix | ends | the text |
//! | present | begins | none |
//! | template | begins | what stands before its first `{` |
//! | template | ends | what stands behind `{**}` |
//! | template | whole, of one segment of the path | a segment that is text |
//! | range of addresses | begins | the family, then one byte for each bit |
//! | port | whole | its two bytes |

use std::net::IpAddr;

use ipnet::IpNet;

use super::{
    super::{IpAttribute, Template, TextAttribute, TextMatch},
    query::Query,
    trie::Trie,
};

/// What a key looks at.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Attribute {
    Text(TextAttribute),
    /// One segment of the path, by its place.
    Segment(usize),
    Ip(IpAttribute),
    Port,
}

/// Which part of a text a key is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Place {
    Whole,
    Begins,
    Ends,
}

/// What must hold of a text.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Key {
    pub(super) place: Place,
    pub(super) bytes: Box<[u8]>,
}

impl Key {
    fn new(place: Place, bytes: &[u8]) -> Self {
        Self {
            place,
            bytes: bytes.into(),
        }
    }

    /// The key of a condition on a text.
    pub(super) fn text(value: &TextMatch) -> Self {
        match value {
            TextMatch::Exact(text) => Self::new(Place::Whole, text.as_bytes()),
            TextMatch::Prefix(text) => Self::new(Place::Begins, text.as_bytes()),
            TextMatch::Suffix(text) => Self::new(Place::Ends, text.as_bytes()),
            TextMatch::Present => Self::new(Place::Begins, &[]),
            TextMatch::Template(text) => {
                Self::new(Place::Begins, Template::new(text).literal_prefix())
            }
        }
    }

    /// All keys of a condition on a text, each of which must hold of an attribute.
    pub(super) fn all_of_text(
        attribute: &TextAttribute,
        value: &TextMatch,
    ) -> Vec<(Attribute, Self)> {
        let mut keys = vec![(Attribute::Text(attribute.clone()), Self::text(value))];
        if let TextMatch::Template(text) = value {
            let template = Template::new(text);
            if !template.tail().is_empty() {
                let key = Self::new(Place::Ends, template.tail());
                keys.push((Attribute::Text(attribute.clone()), key));
            }
            // Only of paths is it known what a segment is.
            if *attribute == TextAttribute::Path {
                let segments = Template::literal_segments(text).take(MAX_SEGMENTS);
                keys.extend(segments.map(|(place, segment)| {
                    let key = Self::new(Place::Whole, segment.as_bytes());
                    (Attribute::Segment(place), key)
                }));
            }
        }
        keys
    }

    /// The key of a range, which is canonical.
    pub(super) fn range(range: &IpNet) -> Self {
        let (bits, _) = bits(range.network());
        let length = usize::from(range.prefix_len()) + 1;
        Self::new(Place::Begins, bits.get(..length).unwrap_or(&bits))
    }

    /// The key of a port.
    pub(super) fn port(port: u16) -> Self {
        Self::new(Place::Whole, &port.to_be_bytes())
    }

    /// Whether it holds for nearly every text.
    pub(super) fn is_weak(&self) -> bool {
        self.place != Place::Whole && self.bytes.len() <= 1
    }
}

/// A range as what it maps, where it is one of IPv4-mapped addresses.
pub(super) fn canonical(range: &IpNet) -> IpNet {
    match range.network() {
        IpAddr::V6(network) if range.prefix_len() >= 96 => network
            .to_ipv4_mapped()
            .and_then(|network| IpNet::new(network.into(), range.prefix_len() - 96).ok())
            .unwrap_or(*range),
        IpAddr::V4(_) | IpAddr::V6(_) => *range,
    }
    .trunc()
}

/// How many segments of a template it is found by. Reason: each is looked up by itself.
const MAX_SEGMENTS: usize = 8;

/// The most letters that an address is: one for its family, and its bits.
const MAX_LETTERS: usize = 129;

/// An address as letters, and how many they are.
fn bits(address: IpAddr) -> ([u8; MAX_LETTERS], usize) {
    let mut letters = [0; MAX_LETTERS];
    let mut write = |family: u8, octets: &[u8]| {
        letters[0] = family;
        let bits = octets
            .iter()
            .flat_map(|octet| (0..8).rev().map(move |bit| octet >> bit & 1));
        for (letter, bit) in letters.iter_mut().skip(1).zip(bits) {
            *letter = bit;
        }
        octets.len() * 8 + 1
    };
    let length = match address {
        IpAddr::V4(address) => write(4, &address.octets()),
        IpAddr::V6(address) => write(6, &address.octets()),
    };
    (letters, length)
}

/// Values by key, of one attribute.
#[derive(Clone, Debug)]
pub(super) struct Finder<V> {
    forward: Trie<V>,
    backward: Trie<V>,
    /// Whether there is a key in `backward`.
    ends: bool,
}

impl<V> Default for Finder<V> {
    fn default() -> Self {
        Self {
            forward: Trie::default(),
            backward: Trie::default(),
            ends: false,
        }
    }
}

impl<V> Finder<V> {
    /// The value of a key.
    pub(super) fn entry(&mut self, key: &Key) -> &mut Option<V> {
        match key.place {
            Place::Whole => self.forward.entry(&key.bytes, true),
            Place::Begins => self.forward.entry(&key.bytes, false),
            Place::Ends => {
                self.ends = true;
                let bytes: Vec<u8> = key.bytes.iter().rev().copied().collect();
                self.backward.entry(&bytes, false)
            }
        }
    }

    /// Calls `found` with the value of every key that holds for a text.
    pub(super) fn find_text(&self, text: &[u8], mut found: impl FnMut(&V)) {
        self.forward.visit(text.iter().copied(), &mut found);
        if self.ends {
            self.backward.visit(text.iter().rev().copied(), &mut found);
        }
    }

    /// Calls `found` with the value of every key that holds for an address.
    pub(super) fn find_ip(&self, address: IpAddr, found: impl FnMut(&V)) {
        let (letters, length) = bits(address);
        let letters = letters.into_iter().take(length);
        self.forward.visit(letters, found);
    }

    /// Calls `found` with the value of every key that holds for an attribute. A value may be found several times.
    pub(super) fn find(&self, attribute: &Attribute, query: &Query<'_>, mut found: impl FnMut(&V)) {
        match attribute {
            Attribute::Text(attribute) => {
                query.any_text(attribute, &mut |subject| {
                    self.find_text(subject.text, &mut found);
                    false
                });
            }
            Attribute::Segment(place) => {
                query.any_text(&TextAttribute::Path, &mut |subject| {
                    let mut segments = subject.text.split(|byte| *byte == b'/').skip(1);
                    if let Some(segment) = segments.nth(*place) {
                        self.find_text(segment, &mut found);
                    }
                    false
                });
            }
            Attribute::Ip(attribute) => {
                if let Some(address) = query.ip(*attribute) {
                    self.find_ip(address, found);
                }
            }
            Attribute::Port => {
                self.find_text(&query.destination_port().to_be_bytes(), found);
            }
        }
    }
}
