//! What is measured: a lab of its own, with or without ztunnels, and a server in it.
//!
//! In: a [`Spec`]. Out: a client pod and a server, with a path between them that has proved to be what it claims.
//! Never: a namespace, tunnel, process or certificate that two subjects share.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use lab::{Lab, Pod, PodSpec, Start, Ztunnel, eventually, until};

use crate::load::{STALL, idle, server::Server};
use crate::spec::{Place, Spec, Way};
use crate::{policies, tunables};

mod proof;

/// The name of raw TCP.
pub(crate) const RAW: &str = "raw";

/// The name of our own ztunnel.
pub(crate) const OURS: &str = "ambit";

/// Settings of both ends of every subject: a client that opens and closes thousands of connections per
/// second would otherwise run out of ports that wait for late packets, with raw TCP first of all.
const SYSCTLS: [(&str, &str); 2] = [
    ("net.ipv4.tcp_tw_reuse", "1"),
    ("net.ipv4.ip_local_port_range", "16384 65535"),
];

/// How long the first request may take to get through.
const DEADLINE_FIRST: Duration = Duration::from_secs(15);

/// A subject, or why there is none.
#[derive(Debug)]
pub(crate) enum Built {
    /// It is ready.
    Ready(Box<Subject>),
    /// It cannot be had on this machine.
    Skipped(String),
}

/// One subject, ready to be loaded. Fields are dropped in this order: the lab last.
#[derive(Debug)]
pub(crate) struct Subject {
    /// What it is.
    pub(crate) spec: Spec,
    /// Its server.
    pub(crate) server: Server,
    /// The ztunnels on the path: the client's node's, then the server's node's if that is another. None for raw TCP.
    pub(crate) ztunnels: Vec<Ztunnel>,
    /// The pod that loads.
    pub(crate) client: Arc<Pod>,
    /// The server's address.
    pub(crate) ip: IpAddr,
    _lab: Lab,
}

impl Subject {
    /// Builds it and has it prove itself.
    ///
    /// # Errors
    ///
    /// When the lab cannot be built, a program does not start, a request does not get through, or takes another path.
    pub(crate) fn build(spec: Spec) -> Result<Built> {
        let name = spec.name.clone();
        Self::attempt(spec).with_context(|| format!("subject {name}"))
    }

    fn attempt(spec: Spec) -> Result<Built> {
        let capture = match &spec.way {
            Way::Raw => lab::Capture::None,
            Way::Ztunnels { capturer, .. } => capturer.of_lab(),
        };
        let mut builder = Lab::builder(format!("bench_{}", spec.name))
            .pod(PodSpec::new("client"))
            .capture(capture)
            .config(spec.config());
        builder = match spec.place {
            Place::Nodes => builder.pod(PodSpec::new("server").node(1)),
            Place::Node => builder.pod(PodSpec::new("server")),
            Place::Outside => builder.outside(),
        };
        for policy in policies::mixture(spec.policies.unwrap_or(0)) {
            builder = builder.policy(policy);
        }
        let lab = builder.build()?;
        let client = lab.pod("client");
        client.sysctl(&SYSCTLS)?;
        let (ip, server) = match spec.place {
            Place::Outside => {
                let ip = IpAddr::from(lab.outside_addresses().ip4);
                lab.outside().sysctl(&SYSCTLS)?;
                (ip, Server::start(lab.outside(), ip)?)
            }
            Place::Nodes | Place::Node => {
                let pod = lab.pod("server");
                pod.sysctl(&SYSCTLS)?;
                let ip = IpAddr::from(pod.ip4());
                (ip, Server::start(&pod, ip)?)
            }
        };
        let subject = Self {
            ztunnels: start(&lab, &spec)?,
            spec,
            server,
            client,
            ip,
            _lab: lab,
        };
        if let Some(reason) = subject.obstacle()? {
            return Ok(Built::Skipped(reason));
        }
        subject.walk()?;
        Ok(Built::Ready(Box::new(subject)))
    }

    /// Its name in the table.
    pub(crate) fn name(&self) -> &str {
        &self.spec.name
    }

    /// Starts the ztunnels of all anew and waits until they carry requests.
    ///
    /// # Errors
    ///
    /// When one does not start again, nothing gets through, or by another path.
    pub(crate) fn renew_all(subjects: &[Self]) -> Result<()> {
        let ztunnels = || subjects.iter().flat_map(|subject| &subject.ztunnels);
        ztunnels().try_for_each(Ztunnel::restart)?;
        ztunnels().try_for_each(Ztunnel::wait_ready)?;
        for subject in subjects {
            subject
                .walk()
                .with_context(|| format!("subject {} in a new life", subject.name()))?;
        }
        Ok(())
    }

    /// Waits until a request gets through, and until what gets through takes the path that is claimed.
    ///
    /// # Errors
    ///
    /// When nothing gets through in time, or by another path.
    pub(crate) fn walk(&self) -> Result<()> {
        self.wait_path()?;
        self.prove()
    }

    /// Whether a request gets through; tries again while ztunnel takes its pods.
    ///
    /// # Errors
    ///
    /// When none does in time.
    fn wait_path(&self) -> Result<()> {
        let ip = self.ip;
        eventually(
            &format!("a request of {}", self.name()),
            DEADLINE_FIRST,
            || {
                self.client.run(|| idle::open(ip, 1))??;
                Ok(())
            },
        )
        .with_context(|| self.log_tails())
    }

    /// Waits until the server has no connection any more, so that nothing of a block reaches into the next.
    ///
    /// # Errors
    ///
    /// When one stays.
    pub(crate) fn wait_quiet(&self) -> Result<()> {
        let served = self.server.served();
        until(
            &format!("the end of all connections of {}", self.name()),
            STALL + Duration::from_secs(5),
            || served.active() == 0,
        )
    }

    /// The ends of the ztunnels' logs, for an error.
    pub(crate) fn log_tails(&self) -> String {
        if self.ztunnels.is_empty() {
            return "no ztunnel".to_owned();
        }
        let tails: Vec<String> = self.ztunnels.iter().map(Ztunnel::log_tail).collect();
        format!(
            "the ztunnels' logs end with\n{}",
            tails.join("\n---- and\n")
        )
    }
}

/// The ztunnels that are on the path, ready.
fn start(lab: &Lab, spec: &Spec) -> Result<Vec<Ztunnel>> {
    let Way::Ztunnels {
        words, same_node, ..
    } = &spec.way
    else {
        return Ok(Vec::new());
    };
    let mut start = Start::default()
        .program(words)
        .env(tunables::NAME, tunables::current());
    match spec.place {
        Place::Nodes => return Ok(Vec::from(lab.start_ztunnels(&start)?)),
        Place::Node => start = start.env("SAME_NODE", same_node.variable()),
        Place::Outside => {}
    }
    Ok(vec![lab.start_ztunnel(0, &start)?])
}
