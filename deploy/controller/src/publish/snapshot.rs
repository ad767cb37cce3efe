//! One state of everything that is served. It never changes.

use std::{
    collections::BTreeMap,
    sync::{Arc, Weak},
    time::Instant,
};

use mesh::pmap::{PersistentMap, Values};
use parking_lot::Mutex;

use super::{
    Encoded,
    encoded::{Interned, Kind, parse_alias},
    groups::Groups,
    log::Log,
};
use crate::output::{Account, Output, Resident, ResourceType};

type Resources = PersistentMap<Arc<str>, Arc<Encoded>>;

/// What is served, and who runs where.
#[derive(Debug)]
pub struct Snapshot {
    generation: u64,
    published: Option<Instant>,
    addresses: Resources,
    authorizations: Resources,
    route_tables: Resources,
    backend_policies: Resources,
    settings: Resources,
    /// `<network>/<ip>` -> workloads and services.
    aliases: Groups,
    /// Service -> workloads that name it, whether it exists or not.
    endpoints: Groups,
    /// Node -> workloads.
    nodes: Groups,
    /// Services that answer for ranges of addresses: there are few.
    ranges: PersistentMap<Arc<str>, ()>,
    residents: PersistentMap<Resident, u32>,
    waypoints: PersistentMap<Account, ()>,
    trust_domain: Arc<str>,
    root_namespace: Arc<str>,
    log: Arc<Log>,
    /// All addresses in one list, as long as a client reads it.
    listed: Mutex<Option<Weak<[Arc<Encoded>]>>>,
}

impl Snapshot {
    /// Nothing, with a record of up to `history` changes of each type.
    pub(super) fn empty(history: usize) -> Self {
        Self {
            generation: 0,
            published: None,
            addresses: Resources::new(),
            authorizations: Resources::new(),
            route_tables: Resources::new(),
            backend_policies: Resources::new(),
            settings: Resources::new(),
            aliases: Groups::default(),
            endpoints: Groups::default(),
            nodes: Groups::default(),
            ranges: PersistentMap::new(),
            residents: PersistentMap::new(),
            waypoints: PersistentMap::new(),
            trust_domain: "cluster.local".into(),
            root_namespace: "istio-system".into(),
            log: Arc::new(Log::new(history)),
            listed: Mutex::default(),
        }
    }

    /// What follows from this by `output`; `None` if that is nothing. Costs O(change).
    pub(super) fn apply(&self, output: Output, now: Instant) -> Option<Self> {
        let mut next = Self {
            generation: self.generation + 1,
            published: Some(now),
            addresses: self.addresses.clone(),
            authorizations: self.authorizations.clone(),
            route_tables: self.route_tables.clone(),
            backend_policies: self.backend_policies.clone(),
            settings: self.settings.clone(),
            aliases: self.aliases.clone(),
            endpoints: self.endpoints.clone(),
            nodes: self.nodes.clone(),
            ranges: self.ranges.clone(),
            residents: self.residents.clone(),
            waypoints: self.waypoints.clone(),
            trust_domain: Arc::clone(&self.trust_domain),
            root_namespace: Arc::clone(&self.root_namespace),
            log: Arc::clone(&self.log),
            listed: Mutex::default(),
        };
        let mut names: BTreeMap<ResourceType, Vec<Arc<str>>> = BTreeMap::new();
        for (of, name) in output.removals {
            if let Some(old) = next.resources_mut(of).remove(name.as_str()) {
                next.forget(&old);
                names.entry(of).or_default().push(Arc::clone(old.name()));
            }
        }
        for resource in output.puts {
            let of = resource.resource_type();
            let new = Encoded::new(resource, next.generation, |text| next.intern(of, &text));
            let name = Arc::clone(new.name());
            match next.resources(of).get(&*name) {
                Some(old) if !old.differs(&new) => continue,
                Some(old) => next.forget(&Arc::clone(old)),
                None => {}
            }
            next.remember(&new);
            next.resources_mut(of)
                .insert(Arc::clone(&name), Arc::new(new));
            names.entry(of).or_default().push(name);
        }
        let mut others = next.settle_residents(output.residents);
        others |= next.settle_waypoints(output.waypoints);
        if let Some(domain) = output.trust_domain
            && *domain != *next.trust_domain
        {
            next.trust_domain = domain.into();
            others = true;
        }
        if let Some(root) = output.root_namespace
            && *root != *next.root_namespace
        {
            next.root_namespace = root.into();
            others = true;
        }
        if self.generation > 0 && names.is_empty() && !others {
            return None;
        }
        // Before it is published, so that nobody can hold a snapshot whose changes are not noted.
        for (of, names) in names {
            next.log.append(of, next.generation, names);
        }
        Some(next)
    }

