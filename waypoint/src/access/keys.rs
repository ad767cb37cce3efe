//! The keys of issuers of tokens: fetched when a token asks for them, kept, and fetched anew.
//!
//! In: where an issuer's keys are. Out: keys, or why there are none. Never: asks a host more often than [`attempts`] lets it, however many
//! requests want to; lets go of good keys because their host is down; keeps them for ever.
//!
//! ```text
//!   token ─▶ Issuer::keys ─┬─ fresh ────────────▶ KeySet
//!                          ├─ getting old ──────▶ KeySet, and a fetch beside it
//!                          └─ none, or too old ─▶ a fetch, for which all that ask wait
//! ```
//! Reading order: this file (which issuers there are), [`issuer`] (one of them), [`attempts`] (when to fetch), [`fetch`] and [`connect`]
//! (how), [`reach`] (which addresses hosts may have), [`discovery`] (where an issuer says that its keys are).
//!
//! Tasks: one per fetch, on the worker whose request asked first; it ends with the fetch, which has a time. If the worker ends before it,
//! the next request begins anew.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use grpc::Roots;
use parking_lot::Mutex;

mod attempts;
mod connect;
mod discovery;
mod fetch;
mod issuer;
mod reach;

pub use fetch::FetchError;
pub use issuer::{Asker, Issuer};
pub use reach::Reach;

/// The most issuers whose keys are kept. Reason: each may have 256 KiB of keys; a waypoint that serves hundreds of tenants has as
/// many.
const MAX_ISSUERS: usize = 4096;
/// After which time the keys of an issuer that no policy names any more are forgotten. Reason: a change of configuration takes
/// policies away and brings them back.
const FORGET: Duration = Duration::from_secs(3600);

/// Where the keys of an issuer are.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Source {
    /// There. Source: `jwksUri`.
    Uri(String),
    /// Where this issuer says. Source: OpenID Connect Discovery 1.0 §4.
    Discovery(String),
}

/// The keys of all issuers that policies name.
#[derive(Debug)]
pub struct Keys {
    trust: Arc<Trust>,
    issuers: Mutex<HashMap<Source, Arc<Issuer>>>,
}

/// Whom hosts of keys are believed by, and where they may be.
#[derive(Clone, Debug)]
pub(super) struct Trust {
    /// Besides those of the system.
    pub(super) further: Option<Roots>,
    pub(super) reach: Reach,
}

impl Keys {
    /// None is known yet. Hosts are believed by `roots`; other roots than the system's count beside these. They may be where `reach` says.
    #[must_use]
    pub fn new(roots: Roots, reach: Reach) -> Self {
        let further = Some(roots).filter(|roots| *roots != Roots::System);
        Self {
            trust: Arc::new(Trust { further, reach }),
            issuers: Mutex::default(),
        }
    }

    /// An issuer; all that ask for the same share it. `None`: there are too many.
    #[must_use]
    pub fn issuer(&self, source: &Source, now: Instant) -> Option<Arc<Issuer>> {
        let mut issuers = self.issuers.lock();
        if let Some(issuer) = issuers.get(source) {
            issuer.touch(now);
            return Some(Arc::clone(issuer));
        }
        // Rare: once for each issuer that a policy brings.
        issuers.retain(|_, issuer| Arc::strong_count(issuer) > 1 || !issuer.is_idle(FORGET, now));
        if issuers.len() >= MAX_ISSUERS {
            tracing::warn!(?source, limit = MAX_ISSUERS, "too many issuers of tokens");
            return None;
        }
        let issuer = Issuer::new(source.clone(), Arc::clone(&self.trust), now);
        issuers.insert(source.clone(), Arc::clone(&issuer));
        Some(issuer)
    }
}

#[cfg(test)]
pub(crate) mod testkit;
#[cfg(test)]
mod tests;
