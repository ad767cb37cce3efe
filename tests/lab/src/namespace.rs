//! Network namespaces: making, removing, entering.
//!
//! In: names `ambit-<run>-<machine>`. Out: namespaces that `ip netns` lists, and threads inside them.
//! Never: changes the namespace or the mounts of a thread that it did not start itself.

use std::fs::File;
use std::io::Write as _;
use std::panic::resume_unwind;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;

use anyhow::{Context as _, Result, bail};
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, setns, unshare};

use crate::programs::require;

/// Where `ip netns` keeps its names.
pub(crate) const FOLDER: &str = "/run/netns";

/// The file that a resolver reads and that every machine has its own of.
const RESOLV_CONF: &str = "/etc/resolv.conf";

/// The path of a namespace.
pub(crate) fn path(name: &str) -> PathBuf {
    Path::new(FOLDER).join(name)
}

/// Makes namespaces.
pub(crate) fn add(names: &[String]) -> Result<()> {
    ip_batch(
        &names
            .iter()
            .map(|name| format!("netns add {name}"))
            .collect::<Vec<_>>(),
    )
}

/// Removes those of `names` that exist, with all interfaces, routes and rules inside.
pub(crate) fn delete(names: &[String]) -> Result<()> {
    // One by one: the others go even if one stays.
    let results: Vec<_> = names
        .iter()
        .filter(|name| path(name).exists())
        .map(|name| delete_one(name))
        .collect();
    results.into_iter().collect()
}

fn delete_one(name: &str) -> Result<()> {
    match ip_batch(&[format!("netns del {name}")]) {
        // Somebody else is removing the same run.
        Err(_) if !path(name).exists() => Ok(()),
        deleted => deleted,
    }
}

/// The namespaces that carry the lab's prefix.
pub(crate) fn list() -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(FOLDER) else {
        return Vec::new();
    };
    entries
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| name.starts_with("ambit-"))
        .collect()
}

/// Gives `ip` many commands at once, in the namespace of the calling thread.
pub(crate) fn ip_batch(lines: &[String]) -> Result<()> {
    let mut child = Command::new(require("ip")?)
        .args(["-batch", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .context("start ip")?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(lines.join("\n").as_bytes())?;
    }
    let output = child.wait_with_output()?;
    if !output.status.success() {
        bail!(
            "ip: {}\nin the batch\n{}",
            String::from_utf8_lossy(&output.stderr).trim(),
            lines.join("\n")
        );
    }
    Ok(())
}

/// Moves the calling thread into `netns` and, with `resolv_conf`, gives it that file as its
/// `/etc/resolv.conf` in mounts of its own.
///
/// # Errors
///
/// When the kernel refuses, usually for lack of privilege.
pub(crate) fn enter(netns: &File, resolv_conf: Option<&Path>) -> Result<()> {
    setns(netns, CloneFlags::CLONE_NEWNET).context("enter the network namespace")?;
    let Some(resolv_conf) = resolv_conf else {
        return Ok(());
    };
    if !Path::new(RESOLV_CONF).exists() {
        return Ok(());
    }
    unshare(CloneFlags::CLONE_NEWNS).context("unshare mounts")?;
    // Slave, not private: a namespace that is removed outside must not be pinned by this copy.
    mount(
        None::<&str>,
        "/",
        None::<&str>,
        MsFlags::MS_REC | MsFlags::MS_SLAVE,
        None::<&str>,
    )
    .context("separate the mounts")?;
    mount(
        Some(resolv_conf),
        RESOLV_CONF,
        None::<&str>,
        MsFlags::MS_BIND,
        None::<&str>,
    )
    .with_context(|| format!("bind {} over {RESOLV_CONF}", resolv_conf.display()))
}

/// Runs `work` on a fresh thread inside `netns` and waits for it. A panic passes on to the caller.
pub(crate) fn run_in<T: Send>(
    netns: &File,
    resolv_conf: Option<&Path>,
    work: impl FnOnce() -> T + Send,
) -> Result<T> {
    thread::scope(|scope| {
        let thread = scope.spawn(|| enter(netns, resolv_conf).map(|()| work()));
        match thread.join() {
            Ok(value) => value,
            Err(panic) => resume_unwind(panic),
        }
    })
}

/// Why namespaces cannot be made here, or `None` when they can.
pub(crate) fn obstacle() -> Option<String> {
    if !nix::unistd::geteuid().is_root() {
        return Some("not root".to_owned());
    }
    if let Err(error) = require("ip") {
        return Some(error.to_string());
    }
    let attempt =
        thread::spawn(|| unshare(CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWNS)).join();
    match attempt {
        Ok(Ok(())) => None,
        Ok(Err(error)) => Some(format!("namespaces are not permitted: {error}")),
        Err(_) => Some("the attempt to make a namespace panicked".to_owned()),
    }
}
