//! Lookups in a snapshot, and what a delta changes.

use std::{collections::BTreeMap, net::IpAddr, sync::Arc};

use super::{Delta, Resource, ResourceKey, Snapshot};
use crate::{
    Authorization, PolicyKey, Service, ServiceKey, Uid, Workload,
    authorization::{Action, Scope},
    service::{HealthPolicy, NetworkAddress, PortMap, Visibility},
    workload::{Health, NetworkMode},
};

mod layer7;
mod model;

pub(super) fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn pod(name: &str, ips: &[&str]) -> Workload {
    Workload {
        uid: format!("Kubernetes//Pod/default/{name}").into(),
        name: name.into(),
        namespace: "default".into(),
        ips: ips.iter().map(|text| ip(text)).collect(),
        ..Workload::default()
    }
}

fn service(namespace: &str, hostname: &str, vips: &[&str]) -> Service {
    let vip = |text: &&str| {
        let (address, length) = text
            .split_once('/')
            .map_or((*text, None), |(ip, length)| (ip, length.parse().ok()));
        NetworkAddress {
            network: "".into(),
            ip: ip(address),
            prefix_length: length,
        }
    };
    Service {
        namespace: namespace.into(),
        hostname: hostname.into(),
        vips: vips.iter().map(vip).collect(),
        ..Service::default()
    }
}

fn with(snapshot: &Snapshot, upserts: Vec<Resource>) -> Snapshot {
    snapshot.apply(Delta {
        upserts,
        removals: Vec::new(),
    })
}

fn without(snapshot: &Snapshot, removals: Vec<ResourceKey>) -> Snapshot {
    snapshot.apply(Delta {
        upserts: Vec::new(),
        removals,
    })
}

fn workloads(all: impl IntoIterator<Item = Workload>) -> Snapshot {
    with(
        &Snapshot::default(),
        all.into_iter()
            .map(|workload| Resource::Workload(Arc::new(workload)))
            .collect(),
    )
}

fn services(all: impl IntoIterator<Item = Service>) -> Snapshot {
    with(
        &Snapshot::default(),
        all.into_iter()
            .map(|service| Resource::Service(Arc::new(service)))
            .collect(),
    )
}

/// The hostname that a client of `namespace` reaches at `address`.
fn reached(snapshot: &Snapshot, address: &str, namespace: &str) -> Option<String> {
    snapshot
        .service_by_vip(&"".into(), ip(address), &namespace.into())
        .map(|service| service.key().to_string())
}

fn name_at(snapshot: &Snapshot, address: &str) -> Option<String> {
    snapshot
        .workload_by_address(&"".into(), ip(address))
        .map(|workload| workload.name.to_string())
}

#[test]
fn a_reader_keeps_the_snapshot_that_it_took() {
    let before = workloads([pod("a", &["10.0.0.1"])]);
    let after = without(
        &before,
        vec![ResourceKey::Workload("Kubernetes//Pod/default/a".into())],
    );
    assert_eq!((before.version, after.version), (1, 2));
    assert_eq!(name_at(&before, "10.0.0.1").as_deref(), Some("a"));
    assert_eq!(name_at(&after, "10.0.0.1"), None);
    assert_eq!(after.iter_workloads().len(), 0);
}

#[test]
fn a_workload_that_moves_is_no_longer_found_where_it_was() {
    let before = workloads([pod("a", &["10.0.0.1", "fd00::1"])]);
    let after = with(
        &before,
        vec![Resource::Workload(Arc::new(pod(
            "a",
            &["10.0.0.2", "fd00::1"],
        )))],
    );
    assert_eq!(name_at(&after, "10.0.0.1"), None);
    assert_eq!(name_at(&after, "10.0.0.2").as_deref(), Some("a"));
    assert_eq!(name_at(&after, "fd00::1").as_deref(), Some("a"));
}

#[test]
fn removals_come_before_upserts() {
    let before = workloads([pod("a", &["10.0.0.1"])]);
    let again = pod("a", &["10.0.0.9"]);
    let after = before.apply(Delta {
        removals: vec![ResourceKey::Workload(again.uid.clone())],
        upserts: vec![Resource::Workload(Arc::new(again))],
    });
    assert_eq!(name_at(&after, "10.0.0.9").as_deref(), Some("a"));
}

