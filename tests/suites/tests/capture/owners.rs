//! Whose capture it is: an agent's rules are nobody else's to change, those of another mode go, and a namespace that two are in loses its
//! capture with the last of them.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context as _, Result, bail, ensure};
use lab::agent::Handover;
use lab::{Capture, Lab, Pod, PodSpec, Start, programs};
use suites::traffic::{PATIENCE, get, nowhere, url};
use wire::zds::PodInfo;

/// A rule of each chain that Istio's agent makes, enough to know them by, and to make the pod's inbound dead.
const CHAINS: [&str; 5] = [
    "-t nat -N ISTIO_PRERT",
    "-t nat -A PREROUTING -j ISTIO_PRERT",
    "-t nat -A ISTIO_PRERT -p tcp --syn -m tcp --dport 8080 -j REDIRECT --to-ports 15006",
    "-t nat -N ISTIO_OUTPUT",
    "-t nat -A OUTPUT -j ISTIO_OUTPUT",
];
/// What makes them ours.
const OURS: [&str; 2] = ["-t nat -N AMBIT", "-t nat -A ISTIO_PRERT -j AMBIT"];

fn info(pod: &Pod) -> PodInfo {
    let spec = pod.spec();
    PodInfo {
        name: spec.name.clone(),
        namespace: spec.namespace.clone(),
        service_account: spec.service_account.clone(),
    }
}

fn write(pod: &Pod, rules: &[&str]) -> Result<()> {
    for tool in ["iptables", "ip6tables"] {
        for rule in rules {
            pod.exec([tool].into_iter().chain(rule.split(' ')))?.ok()?;
        }
    }
    Ok(())
}

/// Rules of both kinds, without counters and times.
fn rules(pod: &Pod) -> Result<String> {
    let mut all = String::new();
    for line in [
        &["iptables-save"][..],
        &["ip6tables-save"],
        &["ip", "-4", "rule"],
        &["ip", "-6", "rule"],
    ] {
        for line in pod.exec(line.iter().copied())?.ok()?.lines() {
            if !line.starts_with('#') {
                all += line.split(" [").next().unwrap_or_default();
                all.push('\n');
            }
        }
    }
    Ok(all)
}

/// Pins of pods on the first node, by their numbers in the bpffs: another number is another pin.
fn pins(lab: &Lab) -> Result<Vec<(PathBuf, u64)>> {
    let pins = lab.folder().join("bpf").join(lab.node(0).name());
    let mut all = Vec::new();
    for generation in fs::read_dir(pins)?.flatten() {
        for pod in fs::read_dir(generation.path().join("pods"))
            .into_iter()
            .flatten()
            .flatten()
        {
            for pin in fs::read_dir(pod.path())?.flatten() {
                all.push((pin.path(), pin.metadata()?.ino()));
            }
        }
    }
    all.sort();
    Ok(all)
}

#[test]
fn beside_an_agent_nothing_is_captured_nor_changed_and_the_reason_is_told() -> Result<()> {
    if !lab::possible() {
        return Ok(());
    }
    let lab = Lab::builder("beside")
        .pod(PodSpec::new("late").not_enrolled())
        .pod(PodSpec::new("client"))
        .capture(Capture::Ebpf)
        .outside()
        .build()?;
    let (late, client) = (lab.pod("late"), lab.pod("client"));
    let _nginx = programs::nginx(lab.outside(), 8080)?;
    write(&late, &CHAINS)?;
    let agents = rules(&late)?;
    lab.scenario(|| {
        for mode in ["auto", "ebpf", "iptables"] {
            let ztunnel = lab.start_ztunnel(0, &Start::default().env("CAPTURE", mode))?;
            let handover = lab.enrol("late")?;
            let Handover::Failed(error) = handover else {
                bail!("{mode}: {handover:?}");
            };
            for part in [late.uid(), "rules of a CNI agent", "CAPTURE=agent"] {
                ensure!(error.contains(part), "{mode}: {error}");
            }
            ensure!(rules(&late)? == agents, "{mode}: {}", rules(&late)?);
            // The others are served.
            lab::eventually(mode, PATIENCE, || {
                get(&client, &url(lab.outside_addresses().ip4, 8080, "/"))
            })?;
            lab.unenrol("late")?;
            ensure!(rules(&late)? == agents, "{mode}: {}", rules(&late)?);
            ensure!(ztunnel.log_lines(&["pod added", late.uid()]).is_empty());
            ztunnel.kill()?;
        }
        Ok(())
    })
}

