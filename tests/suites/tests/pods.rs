//! Pods that come, go, are replaced, or are not known yet, while others are served without noticing.

use std::collections::BTreeSet;
use std::io::{Read as _, Write as _};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use anyhow::{Context as _, Result, ensure};
use lab::agent::Handover;
use lab::{Capture, Lab, Pod, PodSpec, ServiceSpec, Start, programs};
use suites::traffic::steady::Steady;
use suites::traffic::{
    self, End, PATIENCE, carry, change, dial, end, get, is_served, listen, pair, refused, url,
};
use wire::zds::PodInfo;

/// Pods that come and go on each node.
const COMERS: usize = 4;
/// Requests of the steady pair that must have passed before, between and after the changes.
const STEADY_REQUESTS: u64 = 20;

fn info(pod: &Pod) -> PodInfo {
    let spec = pod.spec();
    PodInfo {
        name: spec.name.clone(),
        namespace: spec.namespace.clone(),
        service_account: spec.service_account.clone(),
    }
}

fn come_and_go(capture: Capture) -> Result<()> {
    if !lab::possible() {
        return Ok(());
    }
    let lab = Lab::builder("podscome")
        .pod(PodSpec::new("client"))
        .pod(PodSpec::new("server").node(1))
        .service(ServiceSpec::new("server").port(80, 8080).backend("server"))
        .capture(capture)
        .build()?;
    let (client, server) = (lab.pod("client"), lab.pod("server"));
    let _nginx = programs::nginx(&server, 8080)?;
    let ztunnels = lab.start_ztunnels(&Start::default())?;
    lab.scenario(|| {
        // Two observers: one connection that stays, and requests without end on new ones.
        let listener = listen(&server, 7000)?;
        let mut stays = pair(
            &client,
            SocketAddr::new(server.ip4().into(), 7000),
            &listener,
        )?;
        let targets = [
            (server.ip4().into(), 8080),
            (server.ip6().into(), 8080),
            (lab.vip("server").ip4.into(), 80),
        ];
        let steady = Steady::start(
            &client,
            targets.map(|(ip, port): (IpAddr, u16)| SocketAddr::new(ip, port)),
        )?;
        steady.wait_for(STEADY_REQUESTS)?;

        for round in 0..2 {
            let mut comers = Vec::new();
            for number in 0..COMERS {
                for node in 0..2 {
                    let name = format!("comer-{round}-{node}-{number}");
                    comers.push(lab.add_pod(PodSpec::new(&name).node(node))?);
                    stays.exchange(&name)?;
                }
            }
            // Each is served: it calls, and it is called, and its address is seen.
            let caller = Arc::clone(&comers[0]);
            for comer in &comers {
                let listener = listen(comer, 7000)?;
                let mut called = eventually_pair(
                    &caller,
                    SocketAddr::new(comer.ip6().into(), 7000),
                    &listener,
                )?;
                called.exchange("to one who has just come")?;
                let said = get(comer, &url(server.ip4(), 8080, "/whoami"))?;
                ensure!(said == format!("{}\n", comer.ip4()), "{said}");
                let account = format!("src.identity=\"{}\"", comer.identity());
                ztunnels[1].wait_log(&["inbound", &account], PATIENCE)?;
            }
            steady.wait_for(STEADY_REQUESTS)?;
            for comer in &comers {
                lab.remove_pod(comer.name())?;
                stays.exchange(comer.name())?;
            }
            steady.wait_for(STEADY_REQUESTS)?;
        }
        for ztunnel in &ztunnels {
            let dump = ztunnel.config_dump()?;
            let left = dump["workloadState"]
                .as_object()
                .context("workloadState")?
                .len();
            ensure!(left == 1, "{left} pods are left: {}", dump["workloadState"]);
        }
        let mut failed = steady.end()?;
        ensure!(
            failed.is_empty(),
            "{} requests failed, the last with {:?}",
            failed.len(),
            failed.pop()
        );
        stays.exchange("after all")
    })
}

