//! Starting a lab's ztunnels, with the environment that their names have everywhere.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::Path;

use anyhow::Result;

use super::{Config, Lab};
use crate::mesh::{CLUSTER, TRUST_DOMAIN};
use crate::rules::DnsCapture;
use crate::ztunnel::{self, Ztunnel};

/// How a ztunnel is started.
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
        // What the caller sets for measuring reaches the measured.
        for name in ["GLIBC_TUNABLES", "LLVM_PROFILE_FILE", "MALLOC_CONF"] {
            if let Ok(value) = std::env::var(name) {
                env.insert(name.to_owned(), value);
            }
        }
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
        let mut env = self.ztunnel_env(node)?;
        for (name, value) in &start.env {
            match value {
                Some(value) => env.insert(name.clone(), value.clone()),
                None => env.remove(name),
            };
        }
        let line = match &start.line {
            Some(line) => line.clone(),
            None => vec![ztunnel::binary()?.into_os_string()],
        };
        Ztunnel::start(self.nodes[node].machine(), line, env)
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