#[test]
fn rules_of_another_mode_go_also_from_a_pod_that_is_taken_over() -> Result<()> {
    if !lab::possible() {
        return Ok(());
    }
    let lab = Lab::builder("former")
        .pod(PodSpec::new("server"))
        .capture(Capture::Ebpf)
        .outside()
        .build()?;
    let server = lab.pod("server");
    let _nginx = programs::nginx(&server, 8080)?;
    let ztunnel = lab.start_ztunnel(0, &Start::default())?;
    lab.scenario(|| {
        let captured = rules(&server)?;
        ztunnel.kill()?;
        write(&server, &CHAINS)?;
        write(&server, &OURS)?;
        nowhere(lab.outside(), &url(server.ip4(), 8080, "/"))?;
        ztunnel.restart()?;
        ztunnel.wait_ready()?;
        ztunnel.wait_log(&["taken over from a predecessor"], PATIENCE)?;
        for ip in server.addresses().both() {
            ensure!(get(lab.outside(), &url(ip, 8080, "/"))? == "hello from server\n");
        }
        let now = rules(&server)?;
        ensure!(!now.contains("ISTIO") && !now.contains("AMBIT"), "{now}");
        let routing = |all: &str| {
            let lines = all.lines().filter(|line| line.contains("lookup"));
            lines.map(str::to_owned).collect::<Vec<_>>()
        };
        ensure!(routing(&now) == routing(&captured), "{now}");
        Ok(())
    })
}

fn two_in_one_namespace(capture: Capture) -> Result<()> {
    if !lab::possible() {
        return Ok(());
    }
    let lab = Lab::builder("twoinone")
        .pod(PodSpec::new("server"))
        .capture(capture)
        .outside()
        .build()?;
    let server = lab.pod("server");
    let nginx = programs::nginx(&server, 8080)?;
    let ztunnel = lab.start_ztunnel(0, &Start::default())?;
    lab.scenario(|| {
        let before = rules(&server)?;
        let agent = lab.node(0).agent();
        let second = "00000000-0000-4000-8000-00000000000f";
        let handover = agent.add(second, info(&server), Arc::clone(server.netns()))?;
        let Handover::Failed(error) = handover else {
            bail!("{handover:?}");
        };
        ensure!(
            error.contains(second) && error.contains(server.uid()),
            "{error}"
        );
        agent.remove(second)?;
        ensure!(rules(&server)? == before, "{}", rules(&server)?);
        for ip in server.addresses().both() {
            lab::eventually("it is served still", PATIENCE, || {
                get(lab.outside(), &url(ip, 8080, "/"))
            })?;
        }
        ztunnel.kill()?;
        let served = nginx.access_log();
        nowhere(lab.outside(), &url(server.ip4(), 8080, "/"))?;
        ensure!(nginx.access_log() == served, "it is open");
        Ok(())
    })
}

#[test]
fn pod_that_leaves_takes_no_capture_from_another_of_its_namespace_with_iptables_capture()
-> Result<()> {
    two_in_one_namespace(Capture::Iptables)
}

#[test]
fn pod_that_leaves_takes_no_capture_from_another_of_its_namespace_with_ebpf_capture() -> Result<()>
{
    two_in_one_namespace(Capture::Ebpf)
}

/// The agent tells of a pod again, under another account: nobody knows that one, and it gets nowhere; then under its own.
fn another_account(capture: Capture) -> Result<()> {
    if !lab::possible() {
        return Ok(());
    }
    let lab = Lab::builder("account")
        .pod(PodSpec::new("client"))
        .capture(capture)
        .outside()
        .build()?;
    let client = lab.pod("client");
    let _nginx = programs::nginx(lab.outside(), 8080)?;
    let ztunnel = lab.start_ztunnel(0, &Start::default())?;
    let url = url(lab.outside_addresses().ip4, 8080, "/");
    lab.scenario(|| {
        get(&client, &url)?;
        let agent = lab.node(0).agent();
        let (before, stands) = (pins_if(&lab, capture)?, rules(&client)?);
        let again = |info| agent.add(client.uid(), info, Arc::clone(client.netns()));
        let other = PodInfo {
            service_account: "another".to_owned(),
            ..info(&client)
        };
        ensure!(again(other)? == Handover::Served);
        nowhere(&client, &url)?;
        ensure!(again(info(&client))? == Handover::Served);
        get(&client, &url)?;
        // What captures it was never taken away.
        ensure!(pins_if(&lab, capture)? == before && rules(&client)? == stands);
        ensure!(
            ztunnel.log_lines(&["pod removed"]).is_empty(),
            "{}",
            ztunnel.log_tail()
        );
        Ok(())
    })
}