/// The mesh file may arrive after the pod: a caller that is refused for that calls again.
fn eventually_pair(
    from: &Pod,
    to: SocketAddr,
    listener: &std::net::TcpListener,
) -> Result<traffic::Pair> {
    lab::eventually("a pod that has just come answers", PATIENCE, || {
        let mut client = dial(from, to)?;
        client.write_all(b"x")?;
        listener.set_nonblocking(true)?;
        let accepted = lab::eventually("it arrives", lab::SECONDS_5, || Ok(listener.accept()?))?;
        accepted.0.set_nonblocking(false)?;
        let mut server = accepted.0;
        server.set_read_timeout(Some(PATIENCE))?;
        server.read_exact(&mut [0])?;
        Ok(traffic::Pair {
            client,
            server,
            seen: accepted.1,
        })
    })
}

#[test]
fn pods_come_and_go_and_nobody_else_notices_under_agent_capture() -> Result<()> {
    come_and_go(Capture::Agent)
}

#[test]
fn pods_come_and_go_and_nobody_else_notices_under_iptables_capture() -> Result<()> {
    come_and_go(Capture::Iptables)
}

#[test]
fn pods_come_and_go_and_nobody_else_notices_under_ebpf_capture() -> Result<()> {
    come_and_go(Capture::Ebpf)
}

fn same_again(capture: Capture) -> Result<()> {
    if !lab::possible() {
        return Ok(());
    }
    let lab = Lab::builder("podsagain")
        .pod(PodSpec::new("client"))
        .pod(PodSpec::new("server").node(1))
        .capture(capture)
        .build()?;
    let (client, server) = (lab.pod("client"), lab.pod("server"));
    let [near, far] = lab.start_ztunnels(&Start::default())?;
    lab.scenario(|| {
        let listener = listen(&server, 7000)?;
        let mut open = pair(
            &client,
            SocketAddr::new(server.ip4().into(), 7000),
            &listener,
        )?;
        for round in 0..3 {
            for pod in [&client, &server] {
                let agent = lab.node(pod.node()).agent();
                ensure!(
                    agent.add(pod.uid(), info(pod), Arc::clone(pod.netns()))? == Handover::Served
                );
                open.exchange(&format!("{} again, round {round}", pod.name()))?;
            }
        }
        // An agent that starts again tells everything again.
        let before = lab.node(0).agent().snapshots();
        lab.node(0).agent().disconnect();
        lab.node(0).agent().wait_snapshots(before + 1, PATIENCE)?;
        open.exchange("after the agent has come back")?;
        for ztunnel in [&near, &far] {
            ensure!(
                ztunnel.log_lines(&["pod added"]).len() == 1,
                "{}",
                ztunnel.log_tail()
            );
            ensure!(
                ztunnel.log_lines(&["pod removed"]).is_empty(),
                "{}",
                ztunnel.log_tail()
            );
        }
        Ok(())
    })
}

#[test]
fn pod_that_is_handed_over_again_is_no_change_under_agent_capture() -> Result<()> {
    same_again(Capture::Agent)
}

#[test]
fn pod_that_is_handed_over_again_is_no_change_under_iptables_capture() -> Result<()> {
    same_again(Capture::Iptables)
}

#[test]
fn pod_that_is_handed_over_again_is_no_change_under_ebpf_capture() -> Result<()> {
    same_again(Capture::Ebpf)
}

