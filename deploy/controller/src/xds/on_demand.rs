//! A client that names what it wants.
//!
//! In: names and snapshots. Out: what changed of what the client wants.
//! Never: a reference to a snapshot. What is kept is a version for each resource that the client has.
//!
//! A name is a resource's own, or an alias `<network>/<ip>`. What it brings:
//! * a workload brings itself and nothing else. Its services do not come along: a service without all of its endpoints
//!   would look whole to a proxy that balances among those it knows;
//! * a service brings itself and all workloads behind it, those that join later too;
//! * the workloads of the client's own node are always there, whatever is asked for.
//!
//! What came along and is wanted no more is removed by the server; what the client itself lets go of is not mentioned.

use std::{
    collections::{HashMap, HashSet},
    mem,
    sync::Arc,
};

use super::{
    plan::{Item, Plan},
    viewer::Viewer,
    wildcard::Known,
};
use crate::{
    output::ResourceType,
    publish::{Encoded, Kind, Snapshot, Version, parse_alias},
};

/// The state of such a client.
#[derive(Debug)]
pub(super) struct OnDemand {
    /// The generation up to which changes have been looked at.
    seen: Option<u64>,
    /// What it has been sent, also what it refused.
    held: HashMap<Arc<str>, Version>,
    /// The services that a name leads to, whose endpoints come along.
    reached: HashSet<Arc<str>>,
    /// What it had when it came, until it is answered.
    known: Known,
}

/// What a question is about.
#[derive(Clone, Copy)]
pub(super) struct Context<'a> {
    pub(super) of: ResourceType,
    pub(super) viewer: &'a Viewer,
    pub(super) snapshot: &'a Snapshot,
    /// All names that are subscribed.
    pub(super) names: &'a HashSet<Arc<str>>,
}

impl<'a> Context<'a> {
    fn get(&self, name: &str) -> Option<&'a Arc<Encoded>> {
        self.viewer.get(self.of, self.snapshot, name)
    }

    fn find(&self, name: &str) -> Vec<&'a Arc<Encoded>> {
        self.viewer.find(self.of, self.snapshot, name)
    }

    /// The workloads of the client's own node.
    fn neighbours(&self) -> impl Iterator<Item = &'a Arc<str>> {
        let node = match self.of {
            ResourceType::Address => self.viewer.node.as_deref(),
            ResourceType::Authorization
            | ResourceType::RouteTable
            | ResourceType::BackendPolicy
            | ResourceType::Settings => None,
        };
        node.into_iter()
            .flat_map(|node| self.snapshot.on_node(node))
    }

    /// Whether a name leads to it.
    fn named(&self, encoded: &Encoded) -> bool {
        self.names.contains(encoded.name())
            || encoded
                .aliases()
                .iter()
                .any(|alias| self.names.contains(alias))
            || encoded.has_ranges() && self.names.iter().any(|name| within(encoded, name))
    }
}

fn within(encoded: &Encoded, name: &str) -> bool {
    parse_alias(name).is_some_and(|(network, ip)| encoded.covers(network, ip))
}

fn is_service(encoded: &Encoded) -> bool {
    matches!(encoded.kind(), Kind::Service { .. })
}

impl OnDemand {
    pub(super) fn new(known: Known) -> Self {
        Self {
            seen: None,
            held: HashMap::new(),
            reached: HashSet::new(),
            known,
        }
    }

    /// What it has, for a client that goes over to everything.
    pub(super) fn into_known(self) -> Known {
        self.held
            .into_iter()
            .map(|(name, version)| (name.to_string(), Some(version)))
            .collect()
    }

