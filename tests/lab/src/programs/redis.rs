//! Redis: in memory only, without a password.

use std::fs;

use anyhow::Result;

use super::started;
use crate::machine::Machine;
use crate::process::Process;

/// Starts redis-server on `port`, IPv4 and IPv6.
///
/// # Errors
///
/// When it is not installed or does not listen in time.
pub fn redis(pod: &Machine, port: u16) -> Result<Process> {
    let folder = pod.folder().join(format!("redis-{port}"));
    fs::create_dir_all(&folder)?;
    let (port_text, folder) = (port.to_string(), folder.display().to_string());
    let process = pod.spawn([
        "redis-server",
        "--port",
        &port_text,
        "--bind",
        "0.0.0.0",
        "::",
        "--dir",
        &folder,
        "--save",
        "",
        "--appendonly",
        "no",
        "--daemonize",
        "no",
        "--protected-mode",
        "no",
    ])?;
    started(pod, &process, port)?;
    Ok(process)
}
