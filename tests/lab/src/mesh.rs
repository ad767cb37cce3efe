//! The mesh as ztunnel's local configuration file describes it (`LOCAL_XDS_PATH`).
//!
//! In: pods, services, policies. Out: YAML text, written whole or not at all.
//! Every resource is a JSON object that a test may change as it likes: the file is there to be tried.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};
use serde_json::{Map, Value, json};

use crate::pod::Pod;
use crate::topology::{self, Addresses};

#[cfg(test)]
mod tests;

/// The trust domain of every lab unless a test sets another.
pub const TRUST_DOMAIN: &str = "cluster.local";

/// The cluster of every lab.
pub const CLUSTER: &str = "Kubernetes";

/// Workloads, services and policies. `lab.mesh()` gives the current one, `lab.publish(mesh)` the next.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Mesh {
    workloads: BTreeMap<String, Value>,
    services: BTreeMap<String, Value>,
    policies: Vec<Value>,
    /// Labels of pods, which only manifests can say.
    labels: BTreeMap<String, Vec<(String, String)>>,
    /// What only manifests can say of services, by `namespace/hostname`.
    marks: BTreeMap<String, Marks>,
    /// Manifests that a test wrote itself: file name without `.yaml`, and text.
    manifests: BTreeMap<String, String>,
    /// Lines of the MeshConfig beside the trust domain.
    config: Vec<String>,
}

/// What only manifests can say of a service.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Marks {
    pub(crate) labels: Vec<(String, String)>,
    /// By port.
    pub(crate) names: BTreeMap<u16, String>,
}

impl Marks {
    /// The name of a port.
    pub(crate) fn name(&self, port: u16) -> String {
        let given = self.names.get(&port).cloned();
        given.unwrap_or_else(|| format!("tcp-{port}"))
    }

    pub(crate) fn labels(&self) -> Value {
        let labels = self.labels.iter();
        labels
            .map(|(key, value)| (key.clone(), json!(value)))
            .collect::<Map<_, _>>()
            .into()
    }
}

/// A service to be put into a [`Mesh`].
///
/// ```
/// use lab::{Mesh, ServiceSpec};
/// let mut mesh = Mesh::default();
/// let vips = mesh.service(&ServiceSpec::new("web").port(80, 8080));
/// assert_eq!(vips.ip4.to_string(), "10.96.1.10");
/// ```
#[derive(Clone, Debug)]
pub struct ServiceSpec {
    /// Its name.
    pub name: String,
    /// Its namespace; `default` unless set.
    pub namespace: String,
    /// Service port to target port.
    pub ports: BTreeMap<u16, u16>,
    /// The pods behind it, by name.
    pub backends: Vec<String>,
    /// Its addresses; the next free ones unless set.
    pub vips: Option<Addresses>,
    /// Its labels, in manifests only.
    pub labels: Vec<(String, String)>,
    /// Names of ports, by which protocols are declared, in manifests only; `tcp-PORT` unless set.
    pub names: BTreeMap<u16, String>,
}

impl ServiceSpec {
    /// A service in namespace `default`, without ports and backends.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            namespace: "default".to_owned(),
            ports: BTreeMap::new(),
            backends: Vec::new(),
            vips: None,
            labels: Vec::new(),
            names: BTreeMap::new(),
        }
    }

    /// Sets its namespace.
    #[must_use]
    pub fn namespace(mut self, namespace: impl Into<String>) -> Self {
        self.namespace = namespace.into();
        self
    }

    /// Adds a port: the service's and the pods'.
    #[must_use]
    pub fn port(mut self, port: u16, target: u16) -> Self {
        self.ports.insert(port, target);
        self
    }

    /// Adds a port with a name, which declares its protocol: `http-web`, `grpc`, `tcp-mysql`.
    #[must_use]
    pub fn named_port(mut self, name: impl Into<String>, port: u16, target: u16) -> Self {
        self.ports.insert(port, target);
        self.names.insert(port, name.into());
        self
    }

    /// Adds a label: `istio.io/use-waypoint`.
    #[must_use]
    pub fn label(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.labels.push((key.into(), value.into()));
        self
    }

    /// Adds a pod behind it.
    #[must_use]
    pub fn backend(mut self, pod: impl Into<String>) -> Self {
        self.backends.push(pod.into());
        self
    }

    /// Sets its addresses.
    #[must_use]
    pub fn vips(mut self, vips: Addresses) -> Self {
        self.vips = Some(vips);
        self
    }

    /// Its host name.
    pub fn hostname(&self) -> String {
        format!("{}.{}.svc.{TRUST_DOMAIN}", self.name, self.namespace)
    }
}

