//! What a rule does beside sending on: cross-origin answers, faults, shares.

use std::{sync::Arc, time::Duration};

use super::text::StringMatch;

/// A share of requests. **Units:** parts per million, at most a million.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Share(u32);

impl Share {
    /// None of them.
    pub const NONE: Self = Self(0);
    /// All of them.
    pub const ALL: Self = Self(1_000_000);

    /// A share; what is more than all is all.
    #[must_use]
    pub const fn from_ppm(ppm: u32) -> Self {
        if ppm > Self::ALL.0 {
            Self::ALL
        } else {
            Self(ppm)
        }
    }

    /// In parts per million.
    #[must_use]
    pub const fn ppm(self) -> u32 {
        self.0
    }

    /// Whether a request is one of them, by a number that is drawn from all of 64 bits.
    #[must_use]
    pub fn takes(self, random: u64) -> bool {
        // The upper half of the product is uniform below a million, without the bias of a remainder.
        (u128::from(random) * u128::from(Self::ALL.0)) >> 64 < u128::from(self.0)
    }
}

/// How requests of other origins are answered. Source: VirtualService `corsPolicy`, HTTPRoute `CORS`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cors {
    /// **Shape:** any of them. An exact `*` is every origin.
    pub allow_origins: Vec<StringMatch>,
    /// As written in the answer, joined by a comma. Empty: not said.
    pub allow_methods: Arc<str>,
    /// As `allow_methods`.
    pub allow_headers: Arc<str>,
    /// As `allow_methods`.
    pub expose_headers: Arc<str>,
    /// **Units:** seconds. `None`: not said.
    pub max_age: Option<u64>,
    /// Whether credentials may come along.
    pub allow_credentials: bool,
    /// Whether a preflight of an origin that is not allowed goes to the backend; otherwise its answer allows nothing.
    pub forward_unmatched: bool,
}

/// Delays and failures on purpose. Source: VirtualService `fault`. **Shape:** the two are drawn independently.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Fault {
    /// Before anything is sent.
    pub delay: Option<Delay>,
    /// In the place of an answer, after the delay.
    pub abort: Option<Abort>,
}

/// A delay on purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Delay {
    /// How long.
    pub duration: Duration,
    /// Of how many requests.
    pub share: Share,
}

/// A failure on purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Abort {
    /// What is answered.
    pub status: AbortStatus,
    /// How many requests.
    pub share: Share,
}

/// What a failure on purpose answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AbortStatus {
    /// A status of HTTP, from 200 to 599.
    Http(u16),
    /// A status of gRPC.
    Grpc(u32),
}