    fn settle_residents(&mut self, residents: Vec<(Resident, u32)>) -> bool {
        let mut changed = false;
        for (resident, pods) in residents {
            changed |= if pods == 0 {
                self.residents.remove(&resident).is_some()
            } else {
                self.residents.insert(resident, pods) != Some(pods)
            };
        }
        changed
    }

    fn settle_waypoints(&mut self, waypoints: Vec<(Account, bool)>) -> bool {
        let mut changed = false;
        for (account, exists) in waypoints {
            changed |= if exists {
                self.waypoints.insert(account, ()).is_none()
            } else {
                self.waypoints.remove(&account).is_some()
            };
        }
        changed
    }

    fn intern(&self, of: ResourceType, text: &Interned<'_>) -> Arc<str> {
        let own = |of: ResourceType, name: &str| {
            self.resources(of)
                .get(name)
                .map(|encoded| Arc::clone(encoded.name()))
        };
        match text {
            Interned::Name(name) => own(of, name).unwrap_or_else(|| match of {
                // Workloads may have named it before it was there.
                ResourceType::Address => self.endpoints.intern(name),
                ResourceType::Authorization
                | ResourceType::RouteTable
                | ResourceType::BackendPolicy
                | ResourceType::Settings => (*name).into(),
            }),
            Interned::Service(name) => {
                own(ResourceType::Address, name).unwrap_or_else(|| self.endpoints.intern(name))
            }
            Interned::Node(node) => self.nodes.intern(node),
            Interned::Alias(alias) => self.aliases.intern(alias),
            Interned::Network(network) => (*network).into(),
        }
    }

    /// Puts `encoded` into the indexes.
    fn remember(&mut self, encoded: &Encoded) {
        let name = encoded.name();
        for alias in encoded.aliases() {
            self.aliases.add(alias, name);
        }
        match encoded.kind() {
            Kind::Workload { node, services } => {
                for service in services {
                    self.endpoints.add(service, name);
                }
                if let Some(node) = node {
                    self.nodes.add(node, name);
                }
            }
            Kind::Service { ranges } => {
                if !ranges.is_empty() {
                    self.ranges.insert(Arc::clone(name), ());
                }
            }
            Kind::Authorization
            | Kind::RouteTable { .. }
            | Kind::BackendPolicy
            | Kind::Settings { .. } => {}
        }
    }

    /// Takes `encoded` out of the indexes.
    fn forget(&mut self, encoded: &Encoded) {
        let name = encoded.name();
        for alias in encoded.aliases() {
            self.aliases.take(alias, name);
        }
        match encoded.kind() {
            Kind::Workload { node, services } => {
                for service in services {
                    self.endpoints.take(service, name);
                }
                if let Some(node) = node {
                    self.nodes.take(node, name);
                }
            }
            Kind::Service { .. } => {
                self.ranges.remove(&**name);
            }
            Kind::Authorization
            | Kind::RouteTable { .. }
            | Kind::BackendPolicy
            | Kind::Settings { .. } => {}
        }
    }

    fn resources(&self, of: ResourceType) -> &Resources {
        match of {
            ResourceType::Address => &self.addresses,
            ResourceType::Authorization => &self.authorizations,
            ResourceType::RouteTable => &self.route_tables,
            ResourceType::BackendPolicy => &self.backend_policies,
            ResourceType::Settings => &self.settings,
        }
    }

