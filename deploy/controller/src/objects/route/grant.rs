//! `gateway.networking.k8s.io/v1 ReferenceGrant`: which routes of other namespaces may refer to objects of this one.

use super::super::Meta;

/// A permission, of its own namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReferenceGrant {
    /// `metadata`.
    pub meta: Meta,
    /// `spec.from`: OR; at least one.
    pub from: Vec<GrantFrom>,
    /// `spec.to`: OR; at least one.
    pub to: Vec<GrantTo>,
}

/// Who may refer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GrantFrom {
    /// `group`; empty for core.
    pub group: String,
    /// `kind`.
    pub kind: String,
    /// `namespace`.
    pub namespace: String,
}

/// What may be referred to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GrantTo {
    /// `group`; empty for core.
    pub group: String,
    /// `kind`.
    pub kind: String,
    /// `name`; `None` is every one.
    pub name: Option<String>,
}

impl ReferenceGrant {
    /// Whether an object of `from` may refer to the object `name` of the group and kind `to`, in the namespace of this
    /// grant.
    #[must_use]
    pub fn allows(&self, from: &GrantFrom, (group, kind): (&str, &str), name: &str) -> bool {
        let is_to = |to: &GrantTo| {
            to.group == group
                && to.kind == kind
                && to.name.as_deref().is_none_or(|only| only == name)
        };
        self.from.contains(from) && self.to.iter().any(is_to)
    }
}
