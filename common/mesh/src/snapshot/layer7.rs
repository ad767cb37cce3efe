//! What waypoints are told beside workloads, services and policies.
//!
//! In: resources that come and go. Out: lookups. A ztunnel has none of it, and a change there costs one count of references.

use std::sync::Arc;

use crate::{
    backend::{BackendKey, BackendPolicy},
    pmap::{Equivalent, PersistentMap},
    route::{RouteKey, RouteTable},
    settings::WaypointSettings,
    waypoint::WaypointKey,
};

/// The resources of layer 7. A clone is O(1).
#[derive(Clone, Default)]
pub(super) struct Layer7 {
    maps: Arc<Maps>,
}

#[derive(Clone, Default)]
struct Maps {
    routes: PersistentMap<RouteKey, Arc<RouteTable>>,
    backend_policies: PersistentMap<BackendKey, Arc<BackendPolicy>>,
    settings: PersistentMap<WaypointKey, Arc<WaypointSettings>>,
}

/// A [`WaypointKey`] that is only looked for: hashes as it does.
#[derive(Hash)]
struct WaypointRef<'a> {
    namespace: &'a str,
    gateway: &'a str,
}

impl Equivalent<WaypointKey> for WaypointRef<'_> {
    fn equivalent(&self, key: &WaypointKey) -> bool {
        *self.namespace == *key.namespace && *self.gateway == *key.gateway
    }
}

impl Layer7 {
    pub(super) fn routes(&self, key: &RouteKey) -> Option<&Arc<RouteTable>> {
        self.maps.routes.get(key)
    }

    pub(super) fn backend_policy(&self, key: &BackendKey) -> Option<&Arc<BackendPolicy>> {
        self.maps.backend_policies.get(key)
    }

    pub(super) fn settings(
        &self,
        namespace: &str,
        gateway: &str,
    ) -> Option<&Arc<WaypointSettings>> {
        self.maps.settings.get(&WaypointRef { namespace, gateway })
    }

    pub(super) fn iter_routes(&self) -> impl ExactSizeIterator<Item = &Arc<RouteTable>> {
        self.maps.routes.values()
    }

    pub(super) fn iter_backend_policies(
        &self,
    ) -> impl ExactSizeIterator<Item = &Arc<BackendPolicy>> {
        self.maps.backend_policies.values()
    }

    pub(super) fn iter_settings(&self) -> impl ExactSizeIterator<Item = &Arc<WaypointSettings>> {
        self.maps.settings.values()
    }

    pub(super) fn upsert_routes(&mut self, table: Arc<RouteTable>) {
        if self.routes(&table.key) != Some(&table) {
            let maps = Arc::make_mut(&mut self.maps);
            maps.routes.insert(table.key.clone(), table);
        }
    }

    pub(super) fn upsert_backend_policy(&mut self, policy: Arc<BackendPolicy>) {
        if self.backend_policy(&policy.key) != Some(&policy) {
            let maps = Arc::make_mut(&mut self.maps);
            maps.backend_policies.insert(policy.key.clone(), policy);
        }
    }

    pub(super) fn upsert_settings(&mut self, settings: Arc<WaypointSettings>) {
        if self.settings(&settings.namespace, &settings.gateway) != Some(&settings) {
            let key = WaypointKey::new(settings.namespace.clone(), settings.gateway.clone());
            Arc::make_mut(&mut self.maps).settings.insert(key, settings);
        }
    }

    pub(super) fn remove_routes(&mut self, key: &RouteKey) {
        if self.maps.routes.contains_key(key) {
            Arc::make_mut(&mut self.maps).routes.remove(key);
        }
    }

    pub(super) fn remove_backend_policy(&mut self, key: &BackendKey) {
        if self.maps.backend_policies.contains_key(key) {
            Arc::make_mut(&mut self.maps).backend_policies.remove(key);
        }
    }

    pub(super) fn remove_settings(&mut self, key: &WaypointKey) {
        if self.maps.settings.contains_key(key) {
            Arc::make_mut(&mut self.maps).settings.remove(key);
        }
    }
}
