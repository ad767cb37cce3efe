//! What comes to pods, and what the proxy gives to applications.

use anyhow::{Result, ensure};

use crate::ground::{curl, curl_fails, ground, hosts, server};

#[test]
fn an_application_sees_its_client_behind_the_proxy() -> Result<()> {
    let Some(ground) = ground("ebpf-in")? else {
        return Ok(());
    };
    let (pod, near, peer) = (
        ground.lab.pod("pod"),
        ground.lab.pod("near"),
        ground.lab.pod("peer"),
    );
    let _server = server(&pod, 8080)?;
    let _excluded = server(&pod, 9000)?;
    // An application that holds the tunnels' port gets nothing of it.
    let _tunnels = server(&pod, 15008)?;
    let forwarder = ground.forwarder(&[&pod], &["--exclude-inbound", "9000"])?;
    for client in [&near, &peer] {
        let own = [client.ip4().to_string(), client.ip6().to_string()];
        for (host, own) in hosts(&pod).iter().zip(own) {
            assert_eq!(curl(client, &format!("http://{host}:8080/"))?, own);
        }
    }
    // Four, each once.
    let lines = |start: &str| {
        let log = forwarder.log();
        log.lines()
            .filter(|line| line.starts_with(start))
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    assert_eq!(lines("in ").len(), 4, "{}", forwarder.log());
    for (host, own) in hosts(&pod)
        .iter()
        .zip([peer.ip4().to_string(), peer.ip6().to_string()])
    {
        assert_eq!(curl(&peer, &format!("http://{host}:9000/"))?, own);
        for client in [&peer, &pod] {
            ensure!(curl_fails(client, &format!("http://{host}:15008/"))?);
        }
    }
    assert_eq!(lines("hbone ").len(), 4, "{}", forwarder.log());
    assert_eq!(lines("in ").len(), 4, "{}", forwarder.log());
    assert_eq!(lines("failed").len(), 0, "{}", forwarder.log());
    Ok(())
}

#[test]
fn a_delivery_to_a_port_where_nobody_listens_is_refused_at_once() -> Result<()> {
    let Some(ground) = ground("ebpf-nobody")? else {
        return Ok(());
    };
    let (pod, peer) = (ground.lab.pod("pod"), ground.lab.pod("peer"));
    let forwarder = ground.forwarder(&[&pod], &[])?;
    for (count, host) in hosts(&pod).iter().enumerate() {
        ensure!(curl_fails(&peer, &format!("http://{host}:81/"))?);
        lab::until("the end of the delivery", crate::ground::PATIENCE, || {
            forwarder.log().matches("failed ").count() > count
        })?;
    }
    let log = forwarder.log();
    let refused = log.lines().filter(|line| line.contains("refused"));
    assert_eq!(refused.count(), 2, "{log}");
    Ok(())
}

#[test]
fn probes_pass() -> Result<()> {
    let Some(ground) = ground("ebpf-probe")? else {
        return Ok(());
    };
    let pod = ground.lab.pod("pod");
    let _server = server(&pod, 8080)?;
    let forwarder = ground.forwarder(&[&pod], &[])?;
    let node = ground.lab.node(0);
    node.snat_probes()?;
    for (host, source) in hosts(&pod)
        .iter()
        .zip(["169.254.7.127", "fd16:9254:7127:1337:ffff:ffff:ffff:ffff"])
    {
        let url = format!("http://{host}:8080/");
        let text = node.exec(["curl", "-sS", "--max-time", "5", &url])?.ok()?;
        assert_eq!(text.trim(), source);
    }
    ensure!(!forwarder.log().contains("in "), "{}", forwarder.log());
    Ok(())
}

/// Opens many connections at once, each with a line and its answer, and prints how many failed.
const CROWD: &str = r#"
import socket, sys, threading, time
host, port, count = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
open_ = []
failed = 0
for _ in range(count):
    s = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    s.setblocking(False)
    s.connect_ex((host, port))
    open_.append(s)
for s in open_:
    s.setblocking(True)
    s.settimeout(10)
    try:
        s.sendall(b"x\n")
        if b"200 OK" not in s.recv(4096): failed += 1
    except OSError as error:
        failed += 1
print(failed)
"#;

#[test]
fn many_plain_connections_of_one_client_do_not_meet_the_proxys_own() -> Result<()> {
    let Some(ground) = ground("ebpf-crowd")? else {
        return Ok(());
    };
    let (pod, peer) = (ground.lab.pod("pod"), ground.lab.pod("peer"));
    let _server = server(&pod, 8080)?;
    let forwarder = ground.forwarder(&[&pod], &[])?;
    // Ports of which the half is what the proxy uses too.
    peer.sysctl(&[("net.ipv4.ip_local_port_range", "30000 36000")])?;
    let host = pod.ip4().to_string();
    let failed = peer
        .command(["python3", "-c", CROWD, &host, "8080", "400"])
        .timeout(std::time::Duration::from_secs(60))
        .output()?
        .ok()?;
    assert_eq!(failed.trim(), "0", "{}", forwarder.log_tail());
    Ok(())
}
