//! The compiler: changes of objects in, changes of resources out.
//!
//! In: batches of updates. Out: [`Output`], only what differs from before. Never: renders what a change does not
//! touch; asks where an object came from.
//!
//! A batch goes through two steps. First every object takes its place in the [`store`], which keeps the relations
//! between objects and marks what a change may touch as [`dirty`]. Then what is dirty is rendered again by the pure
//! functions of [`crate::render`], each with the facts that [`gather`] finds for it by those relations, and compared
//! with the hash of what was told last ([`tell`]).
//!
//! The cost of a change is that of what it touches, whatever the size of the mesh: selectors are found by one of their
//! labels, and labels by the selector's rarest ([`labels`]). Changes of a Namespace, a Gateway that a namespace uses,
//! or MeshConfig touch all of the namespace or mesh.
//!
//! Every set is bounded by the objects that the source delivers, and goes with them.

mod compile;
mod counts;
mod dirty;
mod gather;
mod ids;
mod labels;
mod routing;
mod space;
mod store;
mod table;
mod tell;
mod unenforced;

use std::sync::Arc;

use crate::{
    objects::{Kind, Meta, ObjectKey, Update},
    output::{Output, Resource, ResourceType},
    render::{
        authentication,
        mesh::{Mesh, uid},
        policy, waypoint,
    },
};
use dirty::Dirty;
use store::Store;
use tell::{Teller, Told};

/// What does not come from objects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// The cluster's id: it begins the name of each workload.
    pub cluster: String,
    /// The domain of Kubernetes Services.
    pub domain: String,
    /// The network of the cluster, unless the label `topology.istio.io/network` of the root namespace names one.
    pub network: String,
    /// Whether policies of which the annotation `istio.io/dry-run` is true are sent. A ztunnel that does not know of dry
    /// runs would enforce them. Source: `AMBIENT_ENABLE_DRY_RUN_AUTHORIZATION_POLICY`.
    pub dry_run: bool,
    /// Whether Gateways of the class `istio-waypoint` are run by waypoints of ours, too, beside those of `ambit-waypoint`.
    pub istio_waypoints: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            cluster: "Kubernetes".to_owned(),
            domain: "cluster.local".to_owned(),
            network: String::new(),
            dry_run: false,
            istio_waypoints: false,
        }
    }
}

/// All objects, how they hang together, and what was told of them.
#[derive(Debug)]
pub struct Index {
    store: Store,
    teller: Teller,
    static_strict: Told,
    dry_run: bool,
    trust_domain: Option<String>,
    root_namespace: Option<String>,
}

impl Index {
    /// An empty mesh.
    #[must_use]
    pub fn new(options: Options) -> Self {
        Self {
            dry_run: options.dry_run,
            store: Store::new(options),
            teller: Teller::default(),
            static_strict: Told::default(),
            trust_domain: None,
            root_namespace: None,
        }
    }

    /// Takes a batch of updates in and tells what came of them. An object that is as it was costs nothing.
    #[must_use]
    pub fn apply(&mut self, updates: Vec<Update>) -> Output {
        let mut dirty = Dirty::default();
        for update in updates {
            self.store.change(update, &mut dirty);
        }
        let mut output = Output::default();
        self.follow(&mut dirty);
        self.policies(&dirty, &mut output);
        self.services(&dirty, &mut output);
        self.gateways(&dirty, &mut output);
        self.routing(&dirty, &mut output);
        self.unread(&dirty, &mut output);
        self.workloads(&dirty, &mut output);
        output.removals.append(&mut dirty.gone);
        self.teller.settle(&mut output, dirty.cleared);
        output.residents = self.store.residents.changes();
        let waypoints = self.store.waypoints.changes().into_iter();
        output.waypoints = waypoints
            .map(|(account, count)| (account, count > 0))
            .collect();
        let config = &self.store.mesh().config;
        if self.trust_domain.as_ref() != Some(&config.trust_domain) {
            output.trust_domain = Some(config.trust_domain.clone());
            self.trust_domain = output.trust_domain.clone();
        }
        if self.root_namespace.as_ref() != Some(&config.root_namespace) {
            output.root_namespace = Some(config.root_namespace.clone());
            self.root_namespace = output.root_namespace.clone();
        }
        self.store.prune(&dirty.shrunk);
        output
    }

