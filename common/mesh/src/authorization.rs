//! Layer-4 authorization policies as they are delivered: data, not yet compiled.
//!
//! **Shape** of the match algebra: a policy is the OR of its rules, a rule the AND of its clauses, a clause
//! the OR of its matches, a match the AND of its fields; each positive list means *any*, each `not_` list *none*.

use std::fmt;

use ipnet::IpNet;

use crate::name::{Name, Namespace, ServiceAccount};

/// What deltas and workloads name a policy by, written `<namespace>/<name>`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PolicyKey {
    /// Its namespace.
    pub namespace: Namespace,
    /// Its name.
    pub name: Name,
}

impl PolicyKey {
    /// Names a policy.
    #[must_use]
    pub fn new(namespace: impl Into<Namespace>, name: impl Into<Name>) -> Self {
        Self {
            namespace: namespace.into(),
            name: name.into(),
        }
    }
}

impl fmt::Display for PolicyKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// One policy. Source: `istio.security.Authorization`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Authorization {
    /// Its name.
    pub key: PolicyKey,
    /// What it applies to.
    pub scope: Scope,
    /// What a match means.
    pub action: Action,
    /// Whether it is evaluated and logged only.
    pub dry_run: bool,
    /// OR. No rules: it never matches.
    pub rules: Vec<Rule>,
}

/// What a policy applies to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scope {
    /// Every workload.
    Global,
    /// Every workload of the policy's namespace.
    Namespace,
    /// The workloads that list it.
    WorkloadSelector,
}

/// What a match means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// The connection is allowed, unless something denies it.
    Allow,
    /// The connection is denied.
    Deny,
}

/// AND of clauses. No clauses: it matches everything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rule {
    /// What must all hold.
    pub clauses: Vec<Clause>,
}

/// OR of matches. No matches: it holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Clause {
    /// Of which one must hold.
    pub matches: Vec<Match>,
}

/// AND of fields. All fields empty: it never holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[expect(
    missing_docs,
    reason = "the names are those of istio.security.Match and are its documentation"
)]
pub struct Match {
    pub namespaces: Vec<StringMatch>,
    pub not_namespaces: Vec<StringMatch>,
    pub service_accounts: Vec<ServiceAccountMatch>,
    pub not_service_accounts: Vec<ServiceAccountMatch>,
    /// Compared with the identity without `spiffe://`.
    pub principals: Vec<StringMatch>,
    pub not_principals: Vec<StringMatch>,
    pub source_ips: Vec<IpNet>,
    pub not_source_ips: Vec<IpNet>,
    pub destination_ips: Vec<IpNet>,
    pub not_destination_ips: Vec<IpNet>,
    pub destination_ports: Vec<u16>,
    pub not_destination_ports: Vec<u16>,
}

/// A text condition.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum StringMatch {
    /// The text itself.
    Exact(String),
    /// It begins so (`x*`).
    Prefix(String),
    /// It ends so (`*x`).
    Suffix(String),
    /// It is there and not empty (`*`).
    Presence,
}

/// A service account of a namespace; the trust domain plays no part.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ServiceAccountMatch {
    /// Its namespace.
    pub namespace: Namespace,
    /// Its name.
    pub service_account: ServiceAccount,
}