    fn resources_mut(&mut self, of: ResourceType) -> &mut Resources {
        match of {
            ResourceType::Address => &mut self.addresses,
            ResourceType::Authorization => &mut self.authorizations,
            ResourceType::RouteTable => &mut self.route_tables,
            ResourceType::BackendPolicy => &mut self.backend_policies,
            ResourceType::Settings => &mut self.settings,
        }
    }

    /// Its number; later ones are higher. 0: nothing has been published yet.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// When it was published; never for generation 0.
    #[must_use]
    pub fn published(&self) -> Option<Instant> {
        self.published
    }

    /// Whether a pod of this service account runs on this node.
    #[must_use]
    pub fn runs(&self, node: &str, namespace: &str, service_account: &str) -> bool {
        self.residents.contains_key(&Resident {
            node: node.into(),
            namespace: namespace.into(),
            service_account: service_account.into(),
        })
    }

    /// Whether a waypoint has this identity.
    #[must_use]
    pub fn is_waypoint(&self, namespace: &str, service_account: &str) -> bool {
        self.waypoints.contains_key(&Account {
            namespace: namespace.into(),
            name: service_account.into(),
        })
    }

    /// The mesh's trust domain.
    #[must_use]
    pub fn trust_domain(&self) -> &str {
        &self.trust_domain
    }

    /// The namespace whose policies hold for the whole mesh. Source: MeshConfig `rootNamespace`.
    #[must_use]
    pub fn root_namespace(&self) -> &Arc<str> {
        &self.root_namespace
    }

    /// One resource.
    #[must_use]
    pub fn resource(&self, of: ResourceType, name: &str) -> Option<&Arc<Encoded>> {
        self.resources(of).get(name)
    }

    /// All resources of a type, in no order that means anything.
    #[must_use]
    pub fn iter(&self, of: ResourceType) -> Values<'_, Arc<str>, Arc<Encoded>> {
        self.resources(of).values()
    }

    /// How many there are of a type.
    #[must_use]
    pub fn len(&self, of: ResourceType) -> usize {
        self.resources(of).len()
    }

    /// All resources of a type in one list. Clients that ask for the addresses of one snapshot share one.
    #[must_use]
    pub fn list(&self, of: ResourceType) -> Arc<[Arc<Encoded>]> {
        match of {
            ResourceType::Address => {
                let mut listed = self.listed.lock();
                let present = listed.as_ref().and_then(Weak::upgrade);
                present.unwrap_or_else(|| {
                    let list: Arc<[_]> = self.iter(of).map(Arc::clone).collect();
                    *listed = Some(Arc::downgrade(&list));
                    list
                })
            }
            ResourceType::Authorization
            | ResourceType::RouteTable
            | ResourceType::BackendPolicy
            | ResourceType::Settings => self.iter(of).map(Arc::clone).collect(),
        }
    }

    /// The workloads and services with the alias `<network>/<ip>`, and the services with a range that it is in.
    #[must_use]
    pub fn by_alias(&self, alias: &str) -> Vec<&Arc<Encoded>> {
        let exact = self.aliases.get(alias);
        let mut found: Vec<_> = exact
            .filter_map(|name| self.addresses.get(&**name))
            .collect();
        if !self.ranges.is_empty()
            && let Some((network, ip)) = parse_alias(alias)
        {
            let services = self.ranges.keys();
            found.extend(
                services
                    .filter_map(|name| self.addresses.get(&**name))
                    .filter(|service| service.covers(network, ip)),
            );
        }
        found
    }

    /// The workloads that are behind a service, by the service's resource name, whether it exists or not.
    pub fn endpoints(&self, service: &str) -> impl Iterator<Item = &Arc<str>> {
        self.endpoints.get(service)
    }

    /// The workloads on a node.
    pub fn on_node(&self, node: &str) -> impl Iterator<Item = &Arc<str>> {
        self.nodes.get(node)
    }

    /// The names of a type that changed after generation `from` up to this snapshot, some perhaps twice; `None` if
    /// it was too long ago to know.
    #[must_use]
    pub fn since(&self, of: ResourceType, from: u64) -> Option<Vec<Arc<str>>> {
        self.log.between(of, from, self.generation)
    }
}
