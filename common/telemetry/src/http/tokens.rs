//! How often tokens were looked for, and keys fetched.
//!
//! In: outcomes, one by one. Out: `ambit_jwt_requests_total{result}` and `ambit_jwks_fetches_total{result}`. Never: an issuer, whose names tokens could
//! make up; which one it was is in the log.
//!
//! Source: Envoy, "JWT Authentication", statistics `allowed`, `denied`, `jwks_fetch_success` and `jwks_fetch_failed`. There `allowed` counts requests without a
//! token, too.

use std::fmt;

use prometheus_client::{encoding::DescriptorEncoder, metrics::MetricType};

use super::clusters::Count;
use crate::metrics::collector::count;

/// What became of tokens. Nothing is counted where no policy looks for any.
#[derive(Debug, Default)]
pub struct Tokens {
    /// Requests with tokens, all of which were believed.
    pub allowed: Count,
    /// Requests without a token.
    pub absent: Count,
    /// Requests with one that was not believed.
    pub denied: Count,
    /// Fetches that brought keys.
    pub fetched: Count,
    /// Fetches that did not.
    pub fetch_failed: Count,
}

impl Tokens {
    pub(super) fn encode(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let mut metric = encoder.encode_descriptor(
            "ambit_jwt_requests",
            "Requests in which tokens were looked for, by what came of it",
            None,
            MetricType::Counter,
        )?;
        for (result, number) in [
            ("allowed", &self.allowed),
            ("absent", &self.absent),
            ("denied", &self.denied),
        ] {
            count(&mut metric, &[("result", result)], number.get())?;
        }
        let mut metric = encoder.encode_descriptor(
            "ambit_jwks_fetches",
            "Fetches of the keys of issuers of tokens",
            None,
            MetricType::Counter,
        )?;
        for (result, number) in [("success", &self.fetched), ("failed", &self.fetch_failed)] {
            count(&mut metric, &[("result", result)], number.get())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
