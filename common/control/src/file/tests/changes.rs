//! What is sent when a file changes: what changed, and nothing else.

use std::sync::Arc;

use mesh::{
    PolicyKey, ServiceKey,
    delta::{Delta, Resource, ResourceKey},
};

use super::{
    super::{Resources, parse},
    policy, workload,
};

const SERVICES: &str = "services:\n\
    - {name: s, namespace: ns, hostname: s.example, vips: [/10.96.0.1], ports: {80: 8080}}\n\
    - {name: t, namespace: ns, hostname: t.example, vips: [], ports: {}}\n";

fn read(text: &str) -> Resources {
    parse(text, "mesh.yaml").unwrap()
}

fn base() -> String {
    format!(
        "workloads:\n{}{}policies:\n{}{}{SERVICES}",
        workload("a", "10.0.0.1"),
        workload("b", "10.0.0.2"),
        policy("p", "Allow", "[]"),
        policy("q", "Deny", "[[[{destinationPorts: [80]}]]]"),
    )
}

/// The keys of a delta's upserts and removals, as text.
fn keys(delta: &Delta) -> (Vec<String>, Vec<String>) {
    (
        delta
            .upserts
            .iter()
            .map(|resource| resource.key().to_string())
            .collect(),
        delta.removals.iter().map(ToString::to_string).collect(),
    )
}

#[test]
fn the_first_file_is_sent_whole_policies_before_what_they_protect() {
    let delta = read(&base()).changes_since(&Resources::default());
    let upserts = [
        "policy default/p",
        "policy default/q",
        "service ns/s.example",
        "service ns/t.example",
        "workload a",
        "workload b",
    ];
    assert_eq!(
        keys(&delta),
        (upserts.map(str::to_owned).to_vec(), Vec::new())
    );
}

#[test]
fn the_same_content_in_another_order_and_dress_is_no_change() {
    let other = format!(
        "# reordered\n{}policies:\n{}{}workloads:\n{}{}",
        "services:\n\
         - {ports: {}, vips: [], hostname: T.example, namespace: ns, name: t}\n\
         - {name: s, namespace: ns, hostname: s.example, vips: [/10.96.0.1], ports: {80: 8080}, canonical: false}\n",
        policy(
            "q",
            "DENY",
            "[[[{destinationPorts: [80], principals: []}]]]"
        ),
        policy("p", "Allow", "[]"),
        workload("b", "10.0.0.2"),
        workload("a", "10.0.0.1")
            .replace("services: {}", "services: {}\n  trustDomain: cluster.local"),
    );
    assert!(read(&other).changes_since(&read(&base())).is_empty());
}

#[test]
fn only_what_differs_is_sent() {
    let changed = base()
        .replace("10.0.0.2", "10.0.0.3")
        .replace("[80]}", "[81]}")
        .replace("80: 8080", "80: 8081");
    let delta = read(&changed).changes_since(&read(&base()));
    let expected = ["policy default/q", "service ns/s.example", "workload b"]
        .map(str::to_owned)
        .to_vec();
    assert_eq!(keys(&delta), (expected, Vec::new()));
}

#[test]
fn what_is_gone_is_removed_by_name() {
    let less = format!(
        "workloads:\n{}policies:\n{}services: []\n",
        workload("b", "10.0.0.2"),
        policy("q", "Deny", "[[[{destinationPorts: [80]}]]]")
    );
    let delta = read(&less).changes_since(&read(&base()));
    let expected = Delta {
        upserts: Vec::new(),
        removals: vec![
            ResourceKey::Workload("a".into()),
            ResourceKey::Service(ServiceKey::new("ns", "s.example")),
            ResourceKey::Service(ServiceKey::new("ns", "t.example")),
            ResourceKey::Authorization(PolicyKey::new("default", "p")),
        ],
    };
    assert_eq!(delta, expected);
}

#[test]
fn a_renamed_object_is_one_removal_and_one_upsert() {
    let delta = read(&base().replace("uid: a\n", "uid: c\n")).changes_since(&read(&base()));
    assert_eq!(
        keys(&delta),
        (vec!["workload c".to_owned()], vec!["workload a".to_owned()])
    );
}

#[test]
fn what_did_not_change_is_held_once() {
    let before = read(&base());
    let mut after = read(&base().replace("10.0.0.2", "10.0.0.3"));
    after.share(&before);
    assert!(Arc::ptr_eq(&after.workloads["a"], &before.workloads["a"]));
    assert!(!Arc::ptr_eq(&after.workloads["b"], &before.workloads["b"]));
    let delta = after.changes_since(&before);
    assert!(
        matches!(&delta.upserts[..], [Resource::Workload(workload)] if workload.uid.as_str() == "b")
    );
}
