//! The mesh as it stands at one moment.
//!
//! In: [`Delta`]s. Out: lookups, all of them without a lock and without copying.
//! Never: changes under its reader; a change makes the next snapshot, at the cost of the change alone.
//!
//! Everything is a persistent map, so a snapshot shares with its predecessor whatever did not change. The
//! secondary indexes hold the resources themselves, so that a lookup is one walk. Resources may come in any
//! order: an endpoint is kept under the name of a service that does not exist yet.

use std::{fmt, net::IpAddr, sync::Arc};

use crate::{
    authorization::Authorization,
    backend::{BackendKey, BackendPolicy},
    delta::{Delta, Resource, ResourceKey},
    endpoints::{Endpoints, Preference},
    name::{Hostname, Namespace, Network, Uid},
    pmap::PersistentMap,
    policy::PolicyIndex,
    route::{RouteKey, RouteTable},
    service::{Service, ServiceKey},
    settings::WaypointSettings,
    workload::Workload,
};

mod claimants;
mod layer7;
mod owners;
mod vips;

use claimants::{AddressIndex, PodIndex};
use layer7::Layer7;
use owners::Owners;
use vips::VipIndex;

/// One state of the mesh. The default is an empty one of version 0.
#[derive(Clone, Default)]
pub struct Snapshot {
    /// Counts the deltas that led here.
    pub version: u64,
    workloads: PersistentMap<Uid, Arc<Workload>>,
    workloads_by_address: AddressIndex,
    workloads_by_pod: PodIndex,
    services: PersistentMap<ServiceKey, Arc<Service>>,
    services_by_vip: VipIndex,
    services_by_hostname: PersistentMap<Hostname, Owners>,
    endpoints: PersistentMap<ServiceKey, Arc<Endpoints>>,
    policies: PolicyIndex,
    layer7: Layer7,
}

impl Snapshot {
    /// The state after a change. What is delivered again as it was changes nothing but the version.
    #[must_use]
    pub fn apply(&self, delta: Delta) -> Self {
        let mut next = self.clone();
        next.version += 1;
        for key in delta.removals {
            match key {
                ResourceKey::Workload(uid) => next.remove_workload(&uid),
                ResourceKey::Service(key) => next.remove_service(&key),
                ResourceKey::Authorization(key) => next.policies.remove(&key),
                ResourceKey::RouteTable(key) => next.layer7.remove_routes(&key),
                ResourceKey::BackendPolicy(key) => next.layer7.remove_backend_policy(&key),
                ResourceKey::WaypointSettings(key) => next.layer7.remove_settings(&key),
            }
        }
        for resource in delta.upserts {
            match resource {
                Resource::Workload(workload) => next.upsert_workload(workload),
                Resource::Service(service) => next.upsert_service(service),
                Resource::Authorization(policy) => {
                    if next.policies.get(&policy.key) != Some(&policy) {
                        next.policies.insert(policy);
                    }
                }
                Resource::RouteTable(table) => next.layer7.upsert_routes(table),
                Resource::BackendPolicy(policy) => next.layer7.upsert_backend_policy(policy),
                Resource::WaypointSettings(settings) => next.layer7.upsert_settings(settings),
            }
        }
        next
    }

    /// The workload of a name.
    #[must_use]
    pub fn workload(&self, uid: &Uid) -> Option<&Arc<Workload>> {
        self.workloads.get(uid)
    }

    /// The workload that an address belongs to. Those that share their node's address are not found by it.
    ///
    /// Where several claim it, as for a moment when an address is given to a new pod: pods before other
    /// workloads, then healthy before unhealthy ones, then whichever was delivered last.
    #[must_use]
    pub fn workload_by_address(&self, network: &Network, ip: IpAddr) -> Option<&Arc<Workload>> {
        self.workloads_by_address.best(network, ip)
    }

    /// The workload of a pod, as a CNI agent names pods. Several clusters may have one each of the same names:
    /// see [`Self::workloads_by_pod`].
    #[must_use]
    pub fn workload_by_pod(
        &self,
        namespace: &str,
        name: &str,
        service_account: &str,
    ) -> Option<&Arc<Workload>> {
        self.workloads_by_pod(namespace, name, service_account)
            .next()
    }

