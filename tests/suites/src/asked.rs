//! Servers of the suites' own that a waypoint asks about requests: whose keys, who may pass, how often.
//!
//! In: a pod, a port, and what is to be answered; switches that a test turns. Out: answers, and what was asked.
//! Never: an opinion of its own; what is answered stands in the test.
//!
//! | type | is |
//! |---|---|
//! | [`Answerer`] | any HTTP/1.1 or h2c server: a function from request to answer |
//! | [`Issuer`] | who signs tokens; its host gives the keys (JWKS and discovery) |
//! | [`authorizer`] | `envoy.service.auth.v3.Authorization`, as an [`Answerer`] |
//! | [`limiter`] | `envoy.service.ratelimit.v3.RateLimitService`, counting, as an [`Answerer`] |
//! | [`login`] | a login like OAuth2 Proxy's: redirects who has no session cookie, for authorization by HTTP; and a page that gives tokens |

mod answerer;
pub mod authorizer;
mod grpc;
mod issuer;
pub mod limiter;
pub mod login;

#[cfg(test)]
mod tests;

pub use answerer::{Answer, Answerer, Question};
pub use issuer::{Issuer, Kind, Token};
