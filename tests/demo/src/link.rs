//! What was on the wire between the nodes.
//!
//! In: packets of tcpdump on the link. Out: how many, to which ports, whether anything of them was readable.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
};

use anyhow::{Context as _, Result, ensure};
use lab::{
    Lab,
    pcap::{Packet, Protocol},
    programs::{self, Capture},
};

/// The interface between the nodes.
const LINK: &str = "node-link";
/// The port of HBONE.
const HBONE: u16 = 15008;
/// How a TLS connection begins: a handshake record. Source: RFC 8446 §5.1.
const HANDSHAKE: [u8; 2] = [0x16, 0x03];

/// A capture that runs.
#[derive(Debug)]
pub(crate) struct Watch {
    capture: Capture,
    bytes_before: u64,
}

/// What a capture of the mesh showed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seen {
    /// All packets; every one of them to or from the HBONE port.
    pub(crate) packets: usize,
    /// Of them, those that carry bytes.
    pub(crate) with_bytes: usize,
    /// TCP connections, each of which begins with a TLS handshake in both directions.
    pub(crate) tunnels: usize,
}

impl Watch {
    /// Captures everything, whole packets.
    pub(crate) fn everything(lab: &Lab) -> Result<Self> {
        Self::start(lab, "")
    }

    /// Captures what is not in a tunnel, for when the tunnels carry more than a file can hold.
    pub(crate) fn all_but_tunnels(lab: &Lab) -> Result<Self> {
        Self::start(lab, &format!("(tcp or udp) and not tcp port {HBONE}"))
    }

    fn start(lab: &Lab, filter: &str) -> Result<Self> {
        let bytes_before = crossed(lab)?;
        Ok(Self {
            capture: programs::tcpdump(lab.node(0), LINK, filter)?,
            bytes_before,
        })
    }

    /// Ends the capture.
    pub(crate) fn stop(self) -> Result<Vec<Packet>> {
        self.capture.stop()
    }

    /// Ends the capture and says how many bytes the link has carried meanwhile, by the kernel's own count.
    pub(crate) fn stop_counting(self, lab: &Lab) -> Result<(Vec<Packet>, u64)> {
        let packets = self.capture.stop()?;
        Ok((packets, crossed(lab)?.saturating_sub(self.bytes_before)))
    }
}

/// How many packets contain one of the texts.
pub(crate) fn readable(packets: &[Packet], texts: &[&str]) -> usize {
    packets
        .iter()
        .filter(|packet| texts.iter().any(|text| packet.contains(text.as_bytes())))
        .count()
}

/// Holds the capture against what the mesh promises: TLS on the HBONE port, nothing else, nothing readable.
pub(crate) fn verdict(packets: &[Packet], texts: &[&str]) -> Result<Seen> {
    ensure!(!packets.is_empty(), "the capture is empty");
    let strangers: BTreeSet<_> = packets
        .iter()
        .filter(|packet| packet.protocol != Protocol::Tcp || !packet.has_port(HBONE))
        .map(|packet| {
            format!(
                "{:?} {} -> {}",
                packet.protocol, packet.source, packet.destination
            )
        })
        .collect();
    ensure!(
        strangers.is_empty(),
        "outside of the tunnels went {strangers:?}"
    );
    ensure!(
        readable(packets, texts) == 0,
        "one of {texts:?} was readable on the wire"
    );
    let mut first: BTreeMap<(SocketAddr, SocketAddr), &Packet> = BTreeMap::new();
    for packet in packets.iter().filter(|packet| !packet.payload.is_empty()) {
        first
            .entry((packet.source, packet.destination))
            .or_insert(packet);
    }
    for ((source, destination), packet) in &first {
        ensure!(
            packet.payload.starts_with(&HANDSHAKE),
            "{source} -> {destination} does not begin with a TLS handshake"
        );
    }
    let tunnels = first
        .keys()
        .filter(|(_, destination)| destination.port() == HBONE)
        .count();
    ensure!(tunnels > 0, "no tunnel was captured");
    let with_bytes = packets
        .iter()
        .filter(|packet| !packet.payload.is_empty())
        .count();
    Ok(Seen {
        packets: packets.len(),
        with_bytes,
        tunnels,
    })
}

/// Bytes that the link has carried since it was made, both directions.
fn crossed(lab: &Lab) -> Result<u64> {
    let text = lab
        .node(0)
        .exec(["ip", "-json", "-statistics", "link", "show", LINK])?
        .ok()?;
    let links: serde_json::Value = serde_json::from_str(&text).context("ip -json")?;
    let count = |side: &str| {
        links[0]["stats64"][side]["bytes"]
            .as_u64()
            .context("ip gave no byte count")
    };
    Ok(count("rx")? + count("tx")?)
}
