//! The number by which programs in the kernel know a network namespace.

use std::fmt;

use net::Netns;

use crate::Error;

/// The number of a network namespace, which is never given to another. To read it takes a descriptor: whoever serves a
/// pod reads it once and keeps it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Cookie(u64);

impl Cookie {
    /// Reads that of a namespace.
    ///
    /// # Errors
    /// When it cannot be entered, or the kernel is older than 5.14.
    pub fn of(netns: &Netns) -> Result<Self, Error> {
        netns.cookie().map(Self).map_err(|source| Error::Netns {
            step: "read the cookie",
            source,
        })
    }

    /// One that stands in a map or in the name of a pin.
    pub(crate) fn known(cookie: u64) -> Self {
        Self(cookie)
    }

    /// The number itself.
    #[must_use]
    pub fn get(self) -> u64 {
        self.0
    }
}

/// As in the names of pins.
impl fmt::Display for Cookie {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}
