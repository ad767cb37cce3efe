//! The mesh as Kubernetes and Istio manifests, which a controller reads.
//!
//! In: a [`Mesh`]. Out: the objects, or an error that names what no manifest can say: such tests stand on the local file.
//! The folder is replaced as Kubernetes replaces a mounted ConfigMap (a symlink `..data` is swapped), so a reader never
//! sees half of a change.

mod entry;
mod pod;
mod policy;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context as _, Result, bail};
use serde_json::{Map, Value, json};

use crate::mesh::{CLUSTER, Marks, Mesh, TRUST_DOMAIN};

#[cfg(test)]
mod tests;

/// All objects of a mesh. `version` is written into the mesh's settings, so that each publication changes an object
/// that the controller counts.
///
/// # Errors
///
/// What cannot be said.
pub fn objects(mesh: &Mesh, version: u64) -> Result<Vec<Value>> {
    let workloads: Vec<&Value> = mesh.workloads().collect();
    let mut objects = vec![json!({
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": {
            "name": "istio", "namespace": "istio-system", "annotations": {"lab.istio.io/version": version.to_string()},
        },
        "data": {"mesh": mesh.config()},
    })];
    objects.extend(pod::nodes(&workloads)?);
    let mut namespaces: Vec<&str> = workloads.iter().map(|it| text(it, "namespace")).collect();
    namespaces.sort_unstable();
    namespaces.dedup();
    for namespace in namespaces {
        objects.push(
            json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}}),
        );
    }
    for workload in &workloads {
        let pod = pod::pod(workload, mesh.labels(text(workload, "name")))
            .with_context(|| format!("workload {}", text(workload, "name")))?;
        objects.push(pod);
    }
    for service in mesh.services() {
        let key = format!(
            "{}/{}",
            text(service, "namespace"),
            text(service, "hostname")
        );
        let marks = mesh.marks(&key).cloned().unwrap_or_default();
        let made = self::service(service, &marks, &workloads)
            .with_context(|| format!("service {}", text(service, "hostname")))?;
        objects.extend(made);
    }
    for policy in mesh.policies() {
        let made =
            policy::policy(policy).with_context(|| format!("policy {}", text(policy, "name")))?;
        objects.push(made);
    }
    Ok(objects)
}

/// The objects as one multi-document YAML text.
///
/// # Errors
///
/// As [`objects`].
pub fn to_yaml(mesh: &Mesh, version: u64) -> Result<String> {
    let mut yaml = String::new();
    for object in objects(mesh, version)? {
        yaml.push_str("---\n");
        // JSON is YAML.
        yaml.push_str(&serde_json::to_string_pretty(&object)?);
        yaml.push('\n');
    }
    Ok(yaml)
}

/// Replaces what the folder holds, in one step: `mesh.yaml`, and the manifests that a test wrote itself.
///
/// # Errors
///
/// As [`objects`], and when the folder cannot be written to.
pub fn write(mesh: &Mesh, version: u64, folder: &Path) -> Result<()> {
    let mut files = mesh.manifests().clone();
    if files
        .insert("mesh".to_owned(), to_yaml(mesh, version)?)
        .is_some()
    {
        bail!("a manifest named mesh, which is the lab's own");
    }
    replace(&files, folder)
}

/// Swaps `..data`, then mends the symlinks of files that came or went.
fn replace(files: &BTreeMap<String, String>, folder: &Path) -> Result<()> {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let generation = format!("..{}", NEXT.fetch_add(1, Ordering::Relaxed));
    let young = folder.join(&generation);
    fs::create_dir_all(&young).with_context(|| format!("create {}", young.display()))?;
    for (name, yaml) in files {
        fs::write(young.join(format!("{name}.yaml")), yaml)?;
    }
    let data = folder.join("..data");
    let old = fs::read_link(&data).ok();
    let next = folder.join("..data_tmp");
    symlink(&generation, &next)?;
    fs::rename(&next, &data)?;
    for entry in fs::read_dir(folder)? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        let gone = name
            .strip_suffix(".yaml")
            .is_some_and(|name| !files.contains_key(name));
        if gone {
            fs::remove_file(folder.join(name))?;
        }
    }
    for name in files.keys().map(|name| format!("{name}.yaml")) {
        let link = folder.join(&name);
        if link.symlink_metadata().is_err() {
            symlink(Path::new("..data").join(&name), link)?;
        }
    }
    if let Some(old) = old {
        fs::remove_dir_all(folder.join(old))?;
    }
    Ok(())
}

