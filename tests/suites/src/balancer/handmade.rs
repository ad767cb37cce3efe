//! PROXY headers made by hand: whole, in pieces, and such as no balancer writes. Source: "The PROXY protocol", §2.

use std::net::SocketAddr;

/// What a header of version 2 begins with.
const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

/// A header of version 1.
pub fn v1(source: SocketAddr, destination: SocketAddr) -> Vec<u8> {
    let family = if source.is_ipv4() { "TCP4" } else { "TCP6" };
    let text = format!(
        "PROXY {family} {} {} {} {}\r\n",
        source.ip(),
        destination.ip(),
        source.port(),
        destination.port()
    );
    text.into_bytes()
}

/// A header of version 2 for two addresses of one family, with TLVs behind them as they are.
pub fn v2(source: SocketAddr, destination: SocketAddr, tlvs: &[u8]) -> Vec<u8> {
    let (family, addresses) = match (source, destination) {
        (SocketAddr::V4(from), SocketAddr::V4(to)) => {
            (0x11, [from.ip().octets(), to.ip().octets()].concat())
        }
        (from, to) => (0x21, [octets(from), octets(to)].concat()),
    };
    let mut body = addresses;
    body.extend(source.port().to_be_bytes());
    body.extend(destination.port().to_be_bytes());
    body.extend(tlvs);
    framed(0x21, family, &body)
}

/// A header of version 2 with any version, command, family and rest.
pub fn framed(command: u8, family: u8, body: &[u8]) -> Vec<u8> {
    let mut bytes = SIGNATURE.to_vec();
    bytes.extend([command, family]);
    bytes.extend(u16::try_from(body.len()).unwrap_or(u16::MAX).to_be_bytes());
    bytes.extend(body);
    bytes
}

fn octets(address: SocketAddr) -> [u8; 16] {
    match address {
        SocketAddr::V4(address) => address.ip().to_ipv6_mapped().octets(),
        SocketAddr::V6(address) => address.ip().octets(),
    }
}