    /// All workloads of a pod's names, the best one as by [`Self::workload_by_address`] first.
    pub fn workloads_by_pod(
        &self,
        namespace: &str,
        name: &str,
        service_account: &str,
    ) -> impl Iterator<Item = &Arc<Workload>> {
        self.workloads_by_pod.all(namespace, name, service_account)
    }

    /// The service of a name.
    #[must_use]
    pub fn service(&self, key: &ServiceKey) -> Option<&Arc<Service>> {
        self.services.get(key)
    }

    /// The service that a client of `client_namespace` reaches at an address.
    ///
    /// Among the services that own the address itself, then among those that own a range which holds it, of those
    /// that the client may see: its own namespace's before others, then the longest prefix, then canonical ones,
    /// then the first by namespace and hostname.
    #[must_use]
    pub fn service_by_vip(
        &self,
        network: &Network,
        ip: IpAddr,
        client_namespace: &Namespace,
    ) -> Option<&Arc<Service>> {
        self.services_by_vip.lookup(network, ip, client_namespace)
    }

    /// Whether it is known what an address is: a service's, whoever may see it, or a workload's own. A range that holds
    /// it says nothing of the address, which may be a workload's all the same; nor does one that workloads share with
    /// their node.
    #[must_use]
    pub fn knows(&self, network: &Network, ip: IpAddr) -> bool {
        self.services_by_vip.owns(network, ip) || self.workload_by_address(network, ip).is_some()
    }

    /// All services of a hostname, which is lower case, by namespace. Whether a client may see one is not judged.
    #[must_use]
    pub fn services_by_hostname(&self, hostname: &str) -> &[Arc<Service>] {
        self.services_by_hostname
            .get(hostname)
            .map_or(&[], Owners::all)
    }

    /// The workloads that list a service, whether or not the service itself is known yet; `None` for none.
    #[must_use]
    pub fn endpoints(&self, key: &ServiceKey) -> Option<&Arc<Endpoints>> {
        self.endpoints.get(key)
    }

    /// The authorization policies.
    #[must_use]
    pub fn policies(&self) -> &PolicyIndex {
        &self.policies
    }

    /// The routes of one port of a service. `None`: it leads to the service itself.
    #[must_use]
    pub fn routes(&self, key: &RouteKey) -> Option<&Arc<RouteTable>> {
        self.layer7.routes(key)
    }

    /// What is done with the endpoints of a service or subset. `None`: what the waypoint's settings say.
    #[must_use]
    pub fn backend_policy(&self, key: &BackendKey) -> Option<&Arc<BackendPolicy>> {
        self.layer7.backend_policy(key)
    }

    /// What a waypoint is to know of itself.
    #[must_use]
    pub fn waypoint_settings(
        &self,
        namespace: &str,
        gateway: &str,
    ) -> Option<&Arc<WaypointSettings>> {
        self.layer7.settings(namespace, gateway)
    }

    /// All route tables, in no order that means anything.
    pub fn iter_routes(&self) -> impl ExactSizeIterator<Item = &Arc<RouteTable>> {
        self.layer7.iter_routes()
    }

    /// All backend policies, in no order that means anything.
    pub fn iter_backend_policies(&self) -> impl ExactSizeIterator<Item = &Arc<BackendPolicy>> {
        self.layer7.iter_backend_policies()
    }

    /// The settings of all waypoints that are told, in no order that means anything.
    pub fn iter_waypoint_settings(&self) -> impl ExactSizeIterator<Item = &Arc<WaypointSettings>> {
        self.layer7.iter_settings()
    }

    /// All workloads, in no order that means anything.
    pub fn iter_workloads(&self) -> impl ExactSizeIterator<Item = &Arc<Workload>> {
        self.workloads.values()
    }

    /// All services, in no order that means anything.
    pub fn iter_services(&self) -> impl ExactSizeIterator<Item = &Arc<Service>> {
        self.services.values()
    }

