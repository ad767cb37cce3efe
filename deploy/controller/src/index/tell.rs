//! What was told, and what is to be told now.

use std::{
    collections::{BTreeMap, HashSet},
    hash::{BuildHasher as _, Hash as _, Hasher as _, RandomState},
};

use prost::Message as _;

use crate::{
    objects::ObjectKey,
    output::{Output, Resource, ResourceType},
    status::Condition,
};

/// What was told of one object: hashes, since the messages themselves would double the memory of the mesh.
#[derive(Debug, Default)]
pub(super) struct Told {
    /// Of the only resource of an object whose name follows from the object's; 0 is none.
    one: u64,
    /// Of the resources of any other object, by name.
    many: BTreeMap<(ResourceType, Box<str>), u64>,
    /// Of its conditions; 0 is none.
    conditions: u64,
}

impl Told {
    pub(super) fn has_one(&self) -> bool {
        self.one != 0
    }

    pub(super) fn has_conditions(&self) -> bool {
        self.conditions != 0
    }

    pub(super) fn names(&self) -> impl Iterator<Item = (ResourceType, String)> + '_ {
        let names = self.many.keys();
        names.map(|(resource_type, name)| (*resource_type, name.to_string()))
    }
}

/// Compares with what was told, and tells the difference.
#[derive(Debug, Default)]
pub(super) struct Teller {
    /// Keyed, so that nobody can prepare two messages of one hash.
    hashes: RandomState,
    buffer: Vec<u8>,
}

impl Teller {
    /// The only resource of an object.
    pub(super) fn one(
        &mut self,
        told: &mut Told,
        resource_type: ResourceType,
        resource: Option<Resource>,
        name: impl FnOnce() -> String,
        output: &mut Output,
    ) {
        let hash = resource.as_ref().map_or(0, |it| self.hash(it));
        if hash == told.one {
            return;
        }
        told.one = hash;
        match resource {
            Some(resource) => output.puts.push(resource),
            None => output.removals.push((resource_type, name())),
        }
    }

    /// All resources of an object.
    pub(super) fn many(&mut self, told: &mut Told, resources: Vec<Resource>, output: &mut Output) {
        let before = std::mem::take(&mut told.many);
        for resource in resources {
            let name = (resource.resource_type(), resource.name().into_boxed_str());
            let hash = self.hash(&resource);
            if before.get(&name) != Some(&hash) {
                output.puts.push(resource);
            }
            told.many.insert(name, hash);
        }
        for name in before.into_keys() {
            if !told.many.contains_key(&name) {
                output.removals.push((name.0, name.1.into_string()));
            }
        }
    }

    /// The conditions of an object.
    pub(super) fn conditions(
        &mut self,
        told: &mut Told,
        key: ObjectKey,
        conditions: Vec<Condition>,
        output: &mut Output,
    ) {
        let hash = if conditions.is_empty() {
            0
        } else {
            let mut hasher = self.hashes.build_hasher();
            for it in &conditions {
                (it.kind, it.status, it.reason, &it.message).hash(&mut hasher);
            }
            hasher.finish().max(1)
        };
        if hash != told.conditions {
            told.conditions = hash;
            output.conditions.push((key, conditions));
        }
    }

    /// What one object gave up and another took over, or the next of its name, stays: a name is removed or put, not
    /// both. `cleared` are objects that went and had conditions.
    pub(super) fn settle(&self, output: &mut Output, cleared: Vec<ObjectKey>) {
        if !cleared.is_empty() {
            let told: HashSet<_> = output
                .conditions
                .iter()
                .map(|(key, _)| key.clone())
                .collect();
            let silent = cleared.into_iter().filter(|key| !told.contains(key));
            output
                .conditions
                .extend(silent.map(|key| (key, Vec::new())));
        }
        if output.removals.is_empty() {
            return;
        }
        let put: HashSet<_> = output
            .puts
            .iter()
            .map(|it| (it.resource_type(), it.name()))
            .collect();
        output.removals.retain(|it| !put.contains(it));
        output.removals.sort_unstable();
        output.removals.dedup();
    }

    fn hash(&mut self, resource: &Resource) -> u64 {
        self.buffer.clear();
        // A buffer that grows is never too small, the only way in which encoding can fail.
        let encoded = match resource {
            Resource::Workload(it) => it.encode(&mut self.buffer),
            Resource::Service(it) => it.encode(&mut self.buffer),
            Resource::Authorization(it) => it.encode(&mut self.buffer),
            Resource::RouteTable(it, _) => it.encode(&mut self.buffer),
            Resource::BackendPolicy(it) => it.encode(&mut self.buffer),
            Resource::Settings(it, _) => it.encode(&mut self.buffer),
        };
        debug_assert!(encoded.is_ok(), "a vector grows");
        let mut hasher = self.hashes.build_hasher();
        hasher.write(&self.buffer);
        match resource {
            Resource::RouteTable(_, audience) => audience.hash(&mut hasher),
            Resource::Settings(_, account) => account.hash(&mut hasher),
            Resource::Workload(_)
            | Resource::Service(_)
            | Resource::Authorization(_)
            | Resource::BackendPolicy(_) => {}
        }
        hasher.finish().max(1)
    }
}
