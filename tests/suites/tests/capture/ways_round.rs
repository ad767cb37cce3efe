//! What passes the mesh by (excluded ports and ranges, the kubelet's probes) is no way round a policy to anything else.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, ensure};
use http::StatusCode;
use lab::{Capture, Lab, Machine, PodSpec, Start};
use serde_json::json;
use socket2::{Domain, Socket, Type};
use suites::policy::{Echo, liar};
use suites::traffic::change;

/// What the policy guards.
const GUARDED: u16 = 8080;
/// Reached directly.
const INBOUND: u16 = 9003;
/// Reached directly by the pods, but guarded as any other port of theirs.
const OUTBOUND: u16 = 9203;
/// Long enough to see that nobody answers.
const DROPPED: Duration = Duration::from_secs(3);
/// The addresses that a node's agent gives to probes. Source: CAP-06.
const PROBES: [&str; 2] = ["169.254.7.127", "fd16:9254:7127:1337:ffff:ffff:ffff:ffff"];

/// Whether an application answers somebody who calls from an address and port of choice; both may be anybody's.
fn answers(from: &Machine, source: SocketAddr, to: SocketAddr) -> Result<bool> {
    from.run(|| {
        let socket = Socket::new(Domain::for_address(to), Type::STREAM, None)?;
        socket.set_reuse_address(true)?;
        if to.is_ipv4() {
            socket.set_ip_transparent_v4(true)?;
        } else {
            socket.set_ip_transparent_v6(true)?;
        }
        match socket.bind(&source.into()) {
            // A port of ztunnel's, in a pod that has it.
            Err(error) if error.kind() == ErrorKind::AddrInUse => return Ok(false),
            bound => bound?,
        }
        if socket.connect_timeout(&to.into(), DROPPED).is_err() {
            return Ok(false);
        }
        let mut stream = TcpStream::from(socket);
        stream.set_nonblocking(false)?;
        stream.set_read_timeout(Some(DROPPED))?;
        let mut echo = [0; 4];
        let asked = stream.write_all(b"ping");
        Ok(asked.and_then(|()| stream.read_exact(&mut echo)).is_ok())
    })?
}

/// One attempt: who, from where, and what for the message.
type Attempt<'l> = (&'l Machine, SocketAddr, SocketAddr, String);

/// All at once; those that were answered.
fn tried(attempts: Vec<Attempt<'_>>) -> Result<Vec<String>> {
    thread::scope(|scope| {
        let tries: Vec<_> = attempts
            .into_iter()
            .map(|(from, source, to, what)| {
                scope.spawn(move || {
                    let answered = answers(from, source, to).with_context(|| what.clone())?;
                    anyhow::Ok(answered.then_some(what))
                })
            })
            .collect();
        let mut answered = Vec::new();
        for one in tries {
            answered.extend(one.join().map_err(|_| anyhow!("a thread panicked"))??);
        }
        Ok(answered)
    })
}

fn any(of: IpAddr, port: u16) -> SocketAddr {
    let unspecified = if of.is_ipv4() { "0.0.0.0" } else { "::" };
    SocketAddr::new(
        unspecified
            .parse()
            .unwrap_or_else(|_| unreachable!("they are addresses")),
        port,
    )
}

