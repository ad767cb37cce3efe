//! All objects and their relations.
//!
//! In: one update at a time. Out: what it touches, in [`Dirty`]. Never: renders.
//!
//! Each kind has a `change_*` that takes the object of a name as it is from now on. It undoes the relations of the
//! object before, makes those of the new one, and marks what either of them touches. Since whatever changes marks
//! itself, and marks what depends on it by the relations of that moment, all that differs at the end of a batch is
//! marked, in whichever order its updates came.

mod attached;
mod change;
mod entry;
mod gateway;
mod place;
mod pod;
mod policy;
mod routing;
mod service;
mod slice;
mod unread;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    net::IpAddr,
    sync::Arc,
};

use super::{
    Options,
    counts::Counts,
    dirty::Dirty,
    ids::{Groups, Id, Ids},
    labels::Selectors,
    routing::{Key, Routing},
    space::{Ranked, Space},
    table::Table,
    unenforced::Unenforced,
};
use crate::{
    objects::{
        AuthorizationPolicy, EndpointSlice, Gateway, GatewayClass, Labels, MeshConfig, Node,
        ObjectKey, PeerAuthentication, Pod, Service, ServiceEntry, WorkloadEntry,
    },
    output::{Account, Resident},
    render::{
        mesh::Mesh,
        waypoint::{self, Reference},
    },
};

pub(super) use routing::split;
pub(super) use slice::service_name;
use unread::Unread;

/// All objects and their relations.
#[derive(Debug)]
pub(super) struct Store {
    options: Options,
    config: Arc<MeshConfig>,
    /// Of what does not name one.
    network: Arc<str>,
    pub(super) pods: Table<Pod>,
    pub(super) services: Table<Service>,
    /// Those of [`Self::services`] that waypoints have without being given one.
    synthesised: HashSet<Id>,
    pub(super) slices: Table<EndpointSlice>,
    pub(super) workload_entries: Table<WorkloadEntry>,
    pub(super) service_entries: Table<ServiceEntry>,
    pub(super) gateways: Table<Gateway>,
    classes: HashMap<Arc<str>, Arc<GatewayClass>>,
    pub(super) authorizations: Table<AuthorizationPolicy>,
    pub(super) authentications: Table<PeerAuthentication>,
    spaces: HashMap<Arc<str>, Space>,
    nodes: HashMap<Arc<str>, Place>,
    /// Pods with a network namespace of their own, by address.
    pods_by_address: Groups<IpAddr>,
    /// EndpointSlices by the addresses of endpoints that name no pod.
    slices_by_address: Groups<IpAddr>,
    /// What names a Gateway as its waypoint, by the Gateway's namespace and name.
    users: HashMap<Arc<str>, HashMap<Arc<str>, BTreeSet<User>>>,
    /// AuthorizationPolicies that select in all namespaces.
    authorization_selectors: Selectors,
    /// PeerAuthentications of the whole mesh.
    mesh_authentications: Ranked,
    /// Objects of routing; a name is `<kind>/<name>`.
    routing: Table<Routing>,
    /// Objects of routing by what they are about, and by what they name beside that.
    about: Groups<Key>,
    named: Groups<Key>,
    /// AuthorizationPolicies by what they are attached to.
    guarded: Groups<Key>,
    /// Those of them that ask somebody else.
    customs: Ids,
    /// Policies that are attached to something and cannot be enforced.
    unenforced: Unenforced,
    /// What stands in for policies that cannot be read.
    unread: BTreeMap<ObjectKey, Unread>,
    /// ServiceEntries by host, and those with a host that is a pattern.
    entries_by_host: Groups<Box<str>>,
    wildcard_entries: Ids,
    /// The waypoints before Services and ServiceEntries, as they were last seen: whose DestinationRules count, and so who
    /// belongs to which subset, follows from their namespaces.
    waypoint_of_service: HashMap<Id, Arc<str>>,
    waypoint_of_entry: HashMap<Id, Arc<str>>,
    pub(super) residents: Counts<Resident>,
    pub(super) waypoints: Counts<Account>,
}

/// A node and what is on it.
#[derive(Debug, Default)]
struct Place {
    object: Option<Arc<Node>>,
    pods: Ids,
    slices: Ids,
}

/// What names a Gateway as its waypoint.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum User {
    Namespace(Arc<str>),
    Pod(Id),
    Service(Id),
    WorkloadEntry(Id),
    ServiceEntry(Id),
}

