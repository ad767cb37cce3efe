//! Nodes, pods and the slices that list them.

use std::collections::BTreeMap;

use anyhow::{Result, bail};
use serde_json::{Value, json};

use super::{known, same_cluster, text};
use crate::mesh::{Marks, TRUST_DOMAIN};

/// The label by which a service selects its pods.
pub(super) fn service_label(key: &str) -> String {
    format!("lab.service/{}", key.replace(['/', '_'], "."))
}

/// The label by which a policy selects its pods.
pub(super) fn policy_label(namespace: &str, name: &str) -> String {
    format!("lab.policy/{namespace}.{name}")
}

/// The nodes that pods stand on, with the locality of their pods.
pub(super) fn nodes(workloads: &[&Value]) -> Result<Vec<Value>> {
    let mut localities: BTreeMap<&str, Value> = BTreeMap::new();
    for workload in workloads {
        let node = text(workload, "node");
        let labels = labels_of(&workload["locality"]);
        let known = localities.entry(node).or_insert_with(|| json!({}));
        if labels != json!({}) {
            if *known != json!({}) && *known != labels {
                bail!("pods of node {node} have different localities");
            }
            *known = labels;
        }
    }
    Ok(localities
        .into_iter()
        .filter(|(node, _)| !node.is_empty())
        .map(|(node, labels)| {
            json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": node, "labels": labels}})
        })
        .collect())
}

fn labels_of(locality: &Value) -> Value {
    let names = [
        ("region", "topology.kubernetes.io/region"),
        ("zone", "topology.kubernetes.io/zone"),
        ("subzone", "topology.istio.io/subzone"),
    ];
    names
        .into_iter()
        .filter_map(|(key, label)| Some((label.to_owned(), locality.get(key)?.clone())))
        .collect::<serde_json::Map<_, _>>()
        .into()
}

/// A pod.
pub(super) fn pod(workload: &Value, given: &[(String, String)]) -> Result<Value> {
    known(
        workload,
        &[
            "uid",
            "name",
            "namespace",
            "serviceAccount",
            "trustDomain",
            "workloadIps",
            "protocol",
            "node",
            "canonicalName",
            "canonicalRevision",
            "workloadName",
            "workloadType",
            "clusterId",
            "locality",
            "status",
            "authorizationPolicies",
            "services",
            "networkMode",
        ],
    )?;
    if !same_cluster(workload) || workload["trustDomain"] != TRUST_DOMAIN {
        bail!("another cluster or trust domain");
    }
    if workload["workloadType"] != "deployment" {
        bail!("the workloadType {}", workload["workloadType"]);
    }
    let (name, namespace) = (text(workload, "name"), text(workload, "namespace"));
    let mut labels = serde_json::Map::new();
    let mut label = |key: String, value: &str| {
        if !value.is_empty() {
            labels.insert(key, json!(value));
        }
    };
    for (key, value) in given {
        label(key.clone(), value);
    }
    for (key, from) in [
        ("service.istio.io/canonical-name", "canonicalName"),
        ("service.istio.io/canonical-revision", "canonicalRevision"),
    ] {
        label(key.to_owned(), text(workload, from));
    }
    let captured = workload["protocol"] == "HBONE";
    label(
        "istio.io/dataplane-mode".to_owned(),
        if captured { "ambient" } else { "none" },
    );
    label("pod-template-hash".to_owned(), "lab");
    for key in workload["services"].as_object().into_iter().flatten() {
        label(service_label(key.0), "yes");
    }
    for policy in workload["authorizationPolicies"]
        .as_array()
        .into_iter()
        .flatten()
    {
        let Some((namespace, name)) = policy.as_str().and_then(|it| it.split_once('/')) else {
            bail!("the policy {policy}, expected namespace/name");
        };
        label(policy_label(namespace, name), "yes");
    }
    let owner = text(workload, "workloadName");
    let ips: Vec<Value> = workload["workloadIps"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|ip| json!({"ip": ip}))
        .collect();
    let ready = if workload["status"] == "Unhealthy" {
        "False"
    } else {
        "True"
    };
    Ok(json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {
            "name": name, "namespace": namespace, "uid": format!("uid-{namespace}-{name}"), "labels": labels,
            "ownerReferences": [{
                "apiVersion": "apps/v1", "kind": "ReplicaSet", "name": format!("{owner}-lab"),
                "uid": format!("uid-of-{owner}"), "controller": true,
            }],
        },
        "spec": {
            "nodeName": workload["node"],
            "serviceAccountName": workload["serviceAccount"],
            "hostNetwork": workload["networkMode"] == "HostNetwork",
        },
        "status": {
            "phase": "Running", "podIPs": ips,
            "conditions": [{"type": "Ready", "status": ready}],
        },
    }))
}

/// A slice with one pod, as it serves a service.
pub(super) fn slice(
    service: &str,
    namespace: &str,
    workload: &Value,
    ports: &Value,
    marks: &Marks,
) -> Result<Value> {
    let name = text(workload, "name");
    let listed: Vec<Value> = ports
        .as_object()
        .into_iter()
        .flatten()
        .map(|(port, target)| {
            let target = if *target == json!(0) {
                json!(port.parse::<u16>().unwrap_or_default())
            } else {
                target.clone()
            };
            json!({"name": marks.name(port.parse().unwrap_or_default()), "port": target})
        })
        .collect();
    let Some(first) = workload["workloadIps"].get(0) else {
        bail!("pod {name} has no address");
    };
    Ok(json!({
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
        "metadata": {
            "name": format!("{service}-{name}"), "namespace": namespace,
            "labels": {"kubernetes.io/service-name": service},
        },
        "addressType": if first.as_str().is_some_and(|ip| ip.contains(':')) { "IPv6" } else { "IPv4" },
        "endpoints": [{
            "addresses": [first],
            "conditions": {"ready": workload["status"] != "Unhealthy"},
            "targetRef": {"kind": "Pod", "name": name, "namespace": workload["namespace"]},
        }],
        "ports": listed,
    }))
}
