//! Pods and nodes: machines with an identity.

use std::ops::Deref;
use std::path::Path;
use std::sync::Arc;

use anyhow::Result;
use parking_lot::Mutex;

use crate::agent::Agent;
use crate::machine::Machine;
use crate::rules::Capture;
use crate::topology::Addresses;
use crate::{rules, topology};

/// A pod to be made.
///
/// ```
/// use lab::PodSpec;
/// let pod = PodSpec::new("reviews").node(1).namespace("shop").label("app", "reviews").label("version", "v2");
/// assert_eq!(pod.service_account, "reviews");
/// ```
#[derive(Clone, Debug)]
pub struct PodSpec {
    /// Its name, unique in the lab: letters, digits, `-`, `.`.
    pub name: String,
    /// Its node, 0 or 1.
    pub node: usize,
    /// Its Kubernetes namespace; `default` unless set.
    pub namespace: String,
    /// Its service account; its name unless set.
    pub service_account: String,
    /// Its labels; `app` and `version` become the canonical service and revision.
    pub labels: Vec<(String, String)>,
    /// Whether it is in the mesh from the start; yes unless set.
    pub enrolled: bool,
}

impl PodSpec {
    /// A pod on node 0, enrolled, in namespace `default`, its service account named like it.
    pub fn new(name: impl Into<String>) -> Self {
        let name = name.into();
        Self {
            service_account: name.clone(),
            name,
            node: 0,
            namespace: "default".to_owned(),
            labels: Vec::new(),
            enrolled: true,
        }
    }

    /// Puts it on a node, 0 or 1.
    #[must_use]
    pub fn node(mut self, node: usize) -> Self {
        self.node = node;
        self
    }

    /// Sets its Kubernetes namespace.
    #[must_use]
    pub fn namespace(mut self, namespace: impl Into<String>) -> Self {
        self.namespace = namespace.into();
        self
    }

    /// Sets its service account.
    #[must_use]
    pub fn service_account(mut self, service_account: impl Into<String>) -> Self {
        self.service_account = service_account.into();
        self
    }

    /// Adds a label.
    #[must_use]
    pub fn label(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.labels.push((key.into(), value.into()));
        self
    }

    /// Leaves it outside the mesh until [`crate::Lab::enrol`].
    #[must_use]
    pub fn not_enrolled(mut self) -> Self {
        self.enrolled = false;
        self
    }

    pub(crate) fn label_value(&self, key: &str) -> Option<&str> {
        self.labels
            .iter()
            .find(|(name, _)| name == key)
            .map(|(_, value)| value.as_str())
    }
}

/// A pod that stands. Dereferences to [`Machine`]: `pod.exec(..)`, `pod.spawn(..)`, `pod.run(..)`.
#[derive(Debug)]
pub struct Pod {
    machine: Machine,
    spec: PodSpec,
    addresses: Addresses,
    host: u8,
    uid: String,
    ruled: Mutex<bool>,
}

impl Pod {
    /// Makes the machine and wires it.
    pub(crate) fn create(node: &Node, spec: PodSpec) -> Result<Self> {
        let host = node.claim_host()?;
        let machine = Machine::create(node.run_of(), &spec.name)?;
        topology::wire_pod(node, node.index(), &machine, host)?;
        machine.set_resolver(&format!(
            "nameserver 10.96.0.10\nsearch {}.svc.cluster.local svc.cluster.local cluster.local\noptions ndots:5 timeout:2 attempts:2\n",
            spec.namespace
        ))?;
        let uid = format!("uid-{}-{host}-{}", spec.name, node.run_of().serial());
        let addresses = topology::pod(node.index(), host);
        Ok(Self {
            machine,
            spec,
            addresses,
            host,
            uid,
            ruled: Mutex::new(false),
        })
    }

    /// Its specification.
    pub fn spec(&self) -> &PodSpec {
        &self.spec
    }

    /// Its node, 0 or 1.
    pub fn node(&self) -> usize {
        self.spec.node
    }

    /// Its addresses.
    pub fn addresses(&self) -> Addresses {
        self.addresses
    }

    /// Its IPv4 address.
    pub fn ip4(&self) -> std::net::Ipv4Addr {
        self.addresses.ip4
    }

    /// Its IPv6 address.
    pub fn ip6(&self) -> std::net::Ipv6Addr {
        self.addresses.ip6
    }

    /// Its `metadata.uid`, as ZDS names it; no other pod of the lab ever has the same.
    pub fn uid(&self) -> &str {
        &self.uid
    }

    /// Its identity in trust domain `cluster.local`.
    pub fn identity(&self) -> String {
        format!(
            "spiffe://cluster.local/ns/{}/sa/{}",
            self.spec.namespace, self.spec.service_account
        )
    }

    pub(crate) fn host(&self) -> u8 {
        self.host
    }

    /// Writes the agent's rules, if the lab's agent is the one who writes them. Twice is once.
    pub(crate) fn write_rules(&self, capture: Capture, dns: rules::DnsCapture) -> Result<()> {
        let mut ruled = self.ruled.lock();
        if capture == Capture::Agent && !*ruled {
            rules::write(&self.machine, dns)?;
            *ruled = true;
        }
        Ok(())
    }

    /// Takes the agent's rules back.
    pub(crate) fn remove_rules(&self, dns: rules::DnsCapture) -> Result<()> {
        let mut ruled = self.ruled.lock();
        if *ruled {
            rules::remove(&self.machine, dns)?;
            *ruled = false;
        }
        Ok(())
    }
}

impl Deref for Pod {
    type Target = Machine;
    fn deref(&self) -> &Machine {
        &self.machine
    }
}

/// A node: a router, the place of its ztunnel, and the agent that hands pods to it.
#[derive(Debug)]
pub struct Node {
    machine: Arc<Machine>,
    index: usize,
    agent: Agent,
    next_host: Mutex<u8>,
}

impl Node {
    pub(crate) fn new(machine: Machine, index: usize, agent: Agent) -> Self {
        Self {
            machine: Arc::new(machine),
            index,
            agent,
            next_host: Mutex::new(topology::FIRST_POD),
        }
    }

    /// 0 or 1.
    pub fn index(&self) -> usize {
        self.index
    }

    /// Its addresses on the link between the nodes.
    pub fn addresses(&self) -> Addresses {
        topology::node(self.index)
    }

    /// Its agent: ZDS.
    pub fn agent(&self) -> &Agent {
        &self.agent
    }

    /// The agent's socket: `INPOD_UDS`.
    pub fn socket(&self) -> &Path {
        self.agent.path()
    }

    pub(crate) fn machine(&self) -> &Arc<Machine> {
        &self.machine
    }

    /// Makes the node's own connections to its pods look like a kubelet's probes, as the cluster's
    /// agent does in the host namespace. Source: CAP-06.
    ///
    /// # Errors
    ///
    /// When the rule is refused.
    pub fn snat_probes(&self) -> Result<()> {
        rules::snat_probes(&self.machine)
    }

    /// Addresses are never used twice in a lab, so that a late packet meets nobody.
    fn claim_host(&self) -> Result<u8> {
        let mut next = self.next_host.lock();
        if *next > topology::LAST_POD {
            anyhow::bail!(
                "node {} has had {} pods, its address range is used up",
                self.index,
                topology::LAST_POD
            );
        }
        let host = *next;
        *next += 1;
        Ok(host)
    }
}

impl Deref for Node {
    type Target = Machine;
    fn deref(&self) -> &Machine {
        &self.machine
    }
}
