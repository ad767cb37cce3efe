//! Calls of a pod to itself, and the kubelet's probes.

use std::io::Write as _;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use anyhow::{Context as _, Result, ensure};
use lab::{Capture, Lab, Machine, PodSpec, ServiceSpec, Start, programs};
use serde_json::json;
use suites::traffic::{self, End, change, dial, end, eventually_opened, get, refused, url};

/// The addresses that a node's agent gives to probes. Source: CAP-06.
const PROBES: [&str; 2] = ["169.254.7.127", "fd16:9254:7127:1337:ffff:ffff:ffff:ffff"];

/// ztunnel's listeners in a pod, and the port of its SOCKS proxy.
const OWN_PORTS: [u16; 4] = [15001, 15006, 15008, 15080];

fn pod_and_peer(name: &str, capture: Capture) -> Result<Lab> {
    let own_ports = OWN_PORTS
        .iter()
        .fold(ServiceSpec::new("own").port(80, 8080), |service, port| {
            service.port(*port, *port)
        });
    Lab::builder(name)
        .pod(PodSpec::new("own"))
        .pod(PodSpec::new("peer").node(1))
        .service(own_ports.backend("own"))
        .capture(capture)
        .outside()
        .build()
}

fn self_calls(capture: Capture) -> Result<()> {
    if !lab::possible() {
        return Ok(());
    }
    let lab = pod_and_peer("selfcall", capture)?;
    let own = lab.pod("own");
    let _nginx = programs::nginx(&own, 8080)?;
    let ztunnels = lab.start_ztunnels(&Start::default())?;
    lab.scenario(|| {
        let loopback: [IpAddr; 2] = [Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()];
        let direct = || -> Result<()> {
            for ip in own.addresses().both().into_iter().chain(loopback) {
                let said = get(&own, &url(ip, 8080, "/whoami"))?;
                ensure!(said == format!("{ip}\n"), "{ip} was called by {said}");
            }
            Ok(())
        };
        direct()?;

        // The service's address leads back to the pod through its own tunnel, so that policy applies.
        for (vip, ip) in lab.vip("own").both().into_iter().zip(own.addresses().both()) {
            ensure!(get(&own, &url(vip, 80, "/whoami"))? == format!("{ip}\n"));
        }
        // Two ends of two connections, and nothing else: what went directly was not captured.
        eventually_opened(&ztunnels[0], 4, &[("source_workload", "own"), ("destination_workload", "own")])?;
        eventually_opened(&ztunnels[0], 4, &[])?;
        change(&lab, &[&ztunnels[0]], |mesh| {
            mesh.policy(json!({
                "name": "not-oneself", "namespace": "default", "scope": "Namespace", "action": "Deny",
                "rules": [[[{"principals": ["cluster.local/ns/default/sa/own"]}]]],
            }));
        })?;
        for vip in lab.vip("own").both() {
            refused(&own, &url(vip, 80, "/"))?;
        }
        ztunnels[0].wait_log(&["inbound", "explicitly denied by: default/not-oneself"], lab::SECONDS_5)?;
        direct()?;
        eventually_opened(&ztunnels[0], 8, &[])
    })
}

#[test]
fn pod_calls_its_own_address_directly_and_its_own_service_under_policy_with_agent_capture()
-> Result<()> {
    self_calls(Capture::Agent)
}

#[test]
fn pod_calls_its_own_address_directly_and_its_own_service_under_policy_with_iptables_capture()
-> Result<()> {
    self_calls(Capture::Iptables)
}

#[test]
fn pod_calls_its_own_address_directly_and_its_own_service_under_policy_with_ebpf_capture()
-> Result<()> {
    self_calls(Capture::Ebpf)
}

/// Says something that no listener of ours understands, and is thrown out: by a reset, or by an end without a word.
fn is_thrown_out(from: &Machine, to: SocketAddr) -> Result<()> {
    // Nobody may listen there at all.
    let Ok(mut stream) = dial(from, to) else {
        return Ok(());
    };
    // It may be over before this is said.
    let _ = stream.write_all(b"GET / HTTP/1.1\r\nhost: own\r\n\r\n");
    let end = end(&mut stream).with_context(|| format!("{} calls {to}", from.name()))?;
    match &end {
        End::Reset => Ok(()),
        // A TLS listener may say why: an alert, which is a record of type 21. Source: RFC 8446 section 6.
        End::Finished(said) => {
            ensure!(
                said.is_empty() || said.first() == Some(&21),
                "{to} said {said:?}"
            );
            Ok(())
        }
    }
}

