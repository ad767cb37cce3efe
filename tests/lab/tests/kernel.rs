//! Labs whose pods programs in the kernel may capture: one cgroup with the test's own process, a bpffs, and nothing left of either.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result};
use lab::{Capture, Lab, PodSpec};

/// The command that is tested.
const LAB: &str = env!("CARGO_BIN_EXE_lab");

fn small(name: &str) -> Result<Lab> {
    Lab::builder(name)
        .pod(PodSpec::new("pod"))
        .capture(Capture::Ebpf)
        .build()
}

/// The cgroup of a process, as a path in the tree.
fn cgroup(process: &str) -> Result<String> {
    let text = fs::read_to_string(format!("/proc/{process}/cgroup"))?;
    let own = text.lines().find_map(|line| line.strip_prefix("0::"));
    Ok(own.context("no cgroup2")?.to_owned())
}

fn is_mounted(place: &Path) -> Result<bool> {
    let place = place.display().to_string();
    let mounts = fs::read_to_string("/proc/self/mounts")?;
    Ok(mounts
        .lines()
        .any(|line| line.split(' ').nth(1) == Some(&place)))
}

fn groups_of(process: u32) -> Vec<PathBuf> {
    let name = format!("ambit-self_{process}_0");
    ["/sys/fs/cgroup/unified", "/sys/fs/cgroup"]
        .map(|tree| Path::new(tree).join(&name))
        .into_iter()
        .filter(|path| path.exists())
        .collect()
}

// One test: where the process is, is one for all.
#[test]
fn process_and_pods_are_below_one_cgroup_until_the_last_lab_has_ended() -> Result<()> {
    if !lab::possible() {
        return Ok(());
    }
    let before = cgroup("self")?;
    let (one, two) = (small("kernelone")?, small("kerneltwo")?);
    let shared = format!("/ambit-self_{}_0/", std::process::id());
    assert!(cgroup("self")?.contains(&shared));
    for lab in [&one, &two] {
        let program = lab.pod("pod").spawn(["sleep", "600"])?;
        let id = program.id().to_string();
        lab::until("the program is in its place", lab::SECONDS_5, || {
            cgroup(&id).is_ok_and(|group| group.contains(&shared) && group.contains(lab.name()))
        })?;
        let env = lab.ztunnel_env(0);
        // Without a controller there is no environment; the paths are told in any case.
        if let Ok(env) = env {
            assert!(
                format!("{}/", env["CGROUP_PATH"]).ends_with(&shared),
                "{env:?}"
            );
            assert!(Path::new(&env["PIN_PATH"]).starts_with(lab.folder().join("bpf")));
            assert_ne!(env["PIN_PATH"], lab.ztunnel_env(1)?["PIN_PATH"]);
        }
        assert!(is_mounted(&lab.folder().join("bpf"))?);
    }
    let places = [&one, &two].map(|lab| lab.folder().join("bpf"));
    drop(one);
    assert!(
        cgroup("self")?.contains(&shared),
        "the other lab still needs it"
    );
    drop(two);
    assert_eq!(cgroup("self")?, before);
    assert_eq!(groups_of(std::process::id()), Vec::<PathBuf>::new());
    for place in places {
        assert!(!is_mounted(&place)?);
    }
    Ok(())
}

#[test]
fn what_a_killed_owner_left_is_cleaned() -> Result<()> {
    if !lab::possible() {
        return Ok(());
    }
    let name = format!("kernelkilled_{}", std::process::id());
    let mut owner = Command::new(LAB)
        .args(["up", "--capture", "ebpf", "--no-ztunnel", "--name", &name])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()?;
    let said = BufReader::new(owner.stdout.take().context("its output")?);
    let up = said
        .lines()
        .map_while(Result::ok)
        .any(|line| line.contains("the lab is up"));
    let place = std::env::temp_dir()
        .join(format!("ambit-lab-{name}"))
        .join("bpf");
    let stood = (is_mounted(&place)?, groups_of(owner.id()).len());
    owner.kill()?;
    let status = owner.wait()?;
    assert!(up, "{status}");
    assert_eq!(stood, (true, 1));
    let cleaned = Command::new(LAB).arg("clean").output()?;
    assert!(cleaned.status.success(), "{cleaned:?}");
    assert!(!is_mounted(&place)?);
    assert_eq!(groups_of(owner.id()), Vec::<PathBuf>::new());
    Ok(())
}
