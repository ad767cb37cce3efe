//! Programs inside a machine: started in its namespace, its cgroup and with its resolver.
//!
//! In: a command line. Out: an [`Output`] (waited for, with a deadline) or a [`Process`] (kept
//! running, its output in a log file, killed with all its children on drop).
//! Never: signals a process by name; never waits without a deadline.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File, OpenOptions};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use parking_lot::Mutex;

use crate::eventually::eventually;
use crate::machine::Machine;
use crate::{cgroup, programs, signals};

/// How long [`Command::output`] waits unless told otherwise.
pub const TIMEOUT: Duration = Duration::from_secs(20);

/// Enters the program's cgroup before it becomes the program, so that nothing of it runs outside.
const ENTER: &str = r#"echo 0 > "$0/cgroup.procs" && exec "$@""#;

/// A command line for one machine.
#[derive(Debug)]
pub struct Command<'m> {
    machine: &'m Machine,
    line: Vec<OsString>,
    env: Vec<(OsString, OsString)>,
    env_clear: bool,
    stdin: Option<Vec<u8>>,
    timeout: Duration,
    label: Option<String>,
}

/// What a finished program left.
#[derive(Clone, Debug)]
pub struct Output {
    /// How it ended.
    pub status: ExitStatus,
    /// Its standard output.
    pub stdout: Vec<u8>,
    /// Its standard error.
    pub stderr: Vec<u8>,
    /// The command line, for messages.
    line: String,
}

impl<'m> Command<'m> {
    pub(crate) fn new(
        machine: &'m Machine,
        line: impl IntoIterator<Item = impl Into<OsString>>,
    ) -> Self {
        Self {
            machine,
            line: line.into_iter().map(Into::into).collect(),
            env: Vec::new(),
            env_clear: false,
            stdin: None,
            timeout: TIMEOUT,
            label: None,
        }
    }

    /// Sets a variable.
    #[must_use]
    pub fn env(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.env.push((name.into(), value.into()));
        self
    }

    /// Starts from an environment that holds only `PATH`.
    #[must_use]
    pub fn env_clear(mut self) -> Self {
        self.env_clear = true;
        self
    }

    /// Gives standard input; without it, that is empty.
    #[must_use]
    pub fn stdin(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.stdin = Some(bytes.into());
        self
    }

    /// How long [`Command::output`] waits; [`TIMEOUT`] unless set.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Names the log file and the cgroup; the program's name unless set.
    #[must_use]
    pub fn label(mut self, label: impl Into<String>) -> Self {
        self.label = Some(label.into());
        self
    }

    /// Runs to the end. A program that fails is no error here: see [`Output::ok`].
    ///
    /// # Errors
    ///
    /// When it cannot be started or does not end in time (it is killed then).
    pub fn output(self) -> Result<Output> {
        let timeout = self.timeout;
        let line = self.describe();
        let base = self.base();
        let (out, err) = (base.with_extension("out"), base.with_extension("err"));
        let process = self.launch(&base, File::create(&out)?, File::create(&err)?, err.clone())?;
        let status = process.wait(timeout);
        drop(process);
        let (stdout, stderr) = (fs::read(&out)?, fs::read(&err)?);
        fs::remove_file(out)?;
        fs::remove_file(err)?;
        let status = status.with_context(|| {
            format!(
                "{line}\nstdout: {}\nstderr: {}",
                String::from_utf8_lossy(&stdout),
                String::from_utf8_lossy(&stderr)
            )
        })?;
        Ok(Output {
            status,
            stdout,
            stderr,
            line,
        })
    }

    /// Starts and keeps running; standard output and error go to [`Process::log`].
    ///
    /// # Errors
    ///
    /// When it cannot be started.
    pub fn spawn(self) -> Result<Process> {
        let base = self.base();
        let log = base.with_extension("log");
        let file = OpenOptions::new().create(true).append(true).open(&log)?;
        let other = file.try_clone()?;
        self.launch(&base, file, other, log)
    }

