//! What pods send.

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::Arc,
    thread,
};

use anyhow::{Result, ensure};
use ebpf_loader::{
    Enrolled, PodSettings, is_steered,
    listeners::{Traffic, traffic},
};
use lab::Pod;

use crate::ground::{Ground, curl, curl_fails, enrol, ground, hosts, netns, python, server};

/// Answers what comes to the listeners of a pod with where it was going, for as long as the process lives.
fn answer(enrolled: Enrolled) {
    for (place, listener) in enrolled.listeners {
        let direction = match traffic(place) {
            Traffic::Outbound => "out",
            Traffic::Inbound => "in",
            Traffic::Hbone => "hbone",
        };
        thread::spawn(move || serve(&listener, direction));
    }
}

fn serve(listener: &TcpListener, direction: &'static str) -> std::io::Result<()> {
    listener.set_nonblocking(false)?;
    for stream in listener.incoming() {
        let stream = stream?;
        thread::spawn(move || tell(stream, direction));
    }
    Ok(())
}

fn tell(mut stream: TcpStream, direction: &str) -> std::io::Result<()> {
    let (local, peer) = (stream.local_addr()?, stream.peer_addr()?);
    // One that never says anything was only to connect.
    if !is_steered(local) || stream.read(&mut [0; 4096])? == 0 {
        return Ok(());
    }
    let text = format!("{direction} {local} {}\n", peer.ip());
    write!(
        stream,
        "HTTP/1.0 200 OK\r\nContent-Length: {}\r\n\r\n{text}",
        text.len()
    )
}

fn captured(ground: &Ground, settings: &PodSettings) -> Result<Arc<Pod>> {
    let pod = ground.lab.pod("pod");
    answer(enrol(&ground.capture()?, &netns(&pod)?, settings)?);
    Ok(pod)
}

/// Connects in a special way, sends a line, prints the answer's last line and what the socket says of its peer.
const CLIENT: &str = r#"
import select, socket, sys
how, host, port = sys.argv[1], sys.argv[2], int(sys.argv[3])
if how == "mapped":
    s = socket.socket(socket.AF_INET6, socket.SOCK_STREAM)
    host = "::ffff:" + host
elif how == "mptcp":
    s = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM, 262)
else:
    s = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
s.settimeout(5)
if how == "device":
    s.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"eth0\0")
if how.startswith("mark="):
    s.setsockopt(socket.SOL_SOCKET, socket.SO_MARK, int(how[5:], 0))
if how.startswith("from="):
    s.bind((how[5:], 0))
if how == "fastopen":
    s.setblocking(True)
    s.sendto(b"x\n", socket.MSG_FASTOPEN, (host, port))
elif how == "nonblocking":
    s.setblocking(False)
    s.connect_ex((host, port))
    select.select([], [s], [], 5)
    s.setblocking(True)
    error = s.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    if error: raise OSError(error)
else:
    s.connect((host, port))
peer = s.getpeername()
if how != "fastopen":
    s.sendall(b"x\n")
text = b""
while True:
    part = s.recv(4096)
    if not part: break
    text += part
print(text.decode().split("\r\n\r\n")[1].strip(), "peer", peer[0], peer[1])
"#;

