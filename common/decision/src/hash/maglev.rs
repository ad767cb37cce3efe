//! A table that every endpoint fills in an order of its own; a hash belongs to the entry at its remainder.
//!
//! As Envoy builds it: endpoints take turns in the order of their keys; endpoint e begins at `xxHash64(e) % size` and
//! goes on by steps of `xxHash64(e, seed 1) % (size - 1) + 1`. Whoever has less than the largest weight sits out
//! rounds: it takes part in round n when n times its weight has reached what it has taken, in units of the largest.
//! After Eisenbud et al., "Maglev: A Fast and Reliable Software Network Load Balancer", NSDI 2016.

use mesh::backend::balancing::{DEFAULT_MAGLEV_SIZE, is_maglev_size};
use twox_hash::XxHash64;

use super::Place;

/// The table of some endpoints.
#[derive(Clone, Debug)]
pub struct Maglev {
    slots: Slots,
}

/// The index of an endpoint in every entry, as narrow as it fits: a table is the largest thing that balancing has.
#[derive(Clone, Debug)]
enum Slots {
    Narrow(Box<[u16]>),
    Wide(Box<[u32]>),
}

/// One endpoint while the table is being filled.
struct Filler {
    index: u32,
    share: f64,
    target: f64,
    at: u64,
    skip: u64,
}

/// Marks an entry that nobody has taken yet.
const FREE: u32 = u32::MAX;

impl Maglev {
    /// Builds the table; `size` is a prime, or filling it might not end: anything else becomes the default size.
    #[must_use]
    pub fn new(places: &[Place<'_>], size: u64) -> Self {
        let size = if is_maglev_size(size) {
            size
        } else {
            DEFAULT_MAGLEV_SIZE
        };
        let mut fillers = fillers(places, size);
        let Some(most) = fillers.iter().map(|filler| filler.share).reduce(f64::max) else {
            return Self {
                slots: Slots::Narrow(Box::default()),
            };
        };
        let length = usize::try_from(size).unwrap_or(0);
        let mut taken = vec![FREE; length];
        let mut left = length;
        let mut round = 1.0;
        while left > 0 {
            for filler in &mut fillers {
                if left == 0 {
                    break;
                }
                if round * filler.share < filler.target {
                    continue;
                }
                filler.target += most;
                if filler.take(&mut taken, size) {
                    left -= 1;
                }
            }
            round += 1.0;
        }
        Self {
            slots: Slots::new(taken),
        }
    }

    /// The index of the endpoint that a hash belongs to; `None` in an empty table. Takes O(1).
    ///
    /// `attempt` leads to further entries, which may belong to the same endpoint; 0 is the hash's own.
    #[must_use]
    pub fn find(&self, hash: u64, attempt: u64) -> Option<usize> {
        // Most bits change, so that attempts spread over the table.
        let hash = if attempt > 0 {
            hash ^ (u64::MAX - attempt).wrapping_add(1)
        } else {
            hash
        };
        let length = u64::try_from(self.len()).ok()?;
        let at = usize::try_from(hash.checked_rem(length)?).ok()?;
        match &self.slots {
            Slots::Narrow(slots) => slots.get(at).map(|index| usize::from(*index)),
            Slots::Wide(slots) => slots.get(at).and_then(|index| usize::try_from(*index).ok()),
        }
    }

    /// How many entries there are.
    #[must_use]
    pub fn len(&self) -> usize {
        match &self.slots {
            Slots::Narrow(slots) => slots.len(),
            Slots::Wide(slots) => slots.len(),
        }
    }

    /// Whether there is no entry.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Those with a share, in the order of their keys: the table must not depend on the order in which they came.
fn fillers(places: &[Place<'_>], size: u64) -> Vec<Filler> {
    let mut sorted: Vec<(u32, &Place<'_>)> = (0_u32..).zip(places).collect();
    sorted.retain(|(_, place)| place.share > 0.0);
    sorted.sort_by_key(|(_, place)| place.key);
    let filler = |(index, place): (u32, &Place<'_>)| {
        let hash = |seed| XxHash64::oneshot(seed, place.key.as_bytes());
        Filler {
            index,
            share: place.share,
            target: 0.0,
            at: hash(0) % size,
            skip: hash(1) % (size - 1) + 1,
        }
    };
    sorted.into_iter().map(filler).collect()
}

impl Filler {
    /// Takes the next free entry of its own order; false where there is none.
    fn take(&mut self, taken: &mut [u32], size: u64) -> bool {
        // As the size is a prime, `size` steps visit every entry.
        for _ in 0..size {
            let at = usize::try_from(self.at).unwrap_or(usize::MAX);
            self.at += self.skip;
            if self.at >= size {
                self.at -= size;
            }
            if let Some(slot) = taken.get_mut(at)
                && *slot == FREE
            {
                *slot = self.index;
                return true;
            }
        }
        false
    }
}

impl Slots {
    fn new(taken: Vec<u32>) -> Self {
        let narrow: Result<Box<[u16]>, _> =
            taken.iter().map(|index| u16::try_from(*index)).collect();
        narrow.map_or_else(|_| Self::Wide(taken.into()), Self::Narrow)
    }
}
