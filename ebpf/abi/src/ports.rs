//! What is left alone: ports, ranges of ports, and how many ranges of addresses.

/// The most ranges of one kind that a pod may have: each is one more comparison per connection.
pub const MAX_PORT_RANGES: usize = 16;
/// The most ranges of addresses that one pod may exclude.
pub const MAX_RANGES: usize = 16;

/// Ports from `first` to `last`, both included. **Shape:** `first > last` holds no port.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PortRange {
    /// The lowest port.
    pub first: u16,
    /// The highest port.
    pub last: u16,
}

const _: () = assert!(size_of::<PortRange>() == 4 && align_of::<PortRange>() == 2);

impl PortRange {
    /// Holds no port.
    pub const EMPTY: Self = Self { first: 1, last: 0 };
}

/// Up to [`MAX_PORT_RANGES`] ranges; unused places are [`PortRange::EMPTY`].
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ports(pub [PortRange; MAX_PORT_RANGES]);

const _: () = assert!(size_of::<Ports>() == 64);

impl Ports {
    /// No port at all.
    pub const NONE: Self = Self([PortRange::EMPTY; MAX_PORT_RANGES]);

    /// Whether one of the ranges holds `port`.
    #[inline(always)]
    #[must_use]
    pub fn contains(&self, port: u16) -> bool {
        let mut index = 0;
        while index < MAX_PORT_RANGES {
            let range = &self.0[index];
            if range.first <= port && port <= range.last {
                return true;
            }
            index += 1;
        }
        false
    }
}