fn replaced(capture: Capture) -> Result<()> {
    if !lab::possible() {
        return Ok(());
    }
    let lab = Lab::builder("podsnewns")
        .pod(PodSpec::new("old"))
        .pod(PodSpec::new("new").not_enrolled())
        .pod(PodSpec::new("server").node(1))
        .capture(capture)
        .build()?;
    let (old, new, server) = (lab.pod("old"), lab.pod("new"), lab.pod("server"));
    let nginx = programs::nginx(&server, 8080)?;
    let [near, far] = lab.start_ztunnels(&Start::default())?;
    lab.scenario(|| {
        let listener = listen(&server, 7000)?;
        let mut open = pair(&old, SocketAddr::new(server.ip4().into(), 7000), &listener)?;
        open.exchange("from the old namespace")?;
        let agent = lab.node(0).agent();
        if capture == Capture::Agent {
            // The agent writes its rules into the new namespace; the pod of that name never comes to be.
            lab.enrol("new")?;
            agent.remove(new.uid())?;
        }
        // The pod's sandbox was made anew: another namespace, other addresses, the same pod.
        change(&lab, &[&near, &far], |mesh| -> Result<()> {
            mesh.remove_pod("new");
            mesh.workload("old")?["workloadIps"] = serde_json::json!([new.ip4(), new.ip6()]);
            Ok(())
        })??;
        open.exchange("the file alone changes nothing")?;
        ensure!(agent.add(old.uid(), info(&old), Arc::clone(new.netns()))? == Handover::Served);
        ensure!(end(&mut open.client)? == End::Reset && end(&mut open.server)? == End::Reset);
        lab::until("the old namespace is left", PATIENCE, || {
            !is_served(&old, capture)
        })?;
        ensure!(
            is_served(&new, capture),
            "nobody listens in the new namespace"
        );
        // Of the listeners of eBPF nobody knows the ports.
        let ports: &[u16] = if capture == Capture::Ebpf {
            &[]
        } else {
            &[15001, 15006, 15008]
        };
        for &port in ports {
            lab::until("the old namespace is left", PATIENCE, || !old.listens(port))?;
            ensure!(
                new.listens(port),
                "nobody listens on {port} in the new namespace"
            );
        }
        for (ip, own) in server
            .addresses()
            .both()
            .into_iter()
            .zip(new.addresses().both())
        {
            ensure!(get(&new, &url(ip, 8080, "/whoami"))? == format!("{own}\n"));
            let identity = format!("src.identity=\"{}\"", old.identity());
            far.wait_log(
                &["inbound", &identity, &format!("src.addr={}", display(own))],
                PATIENCE,
            )?;
        }
        let before = nginx.access_log();
        if capture == Capture::Agent {
            // What ztunnel has written has gone with the pod.
            refused(&old, &url(server.ip4(), 8080, "/"))?;
            ensure!(nginx.access_log() == before);
        } else {
            let rules = old.exec(["iptables-save"])?.ok()?;
            ensure!(!rules.contains("ISTIO"), "{rules}");
            let rules = old.exec(["ip", "rule", "show"])?.ok()?;
            ensure!(!rules.contains("fwmark"), "{rules}");
        }
        Ok(())
    })
}

/// As it stands before the port of an address.
fn display(ip: IpAddr) -> String {
    match ip {
        IpAddr::V4(ip) => ip.to_string(),
        IpAddr::V6(ip) => format!("[{ip}]"),
    }
}

#[test]
fn pod_in_another_namespace_replaces_the_old_one_under_agent_capture() -> Result<()> {
    replaced(Capture::Agent)
}

#[test]
fn pod_in_another_namespace_replaces_the_old_one_under_iptables_capture() -> Result<()> {
    replaced(Capture::Iptables)
}

#[test]
fn pod_in_another_namespace_replaces_the_old_one_under_ebpf_capture() -> Result<()> {
    replaced(Capture::Ebpf)
}

fn unknown(capture: Capture) -> Result<()> {
    if !lab::possible() {
        return Ok(());
    }
    let lab = Lab::builder("podslate")
        .pod(PodSpec::new("late"))
        .pod(PodSpec::new("server").node(1))
        .capture(capture)
        .outside()
        .build()?;
    let (late, server) = (lab.pod("late"), lab.pod("server"));
    let [near, far] = lab.start_ztunnels(&Start::default())?;
    lab.scenario(|| {
        let unpublish = || change(&lab, &[&near, &far], |mesh| mesh.remove_pod("late"));
        let publish = || change(&lab, &[&near, &far], |mesh| mesh.pod(&late, true));
        let (of_server, of_late) = (listen(&server, 7000)?, listen(&late, 7000)?);
        // Out of it, plain into it, and each time the configuration is later than the connection.
        for (from, to, listener) in [
            (
                &**late,
                SocketAddr::new(server.ip4().into(), 7000),
                &of_server,
            ),
            (
                lab.outside(),
                SocketAddr::new(late.ip4().into(), 7000),
                &of_late,
            ),
        ] {
            unpublish()?;
            let mut client = dial(from, to)?;
            client.write_all(b"early")?;
            // ztunnel has it and does nothing with it.
            lab::until("it is accepted", PATIENCE, || {
                let sockets = near.metrics().unwrap_or_default();
                sockets
                    .lines()
                    .any(|line| line.starts_with("istio_tcp_sockets_open{") && line.ends_with(" 1"))
            })?;
            listener.set_nonblocking(true)?;
            ensure!(
                listener.accept().is_err(),
                "it went on although nobody knew the pod"
            );
            publish()?;
            let (mut server, _seen) = traffic::accept(listener)?;
            let mut said = [0; 5];
            server.read_exact(&mut said)?;
            ensure!(&said == b"early");
            carry(&mut server, &mut client, b"better late")?;
        }
        // If it never comes, that is said.
        unpublish()?;
        let mut client = dial(&late, SocketAddr::new(server.ip4().into(), 7000))?;
        ensure!(end(&mut client)? == End::Reset);
        near.wait_log(
            &[
                "connection failed",
                "outbound",
                "failed to fetch information about local workload: default/late",
            ],
            PATIENCE,
        )?;
        Ok(())
    })
}

