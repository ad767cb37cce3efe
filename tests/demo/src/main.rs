//! The demo: real programs in pods on two nodes, without and with the mesh, and an account of what happened.
//!
//! In: ztunnel, waypoint and controller in `target/release`, Debian's programs, root. Out: progress lines, then the account; an exit code that
//! says whether all of it was so. Never: tells anything that was not read from a log, a capture or a program.
//!
//! Reading order: [`stage`] (who is there), [`control`] (what the controller was given and who asked it), [`calls`] (what they do),
//! [`record`] (what the ztunnels say about it), [`canary`] and [`mod@line`] (what the waypoint does and says), [`link`] (what was on
//! the wire), [`account`] (what is told). Ctrl-C ends the process by way of the lab, which
//! removes itself first.

#![forbid(unsafe_code)]

mod access;
mod account;
mod calls;
mod canary;
mod control;
mod line;
mod link;
mod record;
mod say;
mod stage;

use std::{path::Path, process::ExitCode};

use anyhow::{Context as _, Result, bail, ensure};

fn main() -> ExitCode {
    match demo() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say::error(&format!("demo: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn demo() -> Result<()> {
    if !lab::possible() {
        bail!("the lab needs root and network namespaces");
    }
    let progress = say::Progress::begin();
    let programs = [
        lab::Program::Ztunnel.binary()?,
        lab::Program::Waypoint.binary()?,
    ];

    progress.line("two nodes, twelve pods: network namespaces and the wires between them");
    let stage = stage::Stage::build()?;
    let name = stage.lab.name().to_owned();
    let story = tell(&stage, &progress)?;

    progress.line("cleaning up");
    let folder = stage.lab.folder().to_owned();
    drop(stage);
    ensure!(!folder.exists(), "{} is still there", folder.display());
    let left = namespaces_of(&name)?;
    ensure!(
        left.is_empty(),
        "network namespaces are still there: {}",
        left.join(", ")
    );

    say::line(&story);
    say::line(&format!(
        "{} and {} carried all of it. {} s; nothing of the lab is left.",
        programs[0].display(),
        programs[1].display(),
        progress.seconds()
    ));
    Ok(())
}

/// Everything between the building of the stage and its end. The account is what it returns.
fn tell(stage: &stage::Stage, progress: &say::Progress) -> Result<String> {
    progress.line("starting four nginx, redis, mariadb, two iperf3");
    let servers = stage.start_servers()?;

    progress.line("one request without the mesh, watched on the link between the nodes");
    let before = link::Watch::everything(&stage.lab)?;
    calls::without_mesh(stage)?;
    let before = before.stop()?;
    ensure!(
        link::readable(&before, &calls::texts()) > 0,
        "the capture missed what was sent in the clear: it would prove nothing later"
    );

    progress.line("starting the controller on a folder of manifests");
    let controller = stage.start_controller()?;
    progress.line(
        "starting two ztunnels and a waypoint, which ask it: the running pods are captured, nothing is restarted",
    );
    let (ztunnels, waypoint) = stage.start_proxies()?;
    let control = control::account(&controller)?;
    let wire = link::Watch::everything(&stage.lab)?;
    progress.line("curl, redis-cli and mariadb, in both directions, IPv4 and IPv6");
    let calls = calls::all(stage, &servers, &ztunnels)?;
    progress.line("a request that the policy denies");
    let denial = calls::denied(stage, &ztunnels)?;
    progress.line("a page that one identity may see, and searches beyond their limit");
    let access = access::watch(stage, &waypoint)?;
    progress.line("the same request without and with the canary header; then a replica is killed");
    let canary = canary::watch(stage, &servers, &ztunnels, &waypoint)?;
    let wire = wire.stop()?;
    let seen = link::verdict(&wire, &calls::texts())?;

    progress.line("iperf3, three seconds in each direction");
    let bulk = link::Watch::all_but_tunnels(&stage.lab)?;
    let speeds = calls::bulk(stage, &ztunnels)?;
    let (strangers, crossed_bytes) = bulk.stop_counting(&stage.lab)?;
    ensure!(
        strangers.is_empty(),
        "outside of the tunnels went {} packets, the first {:?}",
        strangers.len(),
        strangers[0]
    );

    let told = account::Told {
        control,
        calls,
        access,
        canary,
        denial,
        before: (before.len(), link::readable(&before, &calls::texts())),
        seen,
        speeds,
        crossed_bytes,
        texts: calls::texts().len(),
    };
    Ok(told.render())
}

/// The network namespaces that carry a run's name.
fn namespaces_of(run: &str) -> Result<Vec<String>> {
    let folder = Path::new("/run/netns");
    if !folder.exists() {
        return Ok(Vec::new());
    }
    let names = std::fs::read_dir(folder).context("list network namespaces")?;
    let prefix = format!("ambit-{run}-");
    let names = names.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    Ok(names.filter(|name| name.starts_with(&prefix)).collect())
}
