//! The trial that comes before capture, and why it may say no.

use anyhow::{Context as _, Result, ensure};

use crate::ground::{PATIENCE, ground};

#[test]
fn this_kernel_passes_the_dry_run_and_nothing_is_left_of_it() -> Result<()> {
    let Some(ground) = ground("ebpf-check")? else {
        return Ok(());
    };
    let check = ground.spawn(&[], &["--check"])?;
    ensure!(check.wait(PATIENCE)?.success(), "{}", check.log());
    ensure!(check.log().contains("eBPF works here"), "{}", check.log());
    let folder = ground.pins();
    let folder = folder.parent().context("no folder")?;
    let mut left = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        // The kernel's own.
        if !name.ends_with(".debug") {
            left.push(name);
        }
    }
    ensure!(left.is_empty(), "{left:?}");
    Ok(())
}

/// Runs a line with cgroups that cannot be written to; `$0` is what it does with the line.
const READ_ONLY: &str = r#"
for mount in $(sed -n 's/^[^ ]* [^ ]* [^ ]* [^ ]* \([^ ]*\) .* - cgroup2 .*/\1/p' /proc/self/mountinfo); do
    mount -o remount,bind,ro "$mount"
done
if [ "$0" = alone ]; then exec "$@"; fi
"$@"
exit $?
"#;

#[test]
fn a_proxy_that_cannot_leave_a_shared_cgroup_refuses() -> Result<()> {
    let Some(ground) = ground("ebpf-home")? else {
        return Ok(());
    };
    let program = crate::ground::program()?.display().to_string();
    let (cgroup, pins) = (ground.cgroup(), ground.pins());
    let check = |how: &str| {
        let (cgroup, pins) = (cgroup.display().to_string(), pins.display().to_string());
        let line = [
            "unshare", "-m", "sh", "-c", READ_ONLY, how, &program, "--check", "--cgroup", &cgroup,
            "--pins", &pins,
        ];
        ground.lab.node(0).exec(line)
    };
    let shared = check("shared")?;
    ensure!(!shared.status.success());
    ensure!(
        shared
            .errors()
            .contains("shares that one with 1 other processes"),
        "{shared:?}"
    );
    check("alone")?.ok()?;
    Ok(())
}

/// The same with settings that cannot be written to: a container that is not privileged.
const READ_ONLY_SETTINGS: &str = r#"
mount --bind /proc/sys /proc/sys && mount -o remount,bind,ro /proc/sys
exec "$@"
"#;

#[test]
fn a_dry_run_that_fails_says_at_what_and_leaves_nothing() -> Result<()> {
    let Some(ground) = ground("ebpf-refuses")? else {
        return Ok(());
    };
    let program = crate::ground::program()?.display().to_string();
    let cgroup = ground.cgroup().display().to_string();
    let pins = ground.pins().display().to_string();
    let check = ground.lab.node(0).exec([
        "unshare",
        "-m",
        "sh",
        "-c",
        READ_ONLY_SETTINGS,
        "check",
        &program,
        "--check",
        "--cgroup",
        &cgroup,
        "--pins",
        &pins,
    ])?;
    ensure!(!check.status.success());
    ensure!(check.errors().contains("tcp_fwmark_accept"), "{check:?}");
    ensure!(!ground.pins().exists());
    Ok(())
}

#[test]
fn a_bpffs_that_would_end_with_its_container_is_refused() -> Result<()> {
    let Some(ground) = ground("ebpf-contained")? else {
        return Ok(());
    };
    let program = crate::ground::program()?.display().to_string();
    let cgroup = ground.cgroup().display().to_string();
    let pins = ground.lab.node(0).folder().join("pins");
    let pins = pins.display().to_string();
    let check = ground.lab.node(0).exec([
        "unshare", "-m", &program, "--check", "--cgroup", &cgroup, "--pins", &pins,
    ])?;
    ensure!(!check.status.success());
    let expected = format!("PIN_PATH {pins} is not on a bpffs: mount the host's there");
    ensure!(check.errors().contains(&expected), "{check:?}");
    Ok(())
}