#[test]
fn connection_of_a_pod_that_is_not_configured_yet_waits_for_the_configuration_under_agent_capture()
-> Result<()> {
    unknown(Capture::Agent)
}

#[test]
fn connection_of_a_pod_that_is_not_configured_yet_waits_for_the_configuration_under_iptables_capture()
-> Result<()> {
    unknown(Capture::Iptables)
}

#[test]
fn connection_of_a_pod_that_is_not_configured_yet_waits_for_the_configuration_under_ebpf_capture()
-> Result<()> {
    unknown(Capture::Ebpf)
}

/// Two pods of one service account: one identity, but each its own address and so its own tunnels.
fn one_account(capture: Capture) -> Result<()> {
    if !lab::possible() {
        return Ok(());
    }
    let lab = Lab::builder("podsaccount")
        .pod(PodSpec::new("one").service_account("shared"))
        .pod(PodSpec::new("two").service_account("shared"))
        .pod(PodSpec::new("server").node(1))
        .capture(capture)
        .build()?;
    let pods = [lab.pod("one"), lab.pod("two")];
    let server = lab.pod("server");
    let nginx = programs::nginx(&server, 8080)?;
    // One worker: then each pod has one pool.
    let [_near, far] = lab.start_ztunnels(&Start::default().env("ZTUNNEL_WORKER_THREADS", "1"))?;
    let link = programs::tcpdump(&server, "eth0", "tcp port 15008")?;
    const ROUNDS: usize = 4;
    lab.scenario(|| {
        for _ in 0..ROUNDS {
            for pod in &pods {
                for (ip, own) in server
                    .addresses()
                    .both()
                    .into_iter()
                    .zip(pod.addresses().both())
                {
                    let said = get(pod, &url(ip, 8080, "/whoami"))?;
                    ensure!(
                        said == format!("{own}\n"),
                        "{} was taken for {said}",
                        pod.name()
                    );
                }
            }
        }
        ensure!(nginx.access_log().lines().count() == ROUNDS * 4);
        far.wait_log(
            &[
                "inbound",
                "src.identity=\"spiffe://cluster.local/ns/default/sa/shared\"",
            ],
            PATIENCE,
        )?;
        Ok(())
    })?;
    let mut tunnels = BTreeSet::new();
    for packet in link.stop()? {
        if packet.destination.port() == 15008 {
            tunnels.insert(packet.source);
        }
    }
    // Each pod's requests share a tunnel of its own in each family.
    for ip in pods.iter().flat_map(|pod| pod.addresses().both()) {
        let count = tunnels.iter().filter(|source| source.ip() == ip).count();
        ensure!(count == 1, "{count} tunnels from {ip}: {tunnels:?}");
    }
    ensure!(tunnels.len() == 4, "{tunnels:?}");
    Ok(())
}

#[test]
fn pods_of_one_service_account_do_not_share_a_tunnel_under_agent_capture() -> Result<()> {
    one_account(Capture::Agent)
}

#[test]
fn pods_of_one_service_account_do_not_share_a_tunnel_under_iptables_capture() -> Result<()> {
    one_account(Capture::Iptables)
}

#[test]
fn pods_of_one_service_account_do_not_share_a_tunnel_under_ebpf_capture() -> Result<()> {
    one_account(Capture::Ebpf)
}
