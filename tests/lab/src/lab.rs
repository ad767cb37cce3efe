//! The lab itself: built, changed while it runs, gone without a trace when dropped.
//!
//! [`builder`] builds it, [`proxy`] starts its ztunnels and waypoints.

mod builder;
mod config;
mod proxy;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context as _, Result, bail};
use parking_lot::Mutex;
use wire::zds::PodInfo;

use crate::agent::Handover;
use crate::ca::Ca;
use crate::controller::Controller;
use crate::machine::Machine;
use crate::manifests;
use crate::mesh::{self, Mesh};
use crate::pod::{Node, Pod, PodSpec};
use crate::rules::{Capture, DnsCapture};
use crate::run::Run;
use crate::topology::{self, Addresses};

pub use self::builder::Builder;
pub use self::config::Config;
pub use self::proxy::{GATEWAY_NAME, Start};

/// Two nodes, their pods, perhaps a host outside. Dropping it ends every program in it and removes
/// everything that carries its name.
#[derive(Debug)]
pub struct Lab {
    run: Arc<Run>,
    capture: Capture,
    dns: DnsCapture,
    nodes: [Node; 2],
    outside: Option<Machine>,
    pods: Mutex<BTreeMap<String, Arc<Pod>>>,
    mesh: Mutex<Mesh>,
    ca: Ca,
    config: Config,
    /// Whether the controller has a root of its own, and not the lab's authority.
    own_root: bool,
    /// How often the manifests were published.
    version: AtomicU64,
    control: Arc<Machine>,
    controller: Mutex<Option<Arc<Controller>>>,
}

impl Lab {
    /// The run's name: part of every namespace, cgroup and folder of this lab.
    pub fn name(&self) -> &str {
        self.run.name()
    }

    /// The run's folder: configuration, logs, captures. Gone with the lab.
    pub fn folder(&self) -> &Path {
        self.run.folder()
    }

    /// How pods are captured.
    pub fn capture(&self) -> Capture {
        self.capture
    }

    /// A node, 0 or 1.
    ///
    /// # Panics
    ///
    /// When there is no such node.
    pub fn node(&self, index: usize) -> &Node {
        &self.nodes[index]
    }

    /// A pod.
    ///
    /// # Panics
    ///
    /// When there is none of that name; see [`Lab::find_pod`].
    #[expect(clippy::panic, reason = "a wrong name is a mistake in the test itself")]
    pub fn pod(&self, name: &str) -> Arc<Pod> {
        self.find_pod(name)
            .unwrap_or_else(|error| panic!("{error:#}"))
    }

    /// A pod, if there is one of that name.
    ///
    /// # Errors
    ///
    /// When there is none; the text lists those that are there.
    pub fn find_pod(&self, name: &str) -> Result<Arc<Pod>> {
        let pods = self.pods.lock();
        let pod = pods.get(name).map(Arc::clone);
        pod.with_context(|| {
            format!(
                "no pod {name}, there are {}",
                pods.keys().cloned().collect::<Vec<_>>().join(", ")
            )
        })
    }

    /// All pods, by name.
    pub fn pods(&self) -> Vec<Arc<Pod>> {
        self.pods.lock().values().map(Arc::clone).collect()
    }

    /// The host outside.
    ///
    /// # Panics
    ///
    /// When the lab was built without [`Builder::outside`].
    pub fn outside(&self) -> &Machine {
        self.outside
            .as_ref()
            .expect("the lab was built with an outside host")
    }

    /// The addresses of the host outside.
    pub fn outside_addresses(&self) -> Addresses {
        topology::outside()
    }

    /// The mesh's authority.
    pub fn ca(&self) -> &Ca {
        &self.ca
    }

    /// The mesh as it was last published, to be changed and published again.
    pub fn mesh(&self) -> Mesh {
        self.mesh.lock().clone()
    }

    /// The configuration file: `LOCAL_XDS_PATH`.
    pub fn mesh_path(&self) -> PathBuf {
        self.run.folder().join("mesh.yaml")
    }

    /// Writes the mesh to where the ztunnels' configuration comes from; it is read again.
    ///
    /// # Errors
    ///
    /// When it cannot be written, or holds what manifests cannot say (see [`Config`]).
    pub fn publish(&self, mesh: Mesh) -> Result<()> {
        let mut current = self.mesh.lock();
        match self.config {
            Config::Manifests => {
                let version = self.version.fetch_add(1, Ordering::AcqRel) + 1;
                manifests::write(&mesh, version, &self.manifests_path())?;
            }
            Config::File => mesh.write(&self.mesh_path())?,
        }
        *current = mesh;
        Ok(())
    }

    /// Changes the mesh and publishes it: `lab.change(|mesh| mesh.policy(json!(..)))`.
    ///
    /// # Errors
    ///
    /// When it cannot be written.
    pub fn change<T>(&self, change: impl FnOnce(&mut Mesh) -> T) -> Result<T> {
        let mut mesh = self.mesh();
        let value = change(&mut mesh);
        self.publish(mesh)?;
        Ok(value)
    }

    /// Writes any text as the configuration file, in one step; [`Lab::mesh`] stays what it was.
    ///
    /// # Errors
    ///
    /// When it cannot be written.
    pub fn publish_text(&self, text: &str) -> Result<()> {
        mesh::write_whole(&self.mesh_path(), text)
    }

    /// The addresses of a service in namespace `default` of the mesh as last published.
    ///
    /// # Panics
    ///
    /// When the mesh has no such service.
    pub fn vip(&self, service: &str) -> Addresses {
        self.mesh
            .lock()
            .vip("default", service)
            .expect("the mesh has that service in namespace default")
    }

