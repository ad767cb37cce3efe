//! What waypoints ask of who comes: policies of layer 7.
//!
//! In: one policy, the settings of the mesh, and what the policy names. Out: a message of `ambit.waypoint.v1.Policies`, or why it
//! cannot be enforced; conditions. Never: looks for objects; leaves a part of a policy out, since what is left could let in more
//! than was meant.
//!
//! How the index uses it:
//!
//! 1. [`authorization()`], [`authentication()`] for each policy. An [`Unenforceable`] one closes what it is attached to
//!    ([`can_close`]).
//! 2. [`external()`] for the provider that a CUSTOM policy names, with the service that the index has found for it.
//! 3. [`status`]: one condition of all targets of a policy.

mod attached;
mod authentication;
mod authorization;
mod external;
mod limits;
pub mod status;

pub use attached::{Attached, winner};
pub use authentication::authentication;
pub use authorization::{authorization, can_close, concerns_port, remarks};
pub use external::external;
pub use limits::{Backends, Limit, client_address, limits, limits_of_filter, limits_of_policy};

use std::fmt::Display;

use jwt::KeySetError;

/// Why a policy cannot be enforced.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unenforceable {
    /// One of its fields.
    #[error("{field}: found {found:?}, expected {expected}")]
    Field {
        /// Its path within `spec`.
        field: String,
        /// What it is.
        found: String,
        /// What it should be.
        expected: &'static str,
    },
    /// Keys of tokens that are none.
    #[error("{field}: {why}")]
    Keys {
        /// The path of the field within `spec`.
        field: String,
        /// What is wrong with them.
        why: KeySetError,
    },
    /// A dry run of CUSTOM: an authorizer that is asked may remember that it was.
    #[error("a dry run of CUSTOM is not evaluated")]
    DryRunOfCustom,
    /// Whom CUSTOM is to ask.
    #[error("provider {provider:?}: {why}")]
    Provider {
        /// Its name.
        provider: String,
        /// What is wrong with it.
        why: String,
    },
    /// Waypoints do not take it.
    #[error("waypoints cannot read it: {0}")]
    Wire(String),
}

impl Unenforceable {
    fn field(field: impl Into<String>, found: &str, expected: &'static str) -> Self {
        Self::Field {
            field: field.into(),
            found: found.to_owned(),
            expected,
        }
    }

    fn keys(field: impl Into<String>, why: KeySetError) -> Self {
        Self::Keys {
            field: field.into(),
            why,
        }
    }

    /// The same of a field that stands within another.
    fn within(self, outer: impl Display) -> Self {
        match self {
            Self::Field {
                field,
                found,
                expected,
            } => Self::Field {
                field: format!("{outer}.{field}"),
                found,
                expected,
            },
            Self::Keys { field, why } => Self::Keys {
                field: format!("{outer}.{field}"),
                why,
            },
            other @ (Self::DryRunOfCustom | Self::Provider { .. } | Self::Wire(_)) => other,
        }
    }
}

/// The name of a header, in lower case.
fn header(field: &str, name: &str) -> Result<String, Unenforceable> {
    match http::HeaderName::from_bytes(name.as_bytes()) {
        Ok(name) => Ok(name.as_str().to_owned()),
        Err(_) => Err(Unenforceable::field(field, name, "the name of a header")),
    }
}

#[cfg(test)]
mod tests;