impl Mesh {
    /// Puts a pod in, speaking HBONE if `enrolled`, else plain TCP. Replaces what was known of it, but
    /// not the services it belongs to.
    pub fn pod(&mut self, pod: &Pod, enrolled: bool) {
        let spec = pod.spec();
        let services = self
            .workloads
            .get(&spec.name)
            .map_or_else(|| json!({}), |old| old["services"].clone());
        let workload = json!({
            "uid": format!("{CLUSTER}//Pod/{}/{}", spec.namespace, spec.name),
            "name": spec.name,
            "namespace": spec.namespace,
            "serviceAccount": spec.service_account,
            "trustDomain": TRUST_DOMAIN,
            "workloadIps": [pod.ip4().to_string(), pod.ip6().to_string()],
            "protocol": if enrolled { "HBONE" } else { "TCP" },
            "node": format!("node{}", pod.node() + 1),
            "canonicalName": spec.label_value("app").unwrap_or(&spec.name),
            "canonicalRevision": spec.label_value("version").unwrap_or("latest"),
            "workloadName": spec.name,
            "workloadType": "deployment",
            "clusterId": CLUSTER,
            "services": services,
        });
        self.workloads.insert(spec.name.clone(), workload);
        self.labels.insert(spec.name.clone(), spec.labels.clone());
    }

    /// Puts a manifest in, as a person would write it: the file `NAME.yaml` beside the lab's own. Only for
    /// [`Config::Manifests`](crate::Config::Manifests).
    pub fn manifest(&mut self, name: impl Into<String>, yaml: impl Into<String>) {
        self.manifests.insert(name.into(), yaml.into());
    }

    /// Takes a manifest out.
    pub fn remove_manifest(&mut self, name: &str) {
        self.manifests.remove(name);
    }

    /// Adds lines to the MeshConfig in the ConfigMap `istio`: `accessLogFile: /dev/stdout`. Only for
    /// [`Config::Manifests`](crate::Config::Manifests).
    pub fn mesh_config(&mut self, lines: impl Into<String>) {
        self.config.push(lines.into());
    }

    /// Takes all lines of [`Mesh::mesh_config`] out.
    pub fn clear_mesh_config(&mut self) {
        self.config.clear();
    }

    /// The MeshConfig's text.
    pub(crate) fn config(&self) -> String {
        let mut text = format!("trustDomain: {TRUST_DOMAIN}\n");
        for lines in &self.config {
            text.push_str(lines.trim_end());
            text.push('\n');
        }
        text
    }

    pub(crate) fn manifests(&self) -> &BTreeMap<String, String> {
        &self.manifests
    }

    pub(crate) fn labels(&self, pod: &str) -> &[(String, String)] {
        self.labels.get(pod).map_or(&[], Vec::as_slice)
    }

    pub(crate) fn marks(&self, key: &str) -> Option<&Marks> {
        self.marks.get(key)
    }

    /// Takes a pod out.
    pub fn remove_pod(&mut self, name: &str) {
        self.labels.remove(name);
        self.workloads.remove(name);
    }

    /// Puts a service in and returns its addresses. Backends that are not in the mesh are ignored.
    pub fn service(&mut self, spec: &ServiceSpec) -> Addresses {
        let key = format!("{}/{}", spec.namespace, spec.hostname());
        let vips = spec.vips.unwrap_or_else(|| {
            topology::service(u8::try_from(self.services.len()).unwrap_or(u8::MAX))
        });
        let ports: Map<String, Value> = spec
            .ports
            .iter()
            .map(|(port, target)| (port.to_string(), json!(target)))
            .collect();
        for backend in &spec.backends {
            if let Some(workload) = self.workloads.get_mut(backend) {
                workload["services"][&key] = Value::Object(ports.clone());
            }
        }
        let service = json!({
            "name": spec.name,
            "namespace": spec.namespace,
            "hostname": spec.hostname(),
            "vips": [format!("/{}", vips.ip4), format!("/{}", vips.ip6)],
            "ports": ports,
        });
        let marks = Marks {
            labels: spec.labels.clone(),
            names: spec.names.clone(),
        };
        self.marks.insert(key.clone(), marks);
        self.services.insert(key, service);
        vips
    }

    /// Puts a policy in, as the object that stands in the file. The last of a name and namespace stays.
    ///
    /// ```
    /// # let mut mesh = lab::Mesh::default();
    /// mesh.policy(serde_json::json!({
    ///     "name": "only-client", "namespace": "default", "scope": "Namespace", "action": "Allow",
    ///     "rules": [[[{"principals": [{"exact": "cluster.local/ns/default/sa/client"}]}]]],
    /// }));
    /// ```
    pub fn policy(&mut self, policy: Value) {
        self.remove_policy(
            policy["namespace"].as_str().unwrap_or_default(),
            policy["name"].as_str().unwrap_or_default(),
        );
        self.policies.push(policy);
    }

