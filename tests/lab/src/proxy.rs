//! A proxy, started as its DaemonSet or Deployment would start it, and watched through its own endpoints.
//!
//! In: a node or a pod, the environment. Out: readiness, admin, metrics, log; restart, termination, kill.
//! The programs come from `ZTUNNEL_BIN` and `WAYPOINT_BIN`, else from `target/release` of this workspace.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::net::{Ipv4Addr, SocketAddr};
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use parking_lot::RwLock;
use serde_json::Value;

use crate::eventually::eventually;
use crate::http::Response;
use crate::machine::Machine;
use crate::pod::Pod;
use crate::process::{Memory, Process};

#[cfg(test)]
mod tests;

/// How long a proxy may take until it is ready.
pub const READY: Duration = Duration::from_secs(20);

/// The port of admin, on loopback only.
const ADMIN: u16 = 15000;
/// The port of metrics.
const METRICS: u16 = 15020;
/// The port of readiness.
const READINESS: u16 = 15021;

/// A node's running ztunnel. Dropping it kills it; its pods then have no way out, as it should be.
pub type Ztunnel = Proxy;

/// A pod's running waypoint. Dropping it kills it.
pub type Waypoint = Proxy;

/// The programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Program {
    /// The layer-4 proxy of a node.
    Ztunnel,
    /// The layer-7 proxy of a namespace.
    Waypoint,
}

/// A running proxy. Dropping it kills it.
#[derive(Debug)]
pub struct Proxy {
    program: Program,
    place: Place,
    line: Vec<OsString>,
    env: BTreeMap<String, String>,
    process: RwLock<Process>,
    past: RwLock<String>,
}

/// Where it runs.
#[derive(Clone, Debug)]
pub(crate) enum Place {
    /// In a node's namespace.
    Node(Arc<Machine>),
    /// In a pod's.
    Pod(Arc<Pod>),
}

impl Deref for Place {
    type Target = Machine;
    fn deref(&self) -> &Machine {
        match self {
            Self::Node(machine) => machine,
            Self::Pod(pod) => pod,
        }
    }
}

impl Program {
    /// Its name, which is its binary's.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ztunnel => "ztunnel",
            Self::Waypoint => "waypoint",
        }
    }

    /// Where the program is.
    ///
    /// # Errors
    ///
    /// When it has not been built and its variable does not name another.
    pub fn binary(self) -> Result<PathBuf> {
        let variable = match self {
            Self::Ztunnel => "ZTUNNEL_BIN",
            Self::Waypoint => "WAYPOINT_BIN",
        };
        if let Some(path) = std::env::var_os(variable) {
            return crate::programs::require(&path.to_string_lossy()).context(variable);
        }
        let name = self.name();
        let built = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/release");
        let path = built.join(name);
        if !path.exists() {
            bail!(
                "{}: not built (cargo build --release -p {name}), and {variable} is not set",
                path.display()
            );
        }
        Ok(path.canonicalize()?)
    }
}

impl Proxy {
    pub(crate) fn start(
        program: Program,
        place: Place,
        line: Vec<OsString>,
        env: BTreeMap<String, String>,
    ) -> Result<Self> {
        let process = launch(program, &place, &line, &env)?;
        Ok(Self {
            program,
            place,
            line,
            env,
            process: RwLock::new(process),
            past: RwLock::default(),
        })
    }

    /// Whether `/healthz/ready` says so.
    pub fn ready(&self) -> bool {
        self.get(READINESS, "/healthz/ready")
            .is_ok_and(|response| response.status == 200)
    }

    /// Waits until it is ready.
    ///
    /// # Errors
    ///
    /// When it takes longer than [`READY`] or ends; the text holds the end of its log.
    pub fn wait_ready(&self) -> Result<()> {
        let ended = eventually(
            &format!("{} of {} ready", self.program.name(), self.place.name()),
            READY,
            || {
                if let Some(status) = self.process.read().exited() {
                    return Ok(Some(status));
                }
                let response = self.get(READINESS, "/healthz/ready")?;
                if response.status == 200 {
                    return Ok(None);
                }
                bail!(
                    "/healthz/ready says {}: {}",
                    response.status,
                    response.text().trim()
                )
            },
        )
        .with_context(|| format!("its log ends with\n{}", self.log_tail()))?;
        match ended {
            None => Ok(()),
            Some(status) => bail!(
                "{} of {} ended ({status}):\n{}",
                self.program.name(),
                self.place.name(),
                self.log_tail()
            ),
        }
    }

    /// One GET of admin (port 15000).
    ///
    /// # Errors
    ///
    /// When there is no answer.
    pub fn admin(&self, path: &str) -> Result<Response> {
        self.get(ADMIN, path)
    }

    /// One POST of admin: `/logging?level=debug`.
    ///
    /// # Errors
    ///
    /// When there is no answer.
    pub fn admin_post(&self, path: &str) -> Result<Response> {
        self.place.http("POST", loopback(ADMIN), path)
    }

