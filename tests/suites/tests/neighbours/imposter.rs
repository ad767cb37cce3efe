//! Somebody else who answers in the neighbour's place: a path counts only if the neighbour's own listener says so.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Result, ensure};
use lab::{Capture, Lab, Pod, PodSpec, Start, Ztunnel, eventually, until};
use suites::policy::{Call, Echo, Mark, PATIENCE, Seen};

use super::counted;

/// How long a path may stay open that nobody confirms, with the looks before and after.
const UNCONFIRMED: Duration = Duration::from_secs(75);

/// `client`, `server` and `other` on one node.
fn ground(name: &str, capture: Capture) -> Result<Option<(Lab, Ztunnel)>> {
    if !lab::possible() {
        return Ok(None);
    }
    let lab = Lab::builder(name)
        .pod(PodSpec::new("client"))
        .pod(PodSpec::new("server"))
        .pod(PodSpec::new("other"))
        .capture(capture)
        .build()?;
    let near = lab.start_ztunnel(0, &Start::default())?;
    Ok(Some((lab, near)))
}

/// What a pod that may change its own network does to its packets for `to`.
fn translate(client: &Pod, how: &str, chain: &str, to: &Pod, what: &[&str]) -> Result<()> {
    let ip = to.ip4().to_string();
    let rule = [
        "iptables", "-w", "-t", "nat", how, chain, "-p", "tcp", "-d", &ip, "--dport", "15008", "-j",
    ];
    client
        .exec(rule.into_iter().chain(what.iter().copied()))?
        .ok()?;
    Ok(())
}

/// Another pod of the mesh answers on the port, and a join would go past whatever keeps the two apart.
fn another_answers(capture: Capture) -> Result<()> {
    let Some((lab, near)) = ground("imposter", capture)? else {
        return Ok(());
    };
    let (client, server, other) = (lab.pod("client"), lab.pod("server"), lab.pod("other"));
    let echo = Echo::start(&server, &[8080])?;
    let to = SocketAddr::new(server.ip4().into(), 8080);
    let away = format!("{}:15008", other.ip4());
    let away = ["DNAT", "--to-destination", &away];
    lab.scenario(|| {
        // Led astray from the start: not joined, and the tunnel meets somebody else's certificate.
        translate(&client, "-I", "OUTPUT", &server, &away)?;
        ensure!(Call::open(&client, to)?.ping()? == Seen::Closed);
        ensure!(counted(&near, "same_node")? == [0.0, 0.0]);
        ensure!(echo.accepted() == 0, "it reached the application");
        translate(&client, "-D", "OUTPUT", &server, &away)?;
        let mut open = eventually("joined", PATIENCE, || {
            let mut call = Call::open(&client, to)?;
            ensure!(call.ping()? == Seen::Answered);
            ensure!(counted(&near, "same_node")?[1] > 0.5);
            Ok(call)
        })?;
        // Led astray later: nobody is joined any more, and what is open does not last. A tunnel that stands may be used on.
        let mark = Mark::now(&near);
        translate(&client, "-I", "OUTPUT", &server, &away)?;
        open.wait_end(UNCONFIRMED)?;
        mark.wait(&near, &["not joined any more"], 1)?;
        let joined = near.metric("ambit_joins_total", &[("result", "joined")])?;
        for _ in 0..3 {
            Call::open(&client, to)?.ping()?;
        }
        until("three more that were not joined", PATIENCE, || {
            near.metric("ambit_joins_total", &[("result", "no_path")])
                .is_ok_and(|refused| refused > 2.5)
        })?;
        let now = near.metric("ambit_joins_total", &[("result", "joined")])?;
        ensure!(
            (now - joined).abs() < 0.5,
            "{joined} were joined, now {now}"
        );
        Ok(())
    })
}

#[test]
fn a_path_on_which_another_pod_answers_joins_nobody_with_agent_capture() -> Result<()> {
    another_answers(Capture::Agent)
}

#[test]
fn a_path_on_which_another_pod_answers_joins_nobody_with_ebpf_capture() -> Result<()> {
    another_answers(Capture::Ebpf)
}

/// A network that translates addresses shows the neighbour another client than a join would.
#[test]
fn pods_between_which_addresses_are_translated_are_not_joined() -> Result<()> {
    let Some((lab, near)) = ground("translated", Capture::Agent)? else {
        return Ok(());
    };
    let (client, server) = (lab.pod("client"), lab.pod("server"));
    let _echo = Echo::start(&server, &[8080])?;
    let to = SocketAddr::new(server.ip4().into(), 8080);
    let source = format!("{}:61000-61999", client.ip4());
    lab.scenario(|| {
        translate(
            &client,
            "-I",
            "POSTROUTING",
            &server,
            &["SNAT", "--to-source", &source],
        )?;
        for _ in 0..3 {
            ensure!(Call::open(&client, to)?.ping()? == Seen::Answered);
        }
        ensure!(counted(&near, "same_node")? == [0.0, 0.0]);
        ensure!(counted(&near, "mutual_tls")? == [3.0, 3.0]);
        Ok(())
    })
}
