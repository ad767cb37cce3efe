//! DNS of pods: to the proxy on loopback, and back as if the server had answered.

use anyhow::Result;
use ebpf_loader::{Cookie, PodSettings, Serving};

use crate::ground::{PATIENCE, enrol, ground, netns, options, python};

/// The DNS proxy: tells on which address it was reached.
const PROXY: &str = r#"
import socket, threading
def udp(family, host):
    s = socket.socket(family, socket.SOCK_DGRAM)
    s.bind((host, 15053))
    while True:
        data, peer = s.recvfrom(512)
        s.sendto(b"proxy " + data, peer)
def tcp(family, host):
    l = socket.socket(family, socket.SOCK_STREAM)
    l.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    l.bind((host, 15053))
    l.listen(8)
    print("serves " + host + "\n", end="", flush=True)
    while True:
        s, _ = l.accept()
        s.sendall(b"proxy " + s.recv(512))
        s.close()
for what in [udp, tcp]:
    for family, host in [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")]:
        threading.Thread(target=what, args=(family, host)).start()
"#;

/// Asks in one way; prints the answer, who gave it, and the socket's own address.
const CLIENT: &str = r#"
import socket, sys
how, host, port = sys.argv[1], sys.argv[2], int(sys.argv[3])
kind = socket.SOCK_STREAM if how.startswith("tcp") else socket.SOCK_DGRAM
s = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, kind)
s.settimeout(5)
if "device" in how:
    s.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"eth0\0")
own = "-"
if "unconnected" in how:
    s.sendto(b"query", (host, port))
    data, peer = s.recvfrom(512)
else:
    s.connect((host, port))
    peer, own = s.getpeername(), s.getsockname()[0]
    s.send(b"query")
    if kind == socket.SOCK_STREAM:
        data = s.recv(512)
    else:
        data, seen = s.recvfrom(512)
        assert seen == peer, (seen, peer)
print(data.decode(), peer[0], peer[1], own)
"#;

#[test]
fn a_query_goes_to_the_proxy_and_its_answer_comes_from_the_server() -> Result<()> {
    let Some(ground) = ground("ebpf-dns")? else {
        return Ok(());
    };
    let pod = ground.lab.pod("pod");
    let proxy = pod.spawn(["python3", "-c", PROXY])?;
    for host in ["127.0.0.1", "::1"] {
        proxy.wait_log(&format!("serves {host}"), PATIENCE)?;
    }
    let settings = PodSettings {
        dns: true,
        ..PodSettings::default()
    };
    let capture = ground.capture()?;
    let _enrolled = enrol(&capture, &netns(&pod)?, &settings)?;
    let (v4, v6) = (pod.ip4().to_string(), pod.ip6().to_string());
    let mapped = format!("::ffff:{v4}");
    for (how, host, own) in [
        ("udp", "203.0.113.53", &v4),
        ("udp", "2001:db8::53", &v6),
        ("udp", "::ffff:203.0.113.53", &mapped),
        ("udp device", "203.0.113.53", &v4),
        ("tcp", "203.0.113.53", &v4),
        ("tcp", "2001:db8::53", &v6),
        ("tcp device", "203.0.113.53", &v4),
    ] {
        assert_eq!(
            python(&pod, CLIENT, &[how, host, "53"])?,
            format!("proxy query {host} 53 {own}"),
            "{how}"
        );
    }
    for host in ["203.0.113.53", "2001:db8::53", "::ffff:203.0.113.53"] {
        assert_eq!(
            python(&pod, CLIENT, &["udp unconnected", host, "53"])?,
            format!("proxy query {host} 53 -")
        );
    }
    // A resolver of the pod's own, and the proxy when it is asked by its name.
    let resolver = "import socket\ns = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n\
        s.bind((\"127.0.0.53\", 53))\nprint(\"bound\", flush=True)\n\
        data, peer = s.recvfrom(512)\ns.sendto(b\"own \" + data, peer)";
    let own = pod.spawn(["python3", "-c", resolver])?;
    own.wait_log("bound", PATIENCE)?;
    for (host, port, answer) in [
        ("127.0.0.53", "53", "own query 127.0.0.53 53 -"),
        ("127.0.0.1", "15053", "proxy query 127.0.0.1 15053 -"),
    ] {
        assert_eq!(
            python(&pod, CLIENT, &["udp unconnected", host, port])?,
            answer
        );
    }
    Ok(())
}

