//! What separates two pods of a node: the cluster's network, the end of one of them.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Result, ensure};
use lab::{Capture, eventually};
use suites::policy::{Call, Echo, Mark, PATIENCE, Seen};

use super::{counted, lab};

/// How long it takes at most until a path is looked at again, and for the look.
const PROBES: Duration = Duration::from_secs(30);

/// What a NetworkPolicy does, where it does not let one pod reach the other: packets to port 15008 are dropped at the server's door.
fn separate(server: &lab::Pod, client: &lab::Pod, how: &str) -> Result<()> {
    let ip = client.ip4().to_string();
    let rule = [
        "-w", how, "INPUT", "-s", &ip, "-p", "tcp", "--dport", "15008", "-j", "DROP",
    ];
    server.exec(["iptables"].into_iter().chain(rule))?.ok()?;
    Ok(())
}

#[test]
fn where_the_network_keeps_pods_apart_they_are_not_joined() -> Result<()> {
    let Some((lab, [near, _far])) = lab("apart", Capture::Iptables)? else {
        return Ok(());
    };
    let (client, server) = (lab.pod("client"), lab.pod("server"));
    let _echo = Echo::start(&server, &[8080])?;
    let to = SocketAddr::new(server.ip4().into(), 8080);
    lab.scenario(|| {
        let mut open = Call::open(&client, to)?;
        ensure!(open.ping()? == Seen::Answered);
        ensure!(counted(&near, "same_node")? == [1.0, 1.0]);

        let mark = Mark::now(&near);
        separate(&server, &client, "-I")?;
        open.wait_end(PROBES)?;
        let lines = mark.wait(&near, &["does not let the pods reach each other"], 2)?;
        ensure!(
            lines
                .iter()
                .all(|line| line.contains(&open.local().to_string()))
        );
        // What comes now goes by a tunnel, which does not get through either.
        let mut refused = Call::open(&client, to)?;
        refused.wait_end(PROBES)?;
        ensure!(counted(&near, "same_node")? == [1.0, 1.0]);

        separate(&server, &client, "-D")?;
        eventually("the pods are joined again", PROBES, || {
            let mut call = Call::open(&client, to)?;
            ensure!(call.ping()? == Seen::Answered);
            ensure!(counted(&near, "same_node")?[1] > 1.5);
            Ok(())
        })
    })
}

#[test]
fn a_pod_that_leaves_takes_its_joined_connections_along() -> Result<()> {
    let Some((lab, [near, _far])) = lab("leaves", Capture::Iptables)? else {
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
            eventually("joined again", PATIENCE, || {
                let before = counted(&near, "same_node")?;
                ensure!(Call::open(&client, to)?.ping()? == Seen::Answered);
                // A scrape may be a second old.
                ensure!(counted(&near, "same_node")?[0] > before[0] - 0.5);
                Ok(())
            })?;
        }
        Ok(())
    })
}
