//! A bpffs in the run's folder, where ztunnels pin what outlives them.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sys::statfs::{BPF_FS_MAGIC, statfs};

/// Where it is.
pub(crate) fn place(folder: &Path) -> PathBuf {
    folder.join("bpf")
}

/// Mounts it.
pub(crate) fn create(folder: &Path) -> Result<()> {
    let place = place(folder);
    fs::create_dir(&place)?;
    mount(
        Some("bpf"),
        &place,
        Some("bpf"),
        MsFlags::empty(),
        None::<&str>,
    )
    .with_context(|| format!("mount a bpffs on {}", place.display()))
}

/// Unmounts it, if it is there: what is pinned in it goes.
pub(crate) fn remove(folder: &Path) -> Result<()> {
    let place = place(folder);
    if statfs(&place).is_ok_and(|found| found.filesystem_type() == BPF_FS_MAGIC) {
        umount2(&place, MntFlags::MNT_DETACH)
            .with_context(|| format!("unmount {}", place.display()))?;
    }
    Ok(())
}
