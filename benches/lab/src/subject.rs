//! What is measured: a lab of its own, with or without ztunnels, and a server in it.
//!
//! In: a program, or none for raw TCP. Out: a client pod on the first node, a server pod on the second.
//! Never: a namespace, tunnel, process or certificate that two subjects share.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use lab::{Capture, Lab, Pod, PodSpec, Start, Ztunnel, eventually, until};

use crate::arguments::Plan;
use crate::load::{STALL, idle, server::Server};
use crate::tunables;

/// The name of raw TCP.
pub(crate) const RAW: &str = "raw";

/// The name of our own ztunnel.
pub(crate) const OURS: &str = "ambit";

/// Settings of both pods of every subject: a client that opens and closes thousands of connections per
/// second would otherwise run out of ports that wait for late packets, with raw TCP first of all.
const SYSCTLS: [(&str, &str); 2] = [
    ("net.ipv4.tcp_tw_reuse", "1"),
    ("net.ipv4.ip_local_port_range", "16384 65535"),
];

/// How long the first request may take to get through.
const DEADLINE_FIRST: Duration = Duration::from_secs(15);

/// One subject, ready to be loaded. Fields are dropped in this order: the lab last.
#[derive(Debug)]
pub(crate) struct Subject {
    /// Its name in the table.
    pub(crate) name: String,
    /// What was started, for the reader.
    pub(crate) command: String,
    /// Its server.
    pub(crate) server: Server,
    /// The ztunnels of the client's node and of the server's; `None` for raw TCP.
    pub(crate) ztunnels: Option<[Ztunnel; 2]>,
    /// The pod that loads.
    pub(crate) client: Arc<Pod>,
    /// The server pod's address.
    pub(crate) ip: IpAddr,
    _lab: Lab,
}

impl Subject {
    /// All subjects of a plan: raw TCP, ours, the others.
    ///
    /// # Errors
    ///
    /// When a lab cannot be built, a program does not start, or a request does not get through.
    pub(crate) fn build_all(plan: &Plan) -> Result<Vec<Self>> {
        let ours = lab::Program::Ztunnel.binary()?.display().to_string();
        let mut subjects = vec![Self::build(RAW, None)?, Self::build(OURS, Some(&[ours]))?];
        for versus in &plan.versus {
            subjects.push(Self::build(&versus.name, Some(&versus.words))?);
        }
        Ok(subjects)
    }

    /// One subject: raw TCP without a command.
    ///
    /// # Errors
    ///
    /// As [`Subject::build_all`].
    pub(crate) fn build(name: &str, command: Option<&[String]>) -> Result<Self> {
        Self::attempt(name, command).with_context(|| format!("subject {name}"))
    }

    fn attempt(name: &str, command: Option<&[String]>) -> Result<Self> {
        let capture = if command.is_some() {
            Capture::Agent
        } else {
            Capture::None
        };
        let lab = Lab::builder(format!("bench_{name}"))
            .pod(PodSpec::new("client"))
            .pod(PodSpec::new("server").node(1))
            .capture(capture)
            .build()?;
        let (client, server) = (lab.pod("client"), lab.pod("server"));
        for pod in [&client, &server] {
            pod.sysctl(&SYSCTLS)?;
        }
        let ip = IpAddr::from(server.ip4());
        let server = Server::start(&server)?;
        let ztunnels = match command {
            None => None,
            Some(words) => {
                let start = Start::default()
                    .program(words)
                    .env(tunables::NAME, tunables::current());
                Some(lab.start_ztunnels(&start)?)
            }
        };
        let command = command.map_or_else(
            || "no ztunnel, pods not captured".to_owned(),
            |words| words.join(" "),
        );
        let subject = Self {
            name: name.to_owned(),
            command,
            server,
            ztunnels,
            client,
            ip,
            _lab: lab,
        };
        subject.wait_path()?;
        subject.prove()?;
        Ok(subject)
    }

    /// Starts the ztunnels anew and waits until they carry requests.
    ///
    /// # Errors
    ///
    /// When one does not start again or nothing gets through.
    pub(crate) fn renew(&self) -> Result<()> {
        let ztunnels = self.ztunnels.iter().flatten();
        ztunnels.clone().try_for_each(Ztunnel::restart)?;
        ztunnels.clone().try_for_each(Ztunnel::wait_ready)?;
        self.wait_path()
    }

    /// Whether a request gets through; tries again while ztunnel takes its pods.
    ///
    /// # Errors
    ///
    /// When none does in time.
    pub(crate) fn wait_path(&self) -> Result<()> {
        let ip = self.ip;
        eventually(
            &format!("a request of {}", self.name),
            DEADLINE_FIRST,
            || {
                self.client.run(|| idle::open(ip, 1))??;
                Ok(())
            },
        )
        .with_context(|| self.log_tails())
    }

    /// A subject with ztunnels is measured only if what it carries really goes through both, encrypted.
    fn prove(&self) -> Result<()> {
        let Some(ztunnels) = &self.ztunnels else {
            return Ok(());
        };
        for (ztunnel, reporter) in ztunnels.iter().zip(["source", "destination"]) {
            let labels = [
                ("reporter", reporter),
                ("connection_security_policy", "mutual_tls"),
            ];
            eventually(
                "the path leads through both ztunnels",
                DEADLINE_FIRST,
                || {
                    if ztunnel.metric("istio_tcp_connections_opened_total", &labels)? >= 1.0 {
                        return Ok(());
                    }
                    bail!("istio_tcp_connections_opened_total with {labels:?} is 0")
                },
            )?;
        }
        Ok(())
    }

    /// Waits until the server has no connection any more, so that nothing of a block reaches into the next.
    ///
    /// # Errors
    ///
    /// When one stays.
    pub(crate) fn wait_quiet(&self) -> Result<()> {
        let served = self.server.served();
        until(
            &format!("the end of all connections of {}", self.name),
            STALL + Duration::from_secs(5),
            || served.active() == 0,
        )
    }

    /// The ends of the ztunnels' logs, for an error.
    pub(crate) fn log_tails(&self) -> String {
        let Some(ztunnels) = &self.ztunnels else {
            return "no ztunnel".to_owned();
        };
        let [near, far] = ztunnels.each_ref().map(Ztunnel::log_tail);
        format!("the ztunnels' logs end with\n{near}\n---- and\n{far}")
    }
}
