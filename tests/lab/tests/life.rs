//! Labs side by side, and nothing left of any of them, however it ended.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result};
use lab::{Capture, Lab, PodSpec, programs, until};

/// The command that is tested.
const LAB: &str = env!("CARGO_BIN_EXE_lab");

fn small(name: &str) -> Result<Lab> {
    Lab::builder(name)
        .pod(PodSpec::new("client"))
        .pod(PodSpec::new("server").node(1))
        .capture(Capture::None)
        .build()
}

/// Everything that carries a run's name: namespaces, cgroups, folder, processes.
fn traces(run: &str) -> Vec<String> {
    let mut traces = Vec::new();
    let mut look = |folder: &str, prefix: String| {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            if name.starts_with(&prefix) {
                traces.push(format!("{folder}/{name}"));
            }
        }
    };
    look("/run/netns", format!("ambit-{run}-"));
    look("/sys/fs/cgroup/unified", format!("ambit-{run}"));
    look("/sys/fs/cgroup", format!("ambit-{run}"));
    look(
        &std::env::temp_dir().to_string_lossy(),
        format!("ambit-lab-{run}"),
    );
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let group = fs::read_to_string(entry.path().join("cgroup")).unwrap_or_default();
        // A zombie is gone; whoever adopted it has not looked yet.
        let stat = fs::read_to_string(entry.path().join("stat")).unwrap_or_default();
        let zombie = stat
            .rsplit_once(')')
            .is_some_and(|(_, rest)| rest.trim_start().starts_with('Z'));
        if group.contains(&format!("/ambit-{run}/")) && !zombie {
            let line = fs::read_to_string(entry.path().join("cmdline")).unwrap_or_default();
            traces.push(format!(
                "{} {}",
                entry.path().display(),
                line.replace('\0', " ")
            ));
        }
    }
    traces
}

#[test]
fn two_labs_stand_side_by_side_with_the_same_addresses() -> Result<()> {
    if !lab::possible() {
        return Ok(());
    }
    let (one, two) = (small("twin")?, small("twin")?);
    assert_ne!(one.name(), two.name());
    assert_eq!(one.pod("server").addresses(), two.pod("server").addresses());
    let _nginx = programs::nginx(&one.pod("server"), 80)?;
    let url = format!("http://{}/", one.pod("server").ip4());
    one.pod("client").exec(["curl", "-sS", &url])?.ok()?;
    // The twin's server is another machine: nothing listens there.
    let refused = two.pod("client").exec(["curl", "-sS", &url])?;
    assert_eq!(refused.code(), Some(7), "{}", refused.errors());
    Ok(())
}

#[test]
fn nothing_is_left_after_a_drop() -> Result<()> {
    if !lab::possible() {
        return Ok(());
    }
    let host = host_state()?;
    let lab = Lab::builder("drop")
        .pod(PodSpec::new("client"))
        .pod(PodSpec::new("server").node(1))
        .capture(Capture::Agent)
        .outside()
        .build()?;
    let name = lab.name().to_owned();
    let nginx = programs::nginx(&lab.pod("server"), 80)?;
    let worker = lab.pod("client").spawn(["sleep", "600"])?;
    for wanted in [
        "/run/netns/",
        "/sys/fs/cgroup",
        "/ambit-lab-",
        "nginx",
        "sleep",
    ] {
        until(
            &format!("{wanted} among the traces"),
            Duration::from_secs(5),
            || traces(&name).iter().any(|trace| trace.contains(wanted)),
        )?;
    }
    assert_eq!(host_state()?, host, "the host's own network was touched");
    drop(lab);
    assert_eq!(traces(&name), Vec::<String>::new());
    assert!(!nginx.is_running() && !worker.is_running());
    assert_eq!(host_state()?, host);
    Ok(())
}

/// What a lab must not change: the host's links, addresses, routes, rules, forwarding, packet filters.
fn host_state() -> Result<String> {
    let mut state = String::new();
    let lines: [&[&str]; 6] = [
        &["ip", "-o", "addr"],
        &["ip", "route", "show", "table", "all"],
        &["ip", "-6", "route", "show", "table", "all"],
        &["ip", "rule"],
        &["iptables-save", "-t", "nat"],
        &[
            "sysctl",
            "net.ipv4.ip_forward",
            "net.ipv6.conf.all.forwarding",
            "net.ipv4.icmp_ratelimit",
        ],
    ];
    for line in lines {
        let output = Command::new(programs::require(line[0])?)
            .args(&line[1..])
            .output()?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        // iptables-save dates its comments; addresses and routes carry lifetimes.
        state.extend(
            text.lines()
                .filter(|line| !line.starts_with('#'))
                .map(|line| {
                    let line = line.split(" valid_lft").next().unwrap_or_default();
                    format!("{}\n", line.split(" expires").next().unwrap_or_default())
                }),
        );
    }
    Ok(state)
}