fn pins_if(lab: &Lab, capture: Capture) -> Result<Vec<(PathBuf, u64)>> {
    if capture != Capture::Ebpf {
        return Ok(Vec::new());
    }
    let pins = pins(lab)?;
    ensure!(!pins.is_empty(), "nothing is pinned");
    Ok(pins)
}

#[test]
fn pod_that_gets_another_account_stays_captured_with_agent_capture() -> Result<()> {
    another_account(Capture::Agent)
}

#[test]
fn pod_that_gets_another_account_stays_captured_with_iptables_capture() -> Result<()> {
    another_account(Capture::Iptables)
}

#[test]
fn pod_that_gets_another_account_stays_captured_with_ebpf_capture() -> Result<()> {
    another_account(Capture::Ebpf)
}

/// What `ztunnel uncapture` says and leaves. It looks for namespaces among the processes that it sees, and so it is shown only those of this
/// test.
fn uncaptured(capture: Capture) -> Result<()> {
    if !lab::possible() {
        return Ok(());
    }
    let lab = Lab::builder("wayout")
        .pod(PodSpec::new("client"))
        .pod(PodSpec::new("near"))
        .capture(capture)
        .outside()
        .build()?;
    let (client, near) = (lab.pod("client"), lab.pod("near"));
    let _nginx = [
        programs::nginx(lab.outside(), 8080)?,
        programs::nginx(&client, 8080)?,
    ];
    let ztunnel = lab.start_ztunnel(0, &Start::default())?;
    let out = || url(lab.outside_addresses().ip4, 8080, "/");
    lab.scenario(|| {
        get(&client, &out())?;
        let run = || -> Result<std::process::Output> {
            let paths: Vec<_> = [&client, &near]
                .map(|pod| pod.netns_path().display().to_string())
                .into();
            let script = format!(
                "set -e; for path in {}; do nsenter --net=$path sleep 600 & all=\"$all $!\"; done; \
                 mount -t proc proc /proc; own=$(readlink /proc/self/ns/net); \
                 for one in $all; do while [ $(readlink /proc/$one/ns/net) = $own ]; do sleep 0.05; done; done; \
                 if [ -d /run/netns ]; then mount -t tmpfs tmpfs /run/netns; fi; \
                 exec {} uncapture",
                paths.join(" "),
                lab::Program::Ztunnel.binary()?.display()
            );
            std::process::Command::new("unshare")
                .args(["--mount", "--pid", "--fork", "--kill-child", "sh", "-c", &script])
                .envs(lab.ztunnel_env(0)?)
                .output()
                .context("run unshare")
        };
        if capture == Capture::Ebpf {
            let refused = run()?;
            ensure!(!refused.status.success(), "a ztunnel is alive: {refused:?}");
            get(&client, &out())?;
        }
        ztunnel.kill()?;
        nowhere(&client, &out())?;
        let done = run()?;
        ensure!(done.status.success(), "{done:?}");
        let said = String::from_utf8_lossy(&done.stdout).into_owned();
        let expected = if capture == Capture::Ebpf {
            "programs removed from 2 pods, rules removed from 0 namespaces"
        } else {
            "programs removed from 0 pods, rules removed from 2 namespaces"
        };
        ensure!(said.contains(expected), "{said}");
        get(&client, &out())?;
        ensure!(get(lab.outside(), &url(client.ip6(), 8080, "/"))? == "hello from client\n");
        let left = rules(&client)?;
        for ours in ["ISTIO", "AMBIT", "fwmark"] {
            ensure!(!left.contains(ours), "{left}");
        }
        Ok(())
    })
}

#[test]
fn uncapture_leaves_pods_without_a_mesh_after_ebpf_capture() -> Result<()> {
    uncaptured(Capture::Ebpf)
}

#[test]
fn uncapture_leaves_pods_without_a_mesh_after_iptables_capture() -> Result<()> {
    uncaptured(Capture::Iptables)
}
