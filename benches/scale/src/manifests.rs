//! The folder of manifests.
//!
//! In: a [`Shape`]. Out: some hundred files of many documents, and one small file with the pod that changes.
//! Never: the whole mesh in memory.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use crate::shape::Shape;

/// Objects of one file.
const OBJECTS_PER_FILE: usize = 500;
/// Zones of a region; nodes are spread over them.
const ZONES: usize = 3;
/// Regions.
const REGIONS: usize = 2;
/// The pod whose readiness changes.
pub(crate) const CHANGING: usize = 0;

/// What was written.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Written {
    /// Files.
    pub(crate) files: usize,
    /// Bytes of all of them.
    pub(crate) bytes: u64,
}

/// The file that changes.
#[derive(Clone, Debug)]
pub(crate) struct Changing {
    shape: Shape,
    path: PathBuf,
    /// The next version, outside of the folder that is watched.
    next: PathBuf,
}

impl Changing {
    /// Writes the next version beside the folder.
    ///
    /// # Errors
    ///
    /// When it cannot be written.
    pub(crate) fn prepare(&self, ready: bool) -> io::Result<()> {
        let mut text = Vec::new();
        pod(&mut text, &self.shape, CHANGING, ready)?;
        fs::write(&self.next, text)
    }

    /// Puts the version that was prepared in place.
    ///
    /// # Errors
    ///
    /// When it cannot be moved.
    pub(crate) fn swap(&self) -> io::Result<()> {
        fs::rename(&self.next, &self.path)
    }
}

/// Writes everything below `folder/mesh`.
///
/// # Errors
///
/// When something cannot be written.
pub(crate) fn write(shape: &Shape, folder: &Path) -> Result<(PathBuf, Changing, Written)> {
    let root = folder.join("mesh");
    let mut written = Written::default();
    let size = shape.size;
    type Each = fn(&mut dyn Write, &Shape, usize) -> io::Result<()>;
    let kinds: [(&str, usize, usize, Each); 5] = [
        ("namespaces", 0, shape.namespaces(), namespace),
        ("nodes", 0, shape.nodes(), node),
        ("services", 0, size.services, service),
        ("policies", 0, size.policies, policy),
        (
            "pods",
            CHANGING + 1,
            size.workloads,
            |out, shape, number| pod(out, shape, number, true),
        ),
    ];
    for (name, first, end, each) in kinds {
        let place = root.join(name);
        fs::create_dir_all(&place).with_context(|| format!("make {}", place.display()))?;
        for start in (first..end).step_by(OBJECTS_PER_FILE) {
            let path = place.join(format!("{start:07}.yaml"));
            let some = start..end.min(start + OBJECTS_PER_FILE);
            let bytes = file(&path, |out| {
                some.clone().try_for_each(|number| each(out, shape, number))
            })
            .with_context(|| format!("write {}", path.display()))?;
            written.files += 1;
            written.bytes += bytes;
        }
    }
    let place = root.join("changing");
    fs::create_dir_all(&place)?;
    let changing = Changing {
        shape: *shape,
        path: place.join("pod.yaml"),
        next: folder.join("next.yaml"),
    };
    changing.prepare(true)?;
    changing.swap()?;
    written.files += 1;
    Ok((root, changing, written))
}