    fn launch(self, base: &Path, stdout: File, stderr: File, log: PathBuf) -> Result<Process> {
        let line = self.describe();
        let program = self.line.first().context("the command line is empty")?;
        let program = programs::require(&program.to_string_lossy())?;
        if signals::closing() {
            bail!("the process is ending");
        }
        let group = self
            .machine
            .group()
            .join(base.file_name().context("the label is empty")?);
        cgroup::create(&group)?;
        let mut command = std::process::Command::new("/bin/sh");
        command
            .args([OsStr::new("-c"), OsStr::new(ENTER)])
            .arg(&group)
            .arg(program)
            .args(self.line.iter().skip(1));
        if self.env_clear {
            command.env_clear().env("PATH", programs::SEARCH_PATH);
        }
        // A group of its own: Ctrl-C reaches the owner, and the owner cleans up.
        command
            .envs(self.env)
            .process_group(0)
            .stdout(stdout)
            .stderr(stderr);
        command.stdin(match self.stdin {
            None => Stdio::null(),
            Some(bytes) => {
                let path = base.with_extension("in");
                fs::write(&path, bytes)?;
                let file = File::open(&path)?;
                fs::remove_file(path)?;
                Stdio::from(file)
            }
        });
        let child = self
            .machine
            .within(|| command.spawn())?
            .with_context(|| format!("start {line}"))?;
        Ok(Process {
            id: child.id(),
            child: Mutex::new(Watched {
                child,
                status: None,
            }),
            group,
            log,
            line,
        })
    }

    fn base(&self) -> PathBuf {
        let program = self.line.first().map(Path::new).and_then(Path::file_name);
        let name = self
            .label
            .clone()
            .or_else(|| Some(program?.to_string_lossy().into_owned()));
        let name = name.unwrap_or_default().replace(['.', '/'], "_");
        self.machine
            .folder()
            .join(format!("{name}-{}", self.machine.run_of().serial()))
    }

    fn describe(&self) -> String {
        let words: Vec<_> = self
            .line
            .iter()
            .map(|word| word.to_string_lossy())
            .collect();
        format!("[{}] {}", self.machine.name(), words.join(" "))
    }
}

impl Output {
    /// Standard output as text, bytes that are not UTF-8 replaced.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    /// Standard error as text.
    pub fn errors(&self) -> String {
        String::from_utf8_lossy(&self.stderr).into_owned()
    }

    /// The exit code, `None` after a signal.
    pub fn code(&self) -> Option<i32> {
        self.status.code()
    }

    /// Standard output as text, if the program succeeded.
    ///
    /// # Errors
    ///
    /// When it did not; the text holds the command line and what the program said.
    pub fn ok(&self) -> Result<String> {
        if self.status.success() {
            return Ok(self.text());
        }
        bail!(
            "{}: {}\nstdout: {}\nstderr: {}",
            self.line,
            self.status,
            self.text(),
            self.errors()
        )
    }
}

/// A running program. Dropping it kills it and everything that it started.
#[derive(Debug)]
pub struct Process {
    id: u32,
    child: Mutex<Watched>,
    group: PathBuf,
    log: PathBuf,
    line: String,
}

#[derive(Debug)]
struct Watched {
    child: Child,
    status: Option<ExitStatus>,
}

impl Process {
    /// Its process id.
    pub fn id(&self) -> u32 {
        self.id
    }

    /// The cgroup that holds it and its children, below its machine's.
    pub fn group(&self) -> &Path {
        &self.group
    }

    /// How it ended, `None` while it runs.
    pub fn exited(&self) -> Option<ExitStatus> {
        let mut watched = self.child.lock();
        if watched.status.is_none() {
            watched.status = watched.child.try_wait().ok().flatten();
        }
        watched.status
    }

    /// Whether it runs.
    pub fn is_running(&self) -> bool {
        self.exited().is_none()
    }

    /// Waits for its end.
    ///
    /// # Errors
    ///
    /// When it still runs after `timeout`.
    pub fn wait(&self, timeout: Duration) -> Result<ExitStatus> {
        let start = Instant::now();
        let mut pause = Duration::from_micros(500);
        loop {
            if let Some(status) = self.exited() {
                return Ok(status);
            }
            if start.elapsed() > timeout {
                bail!("{}: still running after {timeout:?}", self.line);
            }
            thread::sleep(pause);
            pause = (pause * 2).min(Duration::from_millis(10));
        }
    }