    fn policies(&mut self, dirty: &Dirty, output: &mut Output) {
        let dry_run = self.dry_run;
        let Self { store, teller, .. } = self;
        for id in &dirty.authorizations {
            let Some(object) = store.authorizations.get(*id).cloned() else {
                continue;
            };
            let config = store.mesh().config;
            let scoping = policy::Scoping {
                root_namespace: &config.root_namespace,
                trust_domain: &config.trust_domain,
                trust_domain_aliases: &config.trust_domain_aliases,
            };
            let (mut resource, mut conditions) = policy::authorization(&object, &scoping);
            conditions.extend(store.condition_of_authorization(&object));
            if resource.as_ref().is_some_and(|it| it.dry_run) && !dry_run {
                resource = None;
                conditions = vec![policy::dry_run_is_off()];
            }
            let Some(told) = store.authorizations.told(*id) else {
                continue;
            };
            let resources = resource.map(Resource::Authorization);
            teller.many(told, resources.into_iter().collect(), output);
            let key = key(Kind::AuthorizationPolicy, &object.meta);
            teller.conditions(told, key, conditions, output);
        }
        for id in &dirty.authentications {
            let Some(object) = store.authentications.get(*id).cloned() else {
                continue;
            };
            let root = &store.mesh().config.root_namespace;
            let mode = store.inherited(&object.meta.namespace);
            let resource = authentication::converted(&object, mode, root);
            let conditions = authentication::conditions(&object, root);
            let Some(told) = store.authentications.told(*id) else {
                continue;
            };
            let resources = resource.map(Resource::Authorization);
            teller.many(told, resources.into_iter().collect(), output);
            let key = key(Kind::PeerAuthentication, &object.meta);
            teller.conditions(told, key, conditions, output);
        }
        if dirty.static_strict {
            let wanted = !store.authentications.is_empty();
            let root = &store.mesh().config.root_namespace;
            let resource = wanted.then(|| authentication::static_strict(root));
            let resources = resource.map(Resource::Authorization);
            teller.many(
                &mut self.static_strict,
                resources.into_iter().collect(),
                output,
            );
        }
    }

    /// Marks what depends on whose waypoint stands before what, and on what policies can be enforced.
    fn follow(&mut self, dirty: &mut Dirty) {
        let store = &mut self.store;
        for id in dirty.services.clone() {
            store.follow_service(id, dirty);
        }
        for id in dirty.service_entries.clone() {
            store.follow_entry(id, dirty);
        }
        store.mark_attached(dirty);
        for id in dirty.authorizations.clone() {
            store.follow_authorization(id, dirty);
        }
        for id in dirty.routing.clone() {
            store.follow_authentication(id, dirty);
        }
        store.mark_limited(dirty);
    }

    fn services(&mut self, dirty: &Dirty, output: &mut Output) {
        let Self { store, teller, .. } = self;
        for id in dirty.services.union(&dirty.tables) {
            let Some(object) = store.services.get(*id).cloned() else {
                continue;
            };
            let resources = store.compile_service(&object);
            if let Some(told) = store.services.told(*id) {
                teller.many(told, resources, output);
            }
        }
        for id in &dirty.services {
            let Some(object) = store.services.get(*id).cloned() else {
                continue;
            };
            let (resource, conditions) = store.render_service(&object);
            let name = service_resource(&store.mesh(), &object.meta);
            let Some(told) = store.services.told(*id) else {
                continue;
            };
            let resource = resource.map(Resource::Service);
            teller.one(told, ResourceType::Address, resource, || name, output);
            let key = key(Kind::Service, &object.meta);
            teller.conditions(told, key, conditions, output);
        }
        for id in &dirty.service_entries {
            let Some(object) = store.service_entries.get(*id).cloned() else {
                continue;
            };
            let (mut resources, conditions) = store.render_service_entry(*id, &object);
            resources.extend(store.compile_entry(*id, &object));
            let Some(told) = store.service_entries.told(*id) else {
                continue;
            };
            teller.many(told, resources, output);
            let key = key(Kind::ServiceEntry, &object.meta);
            teller.conditions(told, key, conditions, output);
        }
    }

