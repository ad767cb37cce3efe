//! Building a lab: machines, wires, agents, authority, mesh; what was made goes if a step fails.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use anyhow::{Context as _, Result, bail};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use parking_lot::Mutex;

use super::{Config, Lab};
use crate::agent::Agent;
use crate::ca::Ca;
use crate::machine::Machine;
use crate::mesh::{Mesh, ServiceSpec};
use crate::pod::{Node, PodSpec};
use crate::rules::{Capture, DnsCapture};
use crate::run::state::State;
use crate::run::{Naming, Run};
use crate::topology::{self, Addresses};

/// What a lab is to be. See [`Lab::builder`].
#[derive(Clone, Debug)]
pub struct Builder {
    name: String,
    naming: Naming,
    pods: Vec<PodSpec>,
    services: Vec<ServiceSpec>,
    policies: Vec<serde_json::Value>,
    capture: Capture,
    dns: DnsCapture,
    outside: bool,
    config: Config,
    own_root: bool,
}

impl Lab {
    /// Begins a lab; `name` is for people, the run's name is made unique.
    pub fn builder(name: impl Into<String>) -> Builder {
        Builder {
            name: name.into(),
            naming: Naming::Unique,
            pods: Vec::new(),
            services: Vec::new(),
            policies: Vec::new(),
            capture: Capture::Agent,
            dns: DnsCapture::Off,
            outside: false,
            config: Config::default(),
            own_root: false,
        }
    }

    fn write_state(&self, by_hand: bool) -> Result<()> {
        let mut state = State::begin(self.run.name(), self.run.group())?;
        state.by_hand = by_hand;
        let text = |addresses: Addresses| addresses.both().map(|ip| ip.to_string()).to_vec();
        for node in &self.nodes {
            state
                .machines
                .insert(node.name().to_owned(), text(node.addresses()));
        }
        for pod in self.pods() {
            state
                .machines
                .insert(pod.name().to_owned(), text(pod.addresses()));
        }
        if self.outside.is_some() {
            state
                .machines
                .insert("outside".to_owned(), text(topology::outside()));
        }
        state.write(self.run.folder())
    }
}

impl Builder {
    /// Adds a pod.
    #[must_use]
    pub fn pod(mut self, pod: PodSpec) -> Self {
        self.pods.push(pod);
        self
    }

    /// Adds a service; its addresses are `lab.vip(name)`.
    #[must_use]
    pub fn service(mut self, service: ServiceSpec) -> Self {
        self.services.push(service);
        self
    }

    /// Adds a policy, as in [`Mesh::policy`].
    #[must_use]
    pub fn policy(mut self, policy: serde_json::Value) -> Self {
        self.policies.push(policy);
        self
    }

    /// Who makes the rules; [`Capture::Agent`] unless set. With [`Capture::None`] nothing is enrolled.
    #[must_use]
    pub fn capture(mut self, capture: Capture) -> Self {
        self.capture = capture;
        self
    }

    /// Whether port 53 is captured; not unless set.
    #[must_use]
    pub fn dns_capture(mut self, dns: DnsCapture) -> Self {
        self.dns = dns;
        self
    }

    /// Adds a third machine that no mesh knows, reachable from both nodes.
    #[must_use]
    pub fn outside(mut self) -> Self {
        self.outside = true;
        self
    }

    /// Where configuration comes from; [`Config::Manifests`] unless set.
    #[must_use]
    pub fn config(mut self, config: Config) -> Self {
        self.config = config;
        self
    }

    /// The controller signs with a root of its own, and not with [`Lab::ca`].
    #[must_use]
    pub fn own_root(mut self) -> Self {
        self.own_root = true;
        self
    }

    /// Takes the name as it is: the lab of a person, not of a suite.
    #[must_use]
    pub(crate) fn by_hand(mut self) -> Self {
        self.naming = Naming::Exact;
        self
    }

    /// Builds it.
    ///
    /// # Errors
    ///
    /// When a name is taken or invalid, or the kernel refuses. What was made until then is removed.
    pub fn build(self) -> Result<Lab> {
        if let Some(obstacle) = crate::namespace::obstacle() {
            bail!("a lab cannot be built: {obstacle}");
        }
        raise_file_limit();
        let run = Run::claim(&self.name, self.naming, self.capture.may_be_in_kernel())?;
        let built = self.build_in(&run);
        if built.is_err() {
            // The first error is the one to tell.
            let _ = run.remove();
        }
        built
    }

    fn build_in(self, run: &Arc<Run>) -> Result<Lab> {
        let machines = [
            Machine::create(run, "node1")?,
            Machine::create(run, "node2")?,
        ];
        topology::wire_nodes([&machines[0], &machines[1]])?;
        let outside = if self.outside {
            let outside = Machine::create(run, "outside")?;
            topology::wire_outside([&machines[0], &machines[1]], &outside)?;
            Some(outside)
        } else {
            None
        };
        let control = Machine::create(run, "control")?;
        topology::wire_control([&machines[0], &machines[1]], &control)?;
        let [first, second] = machines;
        let node = |machine: Machine, index: usize| -> Result<Node> {
            machine.set_resolver(&format!("nameserver {}\n", topology::outside().ip4))?;
            let agent = Agent::listen(run.folder().join(format!("{}.sock", machine.name())))?;
            Ok(Node::new(machine, index, agent))
        };
        let lab = Lab {
            capture: self.capture,
            dns: self.dns,
            nodes: [node(first, 0)?, node(second, 1)?],
            outside,
            pods: Mutex::default(),
            mesh: Mutex::default(),
            ca: Ca::create(run.folder(), "ca")?,
            config: self.config,
            own_root: self.own_root,
            version: AtomicU64::new(0),
            control: Arc::new(control),
            controller: Mutex::default(),
            run: Arc::clone(run),
        };
        let mut mesh = Mesh::default();
        for spec in self.pods {
            let pod = lab.create_pod(spec)?;
            mesh.pod(&pod, lab.enrols(&pod));
        }
        for service in &self.services {
            for backend in &service.backends {
                lab.find_pod(backend)
                    .with_context(|| format!("service {}", service.name))?;
            }
            mesh.service(service);
        }
        for policy in self.policies {
            mesh.policy(policy);
        }
        lab.publish(mesh)?;
        lab.write_state(self.naming == Naming::Exact)?;
        for pod in lab.pods() {
            if lab.enrols(&pod) {
                lab.hand_over(&pod)?;
            }
        }
        Ok(lab)
    }
}

/// A thousand connections need more than the usual soft limit; programs inherit it.
fn raise_file_limit() {
    if let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE)
        && soft < hard
    {
        // Without it only the largest tests fail, and they say so.
        let _ = setrlimit(Resource::RLIMIT_NOFILE, hard, hard);
    }
}
