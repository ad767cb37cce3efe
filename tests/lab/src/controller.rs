//! The control plane of a lab: the controller's own program on a machine beside the nodes.
//!
//! In: a folder of manifests, the lab's authority as a plugged-in CA. Out: xDS and certificates for both nodes' ztunnels;
//! admin, log, restart, kill.
//! The program comes from `CONTROLLER_BIN`, else it is `target/release/controller` of this workspace.

use std::ffi::OsString;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use parking_lot::RwLock;
use serde_json::Value;

use crate::ca::Ca;
use crate::eventually::eventually;
use crate::http::Response;
use crate::machine::Machine;
use crate::process::{Memory, Process};
use crate::{proxy, topology};

/// The port of xDS and the CA.
pub const PORT: u16 = 15012;
/// The port of admin, on loopback only.
const ADMIN: u16 = 15014;

/// A running controller. Dropping it kills it; the ztunnels go on with what they know.
#[derive(Debug)]
pub struct Controller {
    machine: Arc<Machine>,
    line: Vec<OsString>,
    state: PathBuf,
    process: RwLock<Process>,
    past: RwLock<String>,
}

/// Where the program is.
///
/// # Errors
///
/// When it has not been built and `CONTROLLER_BIN` does not name another.
pub fn binary() -> Result<PathBuf> {
    if let Some(path) = std::env::var_os("CONTROLLER_BIN") {
        return crate::programs::require(&path.to_string_lossy()).context("CONTROLLER_BIN");
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/release/controller");
    if !path.exists() {
        bail!(
            "{}: not built (cargo build --release -p controller), and CONTROLLER_BIN is not set",
            path.display()
        );
    }
    Ok(path.canonicalize()?)
}

/// Lays an authority out as a controller's `cacerts`.
pub(crate) fn plug(ca: &Ca, folder: &Path) -> Result<()> {
    fs::create_dir_all(folder)?;
    for name in ["ca-cert.pem", "root-cert.pem", "cert-chain.pem"] {
        fs::copy(ca.cert_path(), folder.join(name))?;
    }
    fs::copy(ca.key_path(), folder.join("ca-key.pem"))?;
    Ok(())
}

impl Controller {
    /// Starts it and waits until it is ready.
    pub(crate) fn start(
        machine: &Arc<Machine>,
        manifests: &Path,
        folder: &Path,
        cacerts: Option<&Path>,
        more: &[OsString],
    ) -> Result<Self> {
        let state = folder.join("state");
        let mut line: Vec<OsString> = vec![
            binary()?.into(),
            "--source".into(),
            manifests.into(),
            "--state-dir".into(),
            (&state).into(),
        ];
        if let Some(cacerts) = cacerts {
            line.extend(["--cacerts".into(), cacerts.into()]);
        }
        for node in 0..2 {
            line.push("--tls-san".into());
            line.push(topology::control(node).ip4.to_string().into());
        }
        line.extend_from_slice(more);
        let process = launch(machine, &line)?;
        let controller = Self {
            machine: Arc::clone(machine),
            line,
            state,
            process: RwLock::new(process),
            past: RwLock::default(),
        };
        controller.wait_ready()?;
        Ok(controller)
    }

    /// Waits until it serves.
    ///
    /// # Errors
    ///
    /// When it takes too long or ends; the text holds the end of its log.
    pub fn wait_ready(&self) -> Result<()> {
        let ended = eventually("the controller ready", proxy::READY, || {
            if let Some(status) = self.process.read().exited() {
                return Ok(Some(status));
            }
            let response = self.admin("/ready")?;
            if response.status == 200 {
                return Ok(None);
            }
            bail!("/ready says {}", response.text().trim())
        })
        .with_context(|| format!("its log ends with\n{}", self.log_tail()))?;
        match ended {
            None => Ok(()),
            Some(status) => bail!("the controller ended ({status}):\n{}", self.log_tail()),
        }
    }

    /// A token of `controller token`; a node is optional.
    ///
    /// # Errors
    ///
    /// When it cannot be made.
    pub fn token(&self, namespace: &str, account: &str, node: Option<&str>) -> Result<String> {
        let mut line = vec![
            "token",
            "--namespace",
            namespace,
            "--service-account",
            account,
        ];
        if let Some(node) = node {
            line.extend(["--node", node]);
        }
        Ok(self.order(&line)?.trim().to_owned())
    }

    /// Runs the program once with other arguments, on the same state folder: `rotate-root`, `revoke SERIAL`.
    ///
    /// # Errors
    ///
    /// When it fails.
    pub fn order(&self, arguments: &[&str]) -> Result<String> {
        let mut line: Vec<OsString> = vec![binary()?.into()];
        line.extend(arguments.iter().map(OsString::from));
        line.extend(["--state-dir".into(), (&self.state).into()]);
        self.machine.exec(line)?.ok()
    }

    /// Where its state is.
    pub fn state(&self) -> &Path {
        &self.state
    }

    /// The roots that others are to believe.
    pub fn root(&self) -> PathBuf {
        self.state.join("root-cert.pem")
    }

    /// Where a node reaches it: `https://ADDRESS:PORT`.
    pub fn address(&self, node: usize) -> String {
        format!("https://{}:{PORT}", topology::control(node).ip4)
    }

    /// One GET of admin.
    ///
    /// # Errors
    ///
    /// When there is no answer.
    pub fn admin(&self, path: &str) -> Result<Response> {
        let address = SocketAddr::new(Ipv4Addr::LOCALHOST.into(), ADMIN);
        self.machine.http("GET", address, path)
    }

    /// A page of `/debug`, parsed.
    ///
    /// # Errors
    ///
    /// When there is no answer or it is not JSON.
    pub fn page(&self, path: &str) -> Result<Value> {
        serde_json::from_slice(&self.admin(path)?.body).with_context(|| path.to_owned())
    }

    /// The sum of a metric's series that have all of `labels`.
    ///
    /// # Errors
    ///
    /// When there is no answer.
    pub fn metric(&self, name: &str, labels: &[(&str, &str)]) -> Result<f64> {
        Ok(proxy::sum(&self.admin("/metrics")?.text(), name, labels))
    }

    /// The machine it runs on.
    pub fn machine(&self) -> &Machine {
        &self.machine
    }

    /// What it has written, previous lives included.
    pub fn log(&self) -> String {
        format!("{}{}", self.past.read(), self.process.read().log())
    }

    /// Waits for a log line that contains all of `texts`, and returns the first.
    ///
    /// # Errors
    ///
    /// When none comes in time; the text holds the end of the log.
    pub fn wait_log(&self, texts: &[&str], deadline: Duration) -> Result<String> {
        eventually(
            &format!("a log line of the controller with {texts:?}"),
            deadline,
            || {
                let log = self.log();
                let line = log
                    .lines()
                    .find(|line| texts.iter().all(|text| line.contains(text)));
                line.map(str::to_owned)
                    .with_context(|| format!("the log ends with\n{}", self.log_tail()))
            },
        )
    }

    /// The log's last lines.
    pub fn log_tail(&self) -> String {
        crate::process::tail(&self.log(), 40)
    }

    /// Its memory.
    ///
    /// # Errors
    ///
    /// When it has ended.
    pub fn memory(&self) -> Result<Memory> {
        self.process.read().memory()
    }

    /// Whether it runs.
    pub fn is_running(&self) -> bool {
        self.process.read().is_running()
    }

    /// SIGKILL, and waits for the end.
    ///
    /// # Errors
    ///
    /// When it survives.
    pub fn kill(&self) -> Result<ExitStatus> {
        self.process.read().kill()
    }

    /// Starts it again, after killing it if it runs, and waits until it is ready.
    ///
    /// # Errors
    ///
    /// When it cannot be killed or started.
    pub fn restart(&self) -> Result<()> {
        self.kill()?;
        let next = launch(&self.machine, &self.line)?;
        let last = std::mem::replace(&mut *self.process.write(), next);
        self.past.write().push_str(&last.log());
        self.wait_ready()
    }
}

fn launch(machine: &Machine, line: &[OsString]) -> Result<Process> {
    let mut command = machine
        .command(line.iter().cloned())
        .label("controller")
        .env_clear()
        .env("RUST_LOG", "info")
        .env("AMBIENT_ENABLE_DRY_RUN_AUTHORIZATION_POLICY", "true")
        .env("RUST_BACKTRACE", "1");
    if let Ok(value) = std::env::var("GLIBC_TUNABLES") {
        command = command.env("GLIBC_TUNABLES", value);
    }
    command.spawn()
}
