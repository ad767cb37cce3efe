//! A joined pod that leaves. What else separates two pods of a node: `network.rs`, `policies.rs`, `revoked.rs`.

use std::net::SocketAddr;

use anyhow::{Result, ensure};
use lab::{Capture, eventually};
use suites::policy::{Call, Echo, PATIENCE, Seen};

use super::{counted, lab};

fn leaves(capture: Capture) -> Result<()> {
    let Some((lab, [near, _far])) = lab("leaves", capture)? else {
        return Ok(());
    };
    let (client, server) = (lab.pod("client"), lab.pod("server"));
    let _echo = Echo::start(&server, &[8080])?;
    let to = SocketAddr::new(server.ip4().into(), 8080);
    lab.scenario(|| {
        for leaving in ["server", "client"] {
            let mut open = Call::open(&client, to)?;
            ensure!(open.ping()? == Seen::Answered);
            lab.unenrol(leaving)?;
            open.wait_end(PATIENCE)?;
            lab.enrol(leaving)?;
            let before = counted(&near, "same_node")?;
            eventually("joined again", PATIENCE, || {
                ensure!(Call::open(&client, to)?.ping()? == Seen::Answered);
                // A scrape may be a second old.
                let now = counted(&near, "same_node")?;
                ensure!(now[0] > before[0] + 0.5, "{before:?}, then {now:?}");
                Ok(())
            })?;
        }
        Ok(())
    })
}

#[test]
fn a_pod_that_leaves_takes_its_joined_connections_along_with_agent_capture() -> Result<()> {
    leaves(Capture::Agent)
}

#[test]
fn a_pod_that_leaves_takes_its_joined_connections_along_with_iptables_capture() -> Result<()> {
    leaves(Capture::Iptables)
}

#[test]
fn a_pod_that_leaves_takes_its_joined_connections_along_with_ebpf_capture() -> Result<()> {
    leaves(Capture::Ebpf)
}
