//! Starting a lab's ztunnels and waypoints, with the environment that their names have everywhere.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, Result};

use super::{Config, Lab};
use crate::mesh::{CLUSTER, TRUST_DOMAIN};
use crate::pod::Pod;
use crate::proxy::{Place, Program, Waypoint, Ztunnel};
use crate::rules::DnsCapture;

/// The label of a waypoint's pods that names its Gateway.
pub const GATEWAY_NAME: &str = "gateway.networking.k8s.io/gateway-name";

/// How a proxy is started.
///
/// ```
/// use lab::Start;
/// let start = Start::default().env("RUST_LOG", "debug").env("SECRET_TTL", "10s");
/// ```
#[derive(Clone, Debug, Default)]
pub struct Start {
    line: Option<Vec<OsString>>,
    env: BTreeMap<String, Option<String>>,
}

impl Start {
    /// Another program in its place, with arguments; for comparisons.
    #[must_use]
    pub fn program(mut self, line: impl IntoIterator<Item = impl Into<OsString>>) -> Self {
        self.line = Some(line.into_iter().map(Into::into).collect());
        self
    }

    /// Sets or replaces a variable.
    #[must_use]
    pub fn env(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.env.insert(name.into(), Some(value.into()));
        self
    }

    /// Takes a variable away.
    #[must_use]
    pub fn env_remove(mut self, name: impl Into<String>) -> Self {
        self.env.insert(name.into(), None);
        self
    }

    fn launch(
        &self,
        program: Program,
        place: Place,
        mut env: BTreeMap<String, String>,
    ) -> Result<crate::proxy::Proxy> {
        for (name, value) in &self.env {
            match value {
                Some(value) => env.insert(name.clone(), value.clone()),
                None => env.remove(name),
            };
        }
        let line = match &self.line {
            Some(line) => line.clone(),
            None => vec![program.binary()?.into_os_string()],
        };
        crate::proxy::Proxy::start(program, place, line, env)
    }
}

/// What the caller sets for measuring reaches the measured.
fn inherit(env: &mut BTreeMap<String, String>) {
    for name in ["GLIBC_TUNABLES", "LLVM_PROFILE_FILE", "MALLOC_CONF"] {
        if let Ok(value) = std::env::var(name) {
            env.insert(name.to_owned(), value);
        }
    }
}

impl Lab {
    /// The environment of a node's ztunnel, before a test's changes.
    ///
    /// # Errors
    ///
    /// When the controller that it names does not start.
    pub fn ztunnel_env(&self, node: usize) -> Result<BTreeMap<String, String>> {
        let text = |path: &Path| path.display().to_string();
        let index = node;
        let node = &self.nodes[node];
        let mut env: BTreeMap<String, String> = [
            ("NODE_NAME", node.name().to_owned()),
            ("INPOD_UDS", text(node.socket())),
            ("TRUST_DOMAIN", TRUST_DOMAIN.to_owned()),
            ("CLUSTER_ID", CLUSTER.to_owned()),
            ("CAPTURE", self.capture.as_env().to_owned()),
            ("PIN_PATH", text(&self.run.pins(node.name()))),
            ("DNS_CAPTURE", (self.dns == DnsCapture::On).to_string()),
            ("IPV6_ENABLED", "true".to_owned()),
            ("ZTUNNEL_WORKER_THREADS", "2".to_owned()),
            ("RUST_LOG", "info".to_owned()),
            ("LOG_FORMAT", "plain".to_owned()),
            ("RUST_BACKTRACE", "1".to_owned()),
        ]
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect();
        if let Some(group) = self.run.shared_group() {
            env.insert("CGROUP_PATH".to_owned(), text(group));
        }
        let more: Vec<(&str, String)> = match self.config {
            Config::File => vec![
                ("LOCAL_XDS_PATH", text(&self.mesh_path())),
                ("XDS_ADDRESS", String::new()),
                ("FILE_CA_CERT", text(self.ca.cert_path())),
                ("FILE_CA_KEY", text(self.ca.key_path())),
            ],
            Config::Manifests => {
                let controller = self.controller()?;
                vec![
                    ("XDS_ADDRESS", controller.address(index)),
                    ("CA_ADDRESS", controller.address(index)),
                    ("XDS_ROOT_CA", text(&controller.root())),
                    ("CA_ROOT_CA", text(&controller.root())),
                    ("AUTH_TOKEN", text(&self.token_path(node.name()))),
                    ("POD_NAME", format!("ztunnel-{}", node.name())),
                    ("POD_NAMESPACE", "istio-system".to_owned()),
                    ("INSTANCE_IP", node.addresses().ip4.to_string()),
                ]
            }
        };
        env.extend(
            more.into_iter()
                .map(|(name, value)| (name.to_owned(), value)),
        );
        inherit(&mut env);
        Ok(env)
    }

