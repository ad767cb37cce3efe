//! Pods that join and leave the mesh while they talk.

use std::net::{IpAddr, SocketAddr};

use anyhow::{Context as _, Result, ensure};
use lab::agent::Handover;
use lab::{Capture, Lab, PodSpec, Start, programs};
use suites::traffic::{
    self, End, Pair, end, eventually_opened, get, nowhere, pair, refused, speaks, url,
};

/// Texts that go there and back over a connection to show that it lives.
const ROUNDS: usize = 20;

fn talk(pair: &mut Pair, when: &str) -> Result<()> {
    for round in 0..ROUNDS {
        pair.exchange(&format!("{when}, round {round}"))
            .with_context(|| when.to_owned())?;
    }
    Ok(())
}

/// Both pods join while a connection between them flows that no rule has seen begin.
///
/// Istio's rules redirect whatever conntrack takes for new, so under agent capture the connection begins where
/// conntrack is at work already; ours look at the first packet of a connection alone (`--syn`).
fn join(capture: Capture) -> Result<()> {
    if !lab::possible() {
        return Ok(());
    }
    let lab = Lab::builder("join")
        .pod(PodSpec::new("client").not_enrolled())
        .pod(PodSpec::new("server").node(1).not_enrolled())
        .capture(capture)
        .outside()
        .build()?;
    let (client, server) = (lab.pod("client"), lab.pod("server"));
    let nginx = programs::nginx(&server, 8080)?;
    let ztunnels = lab.start_ztunnels(&Start::default())?;
    let [near, far] = &ztunnels;
    lab.scenario(|| {
        if capture == Capture::Agent {
            for pod in [&client, &server] {
                for tool in ["iptables", "ip6tables"] {
                    let track = "-A INPUT -m conntrack --ctstate NEW -j ACCEPT";
                    pod.exec([tool].into_iter().chain(track.split(' ')))?.ok()?;
                }
            }
        }
        let mut live = Vec::new();
        for (number, ip) in server.addresses().both().into_iter().enumerate() {
            let port = 7000 + u16::try_from(number)?;
            let listener = traffic::listen(&server, port)?;
            let to = SocketAddr::new(ip, port);
            live.push(pair(&client, to, &listener)?);
            live.push(pair(lab.outside(), to, &listener)?);
        }
        for pair in &mut live {
            talk(pair, "before")?;
        }
        for pod in ["client", "server"] {
            ensure!(lab.enrol(pod)? == Handover::Served);
            for pair in &mut live {
                talk(pair, &format!("after {pod} has joined"))?;
            }
        }
        for ztunnel in &ztunnels {
            speaks(ztunnel, "client", "HBONE")?;
            speaks(ztunnel, "server", "HBONE")?;
        }
        // What begins now is captured, and nothing else.
        for ip in server.addresses().both() {
            ensure!(get(&client, &url(ip, 8080, "/"))? == "hello from server\n");
            ensure!(get(lab.outside(), &url(ip, 8080, "/"))? == "hello from server\n");
        }
        ensure!(
            nginx.access_log().lines().count() == 4,
            "{}",
            nginx.access_log()
        );
        for pair in &mut live {
            talk(pair, "at last")?;
        }
        for ztunnel in [near, far] {
            eventually_opened(ztunnel, 2, &[("connection_security_policy", "mutual_tls")])?;
        }
        eventually_opened(near, 2, &[])?;
        eventually_opened(far, 4, &[])
    })
}

#[test]
fn connection_older_than_the_enrolment_lives_on_with_agent_capture() -> Result<()> {
    join(Capture::Agent)
}

#[test]
fn connection_older_than_the_enrolment_lives_on_with_iptables_capture() -> Result<()> {
    join(Capture::Iptables)
}

#[test]
fn connection_older_than_the_enrolment_lives_on_with_ebpf_capture() -> Result<()> {
    join(Capture::Ebpf)
}

/// One pod leaves: its connections through the proxy end at once, what it does from now on passes the proxy by,
/// and its neighbour notices nothing.
fn leave(capture: Capture) -> Result<()> {
    if !lab::possible() {
        return Ok(());
    }
    let lab = Lab::builder("leave")
        .pod(PodSpec::new("client"))
        .pod(PodSpec::new("neighbour"))
        .pod(PodSpec::new("server").node(1))
        .capture(capture)
        .outside()
        .build()?;
    let (client, neighbour, server) = (lab.pod("client"), lab.pod("neighbour"), lab.pod("server"));
    let _nginx = [
        programs::nginx(&server, 8080)?,
        programs::nginx(&client, 8080)?,
        programs::nginx(lab.outside(), 8080)?,
    ];
    let [near, far] = lab.start_ztunnels(&Start::default())?;
    lab.scenario(|| {
        let listener = traffic::listen(&server, 7000)?;
        let to = SocketAddr::new(server.ip4().into(), 7000);
        let mut of_client = pair(&client, to, &listener)?;
        let mut of_neighbour = pair(&neighbour, to, &listener)?;
        talk(&mut of_client, "before")?;
        talk(&mut of_neighbour, "before")?;
        lab.unenrol("client")?;
        ensure!(
            end(&mut of_client.client)? == End::Reset && end(&mut of_client.server)? == End::Reset
        );
        talk(&mut of_neighbour, "after")?;
        near.wait_log(
            &["connection closed due to connection drain", "outbound"],
            lab::SECONDS_5,
        )?;

        for ztunnel in [&near, &far] {
            speaks(ztunnel, "client", "TCP")?;
        }
        let outside = lab.outside_addresses().both();
        for ip in server.addresses().both().into_iter().chain(outside) {
            let said = get(&client, &url(ip, 8080, "/"))?;
            ensure!(said.starts_with("hello from "), "{said}");
        }
        for ip in client.addresses().both() {
            for from in [lab.outside(), &**neighbour] {
                ensure!(get(from, &url(ip, 8080, "/"))? == "hello from client\n");
            }
        }
        // One each before, and the neighbour's two calls of the client; none of the client's own.
        eventually_opened(&near, 1, &[("source_workload", "client")])?;
        eventually_opened(&near, 4, &[])?;

        // Beyond doubt: without a proxy the one that left still talks, the one that stayed does not.
        near.kill()?;
        let plain: IpAddr = lab.outside_addresses().ip4.into();
        get(&client, &url(plain, 8080, "/"))?;
        if capture == Capture::Ebpf {
            nowhere(&neighbour, &url(plain, 8080, "/"))
        } else {
            refused(&neighbour, &url(plain, 8080, "/"))
        }
    })
}

#[test]
fn pod_that_leaves_the_mesh_is_captured_no_more_with_agent_capture() -> Result<()> {
    leave(Capture::Agent)
}

#[test]
fn pod_that_leaves_the_mesh_is_captured_no_more_with_iptables_capture() -> Result<()> {
    leave(Capture::Iptables)
}

#[test]
fn pod_that_leaves_the_mesh_is_captured_no_more_with_ebpf_capture() -> Result<()> {
    leave(Capture::Ebpf)
}
