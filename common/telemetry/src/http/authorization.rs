//! How often policies said what.
//!
//! In: verdicts, one by one. Out: counters under the names that Istio's dashboards ask for. Never: the name of a policy; which one it was
//! is in the log.
//!
//! Source: Envoy, "Role Based Access Control (RBAC) Filter", statistics; Istio names their labels `authz_enforce_result`,
//! `authz_dry_run_action` and `authz_dry_run_result`.

use std::fmt;

use prometheus_client::{encoding::DescriptorEncoder, metrics::MetricType};

use super::clusters::Count;
use crate::metrics::collector::count;

/// What was said of requests, and of connections of which no request is read. Nothing is counted where no policy holds.
#[derive(Debug, Default)]
pub struct Authorization {
    /// Of requests.
    pub http: Verdicts,
    /// Of connections.
    pub tcp: Verdicts,
}

/// What was said.
#[derive(Debug, Default)]
pub struct Verdicts {
    /// They may pass.
    pub allowed: Count,
    /// They may not.
    pub denied: Count,
    /// What dry runs of ALLOW would say.
    pub dry_run_allow: DryRun,
    /// What dry runs of DENY would say.
    pub dry_run_deny: DryRun,
    /// An AUDIT policy matched.
    pub audited: Count,
}

/// What a dry run would say.
#[derive(Debug, Default)]
pub struct DryRun {
    /// They may pass.
    pub allowed: Count,
    /// They may not.
    pub denied: Count,
}

impl Authorization {
    pub(super) fn encode(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let kinds = [
            (
                "envoy_http_inbound_rbac",
                "Requests that policies judged",
                &self.http,
            ),
            (
                "envoy_tcp_rbac",
                "Connections that policies judged",
                &self.tcp,
            ),
        ];
        for (name, help, said) in kinds {
            // A counter without `_total`, as Envoy's: see `clusters`.
            let mut metric = encoder.encode_descriptor(name, help, None, MetricType::Unknown)?;
            for (result, number) in [("allowed", &said.allowed), ("denied", &said.denied)] {
                metric
                    .encode_family(&[("authz_enforce_result", result)])?
                    .encode_gauge(&number.get())?;
            }
            for (action, run) in [("allow", &said.dry_run_allow), ("deny", &said.dry_run_deny)] {
                for (result, number) in [("allowed", &run.allowed), ("denied", &run.denied)] {
                    metric
                        .encode_family(&[
                            ("authz_dry_run_action", action),
                            ("authz_dry_run_result", result),
                        ])?
                        .encode_gauge(&number.get())?;
                }
            }
        }
        let mut metric = encoder.encode_descriptor(
            "ambit_authorization_audited",
            "Requests and connections that an AUDIT policy matched",
            None,
            MetricType::Counter,
        )?;
        for (protocol, said) in [("http", &self.http), ("tcp", &self.tcp)] {
            count(&mut metric, &[("protocol", protocol)], said.audited.get())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
