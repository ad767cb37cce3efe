//! A policy of which the manifest cannot be read: what stands in for it, so that what it guards is not open.

use super::{Kind, Meta, TargetRef};

/// What is known of an AuthorizationPolicy or RequestAuthentication that cannot be read and of which there is no earlier version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnreadPolicy {
    /// Which of the two it is.
    pub kind: Kind,
    /// `metadata`, its name and namespace only.
    pub meta: Meta,
    /// Those of `spec.targetRefs` (and `spec.targetRef`) that can be read.
    pub targets: Vec<TargetRef>,
    /// Whether there are others.
    pub has_others: bool,
    /// Whether it could keep anything out: not one that is certain to be an audit or a dry run.
    pub closes: bool,
}