impl Store {
    pub(super) fn new(options: Options) -> Self {
        Self {
            network: options.network.as_str().into(),
            options,
            config: Arc::default(),
            pods: Table::default(),
            services: Table::default(),
            synthesised: HashSet::new(),
            slices: Table::default(),
            workload_entries: Table::default(),
            service_entries: Table::default(),
            gateways: Table::default(),
            classes: HashMap::new(),
            authorizations: Table::default(),
            authentications: Table::default(),
            spaces: HashMap::new(),
            nodes: HashMap::new(),
            pods_by_address: Groups::default(),
            slices_by_address: Groups::default(),
            users: HashMap::new(),
            authorization_selectors: Selectors::default(),
            mesh_authentications: Ranked::default(),
            routing: Table::default(),
            about: Groups::default(),
            named: Groups::default(),
            guarded: Groups::default(),
            customs: Ids::default(),
            unenforced: Unenforced::default(),
            unread: BTreeMap::new(),
            entries_by_host: Groups::default(),
            wildcard_entries: Ids::default(),
            waypoint_of_service: HashMap::new(),
            waypoint_of_entry: HashMap::new(),
            residents: Counts::default(),
            waypoints: Counts::default(),
        }
    }

    /// Whether the waypoints of a class are ours.
    pub(super) fn serves_class(&self, class: &str) -> bool {
        class != waypoint::ISTIO_CLASS || self.options.istio_waypoints
    }

