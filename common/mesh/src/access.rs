//! What is asked of who comes before anything is done for them: policies of layer 7, as they are delivered.
//!
//! **Shape:** policies that are attached to what was asked for and those of the waypoint count as one set. The order in
//! which they are asked stands in `decision::access`.

use std::sync::Arc;

pub mod authorization;
pub mod client;
pub mod external;
pub mod facts;
pub mod jwt;
pub mod limit;

pub use authorization::{Policy, Rulebook};
pub use client::ClientAddress;
pub use facts::{Certified, Facts, RequestPrincipal};
pub use jwt::RequestAuthentication;
pub use limit::RateLimit;

/// What is asked of whoever comes to one target. Source: `ambit.waypoint.v1.Policies`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Policies {
    /// Who may do what, compiled.
    pub authorization: Rulebook,
    /// Whose tokens are believed.
    pub authentication: Vec<Arc<RequestAuthentication>>,
    /// How often.
    pub rate_limits: Vec<Arc<RateLimit>>,
}

impl Policies {
    /// Whether nothing is asked.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.authorization.is_empty()
            && self.authentication.is_empty()
            && self.rate_limits.is_empty()
    }
}