    /// What changed, an answer to each name of `asked`, and nothing about what only names of `left` led to.
    pub(super) fn plan(
        &mut self,
        context: Context<'_>,
        asked: &HashSet<Arc<str>>,
        left: &HashSet<Arc<str>>,
    ) -> Plan {
        let mut suspects = HashSet::new();
        self.advance(context, &mut suspects);
        let known = mem::take(&mut self.known);
        for (name, version) in &known {
            if let Some(encoded) = context.get(name)
                && Some(encoded.version()) == *version
            {
                self.held
                    .insert(Arc::clone(encoded.name()), encoded.version());
            }
        }
        for name in left {
            for encoded in context.find(name) {
                self.reach(context, encoded.name(), Some(encoded), &mut suspects);
                // What has changed since is told of as it is: it may not be what the client let go of.
                if !self.wants(context, encoded) && !suspects.contains(encoded.name()) {
                    self.held.remove(encoded.name());
                }
            }
        }
        let (mut removed, mut owed) = (Vec::new(), HashMap::<Arc<str>, Item>::new());
        for name in asked {
            let found = context.find(name);
            if found.is_empty() {
                removed.push(Arc::clone(name));
            }
            for encoded in found {
                self.reach(context, encoded.name(), Some(encoded), &mut suspects);
                let exact = encoded.name() == name || encoded.aliases().contains(name);
                if exact && known.contains_key(&**name) {
                    suspects.insert(Arc::clone(encoded.name()));
                    continue;
                }
                let item = owed
                    .entry(Arc::clone(encoded.name()))
                    .or_insert_with(|| Item::plain(encoded));
                if !exact {
                    item.aliases.push(Arc::clone(name));
                }
            }
        }
        let items = self.settle(context, suspects, owed, &mut removed);
        Plan::own(items, removed)
    }

    /// Looks at what changed since it was last asked.
    fn advance(&mut self, context: Context<'_>, suspects: &mut HashSet<Arc<str>>) {
        let generation = context.snapshot.generation();
        let changed = match self.seen.replace(generation) {
            None => {
                suspects.extend(context.neighbours().cloned());
                return;
            }
            Some(seen) if seen == generation => return,
            Some(seen) => context.snapshot.since(context.of, seen),
        };
        let changed = changed.unwrap_or_else(|| {
            // Too far behind for the log: everything that it has or could have is looked at.
            let reached = mem::take(&mut self.reached);
            let held = self.held.keys().cloned();
            let named = context
                .names
                .iter()
                .flat_map(|name| context.find(name))
                .map(|encoded| Arc::clone(encoded.name()));
            held.chain(reached)
                .chain(named)
                .chain(context.neighbours().cloned())
                .collect()
        });
        for name in changed {
            let encoded = context.get(&name);
            self.reach(context, &name, encoded, suspects);
            if self.held.contains_key(&name)
                || encoded.is_some_and(|encoded| self.wants(context, encoded))
            {
                suspects.insert(name);
            }
        }
    }

    /// Notes whether the endpoints of a service come along; if that has changed, they are looked at.
    fn reach(
        &mut self,
        context: Context<'_>,
        name: &Arc<str>,
        encoded: Option<&Arc<Encoded>>,
        suspects: &mut HashSet<Arc<str>>,
    ) {
        let now = encoded.is_some_and(|encoded| is_service(encoded) && context.named(encoded));
        let turned = if now {
            self.reached.insert(Arc::clone(name))
        } else {
            self.reached.remove(name)
        };
        if turned {
            suspects.extend(context.snapshot.endpoints(name).cloned());
        }
    }

    fn wants(&self, context: Context<'_>, encoded: &Encoded) -> bool {
        context.viewer.neighbours(encoded)
            || context.named(encoded)
            || encoded
                .services()
                .iter()
                .any(|service| self.reached.contains(service))
    }

    /// Compares the suspects with what the client has, and notes what it will have. Services come after their endpoints.
    fn settle(
        &mut self,
        context: Context<'_>,
        suspects: HashSet<Arc<str>>,
        owed: HashMap<Arc<str>, Item>,
        removed: &mut Vec<Arc<str>>,
    ) -> Vec<Item> {
        let mut items = Vec::new();
        for name in suspects {
            let encoded = context.get(&name);
            match encoded.filter(|encoded| self.wants(context, encoded)) {
                Some(_) if owed.contains_key(&name) => {}
                Some(encoded) if self.held.get(&name) == Some(&encoded.version()) => {}
                Some(encoded) => items.push(Item::plain(encoded)),
                None => {
                    if self.held.remove(&name).is_some() {
                        removed.push(name);
                    }
                }
            }
        }
        items.extend(owed.into_values());
        items.sort_by_key(|item| is_service(&item.encoded));
        for item in &items {
            self.held
                .insert(Arc::clone(item.encoded.name()), item.encoded.version());
        }
        items
    }
}