    /// All policies, in no order that means anything.
    pub fn iter_policies(&self) -> impl Iterator<Item = &Arc<Authorization>> {
        self.policies.iter()
    }

    fn upsert_workload(&mut self, workload: Arc<Workload>) {
        if self.workloads.get(&workload.uid) == Some(&workload) {
            return;
        }
        let old = self
            .workloads
            .insert(workload.uid.clone(), Arc::clone(&workload));
        if let Some(old) = &old {
            self.workloads_by_address.remove(old);
            self.workloads_by_pod.remove(old);
            // An endpoint that stays one is replaced below.
            for key in old
                .services
                .keys()
                .filter(|key| !workload.services.contains_key(key))
            {
                self.remove_endpoint(key, old);
            }
        }
        self.workloads_by_address.insert(&workload);
        self.workloads_by_pod.insert(&workload);
        for key in workload.services.keys() {
            let old = old.as_ref().filter(|old| old.services.contains_key(key));
            self.upsert_endpoint(key, old.map(|old| &**old), &workload);
        }
    }

    fn remove_workload(&mut self, uid: &Uid) {
        let Some(old) = self.workloads.remove(uid) else {
            return;
        };
        self.workloads_by_address.remove(&old);
        self.workloads_by_pod.remove(&old);
        for key in old.services.keys() {
            self.remove_endpoint(key, &old);
        }
    }

    /// `old` is the endpoint as it was, if it was one of this service.
    fn upsert_endpoint(
        &mut self,
        key: &ServiceKey,
        old: Option<&Workload>,
        workload: &Arc<Workload>,
    ) {
        let workload = Arc::clone(workload);
        if let Some(endpoints) = self.endpoints.get_mut(key) {
            let endpoints = Arc::make_mut(endpoints);
            match old {
                Some(old) => endpoints.replace(old, workload),
                None => endpoints.insert(workload),
            }
        } else {
            let preference = self.services.get(key).map(|service| preference(service));
            let mut endpoints = Endpoints::new(preference.unwrap_or_default());
            endpoints.insert(workload);
            self.endpoints.insert(key.clone(), Arc::new(endpoints));
        }
    }

    fn remove_endpoint(&mut self, key: &ServiceKey, old: &Workload) {
        let Some(endpoints) = self.endpoints.get_mut(key) else {
            return;
        };
        let endpoints = Arc::make_mut(endpoints);
        endpoints.remove(old);
        if endpoints.is_empty() {
            self.endpoints.remove(key);
        }
    }

    fn upsert_service(&mut self, service: Arc<Service>) {
        let key = service.key();
        if self.services.get(&key) == Some(&service) {
            return;
        }
        let preference = preference(&service);
        let ranked_otherwise = |endpoints: &Arc<Endpoints>| endpoints.preference() != preference;
        if self.endpoints.get(&key).is_some_and(ranked_otherwise)
            && let Some(endpoints) = self.endpoints.get_mut(&key)
        {
            Arc::make_mut(endpoints).arrange(preference);
        }
        if let Some(old) = self.services.insert(key, Arc::clone(&service)) {
            self.forget_service(&old);
        }
        self.services_by_vip.insert(&service);
        Owners::add(
            &mut self.services_by_hostname,
            service.hostname.clone(),
            &service,
        );
    }

    fn remove_service(&mut self, key: &ServiceKey) {
        if let Some(old) = self.services.remove(key) {
            self.forget_service(&old);
        }
    }

    /// Takes a service out of the secondary indexes.
    fn forget_service(&mut self, old: &Arc<Service>) {
        self.services_by_vip.remove(old);
        Owners::take(&mut self.services_by_hostname, &old.hostname, old);
    }
}

/// What the endpoints of a service are ranked by.
fn preference(service: &Service) -> Preference {
    Preference::from(&service.load_balancing)
}

impl fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Snapshot")
            .field("version", &self.version)
            .field("workloads", &self.workloads.len())
            .field("services", &self.services.len())
            .field("policies", &self.policies.iter().count())
            .field("routes", &self.layer7.iter_routes().len())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
