//! Proxies that come and go, and what is under way meanwhile.

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
};

use anyhow::{Context as _, Result, ensure};
use lab::{Pod, Process};
use nix::sys::signal::Signal;

use crate::ground::{Ground, PATIENCE, curl, curl_fails, ground, hosts, server};

/// A connection that is open, and both of its ends.
struct Live(TcpStream, TcpStream);

fn live(from: &Pod, to: &Pod, address: SocketAddr) -> Result<Live> {
    let listener = to.run(|| TcpListener::bind(address))??;
    let one = from.run(|| TcpStream::connect(address))??;
    let (other, _) = listener.accept()?;
    for stream in [&one, &other] {
        stream.set_read_timeout(Some(PATIENCE))?;
    }
    Ok(Live(one, other))
}

impl Live {
    fn talk(&mut self) -> Result<()> {
        for _ in 0..2 {
            self.0.write_all(b"live")?;
            let mut bytes = [0; 4];
            self.1.read_exact(&mut bytes)?;
            std::mem::swap(&mut self.0, &mut self.1);
        }
        Ok(())
    }
}

#[test]
fn connections_that_are_older_than_capture_go_on() -> Result<()> {
    let Some(ground) = ground("ebpf-live")? else {
        return Ok(());
    };
    let (pod, peer) = (ground.lab.pod("pod"), ground.lab.pod("peer"));
    let mut open = Vec::new();
    for (own, other) in pod
        .addresses()
        .both()
        .into_iter()
        .zip(peer.addresses().both())
    {
        open.push(live(&pod, &peer, SocketAddr::new(other, 7000))?);
        open.push(live(&peer, &pod, SocketAddr::new(own, 7001))?);
    }
    let forwarder = ground.forwarder(&[&pod], &[])?;
    for live in &mut open {
        live.talk().context("after capture")?;
    }
    forwarder.kill()?;
    for live in &mut open {
        live.talk().context("after the proxy's end")?;
    }
    ensure!(!forwarder.log().contains("out ") && !forwarder.log().contains("in "));
    Ok(())
}

/// What goes through the proxy, one connection in each direction and family.
fn paths(pod: &Pod, peer: &Pod) -> Vec<(String, String, bool)> {
    let mut paths = Vec::new();
    for host in hosts(peer) {
        paths.push((pod.name().to_owned(), format!("http://{host}:8080/"), true));
    }
    for host in hosts(pod) {
        paths.push((
            peer.name().to_owned(),
            format!("http://{host}:8080/"),
            false,
        ));
    }
    paths
}

fn all_work(ground: &Ground, forwarder: &Process, pod: &Pod, peer: &Pod) -> Result<()> {
    let before = forwarder.log().lines().count();
    let paths = paths(pod, peer);
    for (client, url, _) in &paths {
        curl(&ground.lab.pod(client), url)?;
    }
    // Each of them through this proxy.
    ensure!(
        forwarder.log().lines().count() == before + paths.len(),
        "{}",
        forwarder.log()
    );
    Ok(())
}

#[test]
fn without_its_proxy_a_pod_is_cut_off_until_a_successor_takes_over() -> Result<()> {
    let Some(ground) = ground("ebpf-killed")? else {
        return Ok(());
    };
    let (pod, near, peer) = (
        ground.lab.pod("pod"),
        ground.lab.pod("near"),
        ground.lab.pod("peer"),
    );
    let _servers = (
        server(&pod, 8080)?,
        server(&peer, 8080)?,
        server(&near, 8080)?,
    );
    let forwarder = ground.forwarder(&[&pod], &[])?;
    all_work(&ground, &forwarder, &pod, &peer)?;
    forwarder.kill()?;
    for (client, url, _) in paths(&pod, &peer) {
        ensure!(
            curl_fails(&ground.lab.pod(&client), &url)?,
            "{url} passed by"
        );
    }
    // Nobody else is.
    curl(&near, &format!("http://{}:8080/", peer.ip4()))?;
    // And loopback is not.
    curl(&pod, "http://127.0.0.1:8080/")?;
    let successor = ground.forwarder(&[&pod], &[])?;
    ensure!(successor.log().contains("taken over true"));
    all_work(&ground, &successor, &pod, &peer)
}

