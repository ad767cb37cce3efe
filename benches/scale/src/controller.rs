//! The controller under measurement: `target/release/controller`, as anybody starts it.
//!
//! In: a folder of manifests. Out: a process that is ready, its memory, its log. It is killed when it is dropped.

use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};

use crate::log::{self, Entry};
use crate::memory::{self, Held};

/// How long the first snapshot may take.
const DEADLINE_READY: Duration = Duration::from_secs(900);
/// How often readiness is asked for.
const PAUSE: Duration = Duration::from_millis(5);
/// How long one answer may take.
const TIMEOUT_ANSWER: Duration = Duration::from_secs(10);
/// Lines of the log that an error shows.
const TAIL: usize = 10;

/// A running controller.
#[derive(Debug)]
pub(crate) struct Controller {
    child: Child,
    begun: Instant,
    admin: SocketAddr,
    /// Where xDS is.
    pub(crate) xds: SocketAddr,
    program: PathBuf,
    state: PathBuf,
    log: PathBuf,
}

impl Controller {
    /// Starts it on `source`; its state and log are put into `folder`.
    ///
    /// # Errors
    ///
    /// When it was not built, or does not start.
    pub(crate) fn start(source: &Path, folder: &Path) -> Result<Self> {
        let program = beside("controller")?;
        let (admin, xds) = free_addresses()?;
        let (state, log) = (folder.join("state"), folder.join("controller.log"));
        let output = File::create(&log)?;
        let begun = Instant::now();
        let child = Command::new(&program)
            .arg("--source")
            .arg(source)
            .arg("--state-dir")
            .arg(&state)
            .args(["--xds-listen", &xds.to_string()])
            .args(["--admin-listen", &admin.to_string()])
            .args(["--log", "info", "--log-format", "json"])
            .stdin(Stdio::null())
            .stderr(output.try_clone()?)
            .stdout(output)
            .spawn()
            .with_context(|| format!("start {}", program.display()))?;
        Ok(Self {
            child,
            begun,
            admin,
            xds,
            program,
            state,
            log,
        })
    }

    /// Waits until the first snapshot is served; how long that took from the start of the process.
    ///
    /// # Errors
    ///
    /// When it ends before, or takes too long.
    pub(crate) fn wait_ready(&mut self) -> Result<Duration> {
        while !self.answers_ready() {
            if let Some(status) = self.child.try_wait()? {
                bail!("the controller ended with {status}; {}", self.tail());
            }
            ensure!(
                self.begun.elapsed() < DEADLINE_READY,
                "the controller is not ready after {DEADLINE_READY:?}; {}",
                self.tail()
            );
            thread::sleep(PAUSE);
        }
        Ok(self.begun.elapsed())
    }

    fn answers_ready(&self) -> bool {
        let ask = || {
            let mut stream = TcpStream::connect(self.admin)?;
            stream.set_read_timeout(Some(TIMEOUT_ANSWER))?;
            stream.write_all(b"GET /ready HTTP/1.1\r\nHost: scale\r\nConnection: close\r\n\r\n")?;
            let mut answer = String::new();
            stream.read_to_string(&mut answer)?;
            std::io::Result::Ok(answer.starts_with("HTTP/1.1 200 "))
        };
        ask().unwrap_or(false)
    }

    /// A token of the ztunnel of a node, in a file.
    ///
    /// # Errors
    ///
    /// When none is made.
    pub(crate) fn token(&self, node: &str) -> Result<PathBuf> {
        let made = Command::new(&self.program)
            .args(["token", "--namespace", "istio-system"])
            .args(["--service-account", "ztunnel", "--node", node])
            .arg("--state-dir")
            .arg(&self.state)
            .output()?;
        ensure!(
            made.status.success(),
            "controller token: {}",
            String::from_utf8_lossy(&made.stderr)
        );
        let path = self.state.join(format!("token-of-{node}"));
        fs::write(&path, made.stdout)?;
        Ok(path)
    }

    /// The roots to believe.
    pub(crate) fn roots(&self) -> PathBuf {
        self.state.join("root-cert.pem")
    }

    /// What it holds.
    ///
    /// # Errors
    ///
    /// When it has ended.
    pub(crate) fn held(&self) -> Result<Held> {
        memory::held(&self.child.id().to_string()).with_context(|| self.tail())
    }

    /// Its log so far.
    ///
    /// # Errors
    ///
    /// When it cannot be read.
    pub(crate) fn entries(&self) -> Result<Vec<Entry>> {
        Ok(log::entries(&fs::read_to_string(&self.log)?))
    }

    /// The end of its log, for an error.
    pub(crate) fn tail(&self) -> String {
        let text = fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        let tail = lines.get(lines.len().saturating_sub(TAIL)..);
        let tail = tail.unwrap_or_default().join("\n");
        format!("the controller's log ends with\n{tail}")
    }
}

impl Drop for Controller {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A program in the folder of this one.
fn beside(name: &str) -> Result<PathBuf> {
    let own = std::env::current_exe().context("this program's path")?;
    let path = own.with_file_name(name);
    ensure!(
        path.is_file(),
        "{} is not there: cargo build --release -p controller",
        path.display()
    );
    Ok(path)
}

/// Two addresses that nobody listens on. Between now and the controller's start somebody else may.
fn free_addresses() -> Result<(SocketAddr, SocketAddr)> {
    let listen = || TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("find a free port");
    let (one, other) = (listen()?, listen()?);
    Ok((one.local_addr()?, other.local_addr()?))
}
