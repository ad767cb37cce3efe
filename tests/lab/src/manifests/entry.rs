//! Services that are no Kubernetes services, as ServiceEntries.

use anyhow::{Result, bail};
use serde_json::{Value, json};

use super::{known, pod, text};

/// A ServiceEntry that selects its pods.
pub(super) fn service_entry(service: &Value) -> Result<Value> {
    known(
        service,
        &[
            "name",
            "namespace",
            "hostname",
            "vips",
            "ports",
            "canonical",
        ],
    )?;
    let (name, namespace, hostname) = (
        text(service, "name"),
        text(service, "namespace"),
        text(service, "hostname"),
    );
    let mut addresses = Vec::new();
    for vip in service["vips"].as_array().into_iter().flatten() {
        match vip.as_str().and_then(|vip| vip.strip_prefix('/')) {
            Some(address) => addresses.push(address),
            None => bail!("the address {vip}, expected one without network"),
        }
    }
    let ports: Vec<Value> = service["ports"]
        .as_object()
        .into_iter()
        .flatten()
        .map(|(port, target)| {
            let number: u16 = port.parse().unwrap_or_default();
            let target = if *target == json!(0) { json!(number) } else { target.clone() };
            json!({"name": format!("tcp-{port}"), "number": number, "protocol": "TCP", "targetPort": target})
        })
        .collect();
    let label = pod::service_label(&format!("{namespace}/{hostname}"));
    Ok(json!({
        "apiVersion": "networking.istio.io/v1", "kind": "ServiceEntry",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "hosts": [hostname],
            "addresses": addresses,
            "ports": ports,
            "location": "MESH_INTERNAL",
            "resolution": "STATIC",
            "workloadSelector": {"labels": {label: "yes"}},
        },
    }))
}
