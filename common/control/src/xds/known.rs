//! What is known of one type: which resources, in which version. It outlives streams.

use std::collections::HashMap;

use mesh::{Resource, ResourceKey, Uid};

/// The resources of one type by their names.
///
/// A name is kept as a [`Uid`], whatever it names: a workload's name is its uid, and most names are workloads', so
/// they share their memory with the mesh.
#[derive(Debug, Default)]
pub(super) struct Known {
    entry_by_name: HashMap<Uid, Entry>,
    /// `None`: nobody asks by alias.
    names_by_alias: Option<HashMap<Box<str>, Vec<Uid>>>,
}

#[derive(Debug)]
struct Entry {
    version: Box<str>,
    /// The response that brought it.
    response: u64,
    /// What few have.
    more: Option<Box<More>>,
}

#[derive(Debug, Default)]
struct More {
    /// The key in the mesh; `None` where the name is the uid of a workload.
    key: Option<ResourceKey>,
    aliases: Vec<Box<str>>,
}

/// What a new version of a resource put an end to.
#[derive(Debug, Default)]
pub(super) struct Replaced {
    /// The key that the name no longer stands for.
    pub(super) key: Option<ResourceKey>,
    /// Aliases that lead nowhere any more.
    pub(super) aliases: Vec<Box<str>>,
}

/// A resource that is no longer known.
#[derive(Debug)]
pub(super) struct Removed {
    pub(super) key: ResourceKey,
    /// Aliases that lead nowhere any more.
    pub(super) aliases: Vec<Box<str>>,
}

impl Known {
    /// Knows nothing.
    pub(super) fn new(with_aliases: bool) -> Self {
        Self {
            entry_by_name: HashMap::new(),
            names_by_alias: with_aliases.then(HashMap::new),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.entry_by_name.len()
    }

    pub(super) fn contains(&self, name: &str) -> bool {
        self.entry_by_name.contains_key(name)
    }

    /// Names and versions, in no order that means anything.
    pub(super) fn versions(&self) -> impl Iterator<Item = (&str, &str)> {
        self.entry_by_name
            .iter()
            .map(|(name, entry)| (name.as_str(), &*entry.version))
    }

    /// Names of resources that no response since `response`, itself included, has brought.
    pub(super) fn not_since(&self, response: u64) -> Vec<String> {
        let entries = self.entry_by_name.iter();
        entries
            .filter(|(_, entry)| entry.response < response)
            .map(|(name, _)| name.as_str().to_owned())
            .collect()
    }

    /// The response that brought a resource.
    pub(super) fn response(&self, name: &str) -> Option<u64> {
        self.entry_by_name.get(name).map(|entry| entry.response)
    }

    /// The names that an alias stands for.
    pub(super) fn by_alias(&self, alias: &str) -> &[Uid] {
        self.names_by_alias
            .as_ref()
            .and_then(|names| names.get(alias))
            .map_or(&[], Vec::as_slice)
    }

    /// Notes a version of a resource.
    pub(super) fn put(
        &mut self,
        name: &str,
        version: &str,
        response: u64,
        resource: &Resource,
        mut aliases: Vec<Box<str>>,
    ) -> Replaced {
        let (name, key) = match resource {
            Resource::Workload(workload) if *workload.uid == *name => (workload.uid.clone(), None),
            Resource::Workload(_)
            | Resource::Service(_)
            | Resource::Authorization(_)
            | Resource::RouteTable(_)
            | Resource::BackendPolicy(_)
            | Resource::WaypointSettings(_) => (Uid::from(name), Some(resource.key())),
        };
        match &mut self.names_by_alias {
            None => aliases.clear(),
            Some(names) => {
                aliases.sort_unstable();
                aliases.dedup();
                for alias in &aliases {
                    let names = names.entry(alias.clone()).or_default();
                    if !names.contains(&name) {
                        names.push(name.clone());
                    }
                }
            }
        }
        let more = (key.is_some() || !aliases.is_empty()).then(|| Box::new(More { key, aliases }));
        let entry = Entry {
            version: version.into(),
            response,
            more,
        };
        let new_key = entry.key(&name);
        let Some(old) = self.entry_by_name.insert(name.clone(), entry) else {
            return Replaced::default();
        };
        let old_key = old.key(&name);
        let gone: Vec<Box<str>> = {
            let kept = self.entry_by_name.get(&name);
            let kept = kept.map_or(&[][..], Entry::aliases);
            old.aliases()
                .iter()
                .filter(|alias| kept.binary_search(alias).is_err())
                .cloned()
                .collect()
        };
        Replaced {
            key: (old_key != new_key).then_some(old_key),
            aliases: self.forget_aliases(&name, gone),
        }
    }

    /// Forgets a resource.
    pub(super) fn remove(&mut self, name: &str) -> Option<Removed> {
        let (name, entry) = self.entry_by_name.remove_entry(name)?;
        Some(Removed {
            key: entry.key(&name),
            aliases: self.forget_aliases(&name, entry.aliases().to_vec()),
        })
    }

    /// Takes `name` away from aliases; returns those that stand for nothing any more.
    fn forget_aliases(&mut self, name: &Uid, mut aliases: Vec<Box<str>>) -> Vec<Box<str>> {
        let Some(names_by_alias) = &mut self.names_by_alias else {
            return Vec::new();
        };
        aliases.retain(|alias| {
            let Some(names) = names_by_alias.get_mut(alias) else {
                return false;
            };
            names.retain(|other| other != name);
            let nobody = names.is_empty();
            if nobody {
                names_by_alias.remove(alias);
            }
            nobody
        });
        aliases
    }
}

impl Entry {
    fn key(&self, name: &Uid) -> ResourceKey {
        let key = self.more.as_ref().and_then(|more| more.key.clone());
        key.unwrap_or_else(|| ResourceKey::Workload(name.clone()))
    }

    /// Sorted.
    fn aliases(&self) -> &[Box<str>] {
        self.more.as_ref().map_or(&[], |more| &more.aliases)
    }
}

#[cfg(test)]
mod tests;