/// A server that takes datagrams on one port and tells who sent them.
const ECHO: &str = r#"
import socket, sys
s = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
s.bind(("::", int(sys.argv[1])))
print("bound", flush=True)
while True:
    data, peer = s.recvfrom(512)
    s.sendto(b"server " + data, peer)
"#;

#[test]
fn other_datagrams_and_uncaptured_dns_go_out() -> Result<()> {
    let Some(ground) = ground("ebpf-udp")? else {
        return Ok(());
    };
    let (pod, near, peer) = (
        ground.lab.pod("pod"),
        ground.lab.pod("near"),
        ground.lab.pod("peer"),
    );
    let mut servers = Vec::new();
    for port in ["53", "54"] {
        let server = peer.spawn(["python3", "-c", ECHO, port])?;
        server.wait_log("bound", PATIENCE)?;
        servers.push(server);
    }
    let capture = ground.capture()?;
    let with_dns = PodSettings {
        dns: true,
        ..PodSettings::default()
    };
    let _pod = enrol(&capture, &netns(&pod)?, &with_dns)?;
    let _near = enrol(&capture, &netns(&near)?, &PodSettings::default())?;
    let host = peer.ip4().to_string();
    for (pod, port) in [(&pod, "54"), (&near, "53")] {
        assert_eq!(
            python(pod, CLIENT, &["udp unconnected", &host, port])?,
            format!("server query {host} {port} -")
        );
    }
    // Nobody serves on loopback: nothing passes by.
    let output = pod.exec(["python3", "-c", CLIENT, "udp", &host, "53"])?;
    assert!(output.errors().contains("ConnectionRefused"), "{output:?}");
    Ok(())
}

/// Asks once on a socket that goes on: a line on its input is the sign to look for the answer.
const PATIENT: &str = r#"
import socket, sys
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.settimeout(5)
s.sendto(b"query", ("203.0.113.53", 53))
data, peer = s.recvfrom(512)
print(data.decode(), peer[0], peer[1])
"#;

/// A proxy on the port that is told, which answers only once a file is there.
const SLOW: &str = r#"
import os, socket, sys, time
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(("127.0.0.1", int(sys.argv[1])))
print("bound", flush=True)
data, peer = s.recvfrom(512)
print("asked", flush=True)
while not os.path.exists(sys.argv[2]): time.sleep(0.01)
s.sendto(b"predecessor " + data, peer)
"#;

#[test]
fn a_query_that_is_under_way_is_answered_by_whoever_was_asked() -> Result<()> {
    let Some(ground) = ground("ebpf-asked")? else {
        return Ok(());
    };
    let pod = ground.lab.pod("pod");
    let settings = PodSettings {
        dns: true,
        ..PodSettings::default()
    };
    let (capture, netns) = (ground.capture()?, netns(&pod)?);
    let _first = enrol(&capture, &netns, &settings)?;
    let go = ground.lab.node(0).folder().join("go");
    let slow = pod.spawn(["python3", "-c", SLOW, "15053", &go.display().to_string()])?;
    slow.wait_log("bound", PATIENCE)?;
    let client = pod.spawn(["python3", "-c", PATIENT])?;
    slow.wait_log("asked", PATIENCE)?;
    // The successor answers on another port.
    let options = options()?;
    let serving = Serving {
        port_dns: std::num::NonZeroU16::new(15054),
        options: &options,
        kept: &[],
    };
    let _second = capture.enrol(&netns, Cookie::of(&netns)?, &settings, &serving)?;
    std::fs::write(&go, "")?;
    client.wait_log("predecessor query 203.0.113.53 53", PATIENCE)?;
    Ok(())
}

#[test]
fn queries_of_a_pod_that_nobody_serves_are_refused() -> Result<()> {
    let Some(ground) = ground("ebpf-closed-dns")? else {
        return Ok(());
    };
    let (pod, peer) = (ground.lab.pod("pod"), ground.lab.pod("peer"));
    let server = peer.spawn(["python3", "-c", ECHO, "53"])?;
    server.wait_log("bound", PATIENCE)?;
    let host = peer.ip4().to_string();
    let netns = netns(&pod)?;
    let settings = PodSettings {
        dns: true,
        ..PodSettings::default()
    };
    let capture = ground.capture()?;
    capture.close(&netns, Cookie::of(&netns)?, &settings)?;
    for how in ["udp", "udp unconnected", "tcp"] {
        let output = pod.exec(["python3", "-c", CLIENT, how, &host, "53"])?;
        assert!(output.errors().contains("PermissionError"), "{output:?}");
    }
    Ok(())
}