#[test]
fn a_connection_arrives_with_the_destination_that_it_asked_for() -> Result<()> {
    let Some(ground) = ground("ebpf-out")? else {
        return Ok(());
    };
    let pod = captured(&ground, &PodSettings::default())?;
    let (v4, v6) = (pod.ip4(), pod.ip6());
    // Nobody has these addresses.
    assert_eq!(
        curl(&pod, "http://203.0.113.9:8080/")?,
        format!("out 203.0.113.9:8080 {v4}")
    );
    assert_eq!(
        curl(&pod, "http://[2001:db8::9]/")?,
        format!("out [2001:db8::9]:80 {v6}")
    );
    let own_v4 = format!("from={v4}");
    let own_v6 = format!("from={v6}");
    for (how, host) in [
        ("plain", "203.0.113.9"),
        ("plain", "2001:db8::9"),
        ("nonblocking", "203.0.113.9"),
        ("nonblocking", "2001:db8::9"),
        ("mptcp", "203.0.113.9"),
        ("mptcp", "2001:db8::9"),
        ("device", "203.0.113.9"),
        ("device", "2001:db8::9"),
        ("fastopen", "203.0.113.9"),
        // The proxy's own mark, the mark of captured sockets, any other.
        ("mark=0x539", "203.0.113.9"),
        ("mark=0x1337", "203.0.113.9"),
        ("mark=7", "2001:db8::9"),
        (&own_v4, "203.0.113.9"),
        (&own_v6, "2001:db8::9"),
    ] {
        let to = SocketAddr::new(host.parse()?, 777);
        let from = if to.is_ipv4() {
            v4.to_string()
        } else {
            v6.to_string()
        };
        assert_eq!(
            python(&pod, CLIENT, &[how, host, "777"])?,
            format!("out {to} {from} peer {host} 777"),
            "{how}"
        );
    }
    assert_eq!(
        python(&pod, CLIENT, &["mapped", "203.0.113.9", "777"])?,
        format!("out 203.0.113.9:777 {v4} peer ::ffff:203.0.113.9 777")
    );
    Ok(())
}

#[test]
fn loopback_own_addresses_and_what_is_excluded_are_reached_directly() -> Result<()> {
    let Some(ground) = ground("ebpf-direct")? else {
        return Ok(());
    };
    let peer = ground.lab.pod("peer");
    let near = ground.lab.pod("near");
    let near_v6 = format!("{}/128", near.ip6());
    let settings = PodSettings {
        excluded_outbound_ports: vec![9090..=9091],
        excluded_outbound_ranges: vec![format!("{}/32", near.ip4()).parse()?, near_v6.parse()?],
        ..PodSettings::default()
    };
    let pod = captured(&ground, &settings)?;
    let mut servers = Vec::new();
    for (pod, port) in [(&pod, 8080), (&peer, 8080), (&peer, 9091), (&near, 8080)] {
        servers.push(server(pod, port)?);
    }
    let (v4, v6) = (pod.ip4().to_string(), pod.ip6().to_string());
    for (host, seen) in [
        ("127.0.0.1", "127.0.0.1"),
        ("127.7.7.7", "127.0.0.1"),
        ("[::1]", "::1"),
        ("0.0.0.0", "127.0.0.1"),
        (&v4, &v4),
        (&format!("[{v6}]"), &v6),
    ] {
        assert_eq!(curl(&pod, &format!("http://{host}:8080/"))?, seen, "{host}");
    }
    for (host, own) in hosts(&peer).iter().zip([&v4, &v6]) {
        assert!(curl(&pod, &format!("http://{host}:8080/"))?.starts_with("out "));
        assert_eq!(&curl(&pod, &format!("http://{host}:9091/"))?, own);
        assert!(curl(&pod, &format!("http://{host}:9092/"))?.starts_with("out "));
    }
    for (host, own) in hosts(&near).iter().zip([&v4, &v6]) {
        assert_eq!(&curl(&pod, &format!("http://{host}:8080/"))?, own);
    }
    // A pod that is not enrolled is none of ours.
    assert_eq!(
        curl(&near, &format!("http://{}:8080/", peer.ip4()))?,
        near.ip4().to_string()
    );
    drop(servers);
    Ok(())
}

#[test]
fn what_cannot_be_captured_is_refused() -> Result<()> {
    let Some(ground) = ground("ebpf-refused")? else {
        return Ok(());
    };
    let pod = captured(&ground, &PodSettings::default())?;
    let script = r#"
import socket
s = socket.socket(socket.AF_INET6, socket.SOCK_STREAM)
s.settimeout(5)
try:
    s.connect(("fe80::1234", 80, 0, socket.if_nametoindex("eth0")))
except OSError as error:
    print(error.errno)
"#;
    assert_eq!(python(&pod, script, &[])?, "1");
    Ok(())
}

