//! Namespaces, nodes, service accounts and pods.

use std::{net::IpAddr, sync::Arc};

use super::Meta;

/// `v1/Namespace`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Namespace {
    /// `metadata`.
    pub meta: Meta,
}

/// `v1/Node`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Node {
    /// `metadata`; its labels say where it stands.
    pub meta: Meta,
}

/// `v1/ServiceAccount`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServiceAccount {
    /// `metadata`.
    pub meta: Meta,
}

/// `v1/Pod`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pod {
    /// `metadata`.
    pub meta: Meta,
    /// `spec.nodeName`; empty while it is not scheduled.
    pub node: Arc<str>,
    /// `spec.serviceAccountName`; `default` where a manifest has none.
    pub service_account: Arc<str>,
    /// `spec.hostNetwork`.
    pub host_network: bool,
    /// `spec.containers[].ports[]` (and those of init containers that restart always): where named target ports lead.
    pub ports: Vec<ContainerPort>,
    /// `status.podIPs`, or else `status.podIP`.
    pub ips: Vec<IpAddr>,
    /// `status.phase`; `Running` where a manifest has none.
    pub phase: Phase,
    /// The condition `Ready`; true where a manifest has none.
    pub ready: bool,
}

impl Default for Pod {
    fn default() -> Self {
        Self {
            meta: Meta::default(),
            node: Arc::default(),
            service_account: "default".into(),
            host_network: false,
            ports: Vec::new(),
            ips: Vec::new(),
            phase: Phase::Running,
            ready: true,
        }
    }
}

/// `spec.containers[].ports[]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContainerPort {
    /// `name`; may be empty.
    pub name: String,
    /// `containerPort`.
    pub port: u16,
    /// `protocol` is TCP, which it is where it is absent.
    pub tcp: bool,
}

/// `status.phase`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are the documentation")]
pub enum Phase {
    Pending,
    Running,
    Succeeded,
    Failed,
    Unknown,
}
