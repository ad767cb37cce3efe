//! Running the system's own tools: the only place that starts a process.

use std::{
    ffi::OsString,
    io::{self, Write as _},
    process::{Command, Stdio},
};

/// How long `iptables-restore` waits for the lock that another one may hold. Units: seconds. Source: istio-cni.
const WAIT_LOCK_SECONDS: u32 = 30;
/// The most of a tool's complaint that goes into an error.
const MAX_STDERR_BYTES: usize = 2048;

/// Why rules could not be written or taken away.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The pod's namespace is gone or may not be entered.
    #[error("cannot enter the pod's network namespace")]
    Namespace(#[source] io::Error),
    /// A tool is not installed.
    #[error("{program} is not installed, it comes with the package {package}")]
    ProgramMissing {
        /// What was to be run.
        program: String,
        /// The Debian package that holds it.
        package: &'static str,
    },
    /// A tool could not be run.
    #[error("cannot run {program}")]
    Spawn {
        /// What was to be run.
        program: String,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// Another one captures.
    #[error(
        "the rules of a CNI agent stand in the pod: chains ISTIO_PRERT, ISTIO_OUTPUT without a jump to AMBIT; expected none, \
         or CAPTURE=agent"
    )]
    Agent,
    /// A tool refused.
    #[error("{command} failed ({status}): {stderr}")]
    Tool {
        /// The program with its arguments.
        command: String,
        /// How it ended.
        status: std::process::ExitStatus,
        /// What it said.
        stderr: String,
    },
}

/// The tools by name or path.
#[derive(Clone, Debug)]
pub(super) struct Tools {
    pub(super) ip: OsString,
    pub(super) save_v4: OsString,
    pub(super) save_v6: OsString,
    pub(super) restore_v4: OsString,
    pub(super) restore_v6: OsString,
}

impl Default for Tools {
    fn default() -> Self {
        Self {
            ip: "ip".into(),
            save_v4: "iptables-save".into(),
            save_v6: "ip6tables-save".into(),
            restore_v4: "iptables-restore".into(),
            restore_v6: "ip6tables-restore".into(),
        }
    }
}

impl Tools {
    pub(super) fn save(&self, family: super::Family) -> Result<String, Error> {
        let program = match family {
            super::Family::V4 => &self.save_v4,
            super::Family::V6 => &self.save_v6,
        };
        run(program, "iptables", &[], "")
    }

    pub(super) fn restore(&self, family: super::Family, input: &str) -> Result<(), Error> {
        if input.is_empty() {
            return Ok(());
        }
        let program = match family {
            super::Family::V4 => &self.restore_v4,
            super::Family::V6 => &self.restore_v6,
        };
        let wait = format!("--wait={WAIT_LOCK_SECONDS}");
        run(program, "iptables", &["--noflush", &wait], input).map(drop)
    }

    /// Runs `ip`. A refusal whose text holds one of `fine` is what was wanted already.
    pub(super) fn ip(&self, arguments: &[&str], fine: &[&str]) -> Result<(), Error> {
        match run(&self.ip, "iproute2", arguments, "") {
            Err(Error::Tool { stderr, .. }) if fine.iter().any(|text| stderr.contains(text)) => {
                Ok(())
            }
            result => result.map(drop),
        }
    }
}

fn run(
    program: &OsString,
    package: &'static str,
    arguments: &[&str],
    input: &str,
) -> Result<String, Error> {
    let name = || program.to_string_lossy().into_owned();
    let mut child = Command::new(program)
        .args(arguments)
        // Its words are read.
        .env("LC_ALL", "C")
        .stdin(if input.is_empty() {
            Stdio::null()
        } else {
            Stdio::piped()
        })
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|source| {
            if source.kind() == io::ErrorKind::NotFound {
                Error::ProgramMissing {
                    program: name(),
                    package,
                }
            } else {
                Error::Spawn {
                    program: name(),
                    source,
                }
            }
        })?;
    let written = child
        .stdin
        .take()
        .map_or(Ok(()), |mut stdin| stdin.write_all(input.as_bytes()));
    let output = child.wait_with_output().map_err(|source| Error::Spawn {
        program: name(),
        source,
    })?;
    if !output.status.success() {
        let command = arguments
            .iter()
            .fold(name(), |command, argument| command + " " + argument);
        let said = &output.stderr[..output.stderr.len().min(MAX_STDERR_BYTES)];
        let stderr = String::from_utf8_lossy(said).trim().to_owned();
        return Err(Error::Tool {
            command,
            status: output.status,
            stderr,
        });
    }
    // A tool that did not read what it was given has not done it, whatever it says.
    written.map_err(|source| Error::Spawn {
        program: name(),
        source,
    })?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
