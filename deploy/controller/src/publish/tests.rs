//! What is published: versions, indexes, changes.

use std::sync::Arc;

use bytes::Bytes;
use prost::Message as _;
use wire::proto::{discovery, workload::Address};

use super::{Publisher, Snapshot, Version};
use crate::{
    output::{Account, Output, Resident, ResourceType},
    xds::testkit::{policy, puts, service, workload},
};

const ADDRESS: ResourceType = ResourceType::Address;

fn names(list: Vec<&Arc<super::Encoded>>) -> Vec<String> {
    let mut names: Vec<_> = list.iter().map(|one| one.name().to_string()).collect();
    names.sort();
    names
}

fn sorted<'a>(names: impl Iterator<Item = &'a Arc<str>>) -> Vec<String> {
    let mut names: Vec<_> = names.map(ToString::to_string).collect();
    names.sort();
    names
}

fn remove(publisher: &Publisher, name: &str) {
    publisher.apply(Output {
        removals: vec![(ADDRESS, name.to_owned())],
        ..Output::default()
    });
}

#[test]
fn a_resource_is_encoded_with_its_name_version_and_aliases() {
    let publisher = Publisher::new();
    publisher.apply(puts([workload("c//Pod/ns/a", [10, 0, 0, 1], "n1", &[])]));
    let snapshot = publisher.view().load();
    let encoded = snapshot.resource(ADDRESS, "c//Pod/ns/a").unwrap();
    let envelope = discovery::Resource::decode(encoded.body().clone()).unwrap();
    assert_eq!(envelope.name, "c//Pod/ns/a");
    assert_eq!(envelope.aliases, ["/10.0.0.1"]);
    let any = envelope.resource.unwrap();
    assert_eq!(any, encoded.any());
    assert_eq!(any.type_url, wire::proto::ADDRESS_TYPE);
    Address::decode(any.value.clone()).unwrap();
    assert_eq!(envelope.version, Version::of(&any.value).to_string());
    assert_eq!(Version::parse(&envelope.version), Some(encoded.version()));
}

#[test]
fn versions_are_the_same_in_every_life_and_differ_by_content() {
    let of = |output: Output| {
        let publisher = Publisher::new();
        publisher.apply(output);
        let snapshot = publisher.view().load();
        snapshot.resource(ADDRESS, "a").unwrap().version()
    };
    let one = of(puts([workload("a", [10, 0, 0, 1], "n1", &[])]));
    assert_eq!(one, of(puts([workload("a", [10, 0, 0, 1], "n1", &[])])));
    assert_ne!(one, of(puts([workload("a", [10, 0, 0, 1], "n2", &[])])));
    // SHA-256 of nothing, its first half.
    assert_eq!(
        Version::of(b"").to_string(),
        "e3b0c44298fc1c149afbf4c8996fb924"
    );
    assert_eq!(Version::parse(""), None);
    assert_eq!(Version::parse("+3b0c44298fc1c149afbf4c8996fb924"), None);
}

#[test]
fn what_changes_nothing_is_not_published_but_the_first_is() {
    let publisher = Publisher::new();
    assert_eq!(publisher.view().load().generation(), 0);
    assert_eq!(publisher.apply(Output::default()), 1);
    assert_eq!(publisher.apply(Output::default()), 1);
    assert_eq!(publisher.apply(puts([policy("ns", "p", 0)])), 2);
    assert_eq!(publisher.apply(puts([policy("ns", "p", 0)])), 2);
    assert_eq!(publisher.apply(puts([policy("ns", "p", 1)])), 3);
}

#[test]
fn an_alias_follows_its_owners() {
    let publisher = Publisher::new();
    publisher.apply(puts([
        workload("a", [10, 0, 0, 1], "n1", &[]),
        workload("b", [10, 0, 0, 1], "n2", &[]),
        service("ns", "s", [10, 9, 0, 1], None),
    ]));
    let find = |alias: &str| names(publisher.view().load().by_alias(alias));
    assert_eq!(find("/10.0.0.1"), ["a", "b"]);
    assert_eq!(find("/10.9.0.1"), ["ns/s"]);
    assert!(find("other/10.0.0.1").is_empty());
    publisher.apply(puts([workload("a", [10, 0, 0, 2], "n1", &[])]));
    assert_eq!(find("/10.0.0.1"), ["b"]);
    assert_eq!(find("/10.0.0.2"), ["a"]);
    remove(&publisher, "b");
    assert!(find("/10.0.0.1").is_empty());
}

#[test]
fn a_range_is_found_by_every_address_in_it() {
    let publisher = Publisher::new();
    publisher.apply(puts([
        service("ns", "wide", [10, 0, 0, 0], Some(8)),
        service("ns", "exact", [10, 0, 0, 1], Some(32)),
    ]));
    let find = |alias: &str| names(publisher.view().load().by_alias(alias));
    assert_eq!(find("/10.0.0.1"), ["ns/exact", "ns/wide"]);
    assert_eq!(find("/10.255.1.1"), ["ns/wide"]);
    assert!(find("/11.0.0.1").is_empty());
    assert!(find("net/10.255.1.1").is_empty());
    remove(&publisher, "ns/wide");
    assert!(find("/10.255.1.1").is_empty());
}

