//! What became of each object: conditions as Kubernetes words them, for `/debug/status` and the log.

use std::{collections::BTreeMap, sync::Arc};

use parking_lot::Mutex;

use crate::objects::{MeshConfig, ObjectKey};

/// The reason where something cannot be enforced, wholly (the condition is false) or in part (it holds).
pub const UNSUPPORTED_VALUE: &str = "UnsupportedValue";

/// One condition of an object. Source: `metav1.Condition`.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Condition {
    /// For example `ZtunnelAccepted` or `istio.io/WaypointBound`.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// Whether it holds.
    #[serde(serialize_with = "truth")]
    pub status: bool,
    /// For machines, for example `UnsupportedValue`.
    pub reason: &'static str,
    /// For people.
    pub message: String,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "the signature is serde's"
)]
fn truth<S: serde::Serializer>(status: &bool, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(if *status { "True" } else { "False" })
}

/// A finding about where an object was read, for example in a file: what a source tells beside updates.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Finding {
    /// The object, if it could be told which it is.
    #[serde(serialize_with = "key")]
    pub object: Option<ObjectKey>,
    /// Whether the object (or the whole file) is left out for it; else it is a warning.
    pub refused: bool,
    /// Where and what, one line: `file:line:column: Kind namespace/name: field: what was found, what was expected`.
    pub text: String,
}

fn key<S: serde::Serializer>(key: &Option<ObjectKey>, serializer: S) -> Result<S::Ok, S::Error> {
    match key {
        Some(key) => serializer.collect_str(key),
        None => serializer.serialize_none(),
    }
}

/// Conditions and findings as they are now. Written by the one compiler, read by the admin endpoint.
#[derive(Debug, Default)]
pub struct Status {
    inner: Mutex<Inner>,
    mesh: Mutex<Arc<MeshConfig>>,
}

#[derive(Debug, Default)]
struct Inner {
    conditions: BTreeMap<ObjectKey, Vec<Condition>>,
    findings: Vec<Finding>,
}

impl Status {
    /// Replaces what is known of objects (an empty list: nothing) and logs what has become false, or holds
    /// in part only.
    pub fn set(&self, changes: impl IntoIterator<Item = (ObjectKey, Vec<Condition>)>) {
        let mut inner = self.inner.lock();
        for (object, conditions) in changes {
            let before = inner.conditions.get(&object);
            for condition in &conditions {
                let known = before.is_some_and(|before| before.contains(condition));
                let whole = condition.status && condition.reason != UNSUPPORTED_VALUE;
                if !known && !whole {
                    tracing::warn!(%object, condition = condition.kind, reason = condition.reason, "{}", condition.message);
                }
            }
            if conditions.is_empty() {
                inner.conditions.remove(&object);
            } else {
                inner.conditions.insert(object, conditions);
            }
        }
    }

    /// Replaces all findings of the source and logs the new ones.
    pub fn found(&self, findings: Vec<Finding>) {
        let mut inner = self.inner.lock();
        for finding in &findings {
            if !inner.findings.contains(finding) {
                if finding.refused {
                    tracing::error!("{}", finding.text);
                } else {
                    tracing::warn!("{}", finding.text);
                }
            }
        }
        inner.findings = findings;
    }

    /// The settings of the mesh have changed, and what came of it is published.
    pub fn set_mesh(&self, mesh: Arc<MeshConfig>) {
        *self.mesh.lock() = mesh;
    }

    /// The settings of the mesh, as `/debug/mesh` shows them.
    #[must_use]
    pub fn mesh_json(&self) -> serde_json::Value {
        let mesh = Arc::clone(&self.mesh.lock());
        serde_json::json!({
            "trustDomain": mesh.trust_domain,
            "trustDomainAliases": mesh.trust_domain_aliases,
            "rootNamespace": mesh.root_namespace,
            "annotations": mesh.meta.annotations,
        })
    }

    /// All of it, as `/debug/status` shows it.
    #[must_use]
    pub fn json(&self) -> serde_json::Value {
        let inner = self.inner.lock();
        let conditions: BTreeMap<Arc<str>, &Vec<Condition>> = inner
            .conditions
            .iter()
            .map(|(object, conditions)| (object.to_string().into(), conditions))
            .collect();
        serde_json::json!({ "conditions": conditions, "findings": inner.findings })
    }
}
