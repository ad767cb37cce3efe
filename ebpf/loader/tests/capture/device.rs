//! Applications that change the way of their packets, to get past the proxy or for reasons of their own.

use anyhow::{Result, ensure};
use ebpf_loader::PodSettings;
use lab::Pod;

use crate::ground::{PATIENCE, enrol, ground, netns, python};

/// `nobody`, on every machine here.
const NOBODY: u32 = 65_534;

/// Tries to leave capture while a connection is under way, and while it stands: of TCP that gets no answer, so that its
/// first packet is sent again; of MPTCP; of TCP that is answered. Prints what each change of the way gave.
const TRICK: &str = r#"
import ctypes, errno, os, socket, struct, sys
uid, how, host, port = int(sys.argv[1]), sys.argv[2], sys.argv[3], int(sys.argv[4])
SO_BINDTOIFINDEX, SO_ATTACH_FILTER = 62, 26
index = socket.if_nametoindex("eth0")
family = socket.AF_INET6 if ":" in host else socket.AF_INET
unanswered = socket.socket(family, socket.SOCK_STREAM)
# Drops whatever comes in. Some kernels want rights for it that an application may have had for a moment.
nothing = ctypes.create_string_buffer(struct.pack("HBBI", 6, 0, 0, 0))
unanswered.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, struct.pack("HxxxxxxP", 1, ctypes.addressof(nothing)))
if uid: os.setgroups([]); os.setgid(uid); os.setuid(uid)
def change(s):
    if how == "name": s.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"eth0")
    if how == "long": s.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"eth0" + bytes(9000))
    if how == "index": s.setsockopt(socket.SOL_SOCKET, SO_BINDTOIFINDEX, index)
    if how == "mark": s.setsockopt(socket.SOL_SOCKET, socket.SO_MARK, 0)
    if how == "longmark": s.setsockopt(socket.SOL_SOCKET, socket.SO_MARK, bytes(9000))
mptcp = socket.socket(family, socket.SOCK_STREAM, 262)
for s in [unanswered, mptcp]:
    s.setblocking(False)
    s.connect_ex((host, port))
states = [s.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0] for s in [unanswered]]
for s in [unanswered, mptcp, socket.create_connection((host, port), 5)]:
    try:
        change(s)
        print("changed", end=" ")
    except OSError as error:
        print(errno.errorcode[error.errno], end=" ")
print("state", states[0])
"#;

/// Listens where nobody is to come, and says who came.
const WITNESS: &str = r#"
import socket, sys
l = socket.socket(socket.AF_INET6, socket.SOCK_STREAM)
l.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
l.bind(("::", int(sys.argv[1])))
l.listen(64)
print("listens", flush=True)
while True:
    s, peer = l.accept()
    print("came", peer[0], flush=True)
    s.close()
"#;

fn witnessed(peer: &Pod) -> Result<lab::Process> {
    let witness = peer.spawn(["python3", "-c", WITNESS, "8080"])?;
    witness.wait_log("listens", PATIENCE)?;
    Ok(witness)
}

#[test]
fn a_connection_under_way_cannot_be_led_past_the_proxy() -> Result<()> {
    let Some(ground) = ground("ebpf-tricks")? else {
        return Ok(());
    };
    let (pod, peer) = (ground.lab.pod("pod"), ground.lab.pod("peer"));
    let witness = witnessed(&peer)?;
    let _enrolled = enrol(&ground.capture()?, &netns(&pod)?, &PodSettings::default())?;
    for uid in [NOBODY, 0] {
        for how in ["name", "long", "index", "mark", "longmark"] {
            for host in [peer.ip4().to_string(), peer.ip6().to_string()] {
                let said = python(&pod, TRICK, &[&uid.to_string(), how, &host, "8080"])?;
                // Its handshake is still open.
                assert_eq!(said, "EPERM EPERM EPERM state 2", "{uid} {how} {host}");
            }
        }
    }
    ensure!(!witness.log().contains("came"), "{}", witness.log());
    Ok(())
}

