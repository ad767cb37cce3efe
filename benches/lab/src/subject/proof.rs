//! A subject is measured only if what it carries really takes the path that it is named for.
//!
//! In: the ztunnels' own metrics, and a connection that policies must refuse. Out: nothing, or an error that says what was
//! found instead. Never: a good figure of a path that goes around something.

use std::io::{self, Read as _};
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Result, bail, ensure};
use lab::{Ztunnel, eventually};

use super::Subject;
use crate::load::server::PORT_SINK;
use crate::load::{connect, idle};
use crate::spec::{Capturer, Place, Way};

/// What counts connections, by who reports them and how they are protected.
const OPENED: &str = "istio_tcp_connections_opened_total";

/// Who captures, and why it is not eBPF. Only ours has it.
const CAPTURE: &str = "ambit_capture_mode";

/// How long it may take until a connection is counted.
const DEADLINE: Duration = Duration::from_secs(10);

/// How long a connection is listened to before it counts as let in.
const SILENCE: Duration = Duration::from_secs(2);

impl Subject {
    /// Why programs in the kernel do not capture here, where they were to.
    ///
    /// # Errors
    ///
    /// When metrics cannot be read.
    pub(super) fn obstacle(&self) -> Result<Option<String>> {
        let Way::Ztunnels {
            capturer: Capturer::Ebpf,
            ..
        } = self.spec.way
        else {
            return Ok(None);
        };
        for ztunnel in &self.ztunnels {
            if ztunnel.metric(CAPTURE, &[("mode", "ebpf")])? < 1.0 {
                let text = ztunnel.metrics()?;
                let told = text
                    .lines()
                    .find(|line| line.starts_with(CAPTURE))
                    .unwrap_or("it does not tell who captures");
                return Ok(Some(told.to_owned()));
            }
        }
        Ok(None)
    }

    /// Everything that its name claims.
    ///
    /// # Errors
    ///
    /// When something else is found, with what it is.
    pub(super) fn prove(&self) -> Result<()> {
        if let Way::Ztunnels {
            capturer: capturer @ (Capturer::Iptables | Capturer::Ebpf),
            ..
        } = self.spec.way
        {
            for ztunnel in &self.ztunnels {
                let mode = capturer.mode();
                let captures = ztunnel.metric(CAPTURE, &[("mode", mode)])?;
                ensure!(captures >= 1.0, "{CAPTURE} does not say {mode}");
            }
        }
        for (ztunnel, reporter) in self.reporters() {
            let labels = [
                ("reporter", reporter),
                ("connection_security_policy", self.spec.security()),
            ];
            let ip = self.ip;
            eventually("the path is what it claims", DEADLINE, || {
                if ztunnel.metric(OPENED, &labels)? >= 1.0 {
                    return Ok(());
                }
                // Two pods of a node may use a tunnel until both certificates are there and their path was walked.
                self.client.run(|| idle::open(ip, 1))??;
                bail!("{OPENED} with {labels:?} is 0")
            })?;
        }
        if self.spec.policies.is_some_and(|count| count > 0) {
            self.prove_policies()?;
        }
        Ok(())
    }

    /// How many connections have taken another path so far.
    ///
    /// # Errors
    ///
    /// When metrics cannot be read.
    pub(crate) fn strays(&self) -> Result<f64> {
        let mut strays = 0.0;
        for (ztunnel, reporter) in self.reporters() {
            let security = ("connection_security_policy", self.spec.security());
            let right = ztunnel.metric(OPENED, &[("reporter", reporter), security])?;
            strays += ztunnel.metric(OPENED, &[("reporter", reporter)])? - right;
        }
        Ok(strays)
    }

    /// Which ztunnel reports what as whom.
    fn reporters(&self) -> Vec<(&Ztunnel, &'static str)> {
        const BOTH: [&str; 2] = ["source", "destination"];
        match (self.spec.place, &self.ztunnels[..]) {
            (Place::Outside, [near, ..]) => vec![(near, "source")],
            (Place::Node, [both, ..]) => BOTH.map(|reporter| (both, reporter)).to_vec(),
            (Place::Nodes, ztunnels) => ztunnels.iter().zip(BOTH).collect(),
            (Place::Outside | Place::Node, []) => Vec::new(),
        }
    }

    /// The last policy allows one port: another one must be refused.
    fn prove_policies(&self) -> Result<()> {
        let address = SocketAddr::new(self.ip, PORT_SINK);
        let ask = || -> io::Result<usize> {
            let mut stream = connect(address)?;
            // The sink waits for the end of what comes: without policies nothing would happen.
            stream.set_read_timeout(Some(SILENCE))?;
            stream.read(&mut [0; 1])
        };
        let refused = match self.client.run(ask)? {
            Ok(read) => read == 0,
            Err(error) => error.kind() == io::ErrorKind::ConnectionReset,
        };
        ensure!(refused, "{address} answers, although no policy allows it");
        self.wait_quiet()
    }
}

#[cfg(test)]
mod tests;