#[test]
fn an_address_of_several_belongs_to_the_pod_that_is_healthy_and_came_last() {
    let entry = Workload {
        uid: "Kubernetes/networking.istio.io/WorkloadEntry/default/e".into(),
        ..pod("e", &["10.0.0.1"])
    };
    let mut snapshot = workloads([pod("old", &["10.0.0.1"]), entry]);
    assert_eq!(
        name_at(&snapshot, "10.0.0.1").as_deref(),
        Some("old"),
        "a pod goes before other workloads"
    );
    snapshot = with(
        &snapshot,
        vec![Resource::Workload(Arc::new(pod("new", &["10.0.0.1"])))],
    );
    assert_eq!(
        name_at(&snapshot, "10.0.0.1").as_deref(),
        Some("new"),
        "the later goes before the earlier"
    );
    let dying = Workload {
        health: Health::Unhealthy,
        ..pod("old", &["10.0.0.1"])
    };
    snapshot = with(&snapshot, vec![Resource::Workload(Arc::new(dying))]);
    assert_eq!(
        name_at(&snapshot, "10.0.0.1").as_deref(),
        Some("new"),
        "the healthy goes before the unhealthy"
    );
    snapshot = without(
        &snapshot,
        vec![ResourceKey::Workload("Kubernetes//Pod/default/new".into())],
    );
    assert_eq!(
        name_at(&snapshot, "10.0.0.1").as_deref(),
        Some("old"),
        "a claim outlives a better one"
    );
    snapshot = without(
        &snapshot,
        vec![ResourceKey::Workload("Kubernetes//Pod/default/old".into())],
    );
    assert_eq!(name_at(&snapshot, "10.0.0.1").as_deref(), Some("e"));
}

#[test]
fn a_host_networked_pod_is_found_by_name_and_not_by_address() {
    let snapshot = workloads([Workload {
        network_mode: NetworkMode::HostNetwork,
        ..pod("agent", &["10.0.0.1"])
    }]);
    assert_eq!(name_at(&snapshot, "10.0.0.1"), None);
    assert!(
        snapshot
            .workload(&"Kubernetes//Pod/default/agent".into())
            .is_some()
    );
}

#[test]
fn an_address_counts_within_its_network() {
    let snapshot = workloads([
        Workload {
            network: "east".into(),
            ..pod("a", &["10.0.0.1"])
        },
        Workload {
            network: "west".into(),
            ..pod("b", &["10.0.0.1"])
        },
    ]);
    let name = |network: &str| {
        snapshot
            .workload_by_address(&network.into(), ip("10.0.0.1"))
            .map(|workload| workload.name.to_string())
    };
    assert_eq!(name("east").as_deref(), Some("a"));
    assert_eq!(name("west").as_deref(), Some("b"));
    assert_eq!(name(""), None);
}

#[test]
fn a_pod_is_found_by_namespace_name_and_service_account() {
    let snapshot = workloads([Workload {
        service_account: "sa".into(),
        ..pod("a", &[])
    }]);
    assert!(snapshot.workload_by_pod("default", "a", "sa").is_some());
    assert!(
        snapshot
            .workload_by_pod("default", "a", "default")
            .is_none()
    );
    assert!(snapshot.workload_by_pod("other", "a", "sa").is_none());
    assert!(snapshot.workload_by_pod("default", "b", "sa").is_none());
}

#[test]
fn pods_of_one_name_in_two_clusters_are_both_listed() {
    let east = Workload {
        uid: "east//Pod/default/a".into(),
        cluster: "east".into(),
        ..pod("a", &[])
    };
    let west = Workload {
        uid: "west//Pod/default/a".into(),
        cluster: "west".into(),
        ..pod("a", &[])
    };
    let snapshot = workloads([east, west]);
    let mut clusters: Vec<_> = snapshot
        .workloads_by_pod("default", "a", "default")
        .map(|workload| workload.cluster.to_string())
        .collect();
    clusters.sort();
    assert_eq!(clusters, ["east", "west"]);
}