#[test]
fn endpoints_and_nodes_are_indexed_and_keys_are_shared() {
    let publisher = Publisher::new();
    publisher.apply(puts([
        workload("a", [10, 0, 0, 1], "n1", &["ns/s"]),
        workload("b", [10, 0, 0, 2], "n1", &["ns/s", "ns/t"]),
        service("ns", "s", [10, 9, 0, 1], None),
    ]));
    let snapshot = publisher.view().load();
    assert_eq!(sorted(snapshot.endpoints("ns/s")), ["a", "b"]);
    assert_eq!(sorted(snapshot.endpoints("ns/t")), ["b"]);
    assert_eq!(sorted(snapshot.on_node("n1")), ["a", "b"]);
    let (a, s) = (
        snapshot.resource(ADDRESS, "a").unwrap(),
        snapshot.resource(ADDRESS, "ns/s").unwrap(),
    );
    assert!(Arc::ptr_eq(&a.services()[0], s.name()));
    publisher.apply(puts([workload("b", [10, 0, 0, 2], "n2", &["ns/t"])]));
    let next = publisher.view().load();
    assert_eq!(sorted(next.endpoints("ns/s")), ["a"]);
    assert_eq!(sorted(next.on_node("n2")), ["b"]);
    assert_eq!(
        sorted(snapshot.endpoints("ns/s")),
        ["a", "b"],
        "the older one does not change"
    );
}

#[test]
fn residents_waypoints_and_trust_domain_are_told() {
    let publisher = Publisher::new();
    let resident = Resident {
        node: "n1".into(),
        namespace: "ns".into(),
        service_account: "sa".into(),
    };
    let waypoint = Account {
        namespace: "ns".into(),
        name: "waypoint".into(),
    };
    publisher.apply(Output {
        residents: vec![(resident.clone(), 2)],
        waypoints: vec![(waypoint.clone(), true)],
        trust_domain: Some("td".to_owned()),
        root_namespace: Some("root".to_owned()),
        ..Output::default()
    });
    let snapshot = publisher.view().load();
    assert!(snapshot.runs("n1", "ns", "sa") && !snapshot.runs("n2", "ns", "sa"));
    assert!(snapshot.is_waypoint("ns", "waypoint") && !snapshot.is_waypoint("ns", "sa"));
    assert_eq!(snapshot.trust_domain(), "td");
    assert_eq!(&**snapshot.root_namespace(), "root");
    let generation = publisher.apply(Output {
        residents: vec![(resident, 0)],
        waypoints: vec![(waypoint, false)],
        ..Output::default()
    });
    assert_eq!(generation, 2);
    let snapshot = publisher.view().load();
    assert!(!snapshot.runs("n1", "ns", "sa") && !snapshot.is_waypoint("ns", "waypoint"));
}

fn since(snapshot: &Snapshot, from: u64) -> Option<Vec<String>> {
    let names = snapshot.since(ADDRESS, from)?;
    Some(names.iter().map(ToString::to_string).collect())
}

#[test]
fn the_record_tells_what_changed_up_to_a_snapshot_and_forgets_the_oldest() {
    let publisher = Publisher::with_history(3);
    let mut snapshots = Vec::new();
    for name in ["a", "b", "c"] {
        publisher.apply(puts([workload(name, [10, 0, 0, 1], "", &[])]));
        snapshots.push(publisher.view().load());
    }
    assert_eq!(since(&snapshots[2], 0).unwrap(), ["a", "b", "c"]);
    assert_eq!(
        since(&snapshots[1], 1).unwrap(),
        ["b"],
        "not what came later"
    );
    assert!(since(&snapshots[2], 3).unwrap().is_empty());
    publisher.apply(puts([workload("d", [10, 0, 0, 1], "", &[])]));
    let newest = publisher.view().load();
    assert_eq!(since(&newest, 0), None);
    assert_eq!(since(&newest, 1).unwrap(), ["b", "c", "d"]);
    let many = (0..4).map(|i| workload(&format!("m{i}"), [10, 0, 0, 1], "", &[]));
    publisher.apply(puts(many));
    let newest = publisher.view().load();
    assert_eq!(since(&newest, 4), None, "more than it holds");
    assert!(since(&newest, 5).unwrap().is_empty());
}

#[test]
fn clients_that_begin_at_one_snapshot_share_its_list() {
    let publisher = Publisher::new();
    publisher.apply(puts([workload("a", [10, 0, 0, 1], "", &[])]));
    let snapshot = publisher.view().load();
    let list = snapshot.list(ADDRESS);
    assert!(Arc::ptr_eq(&list, &snapshot.list(ADDRESS)));
    assert_eq!(list.len(), snapshot.len(ADDRESS));
}

#[test]
fn the_content_is_not_copied_for_a_client() {
    let publisher = Publisher::new();
    publisher.apply(puts([policy("ns", "p", 0)]));
    let snapshot = publisher.view().load();
    let encoded = snapshot
        .resource(ResourceType::Authorization, "ns/p")
        .unwrap();
    let within = |bytes: &Bytes| encoded.body().as_ptr_range().contains(&bytes.as_ptr());
    assert!(within(&encoded.any().value));
}

#[tokio::test]
async fn a_view_is_woken_by_what_is_published_after_it_looked() {
    let publisher = Publisher::new();
    let mut view = publisher.view();
    publisher.apply(puts([policy("ns", "p", 0)]));
    view.changed().await;
    view.published().await;
    assert_eq!(view.load().generation(), 1);
}