/// Two threads: one asks for the interface, the other connects the same socket. One that is under way must never have
/// it. Through C, because the interpreter lets nobody else run while it sets an option. And then one that asked for an
/// interface and did not get it, which is what the hook sees in between.
const RACE: &str = r#"
import ctypes, errno, os, socket, struct, sys, threading, time
os.setgroups([]); os.setgid(65534); os.setuid(65534)
host, port = sys.argv[1], int(sys.argv[2])
c = ctypes.CDLL(None, use_errno=True)
address = struct.pack("=HH4s8x", socket.AF_INET, socket.htons(port), socket.inet_aton(host))
won = 0
until = time.monotonic() + 3
while time.monotonic() < until:
    s = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    s.setblocking(False)
    fd = s.fileno()
    gate = threading.Barrier(2)
    def bind():
        gate.wait()
        c.setsockopt(fd, socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"eth0", 5)
    thread = threading.Thread(target=bind)
    thread.start()
    gate.wait()
    c.connect(fd, address, len(address))
    thread.join()
    state = s.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0]
    device = s.getsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, 16)
    # Neither closed nor on its way to it.
    if state != 7 and device.strip(b"\0"): won += 1
    s.close()
s = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
try: s.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"nowhere0")
except OSError as error: print(errno.errorcode[error.errno], end=" ")
s.setblocking(False)
print(errno.errorcode.get(s.connect_ex((host, port)), "connected"), end=" ")
print("won", won)
"#;

#[test]
fn a_device_that_is_asked_for_while_a_socket_connects_comes_too_late() -> Result<()> {
    let Some(ground) = ground("ebpf-race")? else {
        return Ok(());
    };
    let (pod, peer) = (ground.lab.pod("pod"), ground.lab.pod("peer"));
    let witness = witnessed(&peer)?;
    let _enrolled = enrol(&ground.capture()?, &netns(&pod)?, &PodSettings::default())?;
    let host = peer.ip4().to_string();
    assert_eq!(
        python(&pod, RACE, &[&host, "8080"])?,
        "ENODEV EINPROGRESS won 0"
    );
    ensure!(!witness.log().contains("came"), "{}", witness.log());
    Ok(())
}

/// What programs do that mean no harm; each line is a result.
const HARMLESS: &str = r#"
import errno, os, socket, sys
uid, host, port = int(sys.argv[1]), sys.argv[2], int(sys.argv[3])
if uid: os.setgroups([]); os.setgid(uid); os.setuid(uid)
def tell(name, work):
    try:
        work()
        print(name, "ok", end="; ")
    except OSError as error:
        print(name, errno.errorcode.get(error.errno, str(error)), end="; ")
def tcp(): return socket.socket(socket.AF_INET, socket.SOCK_STREAM)
def device(s, name=b"eth0"): s.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, name)
def closed(): device(tcp())
def udp():
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.connect((host, port))
    device(s)
def listening():
    s = tcp()
    s.listen()
    device(s)
def others():
    s = tcp()
    s.settimeout(5)
    s.connect((host, port))
    s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    s.setsockopt(socket.IPPROTO_IP, socket.IP_TOS, 8)
    s.setsockopt(socket.IPPROTO_TCP, 13, b"reno")
    assert s.getsockopt(socket.IPPROTO_TCP, 13, 16).startswith(b"reno")
def bound():
    s = tcp()
    s.settimeout(5)
    device(s)
    s.connect((host, port))
def unbound():
    s = tcp()
    s.settimeout(5)
    device(s, b"")
    s.connect((host, port))
def lengthy():
    # Given by the hook, whole; read once more by the kernel it would be refused, for who may not change it.
    s = tcp()
    device(s, b"eth0" + bytes(9000))
    assert s.getsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, 16).startswith(b"eth0")