    /// Takes a policy out.
    pub fn remove_policy(&mut self, namespace: &str, name: &str) {
        self.policies
            .retain(|policy| policy["namespace"] != namespace || policy["name"] != name);
    }

    /// A pod's workload, to be changed: `mesh.workload("web")?["protocol"] = json!("TCP")`.
    ///
    /// # Errors
    ///
    /// When the mesh has no such pod.
    pub fn workload(&mut self, pod: &str) -> Result<&mut Value> {
        self.workloads
            .get_mut(pod)
            .with_context(|| format!("no pod {pod} in the mesh"))
    }

    /// Puts a workload in that no pod of the lab stands for; the name is only its place in the mesh.
    pub fn insert_workload(&mut self, name: impl Into<String>, workload: Value) {
        self.workloads.insert(name.into(), workload);
    }

    /// A service, to be changed; `key` is `namespace/hostname`.
    ///
    /// # Errors
    ///
    /// When the mesh has no such service.
    pub fn service_mut(&mut self, key: &str) -> Result<&mut Value> {
        self.services
            .get_mut(key)
            .with_context(|| format!("no service {key} in the mesh"))
    }

    /// A service's addresses; those of a service without one of each family are not told.
    pub fn vip(&self, namespace: &str, name: &str) -> Option<Addresses> {
        let service = self
            .services
            .values()
            .find(|service| service["name"] == name && service["namespace"] == namespace)?;
        let vips: Vec<_> = service["vips"]
            .as_array()?
            .iter()
            .filter_map(|vip| vip.as_str()?.split_once('/'))
            .collect();
        Some(Addresses {
            ip4: vips.iter().find_map(|(_, ip)| ip.parse().ok())?,
            ip6: vips.iter().find_map(|(_, ip)| ip.parse().ok())?,
        })
    }

    pub(crate) fn workloads(&self) -> impl Iterator<Item = &Value> {
        self.workloads.values()
    }

    pub(crate) fn services(&self) -> impl Iterator<Item = &Value> {
        self.services.values()
    }

    pub(crate) fn policies(&self) -> impl Iterator<Item = &Value> {
        self.policies.iter()
    }

    /// The file's text: YAML in flow style, port numbers as numbers.
    pub fn to_yaml(&self) -> String {
        let whole = json!({
            "workloads": self.workloads.values().collect::<Vec<_>>(),
            "services": self.services.values().collect::<Vec<_>>(),
            "policies": self.policies,
        });
        let mut text = String::new();
        write_value(&mut text, &whole, 0);
        text.push('\n');
        text
    }

    /// Writes the file, whole or not at all: a reader never sees half of it.
    ///
    /// # Errors
    ///
    /// When the folder cannot be written to.
    pub fn write(&self, path: &Path) -> Result<()> {
        write_whole(path, &self.to_yaml())
    }
}

/// Replaces a file in one step.
pub(crate) fn write_whole(path: &Path, text: &str) -> Result<()> {
    let young = path.with_extension("new");
    fs::write(&young, text).with_context(|| format!("write {}", young.display()))?;
    fs::rename(&young, path).with_context(|| format!("replace {}", path.display()))
}

/// JSON is YAML, except that JSON has no integer keys: those are written bare.
fn write_value(text: &mut String, value: &Value, depth: usize) {
    let inner = "  ".repeat(depth + 1);
    let outer = "  ".repeat(depth);
    match value {
        Value::Object(map) if !map.is_empty() => {
            let mut separator = "{";
            for (key, value) in map {
                let bare = key.parse::<u16>().is_ok();
                let key = if bare {
                    key.clone()
                } else {
                    Value::from(key.as_str()).to_string()
                };
                let _ = write!(text, "{separator}\n{inner}{key}: ");
                write_value(text, value, depth + 1);
                separator = ",";
            }
            let _ = write!(text, "\n{outer}}}");
        }
        Value::Array(values) if !values.is_empty() => {
            let mut separator = "[";
            for value in values {
                let _ = write!(text, "{separator}\n{inner}");
                write_value(text, value, depth + 1);
                separator = ",";
            }
            let _ = write!(text, "\n{outer}]");
        }
        Value::Object(_)
        | Value::Array(_)
        | Value::Null
        | Value::Bool(_)
        | Value::Number(_)
        | Value::String(_) => {
            let _ = write!(text, "{value}");
        }
    }
}