    /// Adds a pod while the lab runs: made, published, captured and handed over (if its specification
    /// says enrolled). Returns when ztunnel has answered, or at once when none is connected.
    ///
    /// # Errors
    ///
    /// When the name is taken, the kernel refuses, or a connected ztunnel does not answer.
    pub fn add_pod(&self, spec: PodSpec) -> Result<Arc<Pod>> {
        let pod = self.create_pod(spec)?;
        let enrolled = self.enrols(&pod);
        self.change(|mesh| mesh.pod(&pod, enrolled))?;
        if enrolled {
            self.hand_over(&pod)?;
        }
        Ok(pod)
    }

    /// Removes a pod: taken back from ztunnel, its programs killed, its namespace deleted, unpublished.
    ///
    /// # Errors
    ///
    /// When there is none of that name or something of it cannot be removed.
    pub fn remove_pod(&self, name: &str) -> Result<()> {
        let pod = self.find_pod(name)?;
        self.nodes[pod.node()].agent().remove(pod.uid())?;
        self.pods.lock().remove(name);
        crate::cgroup::kill_and_remove(pod.group())?;
        topology::unwire_pod(&self.nodes[pod.node()], pod.host())?;
        crate::namespace::delete(&[self.run.namespace(name)])?;
        self.change(|mesh| mesh.remove_pod(name))
    }

    /// Brings a pod into the mesh: published as HBONE, captured, handed over.
    ///
    /// # Errors
    ///
    /// When the rules are refused or a connected ztunnel does not answer.
    pub fn enrol(&self, name: &str) -> Result<Handover> {
        let pod = self.find_pod(name)?;
        self.change(|mesh| mesh.pod(&pod, true))?;
        self.hand_over(&pod)
    }

    /// Takes a pod out of the mesh while it lives: ztunnel first, then the agent's rules, published as TCP.
    ///
    /// # Errors
    ///
    /// When a connected ztunnel does not answer or the rules stay.
    pub fn unenrol(&self, name: &str) -> Result<()> {
        let pod = self.find_pod(name)?;
        self.nodes[pod.node()].agent().remove(pod.uid())?;
        pod.remove_rules(self.dns)?;
        self.change(|mesh| mesh.pod(&pod, false))
    }

    /// Runs a test's body; if it returns an error, prints the ends of the proxies' logs, which go with the
    /// lab. A panic does the same without this.
    ///
    /// # Errors
    ///
    /// The body's.
    pub fn scenario<T>(&self, body: impl FnOnce() -> Result<T>) -> Result<T> {
        body().inspect_err(|_| self.tell_logs())
    }

    /// Removes the lab and says if something stayed; dropping it does the same silently.
    ///
    /// # Errors
    ///
    /// The first thing that could not be removed.
    pub fn down(self) -> Result<()> {
        self.run.remove()
    }

    fn enrols(&self, pod: &Pod) -> bool {
        pod.spec().enrolled && self.capture != Capture::None
    }

    fn create_pod(&self, spec: PodSpec) -> Result<Arc<Pod>> {
        let mut pods = self.pods.lock();
        let taken = pods.contains_key(&spec.name)
            || ["node1", "node2", "outside", "control"].contains(&spec.name.as_str());
        if taken {
            bail!("pod {}: the name is taken", spec.name);
        }
        let node = self
            .nodes
            .get(spec.node)
            .with_context(|| format!("pod {}: no node {}", spec.name, spec.node))?;
        let pod = Arc::new(Pod::create(node, spec)?);
        pods.insert(pod.name().to_owned(), Arc::clone(&pod));
        Ok(pod)
    }

    fn hand_over(&self, pod: &Arc<Pod>) -> Result<Handover> {
        pod.write_rules(self.capture, self.dns)
            .with_context(|| format!("rules of pod {}", pod.name()))?;
        let spec = pod.spec();
        let info = PodInfo {
            name: spec.name.clone(),
            namespace: spec.namespace.clone(),
            service_account: spec.service_account.clone(),
        };
        self.nodes[pod.node()]
            .agent()
            .add(pod.uid(), info, Arc::clone(pod.netns()))
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.tell_logs();
        }
        // A drop cannot fail; `lab clean` finds what stayed.
        let _ = self.run.remove();
    }
}

impl Lab {
    /// A test has failed and its logs are about to go: the ends of them are often the reason.
    #[expect(
        clippy::print_stderr,
        reason = "a failing test's output, shown by the test harness"
    )]
    fn tell_logs(&self) {
        let waypoints: Vec<_> = self
            .pods()
            .into_iter()
            .filter(|pod| pod.spec().label_value(GATEWAY_NAME).is_some())
            .collect();
        for machine in self
            .nodes
            .iter()
            .map(|node| &**node)
            .chain([&*self.control])
            .chain(waypoints.iter().map(|pod| &***pod))
        {
            let Ok(entries) = std::fs::read_dir(machine.folder()) else {
                continue;
            };
            let mut logs: Vec<_> = entries
                .filter_map(|entry| Some(entry.ok()?.path()))
                .collect();
            logs.retain(|path| path.extension().is_some_and(|extension| extension == "log"));
            logs.sort();
            for log in logs {
                let text = std::fs::read(&log)
                    .map(|text| String::from_utf8_lossy(&text).into_owned())
                    .unwrap_or_default();
                eprintln!(
                    "---- {} of lab {} ends with\n{}",
                    log.display(),
                    self.name(),
                    crate::process::tail(&text, 60)
                );
            }
        }
        for node in &self.nodes {
            for failure in node.agent().failures() {
                eprintln!("---- agent of {}: {failure}", node.name());
            }
        }
    }
}
