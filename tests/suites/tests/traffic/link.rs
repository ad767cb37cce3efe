//! What somebody sees who listens between the nodes.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use anyhow::{Context as _, Result, ensure};
use lab::pcap::{Packet, Protocol};
use lab::programs::{self, MariaDb};
use lab::{Capture, Lab, PodSpec, ServiceSpec, Start};
use suites::traffic::url;

/// Sent by pods of the mesh: must not be seen.
const SECRET: &str = "amber-heron-4711-secret";
/// Sent by the host outside: must be seen, or else the listener is deaf.
const OPEN: &str = "plain-sparrow-0815-open";
/// The first byte of a TLS record. Source: RFC 8446 section 5.1, handshake.
const TLS_HANDSHAKE: u8 = 22;

fn only_tls(capture: Capture) -> Result<()> {
    if !lab::possible() {
        return Ok(());
    }
    let service = |name: &str| {
        ServiceSpec::new(name)
            .port(80, 8080)
            .port(6380, 6379)
            .port(3307, 3306)
            .backend(name)
    };
    let lab = Lab::builder("link")
        .pod(PodSpec::new("client"))
        .pod(PodSpec::new("server").node(1))
        .service(service("client"))
        .service(service("server"))
        .capture(capture)
        .outside()
        .build()?;
    let (client, server) = (lab.pod("client"), lab.pod("server"));
    let _nginx = [
        programs::nginx(&client, 8080)?,
        programs::nginx(&server, 8080)?,
    ];
    let _redis = programs::redis(&server, 6379)?;
    let _mariadb = programs::mariadb(&server, 3306)?;
    let _ztunnels = lab.start_ztunnels(&Start::default())?;
    let link = programs::tcpdump(lab.node(0), lab::topology::LINK, "")?;
    lab.scenario(|| {
        for (from, to) in [(&client, &server), (&server, &client)] {
            let own = to.addresses().both().map(|ip| url(ip, 8080, "/"));
            let service = lab.vip(to.name()).both().map(|ip| url(ip, 80, "/"));
            for url in own.into_iter().chain(service) {
                post(from, &url, SECRET)?;
            }
        }
        for (ip, [redis, mariadb]) in [
            (server.ip4().into(), [6379, 3306]),
            (lab.vip("server").ip6.into(), [6380, 3307]),
        ] {
            let set = [
                "redis-cli",
                "-h",
                &format!("{ip}"),
                "-p",
                &format!("{redis}"),
                "set",
                "key",
                SECRET,
            ];
            client.exec(set)?.ok()?;
            let said = MariaDb::query(&client, ip, mariadb, &format!("select '{SECRET}'"))?.ok()?;
            ensure!(said.trim() == SECRET, "{said}");
        }
        // This goes over the same link, since the host outside is wired to the first node.
        post(lab.outside(), &url(server.ip4(), 8080, "/"), OPEN)?;
        Ok(())
    })?;
    let packets = link.stop()?;
    let outside = lab.outside_addresses().both();
    let is_open = |packet: &&Packet| {
        outside.contains(&packet.source.ip()) || outside.contains(&packet.destination.ip())
    };
    let (open, secret): (Vec<_>, Vec<_>) = packets.iter().partition(is_open);
    ensure!(
        open.iter().any(|packet| packet.contains(OPEN.as_bytes())),
        "the capture is deaf"
    );
    all_are_tls(&secret)?;
    for (from, to) in [(&client, &server), (&server, &client)] {
        for (source, target) in from
            .addresses()
            .both()
            .into_iter()
            .zip(to.addresses().both())
        {
            let seen = secret.iter().any(|packet| {
                packet.source.ip() == source && packet.destination == SocketAddr::new(target, 15008)
            });
            ensure!(seen, "no tunnel from {source} to {target}");
        }
    }
    Ok(())
}

fn post(from: &lab::Machine, url: &str, text: &str) -> Result<()> {
    let header = format!("x-secret: {text}");
    let line = [
        "curl", "-sS", "--fail", "-m", "15", "-H", &header, "-d", text, url,
    ];
    from.exec(line)?.ok().map(drop)
}

/// Only 15008, and every direction of every connection begins with a TLS handshake.
fn all_are_tls(packets: &[&Packet]) -> Result<()> {
    let mut first: BTreeMap<(SocketAddr, SocketAddr), u8> = BTreeMap::new();
    for packet in packets {
        let between = (packet.source, packet.destination);
        ensure!(
            packet.protocol == Protocol::Tcp && packet.has_port(15008),
            "{between:?}: not HBONE"
        );
        for secret in [SECRET, "PRI * HTTP/2.0", "CONNECT", "spiffe"] {
            ensure!(
                !packet.contains(secret.as_bytes()),
                "{between:?}: {secret} in the clear"
            );
        }
        if let Some(byte) = packet.payload.first() {
            first.entry(between).or_insert(*byte);
        }
    }
    ensure!(first.len() >= 4, "{first:?}");
    let other = first.iter().find(|(_, byte)| **byte != TLS_HANDSHAKE);
    ensure!(other.is_none(), "{other:?}: no TLS");
    packets
        .iter()
        .find(|packet| packet.payload.starts_with(&[23, 3, 3]))
        .map(drop)
        .context("no encrypted record, so nothing was said")
}

#[test]
fn link_between_the_nodes_carries_only_tls_on_15008_under_agent_capture() -> Result<()> {
    only_tls(Capture::Agent)
}

#[test]
fn link_between_the_nodes_carries_only_tls_on_15008_under_iptables_capture() -> Result<()> {
    only_tls(Capture::Iptables)
}

#[test]
fn link_between_the_nodes_carries_only_tls_on_15008_under_ebpf_capture() -> Result<()> {
    only_tls(Capture::Ebpf)
}
