//! What the process knows and a file may leave out.

use mesh::{ClusterId, TrustDomain};

/// Stands in for fields that a workload leaves out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Defaults {
    /// For `trustDomain`. Source: `TRUST_DOMAIN`.
    pub trust_domain: TrustDomain,
    /// For `clusterId`. Source: `CLUSTER_ID`.
    pub cluster: ClusterId,
}

impl Default for Defaults {
    /// Istio's: `cluster.local` and `Kubernetes`.
    fn default() -> Self {
        Self {
            trust_domain: "cluster.local".into(),
            cluster: "Kubernetes".into(),
        }
    }
}
