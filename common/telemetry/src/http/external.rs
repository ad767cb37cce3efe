//! How often external authorizers were asked, and what came of it.
//!
//! In: outcomes, one by one, by provider. Out: `ambit_external_authorization_total{provider,protocol,result}`. Never: a label that a client could make
//! up (providers are the configuration's), or more than [`MAX_PROVIDERS`] of them.
//!
//! Source: Envoy, "External Authorization", statistics `ok`, `denied`, `error` and `failure_mode_allowed`. There `error` counts the last ones, too; here
//! each question counts once.

use std::{collections::BTreeMap, fmt, sync::Arc};

use parking_lot::RwLock;
use prometheus_client::{encoding::DescriptorEncoder, metrics::MetricType};

use super::clusters::Count;
use crate::metrics::collector::count;

/// Providers that have counters of their own. Reason: a MeshConfig has a handful, and they come and go with its versions; each is eight lines of a scrape.
pub const MAX_PROVIDERS: usize = 128;
/// The provider in which the others count.
const OTHERS: &str = "unknown";

/// What authorizers said. A provider that was asked once is shown for as long as the process lives.
#[derive(Debug, Default)]
pub struct External {
    providers: RwLock<BTreeMap<Box<str>, Arc<Answers>>>,
    others: Arc<Answers>,
}

/// What one provider said.
#[derive(Debug, Default)]
pub struct Answers {
    /// Of requests.
    pub http: AnswerCounts,
    /// Of connections of which no request is read.
    pub tcp: AnswerCounts,
}

/// Each question counts once.
#[derive(Debug, Default)]
pub struct AnswerCounts {
    /// It said yes.
    pub ok: Count,
    /// It said no.
    pub denied: Count,
    /// It did not decide, and that was a refusal.
    pub error: Count,
    /// It did not decide, and failed open.
    pub failure_mode_allowed: Count,
}

impl AnswerCounts {
    fn all(&self) -> [(&'static str, &Count); 4] {
        [
            ("ok", &self.ok),
            ("denied", &self.denied),
            ("error", &self.error),
            ("failure_mode_allowed", &self.failure_mode_allowed),
        ]
    }

    fn is_used(&self) -> bool {
        self.all().iter().any(|(_, number)| number.get() > 0)
    }
}

impl External {
    /// The counters of a provider; those of all others once there are [`MAX_PROVIDERS`].
    #[must_use]
    pub fn of(&self, provider: &str) -> Arc<Answers> {
        if provider == OTHERS {
            return Arc::clone(&self.others);
        }
        {
            let providers = self.providers.read();
            // None is ever taken out.
            match providers.get(provider) {
                Some(known) => return Arc::clone(known),
                None if providers.len() >= MAX_PROVIDERS => return Arc::clone(&self.others),
                None => {}
            }
        }
        let mut providers = self.providers.write();
        if providers.len() >= MAX_PROVIDERS && !providers.contains_key(provider) {
            return Arc::clone(&self.others);
        }
        Arc::clone(providers.entry(provider.into()).or_default())
    }

    pub(super) fn encode(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let providers = self.providers.read();
        let mut metric = encoder.encode_descriptor(
            "ambit_external_authorization",
            "Questions to external authorizers, by what came of them",
            None,
            MetricType::Counter,
        )?;
        let named = providers
            .iter()
            .map(|(provider, answers)| (&**provider, answers));
        for (provider, answers) in named.chain([(OTHERS, &self.others)]) {
            for (protocol, counts) in [("http", &answers.http), ("tcp", &answers.tcp)] {
                if !counts.is_used() {
                    continue;
                }
                for (result, number) in counts.all() {
                    let labels = [
                        ("provider", provider),
                        ("protocol", protocol),
                        ("result", result),
                    ];
                    count(&mut metric, &labels, number.get())?;
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
