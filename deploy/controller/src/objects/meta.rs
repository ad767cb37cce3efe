//! What all objects have, and how objects select others by labels.

use std::{collections::BTreeMap, sync::Arc};

/// `metadata.labels` or `metadata.annotations`.
pub type Labels = BTreeMap<String, String>;

/// `metadata`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Meta {
    /// `name`; never empty.
    pub name: Arc<str>,
    /// `namespace`; `default` where a manifest of a namespaced kind has none, empty for a kind of the whole cluster.
    pub namespace: Arc<str>,
    /// `uid`; may be empty.
    pub uid: String,
    /// `labels`.
    pub labels: Labels,
    /// `annotations`.
    pub annotations: Labels,
    /// `creationTimestamp`, seconds since 1970; 0 where a manifest has none. Older wins where objects conflict.
    pub created: i64,
    /// `deletionTimestamp` is there: it is about to go.
    pub terminating: bool,
    /// The `ownerReferences` entry with `controller: true`.
    pub owner: Option<OwnerReference>,
}

impl Meta {
    /// The value of a label.
    #[must_use]
    pub fn label(&self, name: &str) -> Option<&str> {
        self.labels.get(name).map(String::as_str)
    }

    /// The value of an annotation.
    #[must_use]
    pub fn annotation(&self, name: &str) -> Option<&str> {
        self.annotations.get(name).map(String::as_str)
    }
}

/// What controls an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnerReference {
    /// For example `ReplicaSet`.
    pub kind: String,
    /// Its name.
    pub name: String,
}

/// A selector that lists labels, all of which must be equal. Source: `Service.spec.selector`, Istio's
/// `WorkloadSelector.matchLabels`. Empty selects everything where it is there at all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selector(pub Labels);

impl Selector {
    /// Whether all labels of the selector are among `labels`.
    #[must_use]
    pub fn matches(&self, labels: &Labels) -> bool {
        self.0
            .iter()
            .all(|(name, value)| labels.get(name) == Some(value))
    }
}

/// `metav1.LabelSelector`: all requirements must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LabelSelector {
    /// `matchLabels`.
    pub labels: Labels,
    /// `matchExpressions`.
    pub expressions: Vec<Requirement>,
}

impl LabelSelector {
    /// Whether `labels` meet all requirements.
    #[must_use]
    pub fn matches(&self, labels: &Labels) -> bool {
        self.labels
            .iter()
            .all(|(name, value)| labels.get(name) == Some(value))
            && self.expressions.iter().all(|it| it.holds(labels))
    }
}

/// One of `matchExpressions`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Requirement {
    /// The label's name.
    pub key: String,
    /// What is asked of it.
    pub operator: Operator,
    /// For `In` and `NotIn`.
    pub values: Vec<String>,
}

impl Requirement {
    fn holds(&self, labels: &Labels) -> bool {
        let value = labels.get(&self.key);
        match self.operator {
            Operator::In => value.is_some_and(|value| self.values.contains(value)),
            Operator::NotIn => value.is_none_or(|value| !self.values.contains(value)),
            Operator::Exists => value.is_some(),
            Operator::DoesNotExist => value.is_none(),
        }
    }
}

/// What is asked of a label.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are the documentation")]
pub enum Operator {
    In,
    NotIn,
    Exists,
    DoesNotExist,
}