/// Connects again and again until told to end by a file; prints how many worked and which did not.
const LOOP: &str = r#"
import os, socket, sys
host, port, stop = sys.argv[1], int(sys.argv[2]), sys.argv[3]
worked, failed = 0, []
print("begins", flush=True)
while not os.path.exists(stop):
    try:
        with socket.create_connection((host, port), 5) as s:
            s.sendall(b"x\n")
            assert b"200 OK" in s.recv(4096)
            worked += 1
    except Exception as error:
        failed.append(repr(error))
print("worked", worked, "failed", failed)
"#;

/// One proxy follows another under load; `options` are those of the second.
fn upgrade(name: &str, options: &[&str]) -> Result<()> {
    let Some(ground) = ground(name)? else {
        return Ok(());
    };
    let (pod, peer) = (ground.lab.pod("pod"), ground.lab.pod("peer"));
    let _servers = (server(&pod, 8080)?, server(&peer, 8080)?);
    let first = ground.forwarder(&[&pod], &[])?;
    let stop = ground.lab.node(0).folder().join("stop");
    let stop_text = stop.display().to_string();
    let mut loops = Vec::new();
    for (from, to) in [(&pod, &peer), (&peer, &pod)] {
        for ip in to.addresses().both() {
            let ip = ip.to_string();
            loops.push(from.spawn(["python3", "-c", LOOP, &ip, "8080", &stop_text])?);
        }
    }
    let count = |process: &Process, start: &str| {
        process
            .log()
            .lines()
            .filter(|line| line.starts_with(start))
            .count()
    };
    let busy = |process: &Process| {
        lab::until("connections of both directions", PATIENCE, || {
            count(process, "out ") > 50 && count(process, "in ") > 50
        })
    };
    busy(&first)?;
    let second = ground.forwarder(&[&pod], options)?;
    busy(&second)?;
    let after = first.log().lines().count();
    first.signal(Signal::SIGTERM)?;
    first.wait(PATIENCE)?;
    busy(&second)?;
    std::fs::write(&stop, "")?;
    for process in &loops {
        process.wait(PATIENCE)?;
        let log = process.log();
        ensure!(log.contains("failed []"), "{log}");
    }
    // Nothing came to the first any more.
    ensure!(
        first.log().lines().count() <= after + 1,
        "{}",
        first.log_tail()
    );
    ensure!(count(&second, "failed") == 0, "{}", second.log_tail());
    Ok(())
}

#[test]
fn a_successor_takes_over_without_a_lost_connection() -> Result<()> {
    upgrade("ebpf-upgrade", &[])
}

#[test]
fn a_successor_of_another_build_takes_over_without_a_lost_connection() -> Result<()> {
    upgrade("ebpf-build", &["--build", "7"])
}

#[test]
fn another_build_leaves_nothing_of_the_first() -> Result<()> {
    let Some(ground) = ground("ebpf-second")? else {
        return Ok(());
    };
    let (pod, peer) = (ground.lab.pod("pod"), ground.lab.pod("peer"));
    let _servers = (server(&pod, 8080)?, server(&peer, 8080)?);
    let first = ground.forwarder(&[&pod], &[])?;
    first.kill()?;
    let second = ground.forwarder(&[&pod], &["--build", "7"])?;
    all_work(&ground, &second, &pod, &peer)?;
    let generations = ground.generations()?;
    ensure!(
        generations.len() == 1
            && generations[0]
                .to_string_lossy()
                .contains("/0000000000000007-"),
        "{generations:?}"
    );
    Ok(())
}
