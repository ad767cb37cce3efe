//! What a reader of all outputs knows.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    objects::ObjectKey,
    output::{Account, Output, Resident, Resource, ResourceType},
    status::Condition,
};

/// All that outputs have come to.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Accumulated {
    pub(super) resources: BTreeMap<(ResourceType, String), Resource>,
    pub(super) residents: BTreeMap<Resident, u32>,
    pub(super) waypoints: BTreeSet<Account>,
    pub(super) conditions: BTreeMap<ObjectKey, Vec<Condition>>,
    pub(super) trust_domain: Option<String>,
}

impl Accumulated {
    /// Takes an output in, which must be consistent with those before.
    pub(super) fn take(&mut self, output: Output) {
        for name in output.removals {
            assert!(
                self.resources.remove(&name).is_some(),
                "{name:?} was removed and is unknown"
            );
        }
        let mut seen = BTreeSet::new();
        for resource in output.puts {
            let name = (resource.resource_type(), resource.name());
            assert!(seen.insert(name.clone()), "{name:?} was put twice");
            self.resources.insert(name, resource);
        }
        for (resident, count) in output.residents {
            let before = match count {
                0 => self.residents.remove(&resident),
                count => self.residents.insert(resident.clone(), count),
            };
            assert_ne!(before.unwrap_or_default(), count, "{resident:?}");
        }
        for (account, is) in output.waypoints {
            if is {
                self.waypoints.insert(account);
            } else {
                assert!(self.waypoints.remove(&account), "{account:?}");
            }
        }
        for (key, conditions) in output.conditions {
            let before = if conditions.is_empty() {
                self.conditions.remove(&key)
            } else {
                self.conditions.insert(key.clone(), conditions)
            };
            let now = self.conditions.get(&key);
            assert!(before.is_some() || now.is_some(), "{key} never had any");
        }
        if let Some(trust_domain) = output.trust_domain {
            self.trust_domain = Some(trust_domain);
        }
    }
}