/// A Service, and EndpointSlices where its pods do not all serve it alike.
fn service(service: &Value, marks: &Marks, workloads: &[&Value]) -> Result<Vec<Value>> {
    let (name, namespace, hostname) = (
        text(service, "name"),
        text(service, "namespace"),
        text(service, "hostname"),
    );
    let of_kubernetes = hostname == format!("{name}.{namespace}.svc.{TRUST_DOMAIN}");
    if !of_kubernetes || service["canonical"] == json!(false) {
        return Ok(vec![entry::service_entry(service)?]);
    }
    known(
        service,
        &[
            "name",
            "namespace",
            "hostname",
            "vips",
            "canonical",
            "ports",
            "loadBalancer",
            "ipFamilies",
        ],
    )?;
    let mut spec = Map::new();
    let vips = service["vips"].as_array().cloned().unwrap_or_default();
    let mut addresses = Vec::new();
    for vip in &vips {
        match vip.as_str().and_then(|vip| vip.strip_prefix('/')) {
            Some(ip) if ip.parse::<std::net::IpAddr>().is_ok() => addresses.push(json!(ip)),
            Some(_) | None => bail!("the address {vip}, expected one without network and range"),
        }
    }
    match addresses.first() {
        None => spec.insert("clusterIP".to_owned(), json!("None")),
        Some(first) => {
            spec.insert("clusterIP".to_owned(), first.clone());
            spec.insert("clusterIPs".to_owned(), json!(addresses))
        }
    };
    let ports = service["ports"].as_object().cloned().unwrap_or_default();
    let listed: Vec<Value> = ports
        .iter()
        .map(|(port, target)| {
            let number: u16 = port.parse().unwrap_or_default();
            let target = if *target == json!(0) {
                json!(number)
            } else {
                target.clone()
            };
            json!({"name": marks.name(number), "port": number, "targetPort": target})
        })
        .collect();
    spec.insert("ports".to_owned(), json!(listed));
    if let Some(balancer) = service.get("loadBalancer") {
        if *balancer != json!({"healthPolicy": "AllowAll"}) {
            bail!("the loadBalancer {balancer}, expected only healthPolicy AllowAll");
        }
        spec.insert("publishNotReadyAddresses".to_owned(), json!(true));
    }
    match service["ipFamilies"].as_str() {
        None | Some("Automatic") => {}
        Some(family @ ("IPv4" | "IPv6" | "IPv4Only" | "IPv6Only")) => {
            spec.insert(
                "ipFamilies".to_owned(),
                json!([family.trim_end_matches("Only")]),
            );
        }
        Some("Dual") => {
            spec.insert("ipFamilies".to_owned(), json!(["IPv4", "IPv6"]));
        }
        Some(other) => bail!("ipFamilies {other}"),
    }

    let key = format!("{namespace}/{hostname}");
    let members: Vec<&&Value> = workloads
        .iter()
        .filter(|it| it["services"].get(&key).is_some())
        .collect();
    let alike = members
        .iter()
        .all(|it| it["services"][&key] == service["ports"] && it["namespace"] == namespace);
    let mut objects = Vec::new();
    if alike {
        spec.insert(
            "selector".to_owned(),
            json!({pod::service_label(&key): "yes"}),
        );
    } else {
        for member in members {
            objects.push(pod::slice(
                name,
                namespace,
                member,
                &member["services"][&key],
                marks,
            )?);
        }
    }
    objects.insert(
        0,
        json!({
            "apiVersion": "v1", "kind": "Service",
            "metadata": {"name": name, "namespace": namespace, "labels": marks.labels()},
            "spec": spec,
        }),
    );
    Ok(objects)
}

/// A text of an object; empty where there is none.
fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_default()
}

/// Refuses what is said and would be lost.
fn known(value: &Value, keys: &[&str]) -> Result<()> {
    let unknown = value
        .as_object()
        .into_iter()
        .flatten()
        .find(|(key, _)| !keys.contains(&key.as_str()));
    match unknown {
        Some((key, value)) => bail!("{key}: {value} cannot be said in a manifest"),
        None => Ok(()),
    }
}

/// The cluster that a manifest belongs to.
fn same_cluster(workload: &Value) -> bool {
    workload["clusterId"].is_null() || workload["clusterId"] == CLUSTER
}