    /// The settings of the mesh.
    pub(super) fn mesh(&self) -> Mesh<'_> {
        Mesh {
            cluster: &self.options.cluster,
            domain: &self.options.domain,
            network: &self.network,
            config: &self.config,
        }
    }

    pub(super) fn space(&self, namespace: &str) -> Option<&Space> {
        self.spaces.get(namespace)
    }

    fn space_mut(&mut self, namespace: &Arc<str>) -> &mut Space {
        self.spaces.entry(Arc::clone(namespace)).or_default()
    }

    /// Forgets namespaces that have nothing left.
    pub(super) fn prune(&mut self, namespaces: &BTreeSet<Arc<str>>) {
        for namespace in namespaces {
            if self.space(namespace).is_some_and(Space::is_empty) {
                self.spaces.remove(namespace);
            }
        }
    }

    /// A node, where there is an object for it.
    pub(super) fn node(&self, name: &str) -> Option<&Node> {
        self.nodes.get(name)?.object.as_deref()
    }

    /// The pods that claim an address as their own.
    pub(super) fn pods_by_address(&self, address: IpAddr) -> impl Iterator<Item = (Id, &Pod)> {
        let ids = self.pods_by_address.get(&address);
        ids.filter_map(|id| Some((id, &**self.pods.get(id)?)))
    }

    /// Whether any pod claims an address as its own.
    pub(super) fn is_pod_address(&self, address: IpAddr) -> bool {
        self.pods_by_address.contains(&address)
    }

    /// The EndpointSlices that list an address without naming a pod.
    pub(super) fn slices_by_address(&self, address: IpAddr) -> impl Iterator<Item = Id> + '_ {
        self.slices_by_address.get(&address)
    }

    /// The AuthorizationPolicies of the whole mesh that may select something with these labels.
    pub(super) fn policies_of_mesh<'a>(
        &'a self,
        labels: &'a Labels,
    ) -> impl Iterator<Item = Id> + 'a {
        self.authorization_selectors.candidates(labels)
    }

    /// Whether nothing is kept any more.
    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.pods.is_empty()
            && self.services.is_empty()
            && self.synthesised.is_empty()
            && self.slices.is_empty()
            && self.workload_entries.is_empty()
            && self.service_entries.is_empty()
            && self.gateways.is_empty()
            && self.classes.is_empty()
            && self.authorizations.is_empty()
            && self.authentications.is_empty()
            && self.spaces.is_empty()
            && self.nodes.is_empty()
            && self.pods_by_address.is_empty()
            && self.slices_by_address.is_empty()
            && self.users.is_empty()
            && self.authorization_selectors.is_empty()
            && self.mesh_authentications.is_empty()
            && self.routing.is_empty()
            && self.about.is_empty()
            && self.named.is_empty()
            && self.guarded.is_empty()
            && self.customs.is_empty()
            && self.unenforced.is_empty()
            && self.unread.is_empty()
            && self.entries_by_host.is_empty()
            && self.wildcard_entries.is_empty()
            && self.waypoint_of_service.is_empty()
            && self.waypoint_of_entry.is_empty()
    }

    /// Marks all that is in a namespace.
    fn mark_namespace(&self, namespace: &str, dirty: &mut Dirty) {
        let Some(space) = self.space(namespace) else {
            return;
        };
        dirty.services.extend(space.services.iter());
        self.mark_workloads(space, dirty);
    }

    /// Marks all that has workloads in a namespace.
    fn mark_workloads(&self, space: &Space, dirty: &mut Dirty) {
        dirty.pods.extend(space.pods.iter());
        dirty.workload_entries.extend(space.workload_entries.iter());
        dirty.service_entries.extend(space.service_entries.iter());
    }

    /// Marks everything.
    fn mark_all(&self, dirty: &mut Dirty) {
        dirty.pods.extend(self.pods.iter().map(|(id, _)| id));
        dirty
            .services
            .extend(self.services.iter().map(|(id, _)| id));
        dirty.slices.extend(self.slices.iter().map(|(id, _)| id));
        let ids = self.workload_entries.iter().map(|(id, _)| id);
        dirty.workload_entries.extend(ids);
        let ids = self.service_entries.iter().map(|(id, _)| id);
        dirty.service_entries.extend(ids);
        let ids = self.authorizations.iter().map(|(id, _)| id);
        dirty.authorizations.extend(ids);
        let ids = self.authentications.iter().map(|(id, _)| id);
        dirty.authentications.extend(ids);
        dirty.static_strict = true;
        dirty.routing.extend(self.routing.iter().map(|(id, _)| id));
        dirty
            .gateways
            .extend(self.gateways.iter().map(|(id, _)| id));
    }

    /// Marks the pods and WorkloadEntries of a namespace that a selector selects.
    fn mark_selected(&self, namespace: &str, selector: &Labels, dirty: &mut Dirty) {
        if let Some(space) = self.space(namespace) {
            dirty.pods.extend(space.pod_labels.candidates(selector));
            let ids = space.workload_entry_labels.candidates(selector);
            dirty.workload_entries.extend(ids);
        }
    }

    /// As [`Self::mark_selected`], with ServiceEntries one of whose endpoints is selected.
    fn mark_selected_by_policy(&self, namespace: &str, selector: &Labels, dirty: &mut Dirty) {
        self.mark_selected(namespace, selector, dirty);
        if let Some(space) = self.space(namespace) {
            let ids = space.endpoint_labels.candidates(selector);
            dirty.service_entries.extend(ids);
        }
    }

    /// Notes what labels name as waypoint and canary.
    fn add_user(&mut self, namespace: &str, labels: &Labels, user: &User) {
        for (namespace, name) in named_gateways(namespace, labels) {
            let names = self.users.entry(namespace.into()).or_default();
            names.entry(name.into()).or_default().insert(user.clone());
        }
    }

    fn remove_user(&mut self, namespace: &str, labels: &Labels, user: &User) {
        for (namespace, name) in named_gateways(namespace, labels) {
            let Some(names) = self.users.get_mut(namespace) else {
                continue;
            };
            if let Some(users) = names.get_mut(name) {
                users.remove(user);
                if users.is_empty() {
                    names.remove(name);
                }
            }
            if names.is_empty() {
                self.users.remove(namespace);
            }
        }
    }
}

/// The Gateways that labels name, by namespace and name.
fn named_gateways<'a>(
    namespace: &'a str,
    labels: &'a Labels,
) -> impl Iterator<Item = (&'a str, &'a str)> {
    let primary = match waypoint::reference(labels, namespace) {
        Reference::To(namespace, name) => Some((namespace, name)),
        Reference::Absent | Reference::OptOut => None,
    };
    primary
        .into_iter()
        .chain(waypoint::canary(labels, namespace))
}

/// The object of a name, with its slot, unless it is `new` already.
fn before<T: PartialEq>(
    table: &Table<T>,
    (namespace, name): (&str, &str),
    new: Option<&T>,
) -> Result<Option<(Id, Arc<T>)>, Unchanged> {
    let old = table.find(namespace, name);
    let old = old.and_then(|id| Some((id, Arc::clone(table.get(id)?))));
    if old.as_ref().map(|(_, object)| &**object) == new {
        return Err(Unchanged);
    }
    Ok(old)
}

/// Nothing is to be done.
struct Unchanged;