#[test]
fn nothing_is_left_after_a_panic() -> Result<()> {
    if !lab::possible() {
        return Ok(());
    }
    let lab = small("panic")?;
    let name = lab.name().to_owned();
    let panicked = std::thread::spawn(move || {
        let _process = lab.pod("client").spawn(["sleep", "600"]);
        assert!(lab.name().is_empty(), "this panic is meant");
    });
    assert!(panicked.join().is_err());
    assert_eq!(traces(&name), Vec::<String>::new());
    Ok(())
}

/// `lab up` in the foreground, as a person has it in a terminal.
struct Up {
    child: Child,
    name: String,
}

impl Up {
    fn start(name: &str) -> Result<Self> {
        let name = format!("{name}_{}", std::process::id());
        let mut child = Command::new(LAB)
            .args(["up", "--capture", "none", "--name", &name])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()?;
        let lines = BufReader::new(child.stdout.take().context("no pipe")?).lines();
        let up = Self { child, name };
        for line in lines {
            if line?.starts_with("the lab is up") {
                assert!(
                    traces(&up.name)
                        .iter()
                        .any(|trace| trace.contains("mariadb"))
                );
                return Ok(up);
            }
        }
        anyhow::bail!("lab up ended without a lab")
    }

    fn signal(&mut self, signal: &str) -> Result<()> {
        run("kill", &["-s", signal, &self.child.id().to_string()])?;
        self.child.wait()?;
        Ok(())
    }
}

impl Drop for Up {
    fn drop(&mut self) {
        // Only a failed test gets here with something to do.
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = Command::new(LAB).args(["down", &self.name]).output();
    }
}

fn run(program: &str, arguments: &[&str]) -> Result<String> {
    let output = Command::new(program)
        .args(arguments)
        .output()
        .with_context(|| program.to_owned())?;
    let text = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    anyhow::ensure!(
        output.status.success(),
        "{program} {arguments:?}: {}: {text}",
        output.status
    );
    Ok(text)
}

#[test]
fn ctrl_c_and_sigterm_leave_nothing() -> Result<()> {
    if !lab::possible() {
        return Ok(());
    }
    for signal in ["INT", "TERM"] {
        let mut up = Up::start("signal")?;
        up.signal(signal)?;
        assert_eq!(traces(&up.name), Vec::<String>::new(), "after {signal}");
    }
    Ok(())
}

#[test]
fn clean_removes_what_a_killed_owner_left_and_spares_the_living() -> Result<()> {
    if !lab::possible() {
        return Ok(());
    }
    let living = small("living")?;
    let sleeper = living.pod("client").spawn(["sleep", "600"])?;
    let mut up = Up::start("killed")?;
    up.signal("KILL")?;
    let left = traces(&up.name);
    assert!(
        left.iter().any(|trace| trace.contains("nginx")),
        "the kill left nothing to clean: {left:?}"
    );
    let list = run(LAB, &["list"])?;
    assert!(
        list.lines()
            .any(|line| line.starts_with(&up.name) && line.contains("dead")),
        "{list}"
    );
    run(LAB, &["clean"])?;
    assert_eq!(traces(&up.name), Vec::<String>::new());
    assert!(sleeper.is_running());
    assert!(living.pod("client").netns_path().exists() && living.folder().exists());
    Ok(())
}

#[test]
fn a_detached_lab_is_used_by_exec_and_ended_by_down() -> Result<()> {
    if !lab::possible() {
        return Ok(());
    }
    let name = format!("detached_{}", std::process::id());
    let text = run(
        LAB,
        &["up", "--detach", "--capture", "none", "--name", &name],
    )?;
    assert!(text.contains("try:") && text.contains("lab exec"), "{text}");
    let list = run(LAB, &["list"])?;
    assert!(
        list.contains(&name) && list.contains("10.10.2.10"),
        "{list}"
    );
    let hello = run(
        LAB,
        &[
            "exec",
            "--lab",
            &name,
            "client",
            "--",
            "curl",
            "-sS",
            "http://10.10.2.10:8080/",
        ],
    )?;
    assert_eq!(hello, "hello from nginx\n");
    let code = Command::new(LAB)
        .args(["exec", "--lab", &name, "client", "--", "sh", "-c", "exit 7"])
        .status()?
        .code();
    assert_eq!(code, Some(7));
    let second = Command::new(LAB)
        .args(["up", "--capture", "none", "--name", &name])
        .output()?;
    assert!(
        String::from_utf8_lossy(&second.stderr).contains("exists"),
        "{second:?}"
    );
    run(LAB, &["down", &name])?;
    until("no trace of the lab", Duration::from_secs(5), || {
        traces(&name).is_empty()
    })
}

#[test]
fn a_folder_that_is_no_labs_stays() -> Result<()> {
    let folder: PathBuf = std::env::temp_dir().join(format!("ambit-other-{}", std::process::id()));
    fs::create_dir_all(&folder)?;
    run(LAB, &["clean"])?;
    assert!(Path::new(&folder).exists());
    fs::remove_dir(folder)?;
    Ok(())
}
