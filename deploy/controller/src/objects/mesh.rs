//! MeshConfig: the key `mesh` of the ConfigMap `istio` in the root namespace.

use super::{LabelSelector, Labels, Meta};

/// The ConfigMap that holds the MeshConfig: its namespace and its name. No other has any effect.
pub const MESH_CONFIG: (&str, &str) = ("istio-system", "istio");

/// Settings of the whole mesh.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MeshConfig {
    /// `metadata` of the ConfigMap.
    pub meta: Meta,
    /// `trustDomain`; `cluster.local` where it is absent.
    pub trust_domain: String,
    /// `trustDomainAliases`.
    pub trust_domain_aliases: Vec<String>,
    /// `rootNamespace`; `istio-system` where it is absent.
    pub root_namespace: String,
    /// `serviceEntryVisibility`.
    pub entry_visibility: EntryVisibility,
}

/// `serviceEntryVisibility`: who may know of which ServiceEntry. Source: EG-08.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EntryVisibility {
    /// `defaultVisibility`: where no policy matches.
    pub default: Visibility,
    /// `policies`: the first that matches decides.
    pub policies: Vec<VisibilityPolicy>,
}

/// One of `serviceEntryVisibility.policies`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VisibilityPolicy {
    /// `visibility`.
    pub visibility: Visibility,
    /// `matchingRules[].namespaceSelector`, all of which must hold; one that is missing never does.
    pub namespaces: Vec<Option<LabelSelector>>,
}

/// Who may know of a ServiceEntry.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Visibility {
    /// Everybody.
    #[default]
    Public,
    /// Its own namespace.
    Namespace,
    /// Nobody.
    None,
}

impl EntryVisibility {
    /// Who may know of the entries of a namespace with such labels.
    #[must_use]
    pub fn of(&self, namespace: &Labels) -> Visibility {
        let matches = |policy: &&VisibilityPolicy| {
            let holds =
                |it: &Option<LabelSelector>| it.as_ref().is_some_and(|it| it.matches(namespace));
            policy.namespaces.iter().all(holds)
        };
        let policy = self.policies.iter().find(matches);
        policy.map_or(self.default, |policy| policy.visibility)
    }
}

impl Default for MeshConfig {
    fn default() -> Self {
        Self {
            meta: Meta::default(),
            trust_domain: "cluster.local".to_owned(),
            trust_domain_aliases: Vec::new(),
            root_namespace: "istio-system".to_owned(),
            entry_visibility: EntryVisibility::default(),
        }
    }
}
