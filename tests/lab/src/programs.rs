//! The unmodified programs that pods run, each in the foreground with a folder of its own.
//!
//! In: a machine and a port. Out: a handle whose program answers already and ends with the handle.
//! Never: a file outside the machine's folder, a daemon, the host's configuration.

mod envoy;
mod haproxy;
mod iperf3;
mod mariadb;
mod nginx;
mod redis;
mod tcpdump;

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Error, Result, anyhow, bail};

use crate::eventually::until;
use crate::machine::Machine;
use crate::process::Process;

pub use self::envoy::{Envoy, EnvoyService, envoy_program, envoy_waypoint};
pub use self::haproxy::haproxy;
pub use self::iperf3::{Bandwidth, iperf3_server};
pub use self::mariadb::{MariaDb, mariadb};
pub use self::nginx::{Nginx, nginx};
pub use self::redis::redis;
pub use self::tcpdump::{Capture, tcpdump};

#[cfg(test)]
mod tests;

/// Where programs are looked for, before `PATH`: a plain user's may lack the `sbin` folders.
pub(crate) const SEARCH_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// How long a program may take until it answers: generous, because suites share the machine.
pub(crate) const START: Duration = Duration::from_secs(30);

/// Programs and the Debian packages that bring them.
const PACKAGES: [(&str, &str); 17] = [
    ("ip", "iproute2"),
    ("nginx", "nginx-light"),
    ("redis-server", "redis-server"),
    ("redis-cli", "redis-tools"),
    ("mariadbd", "mariadb-server"),
    ("mariadb-install-db", "mariadb-server"),
    ("mariadb", "mariadb-client"),
    ("iperf3", "iperf3"),
    ("tcpdump", "tcpdump"),
    ("curl", "curl"),
    ("iptables-restore", "iptables"),
    ("ip6tables-restore", "iptables"),
    ("ping", "iputils-ping"),
    ("dig", "bind9-dnsutils"),
    ("haproxy", "haproxy"),
    ("python3", "python3"),
    ("mptcpize", "mptcpize"),
];

/// The path of a program; names with a slash are taken as they are.
///
/// # Errors
///
/// When it is not there; the text names the Debian package to install.
pub fn require(program: &str) -> Result<PathBuf> {
    if program.contains('/') {
        if is_executable(Path::new(program)) {
            return Ok(program.into());
        }
        bail!("{program}: no such program");
    }
    let own = std::env::var("PATH").unwrap_or_default();
    let folders = SEARCH_PATH
        .split(':')
        .chain(own.split(':').filter(|folder| !folder.is_empty()));
    let found = folders
        .map(|folder| Path::new(folder).join(program))
        .find(|path| is_executable(path));
    found.ok_or_else(|| missing(program))
}

fn missing(program: &str) -> Error {
    match PACKAGES.iter().find(|(name, _)| *name == program) {
        Some((_, package)) => anyhow!("{program} is not installed: apt-get install {package}"),
        None => anyhow!("{program}: not found in {SEARCH_PATH} and PATH"),
    }
}

fn is_executable(path: &Path) -> bool {
    path.metadata()
        .is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}

/// Waits until the program listens on `port`, or says why it ended.
fn started(machine: &Machine, process: &Process, port: u16) -> Result<()> {
    let mut ended = None;
    until(&format!("port {port} of {}", machine.name()), START, || {
        ended = process.exited();
        ended.is_some() || machine.listens(port)
    })
    .with_context(|| process.log_tail())?;
    match ended {
        Some(status) => bail!(
            "ended instead of listening on port {port} ({status}): {}",
            process.log_tail()
        ),
        None => Ok(()),
    }
}
