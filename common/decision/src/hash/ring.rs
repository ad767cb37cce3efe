//! A ring on which every endpoint has many places; a hash belongs to the next one.
//!
//! As Envoy builds it: the endpoint of the least weight gets a whole number of places, so that there are at least as
//! many as asked for; place i of an endpoint is the hash of `<key>_<i>`. Running sums deal out what is no whole number,
//! which is the one thing that depends on the order of endpoints.

use mesh::backend::balancing::MAX_RING_SIZE;
use twox_hash::XxHash64;

use super::Place;

/// The ring of some endpoints.
#[derive(Clone, Debug, Default)]
pub struct Ring {
    /// **Shape:** hash and the endpoint's index, sorted.
    entries: Box<[(u64, u32)]>,
}

impl Ring {
    /// Builds the ring. An endpoint without a share has no place on it.
    #[must_use]
    pub fn new(places: &[Place<'_>], minimum_size: u64) -> Self {
        let mut entries = Vec::new();
        let shares = || places.iter().map(|place| place.share);
        let least = shares().filter(|share| *share > 0.0).fold(1.0, f64::min);
        let most = float(MAX_RING_SIZE);
        let scale = ((least * float(minimum_size)).ceil() / least).min(most);

        let (mut current, mut target) = (0.0, 0.0);
        let mut text = Vec::new();
        for (index, place) in (0_u32..).zip(places) {
            text.clear();
            text.extend_from_slice(place.key.as_bytes());
            text.push(b'_');
            let end = text.len();
            target += scale * place.share;
            let mut number: u32 = 0;
            // The bound is the ring's own: shares are at most 1 together, up to what rounding adds.
            while current < target && current < most {
                text.truncate(end);
                push_decimal(&mut text, number);
                entries.push((XxHash64::oneshot(0, &text), index));
                number += 1;
                current += 1.0;
            }
        }
        entries.sort_unstable();
        Self {
            entries: entries.into(),
        }
    }

    /// The index of the endpoint that a hash belongs to; `None` on an empty ring. Takes O(log n).
    ///
    /// `attempt` leads to further places, which may belong to the same endpoint; 0 is the hash's own.
    #[must_use]
    pub fn find(&self, hash: u64, attempt: u64) -> Option<usize> {
        let at = self.entries.partition_point(|(entry, _)| *entry < hash);
        let length = self.entries.len();
        // Beyond the last one the first one is next.
        let at = if at == length { 0 } else { at };
        let offset = usize::try_from(attempt).unwrap_or(0);
        let at = at.checked_add(offset)?.checked_rem(length)?;
        self.entries
            .get(at)
            .and_then(|(_, index)| usize::try_from(*index).ok())
    }

    /// How many places there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is no place.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// All of it in one number: hash and index of every place, as bytes of the lower end first.
    #[cfg(test)]
    pub(super) fn digest(&self) -> u64 {
        let bytes = |(hash, index): &(u64, u32)| {
            let index = index.to_le_bytes();
            hash.to_le_bytes().into_iter().chain(index)
        };
        let bytes: Vec<u8> = self.entries.iter().flat_map(bytes).collect();
        XxHash64::oneshot(0, &bytes)
    }

    /// How many places an endpoint has.
    #[cfg(test)]
    pub(super) fn count(&self, endpoint: usize) -> usize {
        let owned = |(_, index): &&(u64, u32)| usize::try_from(*index) == Ok(endpoint);
        self.entries.iter().filter(owned).count()
    }
}

/// Sizes are far below 2^53, so nothing is lost.
fn float(size: u64) -> f64 {
    size as f64
}

fn push_decimal(text: &mut Vec<u8>, mut number: u32) {
    let start = text.len();
    loop {
        let digit = u8::try_from(number % 10).unwrap_or(0);
        text.push(b'0' + digit);
        number /= 10;
        if number == 0 {
            break;
        }
    }
    if let Some(digits) = text.get_mut(start..) {
        digits.reverse();
    }
}
