//! The ports that a client's address is borrowed with, where the client has connections that ztunnel does not know.

use std::net::{IpAddr, SocketAddr, TcpStream};

use anyhow::{Context as _, Result, ensure};
use lab::agent::Handover;
use lab::{Capture, Lab, PodSpec, Start};
use suites::traffic::{self, accept, carry, dial};

/// Connections that are older than the enrolment, from ports that are borrowed afterwards.
const OLD: usize = 1500;
/// Those that come afterwards. With [`OLD`] of 31,744 ports in use one of twenty meets one of them.
const NEW: usize = 200;
/// Where the application listens.
const PORT: u16 = 7000;

/// A client without a mesh whose own ports are those that deliveries borrow.
fn borrowed(capture: Capture) -> Result<()> {
    if !lab::possible() {
        return Ok(());
    }
    let lab = Lab::builder("borrowed")
        .pod(PodSpec::new("server").not_enrolled())
        .capture(capture)
        .outside()
        .build()?;
    let (client, server) = (lab.outside(), lab.pod("server"));
    let _ztunnel = lab.start_ztunnel(0, &Start::default())?;
    lab.scenario(|| {
        client.sysctl(&[("net.ipv4.ip_local_port_range", "1024 32767")])?;
        let listener = traffic::listen(&server, PORT)?;
        let to: [SocketAddr; 2] = server
            .addresses()
            .both()
            .map(|ip| SocketAddr::new(ip, PORT));
        let mut old: Vec<(TcpStream, TcpStream)> = Vec::with_capacity(OLD);
        for number in 0..OLD {
            let dialled = dial(client, to[number % 2])?;
            old.push((dialled, accept(&listener)?.0));
        }
        ensure!(lab.enrol("server")? == Handover::Served);
        let own: [IpAddr; 2] = lab.outside_addresses().both();
        for number in 0..NEW {
            let mut dialled = dial(client, to[number % 2])?;
            let (mut accepted, seen) =
                accept(&listener).with_context(|| format!("connection {number}"))?;
            ensure!(seen.ip() == own[number % 2], "{seen}");
            carry(&mut dialled, &mut accepted, b"new").with_context(|| number.to_string())?;
        }
        // With conntrack an old connection may break that a delivery has met: it is taken for the same one.
        if capture == Capture::Ebpf {
            for (number, (dialled, accepted)) in old.iter_mut().enumerate() {
                carry(dialled, accepted, b"old").with_context(|| number.to_string())?;
                carry(accepted, dialled, b"old").with_context(|| number.to_string())?;
            }
        }
        Ok(())
    })
}

#[test]
fn unknown_connections_of_a_client_are_not_in_the_way_of_its_deliveries_with_iptables_capture()
-> Result<()> {
    borrowed(Capture::Iptables)
}

#[test]
fn unknown_connections_of_a_client_are_not_in_the_way_of_its_deliveries_with_ebpf_capture()
-> Result<()> {
    borrowed(Capture::Ebpf)
}
