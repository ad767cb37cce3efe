//! What a joined connection goes through unharmed: looks at its path, one after the other, which nobody else notices.

use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use lab::{Capture, Ztunnel, until};
use suites::policy::{Call, Echo, Mark, PATIENCE, Seen};
use suites::traffic::eventually_opened;

use super::{counted, lab};

/// Looks that the test waits for, and how long they take at most.
const LOOKS: f64 = 4.0;
const TIMEOUT_LOOKS: Duration = Duration::from_secs(60);

fn looks(ztunnel: &Ztunnel, result: &str) -> Result<f64> {
    ztunnel
        .metric("ambit_neighbour_probes_total", &[("result", result)])
        .context("probes")
}

/// Which way the connections of a pod go, as `/config_dump` has it.
fn ways(ztunnel: &Ztunnel, pod: &lab::Pod, direction: &str) -> Result<Vec<String>> {
    let dump = ztunnel.config_dump()?;
    let connections = &dump["workloadState"][pod.uid()]["connections"][direction];
    let connections = connections.as_array().context("connections")?;
    Ok(connections
        .iter()
        .filter_map(|one| one["via"].as_str().map(str::to_owned))
        .collect())
}

fn survives(capture: Capture) -> Result<()> {
    let Some((lab, [near, _far])) = lab("joinlives", capture)? else {
        return Ok(());
    };
    let (client, server) = (lab.pod("client"), lab.pod("server"));
    let _echo = Echo::start(&server, &[8080])?;
    let to = SocketAddr::new(server.ip4().into(), 8080);
    lab.scenario(|| {
        let mark = Mark::now(&near);
        let mut quiet = Call::open(&client, to)?;
        let mut busy = Call::open(&client, to)?;
        for call in [&mut quiet, &mut busy] {
            ensure!(call.ping()? == Seen::Answered);
        }
        ensure!(ways(&near, &client, "outbound")? == ["same_node"; 2]);
        ensure!(ways(&near, &server, "inbound")? == ["same_node"; 2]);
        let mut seen = Ok(Seen::Answered);
        until("several looks at the path", TIMEOUT_LOOKS, || {
            if matches!(seen, Ok(Seen::Answered)) {
                seen = busy.ping();
            }
            looks(&near, "confirmed").is_ok_and(|looks| looks > LOOKS - 0.5)
        })
        .with_context(|| near.log_tail())?;
        ensure!(seen? == Seen::Answered);
        ensure!(quiet.ping()? == Seen::Answered);
        for result in ["apart", "unconfirmed", "unmade"] {
            ensure!(looks(&near, result)? < 0.5, "{result}");
        }
        ensure!(near.metric("ambit_neighbour_paths", &[("state", "open")])? > 0.5);
        // Nobody is told of looks: no line, no connection, no socket.
        ensure!(counted(&near, "same_node")? == [2.0, 2.0]);
        ensure!(near.metric("istio_tcp_connections_failed_total", &[])? < 0.5);
        let lines = mark.lines(&near, &["connection failed"]);
        ensure!(lines.is_empty(), "{lines:#?}");

        // Whoever else looks is told of, as ever.
        let door = SocketAddr::new(server.ip4().into(), 15008);
        drop(
            lab.node(0)
                .run(|| TcpStream::connect_timeout(&door, PATIENCE))??,
        );
        mark.wait(&near, &["connection failed", "15008"], 1)?;
        until("it is counted", PATIENCE, || {
            near.metric("istio_tcp_connections_failed_total", &[])
                .is_ok_and(|failed| failed > 0.5)
        })?;
        eventually_opened(&near, 4, &[])
    })
}

#[test]
fn a_joined_connection_survives_looks_at_its_path_that_nobody_notices_with_iptables_capture()
-> Result<()> {
    survives(Capture::Iptables)
}

#[test]
fn a_joined_connection_survives_looks_at_its_path_that_nobody_notices_with_ebpf_capture()
-> Result<()> {
    survives(Capture::Ebpf)
}