    /// `/config_dump`, parsed.
    ///
    /// # Errors
    ///
    /// When there is no answer or it is not JSON.
    pub fn config_dump(&self) -> Result<Value> {
        let response = self.admin("/config_dump")?;
        serde_json::from_slice(&response.body).context("/config_dump")
    }

    /// `/metrics` as text (port 15020).
    ///
    /// # Errors
    ///
    /// When there is no answer.
    pub fn metrics(&self) -> Result<String> {
        Ok(self.get(METRICS, "/metrics")?.text())
    }

    /// The sum of a metric's series that have all of `labels`; 0 when there is none.
    ///
    /// # Errors
    ///
    /// When there is no answer.
    pub fn metric(&self, name: &str, labels: &[(&str, &str)]) -> Result<f64> {
        Ok(sum(&self.metrics()?, name, labels))
    }

    /// What it has written, previous lives included.
    pub fn log(&self) -> String {
        format!("{}{}", self.past.read(), self.process.read().log())
    }

    /// The lines of [`Ztunnel::log`] that contain all of `texts`.
    pub fn log_lines(&self, texts: &[&str]) -> Vec<String> {
        self.log()
            .lines()
            .filter(|line| texts.iter().all(|text| line.contains(text)))
            .map(str::to_owned)
            .collect()
    }

    /// Waits for a log line that contains all of `texts`, and returns the first.
    ///
    /// # Errors
    ///
    /// When none comes in time; the text holds the end of the log.
    pub fn wait_log(&self, texts: &[&str], deadline: Duration) -> Result<String> {
        eventually(
            &format!("a log line of {} with {texts:?}", self.place.name()),
            deadline,
            || {
                let line = self.log_lines(texts).into_iter().next();
                line.with_context(|| format!("the log ends with\n{}", self.log_tail()))
            },
        )
    }

    /// The log's last lines.
    pub fn log_tail(&self) -> String {
        crate::process::tail(&self.log(), 40)
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.process.read().id()
    }

    /// Whether it runs.
    pub fn is_running(&self) -> bool {
        self.process.read().is_running()
    }

    /// The CPU time that this life has used.
    ///
    /// # Errors
    ///
    /// When its cgroup is gone.
    pub fn cpu_time(&self) -> Result<Duration> {
        self.process.read().cpu_time()
    }

    /// Its memory.
    ///
    /// # Errors
    ///
    /// When it has ended.
    pub fn memory(&self) -> Result<Memory> {
        self.process.read().memory()
    }

    /// SIGKILL, and waits for the end.
    ///
    /// # Errors
    ///
    /// When it survives.
    pub fn kill(&self) -> Result<ExitStatus> {
        self.process.read().kill()
    }

    /// SIGTERM, and waits for the end.
    ///
    /// # Errors
    ///
    /// When it still runs after `timeout`.
    pub fn terminate(&self, timeout: Duration) -> Result<ExitStatus> {
        self.process.read().terminate(timeout)
    }

    /// SIGTERM without waiting, to watch it drain.
    ///
    /// # Errors
    ///
    /// When the kernel refuses.
    pub fn signal(&self, signal: nix::sys::signal::Signal) -> Result<()> {
        self.process.read().signal(signal)
    }

    /// Starts it again with the same environment, after killing it if it runs. Does not wait for readiness.
    ///
    /// # Errors
    ///
    /// When it cannot be killed or started.
    pub fn restart(&self) -> Result<()> {
        self.kill()?;
        let next = launch(self.program, &self.place, &self.line, &self.env)?;
        let last = std::mem::replace(&mut *self.process.write(), next);
        self.past.write().push_str(&last.log());
        Ok(())
    }

    fn get(&self, port: u16, path: &str) -> Result<Response> {
        self.place.http("GET", loopback(port), path)
    }
}

fn launch(
    program: Program,
    place: &Place,
    line: &[OsString],
    env: &BTreeMap<String, String>,
) -> Result<Process> {
    let mut command = place
        .command(line.iter().cloned())
        .label(program.name())
        .env_clear();
    for (name, value) in env {
        command = command.env(name, value);
    }
    command.spawn()
}

fn loopback(port: u16) -> SocketAddr {
    SocketAddr::new(Ipv4Addr::LOCALHOST.into(), port)
}

/// Adds up the samples of one metric in the Prometheus text format.
pub(crate) fn sum(text: &str, name: &str, labels: &[(&str, &str)]) -> f64 {
    let samples = text.lines().filter_map(|line| {
        let rest = line.strip_prefix(name)?;
        let (series, value) = match rest.strip_prefix('{') {
            Some(rest) => rest.rsplit_once('}')?,
            None => ("", rest.strip_prefix(' ')?),
        };
        let has = |(key, value): &(&str, &str)| {
            let label = format!("{key}=\"{value}\"");
            series
                .match_indices(&label)
                .any(|(at, _)| at == 0 || series.as_bytes().get(at - 1) == Some(&b','))
        };
        labels
            .iter()
            .all(has)
            .then(|| value.split_whitespace().next()?.parse::<f64>().ok())
            .flatten()
    });
    samples.sum()
}
