//! Pods reach each other and the host outside, uncaptured, with the programs that suites use.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use anyhow::{Context as _, Result};
use lab::programs::{self, Bandwidth, MariaDb};
use lab::{Capture, Lab, PodSpec, ServiceSpec};

/// Client on node 1, server on node 2, nobody captures.
fn plain(name: &str) -> Result<Lab> {
    Lab::builder(name)
        .pod(PodSpec::new("client"))
        .pod(PodSpec::new("near"))
        .pod(PodSpec::new("server").node(1))
        .service(ServiceSpec::new("server").port(80, 8080).backend("server"))
        .capture(Capture::None)
        .outside()
        .build()
}

fn url(ip: IpAddr, port: u16, path: &str) -> String {
    format!("http://{}{path}", SocketAddr::new(ip, port))
}

#[test]
fn nginx_answers_across_nodes_and_on_the_node_and_sees_the_client() -> Result<()> {
    if !lab::possible() {
        return Ok(());
    }
    let lab = plain("nginx")?;
    let client = lab.pod("client");
    for name in ["server", "near"] {
        let server = lab.pod(name);
        let nginx = programs::nginx(&server, 8080)?;
        for (mine, theirs) in client
            .addresses()
            .both()
            .into_iter()
            .zip(server.addresses().both())
        {
            let hello = client
                .exec(["curl", "-sS", &url(theirs, 8080, "/")])?
                .ok()?;
            assert_eq!(hello, format!("hello from {name}\n"));
            let seen = client
                .exec(["curl", "-sS", &url(theirs, 8080, "/whoami")])?
                .ok()?;
            assert_eq!(seen.trim(), mine.to_string());
        }
        let length = client
            .exec(["curl", "-sS", &url(server.ip4().into(), 8080, "/bytes/1m")])?
            .stdout
            .len();
        assert_eq!(length, 1 << 20);
        let lines = nginx.access_log();
        assert!(
            lines.contains(&format!("{} 200 GET /whoami", client.ip6())),
            "{lines}"
        );
    }
    Ok(())
}

#[test]
fn redis_mariadb_and_iperf3_answer_across_nodes() -> Result<()> {
    if !lab::possible() {
        return Ok(());
    }
    let lab = plain("programs")?;
    let (client, server) = (lab.pod("client"), lab.pod("server"));
    let _redis = programs::redis(&server, 6379)?;
    let _mariadb = programs::mariadb(&server, 3306)?;
    let _iperf3 = programs::iperf3_server(&server, 5201)?;
    for ip in server.addresses().both() {
        let host = ip.to_string();
        assert_eq!(
            client
                .exec(["redis-cli", "-h", &host, "set", "color", "green"])?
                .ok()?,
            "OK\n"
        );
        assert_eq!(
            client
                .exec(["redis-cli", "-h", &host, "get", "color"])?
                .ok()?,
            "green\n"
        );
        assert_eq!(
            MariaDb::query(&client, ip, 3306, "select 6*7")?.ok()?,
            "42\n"
        );
        let bandwidth = Bandwidth::measure(&client, ip, 5201, Duration::from_secs(1), &[])?;
        assert!(bandwidth.bytes > 1 << 20, "{bandwidth:?}");
    }
    Ok(())
}

#[test]
fn the_host_outside_is_reached_and_reaches() -> Result<()> {
    if !lab::possible() {
        return Ok(());
    }
    let lab = plain("outside")?;
    let _nginx = programs::nginx(lab.outside(), 80)?;
    for pod in [lab.pod("client"), lab.pod("server")] {
        let _own = programs::nginx(&pod, 8080)?;
        for (outside, own) in lab
            .outside_addresses()
            .both()
            .into_iter()
            .zip(pod.addresses().both())
        {
            assert_eq!(
                pod.exec(["curl", "-sS", &url(outside, 80, "/")])?.ok()?,
                "hello from outside\n"
            );
            lab.outside()
                .exec(["curl", "-sS", &url(own, 8080, "/")])?
                .ok()?;
        }
    }
    Ok(())
}

#[test]
fn an_uncaptured_connect_to_a_service_fails_instead_of_hanging() -> Result<()> {
    if !lab::possible() {
        return Ok(());
    }
    let lab = plain("vip")?;
    let (client, vip) = (lab.pod("client"), lab.vip("server"));
    // The kernel heeds the IPv6 answer only at the first retransmission, after a second each.
    for (ip, times) in vip.both().into_iter().zip([10, 2]) {
        // Each is answered, not only the first ones of a burst.
        for _ in 0..times {
            let address = SocketAddr::new(ip, 80);
            let error =
                client.run(|| TcpStream::connect_timeout(&address, Duration::from_secs(10)))?;
            let kind = error
                .expect_err("nobody stands for a service without a mesh")
                .kind();
            let answered = [ErrorKind::HostUnreachable, ErrorKind::NetworkUnreachable];
            assert!(answered.contains(&kind), "{address}: {kind}");
        }
    }
    Ok(())
}

