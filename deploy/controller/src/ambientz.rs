//! What is published, as people read it: the page `/debug/ambientz`.
//!
//! In: a snapshot. Out: JSON with the lists `workloads`, `services` and `policies`, each in the order of names.
//! Never: the index: it shows what proxies are sent, decoded again from the bytes that they are sent.

use prost::Message as _;
use serde_json::{Value, json};
use wire::proto::{
    security::Authorization,
    workload::{Address, address},
};

use crate::{output::ResourceType, publish::Snapshot, render::dump};

/// The page.
#[must_use]
pub fn page(snapshot: &Snapshot) -> Value {
    let (mut workloads, mut services) = (Vec::new(), Vec::new());
    for resource in snapshot.list(ResourceType::Address).iter() {
        match Address::decode(resource.any().value).map(|it| it.r#type) {
            Ok(Some(address::Type::Workload(workload))) => {
                workloads.push(dump::workload(&workload));
            }
            Ok(Some(address::Type::Service(service))) => services.push(dump::service(&service)),
            // It was encoded by us.
            Ok(None) | Err(_) => {}
        }
    }
    let policies: Vec<Value> = snapshot
        .list(ResourceType::Authorization)
        .iter()
        .filter_map(|resource| Authorization::decode(resource.any().value).ok())
        .map(|policy| dump::authorization(&policy))
        .collect();
    json!({
        "generation": snapshot.generation(),
        "trustDomain": snapshot.trust_domain(),
        "workloads": workloads,
        "services": services,
        "policies": policies,
    })
}