def short():
    try: tcp().setsockopt(socket.SOL_SOCKET, 62, b"\1")
    except OSError as error: assert error.errno == errno.EINVAL
for work in [closed, udp, listening, others, bound, unbound, lengthy, short]: tell(work.__name__, work)
print()
"#;

#[test]
fn options_of_other_sockets_and_other_options_are_nobodys_business() -> Result<()> {
    let Some(ground) = ground("ebpf-options")? else {
        return Ok(());
    };
    let (pod, near, peer) = (
        ground.lab.pod("pod"),
        ground.lab.pod("near"),
        ground.lab.pod("peer"),
    );
    let _server = crate::ground::server(&peer, 8080)?;
    let enrolled = enrol(&ground.capture()?, &netns(&pod)?, &PodSettings::default())?;
    ensure!(enrolled.listeners.len() == 6);
    let host = peer.ip4().to_string();
    let all =
        "closed ok; udp ok; listening ok; others ok; bound ok; unbound ok; lengthy ok; short ok;";
    for (uid, expected) in [
        (0, all.to_owned()),
        // The kernel gives the socket free only for who may send raw packets.
        (
            NOBODY,
            all.replace("bound ok; unbound", "bound EPERM; unbound"),
        ),
    ] {
        let uid = uid.to_string();
        assert_eq!(python(&pod, HARMLESS, &[&uid, &host, "8080"])?, expected);
        // A pod that is not enrolled.
        assert_eq!(python(&near, HARMLESS, &[&uid, &host, "8080"])?, all);
        let said = python(&near, TRICK, &[&uid, "name", &host, "8080"])?;
        // Of MPTCP the kernel itself changes none.
        ensure!(said.starts_with("changed EINVAL changed"), "{said}");
    }
    Ok(())
}

/// Connects a socket where it fails, and then the same where nothing is captured.
const AGAIN: &str = r#"
import socket, sys
s = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
s.settimeout(5)
try: s.connect((sys.argv[1], 1))
except OSError: pass
marked = s.getsockopt(socket.SOL_SOCKET, socket.SO_MARK)
s.connect((sys.argv[1], 9090))
s.sendall(b"x\n")
print(hex(marked), hex(s.getsockopt(socket.SOL_SOCKET, socket.SO_MARK)), s.recv(4096).decode().split()[-1])
"#;

#[test]
fn a_socket_whose_captured_connection_failed_goes_directly_where_nothing_is_captured() -> Result<()>
{
    let Some(ground) = ground("ebpf-again")? else {
        return Ok(());
    };
    let (pod, peer) = (ground.lab.pod("pod"), ground.lab.pod("peer"));
    let _server = crate::ground::server(&peer, 9090)?;
    let settings = PodSettings {
        excluded_outbound_ports: vec![9090..=9090],
        ..PodSettings::default()
    };
    // The forwarder refuses what it cannot connect.
    let enrolled = enrol(&ground.capture()?, &netns(&pod)?, &settings)?;
    for (_, listener) in enrolled.listeners {
        std::thread::spawn(move || -> std::io::Result<()> {
            listener.set_nonblocking(false)?;
            loop {
                let (stream, _) = listener.accept()?;
                drop(stream);
            }
        });
    }
    let script = AGAIN.replace(
        "try: s.connect((sys.argv[1], 1))",
        "s.connect((sys.argv[1], 1))\ntry: s.recv(1); s.connect((\"0.0.0.0\", 0))",
    );
    ensure!(script != AGAIN);
    // Disconnected as connect(2) says, by an address of no family.
    let script = script.replace(
        "s.connect((\"0.0.0.0\", 0))",
        "__import__(\"ctypes\").CDLL(None).connect(s.fileno(), bytes(16), 16)",
    );
    assert_eq!(
        python(&pod, &script, &[&peer.ip4().to_string()])?,
        format!("0x1337 0x0 {}", pod.ip4())
    );
    Ok(())
}
