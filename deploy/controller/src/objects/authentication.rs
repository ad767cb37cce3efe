//! `security.istio.io/v1` PeerAuthentication and RequestAuthentication.

use std::collections::BTreeMap;

use super::{Meta, Selector, TargetRef};

/// What is asked of callers' transport.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PeerAuthentication {
    /// `metadata`.
    pub meta: Meta,
    /// `spec.selector.matchLabels`; `None` is the namespace, or the mesh in the root namespace.
    pub selector: Option<Selector>,
    /// `spec.mtls.mode`; `None` where `spec.mtls` is absent.
    pub mode: Option<MutualTls>,
    /// `spec.portLevelMtls`: by the workload's port, which `spec.selector` must be there for.
    pub ports: BTreeMap<u16, MutualTls>,
}

/// `mtls.mode`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are the documentation")]
pub enum MutualTls {
    #[default]
    Unset,
    Disable,
    Permissive,
    Strict,
}

/// Which tokens callers may bring. **Shape**: what it is attached to; `jwtRules` are not read, since they are not enforced
/// yet: what has one is to be refused.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RequestAuthentication {
    /// `metadata`.
    pub meta: Meta,
    /// `spec.selector.matchLabels`; not together with `targets`.
    pub selector: Option<Selector>,
    /// `spec.targetRefs` (and `spec.targetRef`).
    pub targets: Vec<TargetRef>,
}
