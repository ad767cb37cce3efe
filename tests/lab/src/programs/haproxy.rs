//! haproxy: whatever its configuration says, in the foreground.
//!
//! In: a pod, a whole configuration, a port of its own. Out: a process that listens there.

use std::fs;

use anyhow::Result;

use super::started;
use crate::machine::Machine;
use crate::process::Process;

/// Starts haproxy with a configuration, one of whose frontends is on `port`; standard output and error are the process's log.
///
/// # Errors
///
/// When it is not installed, refuses the configuration (its log says why) or does not listen in time.
pub fn haproxy(pod: &Machine, config: &str, port: u16) -> Result<Process> {
    let folder = pod.folder().join(format!("haproxy-{port}"));
    fs::create_dir_all(&folder)?;
    let path = folder.join("haproxy.cfg");
    fs::write(&path, config)?;
    let path = path.display().to_string();
    let process = pod.spawn(["haproxy", "-db", "-f", &path])?;
    started(pod, &process, port)?;
    Ok(process)
}