#[test]
fn a_shared_vip_is_the_clients_own_namespaces_first() {
    let snapshot = services([
        Service {
            canonical: true,
            ..service("a", "one", &["10.96.0.1"])
        },
        service("b", "two", &["10.96.0.1"]),
        service("c", "three", &["10.96.0.1"]),
    ]);
    assert_eq!(
        reached(&snapshot, "10.96.0.1", "b").as_deref(),
        Some("b/two")
    );
    assert_eq!(
        reached(&snapshot, "10.96.0.1", "elsewhere").as_deref(),
        Some("a/one"),
        "then the canonical one"
    );
    let snapshot = without(
        &snapshot,
        vec![ResourceKey::Service(ServiceKey::new("a", "one"))],
    );
    assert_eq!(
        reached(&snapshot, "10.96.0.1", "elsewhere").as_deref(),
        Some("b/two"),
        "then the first by name"
    );
    assert_eq!(reached(&snapshot, "10.96.0.2", "b"), None);
}

#[test]
fn a_service_of_namespace_visibility_is_seen_by_its_own_namespace_only() {
    let snapshot = services([Service {
        visibility: Visibility::Namespace,
        canonical: true,
        ..service("a", "one", &["10.96.0.1"])
    }]);
    assert_eq!(
        reached(&snapshot, "10.96.0.1", "a").as_deref(),
        Some("a/one")
    );
    assert_eq!(reached(&snapshot, "10.96.0.1", "b"), None);
}

#[test]
fn a_range_goes_by_namespace_then_prefix_then_canonical() {
    let snapshot = services([
        service("a", "wide", &["10.0.0.0/8"]),
        service("b", "narrow", &["10.1.0.0/16"]),
        Service {
            canonical: true,
            ..service("c", "narrow-canonical", &["10.1.0.0/16"])
        },
        service("d", "exact", &["10.1.1.1"]),
        service("e", "six", &["fd00::/8", "fd00::1/128"]),
    ]);
    assert_eq!(
        reached(&snapshot, "10.1.2.3", "a").as_deref(),
        Some("a/wide"),
        "the own namespace first"
    );
    assert_eq!(
        reached(&snapshot, "10.1.2.3", "x").as_deref(),
        Some("c/narrow-canonical")
    );
    assert_eq!(
        reached(&snapshot, "10.1.2.3", "b").as_deref(),
        Some("b/narrow")
    );
    assert_eq!(
        reached(&snapshot, "10.2.0.1", "x").as_deref(),
        Some("a/wide")
    );
    assert_eq!(
        reached(&snapshot, "10.1.1.1", "a").as_deref(),
        Some("d/exact"),
        "an address before every range"
    );
    assert_eq!(reached(&snapshot, "11.0.0.1", "a"), None);
    assert_eq!(reached(&snapshot, "fd00::1", "x").as_deref(), Some("e/six"));
    assert_eq!(reached(&snapshot, "fd12::1", "x").as_deref(), Some("e/six"));
    assert_eq!(reached(&snapshot, "fe80::1", "x"), None);
    let keys = [
        ("a", "wide"),
        ("b", "narrow"),
        ("c", "narrow-canonical"),
        ("d", "exact"),
        ("e", "six"),
    ];
    let empty = without(
        &snapshot,
        keys.map(|(namespace, host)| ResourceKey::Service(ServiceKey::new(namespace, host)))
            .into(),
    );
    assert!(
        empty.services_by_vip.is_empty(),
        "an index kept something of a service that went"
    );
}

