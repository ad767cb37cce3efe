//! What waypoints are told.

use std::sync::Arc;

use super::{with, without};
use crate::{
    Resource, ResourceKey, ServiceKey, Snapshot, WaypointKey,
    backend::{BackendKey, BackendPolicy, TrafficPolicy},
    route::{RouteKey, RouteTable},
};

fn table(port: u16, grpc_web: bool) -> RouteTable {
    let key = RouteKey::new(ServiceKey::new("default", "web.example"), port);
    RouteTable {
        grpc_web,
        ..RouteTable::new(key)
    }
}

fn policy(subset: &str) -> BackendPolicy {
    BackendPolicy {
        key: BackendKey::new(ServiceKey::new("default", "web.example"), subset),
        policy: Arc::new(TrafficPolicy::default()),
        ports: [].into(),
    }
}

#[test]
fn routes_are_found_by_service_and_port_and_leave_readers_what_they_have() {
    let before = with(
        &Snapshot::default(),
        vec![
            Resource::RouteTable(Arc::new(table(80, false))),
            Resource::RouteTable(Arc::new(table(81, false))),
        ],
    );
    let changed = Arc::new(table(80, true));
    let key = changed.key.clone();
    let after = with(&before, vec![Resource::RouteTable(changed)]);
    assert!(!before.routes(&key).unwrap().grpc_web);
    assert!(after.routes(&key).unwrap().grpc_web);
    let gone = without(&after, vec![ResourceKey::RouteTable(key.clone())]);
    assert_eq!(gone.routes(&key), None);
    assert_eq!(
        (after.iter_routes().len(), gone.iter_routes().len()),
        (2, 1)
    );
}

#[test]
fn a_table_that_is_delivered_again_stays_the_same_one() {
    let first = Arc::new(table(80, false));
    let before = with(
        &Snapshot::default(),
        vec![Resource::RouteTable(Arc::clone(&first))],
    );
    let after = with(
        &before,
        vec![Resource::RouteTable(Arc::new(table(80, false)))],
    );
    assert!(Arc::ptr_eq(after.routes(&first.key).unwrap(), &first));
}

#[test]
fn a_subset_has_a_policy_of_its_own() {
    let snapshot = with(
        &Snapshot::default(),
        vec![
            Resource::BackendPolicy(Arc::new(policy(""))),
            Resource::BackendPolicy(Arc::new(policy("v2"))),
        ],
    );
    assert_eq!(snapshot.iter_backend_policies().len(), 2);
    let key = policy("v2").key;
    assert_eq!(snapshot.backend_policy(&key).unwrap().key, key);
    let snapshot = without(&snapshot, vec![ResourceKey::BackendPolicy(key.clone())]);
    assert_eq!(snapshot.backend_policy(&key), None);
    assert!(snapshot.backend_policy(&policy("").key).is_some());
}

#[test]
fn what_was_never_there_is_removed_without_harm() {
    let snapshot = without(
        &Snapshot::default(),
        vec![
            ResourceKey::RouteTable(table(80, false).key),
            ResourceKey::BackendPolicy(policy("").key),
            ResourceKey::WaypointSettings(WaypointKey::new("default", "waypoint")),
        ],
    );
    assert_eq!(snapshot.version, 1);
    assert_eq!(snapshot.iter_waypoint_settings().len(), 0);
    assert_eq!(snapshot.waypoint_settings("default", "waypoint"), None);
}
