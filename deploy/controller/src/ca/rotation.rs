//! How one root follows another without anybody losing trust: pure, time is an argument.
//!
//! ```text
//!            asked for, or little life left        overlap over                overlap over
//! Steady ------------------------------> Announced ------------> Switched ------------> Steady
//!   signs: old                             old                     new                    new
//!   believed: old                          old, new                old, new               new
//! ```
//!
//! *Announced* lasts until every leaf that was handed out before it has ended: by then whoever has a
//! certificate got it together with both roots. *Switched* lasts until every leaf of the old root has ended.
//! So at any moment each leaf that lives is believed by each holder of a leaf that lives.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use super::root::Root;

/// Added to the life of a leaf, for clocks that differ and for the start before the issue. At most as much as that
/// life: among clocks that differ by more, leaves are not believed anyway.
const MARGIN: Duration = Duration::from_secs(300);

/// An old root that has this little left is not waited for: it soon signs nothing, and what it has signed ends
/// with it.
const LAST: Duration = Duration::from_secs(60);

/// Where a rotation stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// One root.
    Steady {
        /// It signs.
        signing: Arc<Root>,
    },
    /// The next is told to everybody.
    Announced {
        /// It signs still.
        signing: Arc<Root>,
        /// It is believed already.
        next: Arc<Root>,
        /// Since when.
        since: SystemTime,
    },
    /// The next signs.
    Switched {
        /// It signs.
        signing: Arc<Root>,
        /// It is believed still.
        previous: Arc<Root>,
        /// Since when.
        since: SystemTime,
    },
}

/// What is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Nothing.
    Stay,
    /// A new root is made and told.
    Announce,
    /// The new root was not told to everybody; the announcement begins anew.
    AnnounceAgain,
    /// The new root signs.
    Switch,
    /// The old root is forgotten.
    Retire,
}

/// When steps are due.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    /// The longest that a leaf lives that has been handed out.
    pub(crate) longest_leaf: Duration,
    /// A root with less than this part of its life left is replaced. **Units**: per cent.
    pub(crate) renew_below: u8,
}

impl Stage {
    /// What signs.
    pub(crate) fn signing(&self) -> &Arc<Root> {
        match self {
            Self::Steady { signing }
            | Self::Announced { signing, .. }
            | Self::Switched { signing, .. } => signing,
        }
    }

    /// What is believed, what signs first.
    pub(crate) fn roots(&self) -> Vec<&Arc<Root>> {
        match self {
            Self::Steady { signing } => vec![signing],
            Self::Announced {
                signing,
                next: other,
                ..
            }
            | Self::Switched {
                signing,
                previous: other,
                ..
            } => vec![signing, other],
        }
    }

    /// Its name, for people.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Steady { .. } => "steady",
            Self::Announced { .. } => "announced",
            Self::Switched { .. } => "switched",
        }
    }

    /// Whether what signs soon signs nothing, so that nothing is gained by waiting.
    pub(crate) fn is_ending(&self, now: SystemTime) -> bool {
        let end = self.signing().not_after();
        end.duration_since(now).unwrap_or_default() < LAST
    }

    /// What is due at `now`; `requested` is whether somebody wants the signing root replaced.
    pub(crate) fn due(&self, pace: Pace, requested: bool, now: SystemTime) -> Step {
        let margin = MARGIN.min(pace.longest_leaf);
        let overlap = pace.longest_leaf.saturating_add(margin);
        // A clock that was set back makes a stage longer, never shorter.
        let over = |since: SystemTime| now.duration_since(since).is_ok_and(|past| past >= overlap);
        match self {
            Self::Steady { signing } => {
                if requested || is_old(signing, pace.renew_below, now) {
                    Step::Announce
                } else {
                    Step::Stay
                }
            }
            Self::Announced { since, .. } => {
                if over(*since) || self.is_ending(now) {
                    Step::Switch
                } else {
                    Step::Stay
                }
            }
            Self::Switched { since, .. } => {
                if over(*since) {
                    Step::Retire
                } else {
                    Step::Stay
                }
            }
        }
    }

    /// The stage after a step; `make` makes a root where one is needed. A step that is not due here changes nothing.
    ///
    /// # Errors
    /// Those of `make`.
    pub(crate) fn after<E>(
        &self,
        step: Step,
        now: SystemTime,
        make: impl FnOnce() -> Result<Root, E>,
    ) -> Result<Self, E> {
        Ok(match (self, step) {
            (Self::Steady { signing }, Step::Announce) => Self::Announced {
                signing: Arc::clone(signing),
                next: Arc::new(make()?),
                since: now,
            },
            (Self::Announced { signing, next, .. }, Step::AnnounceAgain) => Self::Announced {
                signing: Arc::clone(signing),
                next: Arc::clone(next),
                since: now,
            },
            (Self::Announced { signing, next, .. }, Step::Switch) => Self::Switched {
                signing: Arc::clone(next),
                previous: Arc::clone(signing),
                since: now,
            },
            (Self::Switched { signing, .. }, Step::Retire) => Self::Steady {
                signing: Arc::clone(signing),
            },
            (
                Self::Steady { .. } | Self::Announced { .. } | Self::Switched { .. },
                Step::Stay | Step::Announce | Step::AnnounceAgain | Step::Switch | Step::Retire,
            ) => self.clone(),
        })
    }
}

fn is_old(root: &Root, renew_below: u8, now: SystemTime) -> bool {
    let life = root
        .not_after()
        .duration_since(root.not_before())
        .unwrap_or_default();
    let left = root.not_after().duration_since(now).unwrap_or_default();
    left < life.mul_f64(f64::from(renew_below.min(100)) / 100.0)
}

#[cfg(test)]
mod tests;