#[test]
fn rust_code_runs_inside_a_pod_and_its_sockets_stay_there() -> Result<()> {
    if !lab::possible() {
        return Ok(());
    }
    let lab = plain("rust")?;
    let (client, server) = (lab.pod("client"), lab.pod("server"));
    let listener = server.run(|| TcpListener::bind((server.ip6(), 7000)))??;
    let echo = server.thread(move || -> Result<SocketAddr> {
        let (mut stream, peer) = listener.accept()?;
        let mut text = String::new();
        stream.read_to_string(&mut text)?;
        stream.write_all(text.to_uppercase().as_bytes())?;
        Ok(peer)
    })?;
    let mut stream = client.run(|| TcpStream::connect((server.ip6(), 7000)))??;
    stream.write_all(b"half-close")?;
    stream.shutdown(std::net::Shutdown::Write)?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    assert_eq!(answer, "HALF-CLOSE");
    let peer = echo.join().ok().context("the echo thread panicked")???;
    assert_eq!(peer.ip(), IpAddr::from(client.ip6()));
    Ok(())
}

#[test]
fn tcpdump_on_the_link_sees_what_crosses_it() -> Result<()> {
    if !lab::possible() {
        return Ok(());
    }
    let lab = plain("capture")?;
    let (client, server) = (lab.pod("client"), lab.pod("server"));
    let _nginx = programs::nginx(&server, 8080)?;
    let capture = programs::tcpdump(lab.node(0), lab::topology::LINK, "tcp")?;
    for ip in server.addresses().both() {
        client
            .exec(["curl", "-sS", &url(ip, 8080, "/whoami")])?
            .ok()?;
    }
    let packets = capture.stop()?;
    for (mine, theirs) in client
        .addresses()
        .both()
        .into_iter()
        .zip(server.addresses().both())
    {
        let request = packets
            .iter()
            .find(|packet| packet.source.ip() == mine && packet.contains(b"GET /whoami"));
        let request = request
            .with_context(|| format!("no request from {mine} in {} packets", packets.len()))?;
        assert_eq!(request.destination, SocketAddr::new(theirs, 8080));
    }
    assert!(packets.iter().all(|packet| packet.has_port(8080)));
    Ok(())
}

#[test]
fn a_program_is_in_its_pods_cgroup_and_ends_with_its_handle() -> Result<()> {
    if !lab::possible() {
        return Ok(());
    }
    let lab = plain("cgroup")?;
    let server = lab.pod("server");
    let nginx = programs::nginx(&server, 8080)?;
    assert!(nginx.group().starts_with(server.group()));
    let members = std::fs::read_to_string(nginx.group().join("cgroup.procs"))?;
    // The master and its worker.
    let members: Vec<u32> = members.lines().map(str::parse).collect::<Result<_, _>>()?;
    assert!(
        members.contains(&nginx.id()) && members.len() >= 2,
        "{members:?}"
    );
    assert!(nginx.memory()?.resident_bytes > 0 && nginx.cpu_time()? > Duration::ZERO);
    drop(nginx);
    for member in members {
        assert!(!is_running(member), "{member} survived");
    }
    assert!(!server.listens(8080));
    Ok(())
}

/// A zombie counts as gone: whoever adopted it has not looked yet.
fn is_running(process: u32) -> bool {
    std::fs::read_to_string(format!("/proc/{process}/stat")).is_ok_and(|stat| {
        !stat
            .rsplit_once(')')
            .is_some_and(|(_, rest)| rest.trim_start().starts_with('Z'))
    })
}

#[test]
fn a_command_that_hangs_is_killed_and_says_what_it_had_said() -> Result<()> {
    if !lab::possible() {
        return Ok(());
    }
    let lab = plain("hang")?;
    let client = lab.pod("client");
    let line = ["/bin/sh", "-c", "echo so far; exec sleep 60"];
    let error = client
        .command(line)
        .timeout(Duration::from_millis(300))
        .output()
        .expect_err("it hangs");
    let text = format!("{error:#}");
    assert!(
        text.contains("still running") && text.contains("so far"),
        "{text}"
    );
    assert_eq!(
        std::fs::read_to_string(client.group().join("cgroup.events"))?
            .lines()
            .next(),
        Some("populated 0")
    );
    Ok(())
}

#[test]
fn each_pod_has_its_own_resolver() -> Result<()> {
    if !lab::possible() || !std::path::Path::new("/etc/resolv.conf").exists() {
        return Ok(());
    }
    let lab = plain("resolver")?;
    let before = std::fs::read_to_string("/etc/resolv.conf")?;
    let text = lab.pod("client").exec(["cat", "/etc/resolv.conf"])?.ok()?;
    assert!(
        text.contains("nameserver 10.96.0.10") && text.contains("search default.svc.cluster.local"),
        "{text}"
    );
    lab.pod("client").set_resolver("nameserver 192.0.2.1\n")?;
    assert_eq!(
        lab.pod("client").exec(["cat", "/etc/resolv.conf"])?.ok()?,
        "nameserver 192.0.2.1\n"
    );
    assert_eq!(std::fs::read_to_string("/etc/resolv.conf")?, before);
    Ok(())
}
