//! The process of each round, and the folder that it works in: both gone at the end, however it ends.
//!
//! A round's process and the controller that it starts are a process group of their own. When the round is over, or
//! when this process is told to end, what is left of the group is killed and the folder removed.

use std::fs;
use std::io::Read as _;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio, exit};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use anyhow::{Context as _, Result, bail};
use nix::sys::signal::{SigSet, Signal, killpg};
use nix::unistd::Pid;

use crate::arguments::Arguments;
use crate::figures::Figures;
use crate::say;
use crate::shape::Size;

/// What a round leaves to be cleaned up.
#[derive(Debug, Default)]
struct Left {
    group: Option<Pid>,
    folder: Option<PathBuf>,
}

impl Left {
    fn clean(&mut self) {
        if let Some(group) = self.group.take() {
            // Nobody is left in it when all went well.
            let _ = killpg(group, Signal::SIGKILL);
        }
        if let Some(folder) = self.folder.take()
            && let Err(error) = fs::remove_dir_all(&folder)
        {
            say(&format!("scale: {} stays: {error}", folder.display()));
        }
    }
}

/// Starts rounds, and ends them when this process is told to end.
#[derive(Debug)]
pub(crate) struct Children {
    left: Arc<Mutex<Left>>,
}

impl Children {
    /// Waits for the signals from now on, in a thread that lives as long as the process.
    ///
    /// # Errors
    ///
    /// When the signals cannot be held back.
    pub(crate) fn new() -> Result<Self> {
        let mut signals = SigSet::empty();
        signals.extend([Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP]);
        signals.thread_block().context("hold back signals")?;
        let left = Arc::new(Mutex::new(Left::default()));
        let cleaning = Arc::clone(&left);
        thread::spawn(move || {
            let signal = signals.wait();
            // Held until the end: no further round may start.
            let mut left = cleaning.lock().unwrap_or_else(PoisonError::into_inner);
            left.clean();
            exit(128 + signal.map_or(0, |signal| signal as i32));
        });
        Ok(Self { left })
    }

    /// Measures one size.
    ///
    /// # Errors
    ///
    /// When the round fails; it has said why on standard error.
    pub(crate) fn round(&self, arguments: &Arguments, size: Size) -> Result<Figures> {
        let figures = self.attempt(arguments, size);
        self.left
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clean();
        figures
    }

    fn attempt(&self, arguments: &Arguments, size: Size) -> Result<Figures> {
        let mut child = self.start(arguments, size)?;
        let mut text = String::new();
        let mut output = child.stdout.take().context("no output")?;
        output
            .read_to_string(&mut text)
            .context("read the figures")?;
        let status = child.wait()?;
        if !status.success() {
            bail!("the round of {} workloads failed", size.workloads);
        }
        serde_json::from_str(&text).context("read the figures")
    }

    fn start(&self, arguments: &Arguments, size: Size) -> Result<Child> {
        let mut left = self.left.lock().unwrap_or_else(PoisonError::into_inner);
        let folder =
            std::env::temp_dir().join(format!("scale-{}-{}", std::process::id(), size.workloads));
        fs::create_dir(&folder).with_context(|| format!("make {}", folder.display()))?;
        left.folder = Some(folder.clone());
        let program = std::env::current_exe().context("this program's path")?;
        let child = Command::new(program)
            .arg("--round")
            .arg(&folder)
            .args(["--workloads", &size.workloads.to_string()])
            .args(["--services", &size.services.to_string()])
            .args(["--policies", &size.policies.to_string()])
            .args(["--seed", &arguments.seed.to_string()])
            .args(["--changes", &arguments.changes.to_string()])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .process_group(0)
            .spawn()
            .context("start a round")?;
        left.group = i32::try_from(child.id()).ok().map(Pid::from_raw);
        Ok(child)
    }
}
