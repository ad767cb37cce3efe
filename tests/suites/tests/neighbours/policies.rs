//! Policies between pods of one node: at the door, and for what is open.

use std::net::SocketAddr;

use anyhow::{Result, ensure};
use lab::Capture;
use serde_json::json;
use suites::policy::{Call, Echo, Fields, Mark, PATIENCE, Seen, scoped};
use suites::traffic::change;

use super::{counted, lab};

fn policy(capture: Capture) -> Result<()> {
    let Some((lab, [near, far])) = lab("policy", capture)? else {
        return Ok(());
    };
    let server = lab.pod("server");
    let _echo = Echo::start(&server, &[8080, 9090])?;
    let open = |port| {
        Call::open(
            &lab.pod("client"),
            SocketAddr::new(server.ip4().into(), port),
        )
    };
    lab.scenario(|| {
        let (mut cut, mut stays) = (open(8080)?, open(9090)?);
        for call in [&mut cut, &mut stays] {
            ensure!(call.ping()? == Seen::Answered);
        }
        let mark = Mark::now(&near);
        let rules = json!([[[{"destinationPorts": [8080]}]]]);
        change(&lab, &[&near, &far], |mesh| {
            mesh.policy(scoped("no-8080", "default", "Namespace", "Deny", rules));
        })?;
        cut.wait_end(PATIENCE)?;
        ensure!(stays.ping()? == Seen::Answered);
        // The cut is told of on both sides, in the same words.
        let texts = ["connection closed due to policy change"];
        let lines = mark.wait(&near, &texts, 2)?;
        for line in &lines {
            let line = Fields::parse(line)?;
            ensure!(line.get("src.addr")? == cut.local().to_string(), "{line:?}");
        }
        // At the door: the server's side says why, the client's what a tunnel would have been told.
        let mark = Mark::now(&near);
        let mut refused = open(8080)?;
        ensure!(refused.ping()? == Seen::Closed);
        let address = format!("src.addr={} ", refused.local());
        let lines = mark.wait(&near, &[&address], 2)?;
        let told = |direction: &str, text: &str| {
            lines.iter().any(|line| {
                line.contains(&format!("direction=\"{direction}\"")) && line.contains(text)
            })
        };
        ensure!(
            told("inbound", "explicitly denied by: default/no-8080"),
            "{lines:#?}"
        );
        ensure!(told("outbound", "401 Unauthorized"), "{lines:#?}");
        let joined = counted(&near, "same_node")?;
        ensure!(joined == [3.0, 3.0], "{joined:?}");
        Ok(())
    })
}

#[test]
fn a_policy_refuses_and_cuts_as_it_does_between_nodes_with_agent_capture() -> Result<()> {
    policy(Capture::Agent)
}

#[test]
fn a_policy_refuses_and_cuts_as_it_does_between_nodes_with_iptables_capture() -> Result<()> {
    policy(Capture::Iptables)
}

#[test]
fn a_policy_refuses_and_cuts_as_it_does_between_nodes_with_ebpf_capture() -> Result<()> {
    policy(Capture::Ebpf)
}

/// Nothing that a pod of the node sends is believed for being sent here: who it is says its certificate.
fn identity(capture: Capture) -> Result<()> {
    let Some((lab, [near, far])) = lab("identity", capture)? else {
        return Ok(());
    };
    let server = lab.pod("server");
    let _echo = Echo::start(&server, &[8080])?;
    let to = SocketAddr::new(server.ip4().into(), 8080);
    let seen = |from: &str| Call::open(&lab.pod(from), to)?.ping();
    lab.scenario(|| {
        for (allowed, [client, far_away]) in [
            ("client", [Seen::Answered, Seen::Closed]),
            ("far", [Seen::Closed, Seen::Answered]),
        ] {
            let who = lab.pod(allowed).identity();
            let who = who.trim_start_matches("spiffe://").to_owned();
            let rules = json!([[[{"principals": [{"exact": who}]}]]]);
            change(&lab, &[&near, &far], |mesh| {
                mesh.remove_policy("default", "only");
                mesh.policy(scoped("only", "default", "Namespace", "Allow", rules));
            })?;
            ensure!(
                seen("client")? == client,
                "{allowed} is allowed, client called"
            );
            ensure!(seen("far")? == far_away, "{allowed} is allowed, far called");
        }
        Ok(())
    })
}

#[test]
fn an_identity_is_allowed_and_its_neighbours_are_not_with_agent_capture() -> Result<()> {
    identity(Capture::Agent)
}

#[test]
fn an_identity_is_allowed_and_its_neighbours_are_not_with_iptables_capture() -> Result<()> {
    identity(Capture::Iptables)
}

#[test]
fn an_identity_is_allowed_and_its_neighbours_are_not_with_ebpf_capture() -> Result<()> {
    identity(Capture::Ebpf)
}