fn guarded(capture: Capture) -> Result<()> {
    if !lab::possible() {
        return Ok(());
    }
    let lab = Lab::builder("waysround")
        .pod(PodSpec::new("server"))
        .pod(PodSpec::new("neighbour"))
        .pod(PodSpec::new("attacker").not_enrolled())
        .pod(PodSpec::new("client").node(1))
        .pod(PodSpec::new("stranger").node(1).not_enrolled())
        .capture(capture)
        .outside()
        .build()?;
    let server = lab.pod("server");
    let application = Echo::start(&server, &[GUARDED, OUTBOUND])?;
    let open = Echo::start(&server, &[INBOUND])?;
    let excludes = capture != Capture::Agent;
    let mut start = Start::default();
    if excludes {
        start = start
            .env("EXCLUDE_INBOUND_PORTS", INBOUND.to_string())
            .env("EXCLUDE_OUTBOUND_PORTS", OUTBOUND.to_string());
    }
    let [near, far] = lab.start_ztunnels(&start)?;
    let node = lab.node(0);
    node.ip(&[
        format!("addr add {}/32 dev lo", PROBES[0]),
        format!("addr add {}/128 dev lo nodad", PROBES[1]),
    ])?;
    lab.scenario(|| {
        change(&lab, &[&near, &far], |mesh| {
            mesh.policy(json!({
                "name": "nobody", "namespace": "default", "scope": "Namespace", "action": "Allow", "rules": [],
            }));
        })?;
        let probes: [IpAddr; 2] = [PROBES[0].parse()?, PROBES[1].parse()?];
        let names = ["neighbour", "attacker", "client", "stranger"];
        let pods = names.map(|name| lab.pod(name));
        let machines = || {
            let pods = pods.iter().map(|pod| (pod.name(), &***pod));
            pods.chain([("outside", lab.outside())])
        };
        let mut attempts: Vec<Attempt<'_>> = Vec::new();
        for (own, probe) in server.addresses().both().into_iter().zip(probes) {
            for (name, from) in machines() {
                for to in [GUARDED, OUTBOUND] {
                    let to = SocketAddr::new(own, to);
                    // From ports that mean something to somebody.
                    for port in [0, INBOUND, OUTBOUND, 15001, 15006, 15008, 53] {
                        attempts.push((from, any(own, port), to, format!("{name}, port {port}, to {to}")));
                    }
                    // As if it were the kubelet; as if it were the pod itself.
                    for source in [probe, own] {
                        let source = SocketAddr::new(source, 0);
                        attempts.push((from, source, to, format!("{name} as {source} to {to}")));
                    }
                }
            }
            // The node is somebody like any other, but for the kubelet.
            let to = SocketAddr::new(own, GUARDED);
            attempts.push((node, any(own, 0), to, format!("the node to {to}")));
        }
        let answered = tried(attempts)?;
        ensure!(answered.is_empty(), "the policy was got round by {answered:#?}");
        ensure!(application.accepted() == 0, "{} were delivered", application.accepted());

        // What is documented passes, and it alone.
        let mut attempts: Vec<Attempt<'_>> = Vec::new();
        for (own, probe) in server.addresses().both().into_iter().zip(probes) {
            let to = SocketAddr::new(own, GUARDED);
            attempts.push((node, SocketAddr::new(probe, 0), to, format!("a probe of {to}")));
        }
        let probed = attempts.len();
        let answered = tried(attempts)?;
        ensure!(answered.len() == probed, "{answered:?}");
        ensure!(application.accepted() == probed);

        let mut attempts: Vec<Attempt<'_>> = Vec::new();
        for own in server.addresses().both() {
            let to = SocketAddr::new(own, INBOUND);
            attempts.extend(machines().map(|(name, from)| (from, any(own, 0), to, name.to_owned())));
        }
        let mut answered = tried(attempts)?;
        answered.sort_unstable();
        let directly: &[&str] = if excludes {
            &["attacker", "attacker", "outside", "outside", "stranger", "stranger"]
        } else {
            &[]
        };
        // Within the mesh an excluded port is one like any other.
        ensure!(answered == directly, "{answered:?}");
        ensure!(open.accepted() == directly.len());
        // Also for who makes tunnels by hand.
        for own in server.addresses().both() {
            let asked = SocketAddr::new(own, INBOUND).to_string();
            let identity = lab.pod("client").identity();
            let status = liar::connect(&lab, &lab.pod("stranger"), &identity, own, &asked, &[])?;
            ensure!(status == StatusCode::UNAUTHORIZED, "CONNECT {asked}: {status}");
        }
        ensure!(application.accepted() == probed && open.accepted() == directly.len());
        Ok(())
    })
}

#[test]
fn nothing_that_passes_by_is_a_way_round_a_policy_with_agent_capture() -> Result<()> {
    guarded(Capture::Agent)
}

#[test]
fn nothing_that_passes_by_is_a_way_round_a_policy_with_iptables_capture() -> Result<()> {
    guarded(Capture::Iptables)
}

#[test]
fn nothing_that_passes_by_is_a_way_round_a_policy_with_ebpf_capture() -> Result<()> {
    guarded(Capture::Ebpf)
}