    /// Sends a signal, if it still runs.
    ///
    /// # Errors
    ///
    /// When the kernel refuses.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        let watched = self.child.lock();
        // Unreaped while the lock is held, so the id cannot have passed to another process.
        if watched.status.is_some() {
            return Ok(());
        }
        let id = i32::try_from(self.id).context("process id")?;
        kill(Pid::from_raw(id), signal).with_context(|| format!("{signal} to {}", self.line))
    }

    /// Asks it to end (SIGTERM) and waits.
    ///
    /// # Errors
    ///
    /// When it still runs after `timeout`.
    pub fn terminate(&self, timeout: Duration) -> Result<ExitStatus> {
        self.signal(Signal::SIGTERM)?;
        self.wait(timeout)
    }

    /// Kills it and its children (SIGKILL) and waits for their end.
    ///
    /// # Errors
    ///
    /// When one survives.
    pub fn kill(&self) -> Result<ExitStatus> {
        if self.group.exists() {
            cgroup::kill(&self.group)?;
        }
        self.wait(Duration::from_secs(10))
    }

    /// The log file's path.
    pub fn log_path(&self) -> &Path {
        &self.log
    }

    /// What it has written so far, standard output and error together.
    pub fn log(&self) -> String {
        fs::read(&self.log)
            .map(|log| String::from_utf8_lossy(&log).into_owned())
            .unwrap_or_default()
    }

    /// Waits until a line of the log contains `text` and returns that line.
    ///
    /// # Errors
    ///
    /// When none does in time or the program ends before; the text holds the log's end.
    pub fn wait_log(&self, text: &str, deadline: Duration) -> Result<String> {
        let mut gone = false;
        let line = eventually(&format!("{text:?} in the log"), deadline, || {
            let ended = self.exited();
            if let Some(line) = self.log().lines().find(|line| line.contains(text)) {
                return Ok(Some(line.to_owned()));
            }
            gone = ended.is_some();
            if gone {
                Ok(None)
            } else {
                bail!("{}: its log ends with\n{}", self.line, self.log_tail())
            }
        })?;
        line.with_context(|| {
            format!(
                "{} ended without saying {text:?}; its log ends with\n{}",
                self.line,
                self.log_tail()
            )
        })
    }

    /// The log's last lines.
    pub fn log_tail(&self) -> String {
        tail(&self.log(), 25)
    }

    /// The CPU time used by it and its children.
    ///
    /// # Errors
    ///
    /// When its cgroup is gone.
    pub fn cpu_time(&self) -> Result<Duration> {
        cgroup::cpu_time(&self.group)
    }

    /// The resident memory, now and at its highest, in bytes. Source: proc(5), `VmRSS` and `VmHWM`.
    ///
    /// # Errors
    ///
    /// When it has ended.
    pub fn memory(&self) -> Result<Memory> {
        let text = fs::read_to_string(format!("/proc/{}/status", self.id))?;
        let bytes = |name: &str| -> Result<u64> {
            let line = text
                .lines()
                .find_map(|line| line.strip_prefix(name))
                .with_context(|| format!("no {name}"))?;
            let kib: u64 = line
                .trim_start_matches(':')
                .trim()
                .trim_end_matches(" kB")
                .parse()?;
            Ok(kib * 1024)
        };
        Ok(Memory {
            resident_bytes: bytes("VmRSS")?,
            highest_bytes: bytes("VmHWM")?,
        })
    }
}

/// How much memory a process holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Memory {
    /// Resident now.
    pub resident_bytes: u64,
    /// The most that was ever resident.
    pub highest_bytes: u64,
}

impl Drop for Process {
    fn drop(&mut self) {
        // Gone with its lab already, or gone now; either way the child is reaped below.
        let _ = cgroup::kill_and_remove(&self.group);
        let mut watched = self.child.lock();
        if watched.status.is_none() {
            let _ = watched.child.kill();
            watched.status = watched.child.wait().ok();
        }
    }
}

/// The last `lines` lines of `text`.
pub(crate) fn tail(text: &str, lines: usize) -> String {
    let skip = text.lines().count().saturating_sub(lines);
    text.lines().skip(skip).collect::<Vec<_>>().join("\n")
}