    fn gateways(&mut self, dirty: &Dirty, output: &mut Output) {
        let Self { store, teller, .. } = self;
        for id in &dirty.gateways {
            let (resource, condition) = store.compile_gateway(*id).unzip();
            let Some(object) = store.gateways.get(*id) else {
                continue;
            };
            let key = key(Kind::Gateway, &object.meta);
            if let Some(told) = store.gateways.told(*id) {
                teller.many(told, resource.into_iter().collect(), output);
                let conditions = condition.flatten().into_iter().collect();
                teller.conditions(told, key, conditions, output);
            }
        }
    }

    fn routing(&mut self, dirty: &Dirty, output: &mut Output) {
        let Self { store, teller, .. } = self;
        for id in &dirty.routing {
            let Some(object) = store.routing().get(*id).cloned() else {
                continue;
            };
            let conditions = store.conditions_of(&object);
            let key = key(object.kind(), object.meta());
            if let Some(told) = store.routing_mut().told(*id) {
                teller.conditions(told, key, conditions, output);
            }
        }
    }

    fn unread(&mut self, dirty: &Dirty, output: &mut Output) {
        let Self { store, teller, .. } = self;
        for key in &dirty.unread {
            if let Some((conditions, told)) = store.condition_of_unread(key) {
                teller.conditions(told, key.clone(), conditions, output);
            }
        }
    }

    fn workloads(&mut self, dirty: &Dirty, output: &mut Output) {
        let Self { store, teller, .. } = self;
        for id in &dirty.workload_entries {
            let Some(object) = store.workload_entries.get(*id).cloned() else {
                continue;
            };
            let (resource, binding) = store.render_workload_entry(&object);
            let conditions = match resource {
                Some(_) => waypoint::conditions(&binding),
                None => Vec::new(),
            };
            let meta = &object.meta;
            let name = uid::workload_entry(&store.mesh(), &meta.namespace, &meta.name);
            let Some(told) = store.workload_entries.told(*id) else {
                continue;
            };
            let resource = resource.map(Resource::Workload);
            teller.one(told, ResourceType::Address, resource, || name, output);
            let key = key(Kind::WorkloadEntry, &object.meta);
            teller.conditions(told, key, conditions, output);
        }
        for id in &dirty.slices {
            let Some(object) = store.slices.get(*id).cloned() else {
                continue;
            };
            let resources = store.render_slice(&object);
            let Some(told) = store.slices.told(*id) else {
                continue;
            };
            teller.many(told, resources, output);
        }
        for id in &dirty.pods {
            let Some(object) = store.pods.get(*id).map(Arc::clone) else {
                continue;
            };
            let resource = store.render_pod(*id, &object);
            let meta = &object.meta;
            let name = uid::pod(&store.mesh(), &meta.namespace, &meta.name);
            let Some(told) = store.pods.told(*id) else {
                continue;
            };
            let resource = resource.map(Resource::Workload);
            teller.one(told, ResourceType::Address, resource, || name, output);
        }
    }
}

fn key(kind: Kind, meta: &Meta) -> ObjectKey {
    ObjectKey::new(kind, Arc::clone(&meta.namespace), Arc::clone(&meta.name))
}

/// The name of a Service's resource.
fn service_resource(mesh: &Mesh<'_>, meta: &Meta) -> String {
    let Meta {
        namespace, name, ..
    } = meta;
    format!("{namespace}/{}", mesh.hostname(namespace, name))
}

#[cfg(test)]
mod tests;