#[test]
fn an_endpoint_joins_a_service_that_arrives_later() {
    let key = ServiceKey::new("default", "reviews");
    let member = Workload {
        services: [(key.clone(), PortMap::default())].into(),
        ..pod("a", &["10.0.0.1"])
    };
    let snapshot = workloads([member]);
    assert!(snapshot.service(&key).is_none());
    let snapshot = with(
        &snapshot,
        vec![Resource::Service(Arc::new(service(
            "default",
            "reviews",
            &["10.96.0.1"],
        )))],
    );
    assert_eq!(
        snapshot
            .endpoints(&key)
            .unwrap()
            .weight(HealthPolicy::OnlyHealthy),
        1
    );
    let snapshot = with(
        &snapshot,
        vec![Resource::Workload(Arc::new(pod("a", &["10.0.0.1"])))],
    );
    assert!(
        snapshot.endpoints(&key).is_none(),
        "a workload that leaves a service is no endpoint of it"
    );
}

#[test]
fn a_hostname_of_several_namespaces_lists_them_all() {
    let snapshot = services([
        service("b", "db.example.com", &[]),
        service("a", "db.example.com", &[]),
    ]);
    let namespaces: Vec<_> = snapshot
        .services_by_hostname("db.example.com")
        .iter()
        .map(|service| service.namespace.to_string())
        .collect();
    assert_eq!(namespaces, ["a", "b"]);
    assert!(snapshot.services_by_hostname("db.example.org").is_empty());
}

#[test]
fn policies_come_and_go_by_name() {
    let policy = Authorization {
        key: PolicyKey::new("default", "p"),
        scope: Scope::Namespace,
        action: Action::Deny,
        dry_run: false,
        rules: Vec::new(),
    };
    let snapshot = with(
        &Snapshot::default(),
        vec![Resource::Authorization(Arc::new(policy.clone()))],
    );
    assert_eq!(
        snapshot.policies().get(&policy.key).map(|found| &**found),
        Some(&policy)
    );
    let generation = snapshot.policies().generation();
    let again = with(
        &snapshot,
        vec![Resource::Authorization(Arc::new(policy.clone()))],
    );
    assert_eq!(
        again.policies().generation(),
        generation,
        "the same policy again is no change"
    );
    let without = without(&again, vec![ResourceKey::Authorization(policy.key)]);
    assert_eq!(without.iter_policies().count(), 0);
}

#[test]
fn removing_what_is_not_there_changes_the_version_only() {
    let before = workloads([pod("a", &["10.0.0.1"])]);
    let after = without(
        &before,
        vec![
            ResourceKey::Workload("nobody".into()),
            ResourceKey::Service(ServiceKey::new("a", "b")),
            ResourceKey::Authorization(PolicyKey::new("a", "b")),
        ],
    );
    assert_eq!(after.version, 2);
    assert_eq!(
        after.iter_workloads().collect::<Vec<_>>(),
        before.iter_workloads().collect::<Vec<_>>()
    );
}

#[test]
fn one_change_among_a_hundred_thousand_workloads_leaves_the_others_shared() {
    let key = ServiceKey::new("default", "big");
    let make = |number: u32, capacity| Workload {
        services: [(key.clone(), PortMap::default())].into(),
        ips: vec![IpAddr::from(number.to_be_bytes())],
        capacity,
        ..pod(&number.to_string(), &[])
    };
    let before = workloads((0..100_000).map(|number| make(number, 1)));
    let change = || vec![Resource::Workload(Arc::new(make(77, 5)))];
    let after = with(&before, change());
    assert_eq!(
        after
            .endpoints(&key)
            .unwrap()
            .weight(HealthPolicy::OnlyHealthy),
        100_004
    );
    let old: BTreeMap<&Uid, &Arc<Workload>> = before
        .iter_workloads()
        .map(|workload| (&workload.uid, workload))
        .collect();
    let replaced = after
        .iter_workloads()
        .filter(|workload| !Arc::ptr_eq(workload, old[&workload.uid]))
        .count();
    assert_eq!(replaced, 1);
}

impl Snapshot {
    /// Whether every index is empty.
    fn is_bare(&self) -> bool {
        self.workloads.is_empty()
            && self.workloads_by_address.is_empty()
            && self.workloads_by_pod.is_empty()
            && self.services.is_empty()
            && self.services_by_vip.is_empty()
            && self.services_by_hostname.is_empty()
            && self.endpoints.is_empty()
    }
}
