//! The handle of a ztunnel, with stand-ins in its place.

use std::time::Duration;

use anyhow::Result;
use lab::{Capture, Lab, PodSpec, SECONDS_5, Start};

fn shell(script: &str) -> Start {
    Start::default().program(["/bin/sh", "-c", script])
}

#[test]
fn one_that_ends_at_once_is_an_error_that_holds_its_log() -> Result<()> {
    if !lab::possible() {
        return Ok(());
    }
    let lab = Lab::builder("ends").capture(Capture::Iptables).build()?;
    let start = shell("echo \"CAPTURE=$CAPTURE: refused\"; exit 3");
    let text = format!("{:#}", lab.start_ztunnel(0, &start).expect_err("it ended"));
    assert!(
        text.contains("exit status: 3") && text.contains("CAPTURE=iptables: refused"),
        "{text}"
    );
    Ok(())
}

#[test]
fn environment_is_exactly_what_was_asked_for_on_each_node() -> Result<()> {
    if !lab::possible() {
        return Ok(());
    }
    let lab = Lab::builder("env").pod(PodSpec::new("pod")).build()?;
    for (node, name) in [(0, "node1"), (1, "node2")] {
        let start = shell("env; echo end; exec sleep 600")
            .env("SECRET_TTL", "10s")
            .env_remove("CLUSTER_ID");
        let ztunnel = lab.spawn_ztunnel(node, &start)?;
        ztunnel.wait_log(&["end"], SECONDS_5)?;
        let has = |line: &str| !ztunnel.log_lines(&[line]).is_empty();
        assert!(
            has(&format!("NODE_NAME={name}")) && has("SECRET_TTL=10s") && has("CAPTURE=agent"),
            "{}",
            ztunnel.log()
        );
        assert!(has("XDS_ADDRESS=https://") && has("CA_ADDRESS=https://"));
        assert!(has(&format!(
            "AUTH_TOKEN={}",
            lab.token_path(name).display()
        )));
        assert!(!has("CLUSTER_ID") && !has("CARGO"), "{}", ztunnel.log());
        let socket = ztunnel.log_lines(&["INPOD_UDS="])[0].replace("INPOD_UDS=", "");
        assert!(std::path::Path::new(&socket).exists(), "{socket}");
    }
    let (root, token) = (lab.controller()?.root(), lab.token_path("node1"));
    for file in [lab.ca().cert_path(), lab.ca().key_path(), &root, &token] {
        assert!(!std::fs::read_to_string(file)?.is_empty());
    }
    Ok(())
}

#[test]
fn a_restart_keeps_the_log_and_a_kill_takes_the_children() -> Result<()> {
    if !lab::possible() {
        return Ok(());
    }
    let lab = Lab::builder("restart").build()?;
    let ztunnel = lab.spawn_ztunnel(0, &shell("echo a life; sleep 600 & wait"))?;
    ztunnel.wait_log(&["a life"], SECONDS_5)?;
    let first = ztunnel.id();
    ztunnel.restart()?;
    lab::until("two lives in the log", SECONDS_5, || {
        ztunnel.log_lines(&["a life"]).len() == 2
    })?;
    assert_ne!(ztunnel.id(), first);
    assert!(ztunnel.is_running());
    ztunnel.kill()?;
    assert!(!ztunnel.is_running() && !ztunnel.ready());
    let events = std::fs::read_to_string(lab.node(0).group().join("cgroup.events"))?;
    assert!(events.contains("populated 0"), "{events}");
    Ok(())
}

#[test]
fn endpoints_are_asked_in_the_nodes_own_namespace() -> Result<()> {
    if !lab::possible() {
        return Ok(());
    }
    let lab = Lab::builder("endpoints").build()?;
    // nginx answers 200 on `/` only: alive on the port of readiness, but never ready.
    let _nginx = lab::programs::nginx(lab.node(0), 15021)?;
    let address = (std::net::Ipv4Addr::LOCALHOST, 15021).into();
    assert_eq!(
        lab.node(0).http("GET", address, "/")?.text(),
        "hello from node1\n"
    );
    assert!(lab.node(1).http("GET", address, "/").is_err());
    let ztunnel = lab.spawn_ztunnel(0, &shell("exec sleep 600"))?;
    assert!(!ztunnel.ready());
    assert!(ztunnel.terminate(Duration::from_secs(5)).is_ok());
    Ok(())
}