fn own_ports(capture: Capture) -> Result<()> {
    if !lab::possible() {
        return Ok(());
    }
    const RECURSIVE: &str = "attempted recursive call to ourselves";
    let lab = pod_and_peer("ownports", capture)?;
    let (own, peer) = (lab.pod("own"), lab.pod("peer"));
    let nginx = programs::nginx(&own, 8080)?;
    let ztunnels = lab.start_ztunnels(&Start::default())?;
    lab.scenario(|| {
        let near = &ztunnels[0];
        let told = |direction: &str| near.log_lines(&[direction, RECURSIVE]).len();
        let loopback: [IpAddr; 2] = [Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()];

        // The pod itself dials a listener: outbound and inbound know that they are meant. eBPF has none there.
        let own_listeners = if capture == Capture::Ebpf {
            [].as_slice()
        } else {
            [(15001, "outbound"), (15006, "inbound")].as_slice()
        };
        for &(port, direction) in own_listeners {
            for ip in own.addresses().both().into_iter().chain(loopback) {
                let before = told(direction);
                is_thrown_out(&own, SocketAddr::new(ip, port))?;
                lab::until(
                    &format!("the log line of {ip}:{port}"),
                    traffic::PATIENCE,
                    || told(direction) == before + 1,
                )
                .with_context(|| near.log_tail())?;
            }
        }
        // 15008 cannot tell a self-call from a tunnel to itself before the handshake; that fails. Nobody listens
        // on 15080, where a SOCKS proxy would be.
        for port in [15008, 15080] {
            for ip in own.addresses().both().into_iter().chain(loopback) {
                is_thrown_out(&own, SocketAddr::new(ip, port))?;
            }
        }
        near.wait_log(
            &["connection failed", "inbound", "15008", "tls error"],
            lab::SECONDS_5,
        )?;

        // Through the proxy: from another pod, by the own service, and plain from outside.
        for port in OWN_PORTS {
            for ip in own.addresses().both() {
                let before = told("inbound");
                is_thrown_out(&peer, SocketAddr::new(ip, port))?;
                lab::until(
                    &format!("the log line of {ip}:{port}"),
                    traffic::PATIENCE,
                    || told("inbound") == before + 1,
                )
                .with_context(|| near.log_tail())?;
            }
            for vip in lab.vip("own").both() {
                let before = told("inbound");
                is_thrown_out(&own, SocketAddr::new(vip, port))?;
                lab::until(
                    &format!("the log line of {vip}:{port}"),
                    traffic::PATIENCE,
                    || told("inbound") == before + 1,
                )
                .with_context(|| near.log_tail())?;
            }
            for ip in own.addresses().both() {
                let before = told("inbound");
                is_thrown_out(lab.outside(), SocketAddr::new(ip, port))?;
                if port != 15008 {
                    lab::until(
                        &format!("the log line of {ip}:{port}"),
                        traffic::PATIENCE,
                        || told("inbound") == before + 1,
                    )
                    .with_context(|| near.log_tail())?;
                }
            }
        }
        // Nothing has gone round in circles, and all else works as before.
        ensure!(nginx.access_log().is_empty(), "{}", nginx.access_log());
        ensure!(get(&peer, &url(own.ip4(), 8080, "/"))? == "hello from own\n");
        for ztunnel in &ztunnels {
            traffic::wait_all_closed(ztunnel)?;
        }
        Ok(())
    })
}

#[test]
fn ztunnels_own_ports_are_refused_on_every_way_with_agent_capture() -> Result<()> {
    own_ports(Capture::Agent)
}

#[test]
fn ztunnels_own_ports_are_refused_on_every_way_with_iptables_capture() -> Result<()> {
    own_ports(Capture::Iptables)
}

#[test]
fn ztunnels_own_ports_are_refused_on_every_way_with_ebpf_capture() -> Result<()> {
    own_ports(Capture::Ebpf)
}

fn probes(capture: Capture) -> Result<()> {
    if !lab::possible() {
        return Ok(());
    }
    let lab = pod_and_peer("probes", capture)?;
    let own = lab.pod("own");
    let nginx = programs::nginx(&own, 8080)?;
    let ztunnel = lab.start_ztunnel(0, &Start::default())?;
    let node = lab.node(0);
    node.ip(&[
        format!("addr add {}/32 dev lo", PROBES[0]),
        format!("addr add {}/128 dev lo nodad", PROBES[1]),
    ])?;
    lab.scenario(|| {
        change(&lab, &[&ztunnel], |mesh| {
            mesh.policy(json!({
                "name": "nobody", "namespace": "default", "scope": "Namespace", "action": "Allow", "rules": [],
            }));
        })?;
        for (probe, ip) in PROBES.into_iter().zip(own.addresses().both()) {
            let path = url(ip, 8080, "/whoami");
            let said = node.exec(["curl", "-sS", "--fail", "-m", "15", "--interface", probe, &path])?.ok()?;
            ensure!(said == format!("{probe}\n"), "{said}");
        }
        // The same node by its own address is somebody like any other.
        for ip in own.addresses().both() {
            refused(node, &url(ip, 8080, "/"))?;
        }
        ztunnel.wait_log(&["inbound", "allow policies exist, but none allowed"], lab::SECONDS_5)?;
        ensure!(nginx.access_log().lines().count() == PROBES.len(), "{}", nginx.access_log());
        // The two that were denied, and no probe.
        eventually_opened(&ztunnel, 2, &[])
    })
}

#[test]
fn probes_reach_the_application_past_a_policy_that_denies_all_with_agent_capture() -> Result<()> {
    probes(Capture::Agent)
}

#[test]
fn probes_reach_the_application_past_a_policy_that_denies_all_with_iptables_capture() -> Result<()>
{
    probes(Capture::Iptables)
}

#[test]
fn probes_reach_the_application_past_a_policy_that_denies_all_with_ebpf_capture() -> Result<()> {
    probes(Capture::Ebpf)
}
