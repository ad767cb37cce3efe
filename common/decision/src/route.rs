//! Where requests and connections go by the rules of layer 7, and what is made of them on the way.
//!
//! In: a route table and the facts of one request or connection. Out: the rule, the backend, the new path, the location, the
//! answer to a preflight, as values.
//! Never: changes a request, reads a format, draws a random number.
//!
//! Reading order: [`request`] (what rules look at), `pick` and `backend` here, [`rewrite`], [`redirect`], [`cors`],
//! [`stream`] (TLS and TCP). [`oracle`] tries rules one after the other, for comparison.

use mesh::route::{Forward, Found, HttpRules, WeightedBackend};

pub mod authority;
pub mod cors;
pub mod oracle;
mod query;
pub mod redirect;
pub mod request;
pub mod rewrite;
pub mod stream;

pub use request::{Head, Headers, Request};

/// The first rule that a request matches; `None`: 404. Source: Envoy, response code details `route_not_found`.
#[must_use]
pub fn pick<'a>(rules: &'a HttpRules, request: &Request<'_>) -> Option<Found<'a>> {
    rules.first_match(request)
}

/// The backend that takes a request; `None`: [`Forward::fallback_status`]. `random` is drawn from all of 64 bits.
#[must_use]
pub fn backend(forward: &Forward, random: u64) -> Option<&WeightedBackend> {
    weighted(&forward.backends, random)
}

/// One of several by its weight's part of the sum; `None` where none has a weight.
#[must_use]
pub fn weighted(backends: &[WeightedBackend], random: u64) -> Option<&WeightedBackend> {
    let sum: u64 = backends.iter().map(|one| u64::from(one.weight)).sum();
    // The upper half of the product is uniform below the sum, without the bias of a remainder.
    let mut left = (u128::from(random) * u128::from(sum)) >> 64;
    backends.iter().find(|one| {
        let weight = u128::from(one.weight);
        let taken = left < weight;
        left = left.saturating_sub(weight);
        taken
    })
}

#[cfg(test)]
mod tests;
