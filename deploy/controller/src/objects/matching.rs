//! How a text is compared: what VirtualService, HTTPRoute and GRPCRoute share.

use std::collections::BTreeMap;

/// What a text is compared with. Source: `istio.networking.v1.StringMatch`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum StringMatch {
    /// `exact`: every byte.
    Exact(String),
    /// `prefix`: how it begins, byte by byte; never empty.
    Prefix(String),
    /// `regex`: the whole text matches. **Shape**: `mesh::route::Pattern` takes it; at most 1,024 bytes.
    Regex(String),
}

/// What is asked of headers or query parameters, by name; `None` asks only that it is there. All must hold.
/// Names of headers are in lower case.
pub type ValueMatches = BTreeMap<String, Option<StringMatch>>;

/// A share of requests, in parts per million. **Shape**: at most 1,000,000. Source: four decimals of a percentage
/// count, as in `envoy.type.v3.FractionalPercent` with the denominator `MILLION`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Share(u32);

impl Share {
    /// Every request.
    pub const ALL: Self = Self(1_000_000);
    /// No request.
    pub const NONE: Self = Self(0);

    /// So many of a million; more than all are all.
    #[must_use]
    pub const fn of_million(parts: u32) -> Self {
        if parts < Self::ALL.0 {
            Self(parts)
        } else {
            Self::ALL
        }
    }

    /// So many of a million.
    #[must_use]
    pub const fn parts_per_million(self) -> u32 {
        self.0
    }
}