#[test]
fn a_connection_to_the_listener_itself_is_known_as_one() -> Result<()> {
    let Some(ground) = ground("ebpf-loop")? else {
        return Ok(());
    };
    let pod = ground.lab.pod("pod");
    let enrolled = enrol(&ground.capture()?, &netns(&pod)?, &PodSettings::default())?;
    ensure!(enrolled.listeners.len() == 6);
    for (place, listener) in enrolled.listeners {
        let address = listener.local_addr()?;
        ensure!(address.ip().is_loopback(), "{place:?} {address}");
        let _client = pod.run(|| TcpStream::connect(address))??;
        listener.set_nonblocking(false)?;
        let (accepted, _) = listener.accept()?;
        ensure!(!is_steered(accepted.local_addr()?), "{place:?}");
    }
    Ok(())
}

#[test]
fn a_pod_without_ipv6_is_captured_in_ipv4() -> Result<()> {
    let Some(ground) = ground("ebpf-v4")? else {
        return Ok(());
    };
    let pod = ground.lab.pod("pod");
    pod.sysctl(&[
        ("net.ipv6.conf.all.disable_ipv6", "1"),
        ("net.ipv6.conf.lo.disable_ipv6", "1"),
    ])?;
    let enrolled = enrol(&ground.capture()?, &netns(&pod)?, &PodSettings::default())?;
    assert_eq!(enrolled.listeners.len(), 3);
    answer(enrolled);
    assert!(curl(&pod, "http://203.0.113.9/")?.starts_with("out 203.0.113.9:80 "));
    Ok(())
}

#[test]
fn a_changed_pod_is_captured_as_it_is_now() -> Result<()> {
    let Some(ground) = ground("ebpf-change")? else {
        return Ok(());
    };
    let (pod, peer) = (ground.lab.pod("pod"), ground.lab.pod("peer"));
    let _server = server(&peer, 8080)?;
    let url = format!("http://{}:8080/", peer.ip4());
    let capture = ground.capture()?;
    let netns = netns(&pod)?;
    let excluding = PodSettings {
        excluded_outbound_ranges: vec![format!("{}/24", peer.ip4()).parse()?],
        ..PodSettings::default()
    };
    for (settings, direct) in [
        (&PodSettings::default(), false),
        (&excluding, true),
        (&PodSettings::default(), false),
    ] {
        answer(enrol(&capture, &netns, settings)?);
        assert_eq!(!curl(&pod, &url)?.starts_with("out "), direct);
    }
    Ok(())
}

#[test]
fn an_address_that_comes_later_counts_once_the_pod_is_enrolled_again() -> Result<()> {
    let Some(ground) = ground("ebpf-later")? else {
        return Ok(());
    };
    let pod = ground.lab.pod("pod");
    let own = pod.ip6();
    pod.exec("ip -6 addr flush dev eth0 scope global".split(' '))?
        .ok()?;
    let capture = ground.capture()?;
    let netns = netns(&pod)?;
    answer(enrol(&capture, &netns, &PodSettings::default())?);
    // It has no address to call from: nothing is captured, and nothing passes.
    ensure!(curl_fails(&pod, "http://[2001:db8::9]/")?);
    ensure!(curl(&pod, "http://203.0.113.9/")?.starts_with("out "));
    pod.ip(&[format!("addr add {own}/128 dev eth0 nodad")])?;
    answer(enrol(&capture, &netns, &PodSettings::default())?);
    assert_eq!(
        curl(&pod, "http://[2001:db8::9]/")?,
        format!("out [2001:db8::9]:80 {own}")
    );
    Ok(())
}
