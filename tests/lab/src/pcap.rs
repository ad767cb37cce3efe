//! Reading tcpdump's files, as far as the lab's questions go: who sent which bytes to which port.
//!
//! In: a classic pcap file of an Ethernet interface. Out: one [`Packet`] per TCP or UDP packet.
//! Never: reassembly; a fragment, an extension header or another protocol is left out.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use anyhow::{Context as _, Result, bail};

#[cfg(test)]
mod tests;

/// The bytes `d4 c3 b2 a1`: written on a little-endian machine, times in microseconds.
const MAGIC: u32 = 0xa1b2_c3d4;
/// Ethernet. Source: pcap-linktype(7).
const ETHERNET: u32 = 1;

/// What a packet carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
}

/// One TCP or UDP packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packet {
    /// Who sent it.
    pub source: SocketAddr,
    /// To whom.
    pub destination: SocketAddr,
    /// In which protocol.
    pub protocol: Protocol,
    /// The bytes after the transport header.
    pub payload: Vec<u8>,
}

impl Packet {
    /// Whether one of the ports is `port`.
    pub fn has_port(&self, port: u16) -> bool {
        self.source.port() == port || self.destination.port() == port
    }

    /// Whether the payload contains `needle`.
    pub fn contains(&self, needle: &[u8]) -> bool {
        !needle.is_empty()
            && self
                .payload
                .windows(needle.len())
                .any(|window| window == needle)
    }
}

/// Reads a whole file; a last packet that is cut short is left out.
///
/// # Errors
///
/// When it is not a little-endian Ethernet pcap file.
pub fn read(file: &[u8]) -> Result<Vec<Packet>> {
    if u32_at(file, 0) != Some(MAGIC) || u32_at(file, 20) != Some(ETHERNET) {
        bail!("not a little-endian pcap file of an Ethernet interface");
    }
    let mut packets = Vec::new();
    let mut at = 24;
    while let Some(length) = u32_at(file, at + 8) {
        let start = at + 16;
        let end = start + usize::try_from(length).context("packet length")?;
        let Some(frame) = file.get(start..end) else {
            break;
        };
        packets.extend(frame_packet(frame));
        at = end;
    }
    Ok(packets)
}

fn frame_packet(frame: &[u8]) -> Option<Packet> {
    let packet = frame.get(14..)?;
    match u16_at(frame, 12)? {
        0x0800 => {
            let header = usize::from(packet.first()? & 0x0f) * 4;
            // A length of zero: the kernel segments it later.
            let total = match usize::from(u16_at(packet, 2)?) {
                0 => packet.len(),
                total => total,
            };
            if u16_at(packet, 6)? & 0x3fff != 0 {
                return None;
            }
            let address = |at: usize| {
                Some(IpAddr::from(Ipv4Addr::from(
                    <[u8; 4]>::try_from(packet.get(at..at + 4)?).ok()?,
                )))
            };
            transport(
                *packet.get(9)?,
                address(12)?,
                address(16)?,
                packet.get(header..total.min(packet.len()))?,
            )
        }
        0x86dd => {
            let address = |at: usize| {
                Some(IpAddr::from(Ipv6Addr::from(
                    <[u8; 16]>::try_from(packet.get(at..at + 16)?).ok()?,
                )))
            };
            let total = match usize::from(u16_at(packet, 4)?) {
                0 => packet.len(),
                payload => 40 + payload,
            };
            transport(
                *packet.get(6)?,
                address(8)?,
                address(24)?,
                packet.get(40..total.min(packet.len()))?,
            )
        }
        _ => None,
    }
}

fn transport(protocol: u8, source: IpAddr, destination: IpAddr, segment: &[u8]) -> Option<Packet> {
    let (protocol, header) = match protocol {
        6 => (Protocol::Tcp, usize::from(segment.get(12)? >> 4) * 4),
        17 => (Protocol::Udp, 8),
        _ => return None,
    };
    Some(Packet {
        source: SocketAddr::new(source, u16_at(segment, 0)?),
        destination: SocketAddr::new(destination, u16_at(segment, 2)?),
        protocol,
        payload: segment.get(header..)?.to_vec(),
    })
}

/// Network byte order.
fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

/// The file's own byte order.
fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}