fn file(path: &Path, fill: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> io::Result<u64> {
    let mut out = BufWriter::new(File::create(path)?);
    fill(&mut out)?;
    let file = out.into_inner().map_err(io::IntoInnerError::into_error)?;
    Ok(file.metadata()?.len())
}

fn namespace(out: &mut dyn Write, _: &Shape, number: usize) -> io::Result<()> {
    let name = Shape::namespace(number);
    write!(
        out,
        "---
apiVersion: v1
kind: Namespace
metadata:
  name: {name}
  labels:
    kubernetes.io/metadata.name: {name}
    istio.io/dataplane-mode: ambient
"
    )
}

fn node(out: &mut dyn Write, _: &Shape, number: usize) -> io::Result<()> {
    let name = Shape::node(number);
    let (zone, region) = (number % ZONES, number % REGIONS);
    write!(
        out,
        "---
apiVersion: v1
kind: Node
metadata:
  name: {name}
  labels:
    kubernetes.io/hostname: {name}
    topology.kubernetes.io/region: region-{region}
    topology.kubernetes.io/zone: region-{region}-{zone}
"
    )
}

fn service(out: &mut dyn Write, shape: &Shape, number: usize) -> io::Result<()> {
    let (name, namespace) = (Shape::service(number), shape.namespace_of(number));
    let vip = Shape::vip(number);
    write!(
        out,
        "---
apiVersion: v1
kind: Service
metadata:
  name: {name}
  namespace: {namespace}
  labels:
    app: {name}
spec:
  clusterIP: {vip}
  clusterIPs: [{vip}]
  selector:
    app: {name}
  ports:
    - name: http
      port: 80
      targetPort: http
    - name: metrics
      port: 9090
      targetPort: 9090
"
    )
}

/// Even ones select the pods of a service, odd ones are for all of a namespace.
fn policy(out: &mut dyn Write, shape: &Shape, number: usize) -> io::Result<()> {
    let target = number / 2 % shape.size.services;
    let namespace = shape.namespace_of(target);
    let action = if number.is_multiple_of(8) {
        "DENY"
    } else {
        "ALLOW"
    };
    write!(
        out,
        "---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata:
  name: policy-{number:06}
  namespace: {namespace}
spec:
"
    )?;
    if number.is_multiple_of(2) {
        let name = Shape::service(target);
        write!(
            out,
            "  selector:
    matchLabels:
      app: {name}
"
        )?;
    }
    let mut random = shape.random(number, 3);
    let mut caller = || {
        let caller = random.usize(..shape.size.services);
        let (namespace, account) = (shape.namespace_of(caller), Shape::service(caller));
        format!("cluster.local/ns/{namespace}/sa/{account}")
    };
    let (one, other) = (caller(), caller());
    write!(
        out,
        "  action: {action}
  rules:
    - from:
        - source:
            principals: [\"{one}\", \"{other}\"]
        - source:
            namespaces: [\"{namespace}\"]
      to:
        - operation:
            ports: [\"8080\"]
"
    )
}

fn pod(out: &mut dyn Write, shape: &Shape, number: usize, ready: bool) -> io::Result<()> {
    let pod = shape.pod(number);
    let (app, namespace) = (Shape::service(pod.service), shape.namespace_of(pod.service));
    let node = Shape::node(pod.node);
    let ready = if ready { "True" } else { "False" };
    let (name, replica_set, template) = (pod.name, pod.replica_set, pod.template);
    let (uid, ip) = (pod.uid, pod.ip);
    write!(
        out,
        "---
apiVersion: v1
kind: Pod
metadata:
  name: {name}
  generateName: {replica_set}-
  namespace: {namespace}
  uid: {uid}
  creationTimestamp: \"2026-01-31T10:00:00Z\"
  labels:
    app: {app}
    app.kubernetes.io/name: {app}
    app.kubernetes.io/version: 1.4.2
    pod-template-hash: {template}
    version: v1
  annotations:
    prometheus.io/port: \"9090\"
    prometheus.io/scrape: \"true\"
  ownerReferences:
    - apiVersion: apps/v1
      kind: ReplicaSet
      name: {replica_set}
      uid: {uid}
      controller: true
      blockOwnerDeletion: true
spec:
  nodeName: {node}
  serviceAccountName: {app}
  containers:
    - name: app
      image: registry.example/{app}:1.4.2
      ports:
        - name: http
          containerPort: 8080
          protocol: TCP
        - name: metrics
          containerPort: 9090
          protocol: TCP
      resources:
        requests:
          cpu: 100m
          memory: 128Mi
status:
  phase: Running
  podIP: {ip}
  podIPs:
    - ip: {ip}
  conditions:
    - type: Ready
      status: \"{ready}\"
"
    )
}
