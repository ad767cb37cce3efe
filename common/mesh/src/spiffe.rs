//! SPIFFE identities of workloads.

use std::{fmt, str::FromStr, sync::Arc};

use crate::name::{Namespace, ServiceAccount, TrustDomain};

/// The longest SPIFFE ID that is read. Source: SPIFFE-ID §2.3.
pub const MAX_SPIFFE_ID_BYTES: usize = 2048;

/// `spiffe://<trust domain>/ns/<namespace>/sa/<service account>`, the only form that Istio issues.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SpiffeId {
    /// Who vouches for the identity.
    pub trust_domain: TrustDomain,
    /// The workload's namespace.
    pub namespace: Namespace,
    /// The workload's service account.
    pub service_account: ServiceAccount,
}

/// Why a text is not the SPIFFE ID of a workload.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not spiffe://<trust domain>/ns/<namespace>/sa/<service account>")]
pub struct InvalidSpiffeId {
    /// The text, cut to a length that is fit for a log line.
    pub text: String,
}

impl SpiffeId {
    /// Names a workload.
    #[must_use]
    pub fn new(
        trust_domain: TrustDomain,
        namespace: Namespace,
        service_account: ServiceAccount,
    ) -> Self {
        Self {
            trust_domain,
            namespace,
            service_account,
        }
    }

    /// The identity as policies write principals: without `spiffe://`.
    #[must_use]
    pub fn principal(&self) -> String {
        format!(
            "{}/ns/{}/sa/{}",
            self.trust_domain, self.namespace, self.service_account
        )
    }
}

impl fmt::Display for SpiffeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "spiffe://{}/ns/{}/sa/{}",
            self.trust_domain, self.namespace, self.service_account
        )
    }
}

impl FromStr for SpiffeId {
    type Err = InvalidSpiffeId;

    fn from_str(text: &str) -> Result<Self, InvalidSpiffeId> {
        parse(text).ok_or_else(|| InvalidSpiffeId {
            text: text.chars().take(200).collect(),
        })
    }
}

/// A URI SAN that a peer may present: a SPIFFE ID as text, or whatever else a service allows.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct San(Arc<str>);

impl San {
    /// The URI as it must appear in the certificate, for example `spiffe://cluster.local/ns/default/sa/client`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&str> for San {
    fn from(uri: &str) -> Self {
        Self(Arc::from(uri))
    }
}

impl From<&SpiffeId> for San {
    fn from(id: &SpiffeId) -> Self {
        Self(Arc::from(id.to_string()))
    }
}

impl fmt::Display for San {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for San {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.0, f)
    }
}

fn parse(text: &str) -> Option<SpiffeId> {
    if text.len() > MAX_SPIFFE_ID_BYTES {
        return None;
    }
    let mut parts = text.strip_prefix("spiffe://")?.split('/');
    let trust_domain = parts.next()?;
    let ("ns", namespace, "sa", service_account, None) = (
        parts.next()?,
        parts.next()?,
        parts.next()?,
        parts.next()?,
        parts.next(),
    ) else {
        return None;
    };
    // SPIFFE-ID §2.1 and §2.2: a trust domain is lower case; neither part holds anything to decode.
    let domain_ok =
        |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '.' | '-' | '_');
    let segment_ok = |s: &str| {
        !s.is_empty()
            && s != "."
            && s != ".."
            && s.chars()
                .all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_'))
    };
    (!trust_domain.is_empty()
        && trust_domain.chars().all(domain_ok)
        && segment_ok(namespace)
        && segment_ok(service_account))
    .then(|| {
        SpiffeId::new(
            trust_domain.into(),
            namespace.into(),
            service_account.into(),
        )
    })
}

#[cfg(test)]
mod tests;