    /// Starts a node's ztunnel in the node's namespace and waits until it is ready.
    ///
    /// # Errors
    ///
    /// When it cannot be started, ends, or is not ready in time; the text holds the end of its log.
    pub fn start_ztunnel(&self, node: usize, start: &Start) -> Result<Ztunnel> {
        let ztunnel = self.spawn_ztunnel(node, start)?;
        ztunnel.wait_ready()?;
        Ok(ztunnel)
    }

    /// Starts a node's ztunnel and does not wait: for those that are to refuse their environment.
    ///
    /// # Errors
    ///
    /// When it cannot be started.
    pub fn spawn_ztunnel(&self, node: usize, start: &Start) -> Result<Ztunnel> {
        let place = Place::Node(Arc::clone(self.nodes[node].machine()));
        start.launch(Program::Ztunnel, place, self.ztunnel_env(node)?)
    }

    /// The environment of a waypoint in a pod, before a test's changes. Only with [`Config::Manifests`].
    ///
    /// # Errors
    ///
    /// When the pod has no label that names its Gateway, or the controller does not start.
    pub fn waypoint_env(&self, pod: &Pod) -> Result<BTreeMap<String, String>> {
        let text = |path: &Path| path.display().to_string();
        let spec = pod.spec();
        let gateway = spec
            .label_value(GATEWAY_NAME)
            .with_context(|| format!("pod {}: no label {GATEWAY_NAME}", spec.name))?;
        let controller = self.controller()?;
        let token = self.token_path(&spec.name);
        let account = &spec.service_account;
        std::fs::write(&token, controller.token(&spec.namespace, account, None)?)
            .context("write the token of a waypoint")?;
        let env = [
            ("GATEWAY", gateway.to_owned()),
            ("NAMESPACE", spec.namespace.clone()),
            ("SERVICE_ACCOUNT", account.clone()),
            ("POD_NAME", spec.name.clone()),
            ("INSTANCE_IP", pod.ip4().to_string()),
            ("NODE_NAME", self.nodes[pod.node()].name().to_owned()),
            ("CLUSTER_ID", CLUSTER.to_owned()),
            ("TRUST_DOMAIN", TRUST_DOMAIN.to_owned()),
            ("XDS_ADDRESS", controller.address(pod.node())),
            ("CA_ADDRESS", controller.address(pod.node())),
            ("XDS_ROOT_CA", text(&controller.root())),
            ("CA_ROOT_CA", text(&controller.root())),
            ("AUTH_TOKEN", text(&token)),
            ("WAYPOINT_WORKER_THREADS", "2".to_owned()),
            ("RUST_LOG", "info".to_owned()),
            ("LOG_FORMAT", "plain".to_owned()),
            ("RUST_BACKTRACE", "1".to_owned()),
        ];
        let mut env: BTreeMap<String, String> = env
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value))
            .collect();
        inherit(&mut env);
        Ok(env)
    }

    /// Starts a waypoint in its pod and waits until it is ready.
    ///
    /// # Errors
    ///
    /// When it cannot be started, ends, or is not ready in time; the text holds the end of its log.
    pub fn start_waypoint(&self, pod: &str, start: &Start) -> Result<Waypoint> {
        let waypoint = self.spawn_waypoint(pod, start)?;
        waypoint.wait_ready()?;
        Ok(waypoint)
    }

    /// Starts a waypoint in its pod and does not wait.
    ///
    /// # Errors
    ///
    /// When it cannot be started.
    pub fn spawn_waypoint(&self, pod: &str, start: &Start) -> Result<Waypoint> {
        let pod = self.find_pod(pod)?;
        let env = self.waypoint_env(&pod)?;
        start.launch(Program::Waypoint, Place::Pod(pod), env)
    }

    /// Starts both nodes' ztunnels and waits until both are ready.
    ///
    /// # Errors
    ///
    /// As [`Lab::start_ztunnel`].
    pub fn start_ztunnels(&self, start: &Start) -> Result<[Ztunnel; 2]> {
        let both = [self.spawn_ztunnel(0, start)?, self.spawn_ztunnel(1, start)?];
        for ztunnel in &both {
            ztunnel.wait_ready()?;
        }
        Ok(both)
    }
}
