//! Which cgroup2 and bpffs there are.

use std::{
    fs, io,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use nix::{
    mount::{MsFlags, mount},
    sys::statfs::{BPF_FS_MAGIC, statfs},
};

use crate::Error;

/// Where a bpffs usually is.
const BPFFS: &str = "/sys/fs/bpf";
/// The number of the machine's own namespace of processes. Source: linux/proc_ns.h, `PROC_PID_INIT_INO`.
const HOSTS_PROCESSES: u64 = 0xEFFF_FFFC;
/// The number of the root of a whole tree of cgroups.
const ROOT_CGROUP: u64 = 1;

/// One line of `/proc/self/mountinfo`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mount {
    /// What of the file system is seen there.
    pub(crate) root: String,
    /// Where.
    pub(crate) point: PathBuf,
    /// The kind of file system.
    pub(crate) kind: String,
}

/// Reads mounts; lines of another shape are passed over. Source: proc_pid_mountinfo(5).
pub(crate) fn parse(text: &str) -> Vec<Mount> {
    let line = |line: &str| {
        let (before, after) = line.split_once(" - ")?;
        let mut fields = before.split(' ').skip(3);
        Some(Mount {
            root: unescape(fields.next()?),
            point: unescape(fields.next()?).into(),
            kind: after.split(' ').next()?.to_owned(),
        })
    };
    text.lines().filter_map(line).collect()
}

/// Space, tab, newline and backslash stand there as three octal digits.
fn unescape(field: &str) -> String {
    [
        ("\\040", " "),
        ("\\011", "\t"),
        ("\\012", "\n"),
        ("\\134", "\\"),
    ]
    .iter()
    .fold(field.to_owned(), |text, (code, plain)| {
        text.replace(code, plain)
    })
}

/// The cgroup2 mounts that this process sees.
pub(crate) fn cgroups() -> Result<Vec<Mount>, Error> {
    let text = fs::read_to_string("/proc/self/mountinfo").map_err(Error::Mounts)?;
    Ok(parse(&text)
        .into_iter()
        .filter(|mount| mount.kind == "cgroup2")
        .collect())
}

/// The number of a cgroup, by which programs in the kernel know it.
pub(crate) fn cgroup_id(path: &Path) -> io::Result<u64> {
    Ok(fs::metadata(path)?.ino())
}

/// Where the hooks are attached: the configured cgroup, else the root of the tree.
///
/// # Errors
/// When there is none, or only a part of it can be seen: hooks there would see no pod.
pub fn attach_point(configured: Option<&Path>) -> Result<PathBuf, Error> {
    if let Some(path) = configured {
        return Ok(path.to_owned());
    }
    let mounts = cgroups()?;
    let whole = mounts
        .iter()
        .find(|mount| cgroup_id(&mount.point).is_ok_and(|id| id == ROOT_CGROUP));
    match (whole, mounts.first()) {
        (Some(mount), _) => Ok(mount.point.clone()),
        (None, Some(part)) => Err(Error::PartOfCgroup(part.point.clone())),
        (None, None) => Err(Error::NoCgroup),
    }
}

/// Whether there is a folder of a bpffs.
pub(crate) fn is_bpffs(path: &Path) -> bool {
    statfs(path).is_ok_and(|found| found.filesystem_type() == BPF_FS_MAGIC)
}

/// Sees to it that `pins` is on a bpffs. One is mounted only where mounts outlive this process: in the machine's own
/// namespace of mounts.
///
/// # Errors
/// When it is not and none can be mounted.
pub fn bpffs(pins: &Path) -> Result<(), Error> {
    if pins
        .ancestors()
        .find(|path| path.exists())
        .is_some_and(is_bpffs)
    {
        return Ok(());
    }
    if !is_host(Path::new("/proc")) {
        return Err(Error::NoBpffs(pins.to_owned()));
    }
    let point = if pins.starts_with(BPFFS) {
        PathBuf::from(BPFFS)
    } else {
        pins.to_owned()
    };
    let failed = |source| Error::Bpffs {
        path: point.clone(),
        source,
    };
    fs::create_dir_all(&point).map_err(failed)?;
    mount(
        Some("bpf"),
        &point,
        Some("bpf"),
        MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC,
        Some("mode=0700"),
    )
    .map_err(|error| failed(error.into()))?;
    tracing::info!(path = %point.display(), "mounted a bpffs");
    Ok(())
}

/// Whether mounts of this process are the machine's: it sees the machine's first process, and what that one sees.
fn is_host(proc: &Path) -> bool {
    let number = |name: &str| fs::metadata(proc.join(name)).map(|it| it.ino()).ok();
    number("self/ns/pid") == Some(HOSTS_PROCESSES)
        && number("self/ns/mnt").is_some()
        && number("self/ns/mnt") == number("1/ns/mnt")
}

#[cfg(test)]
mod tests;
