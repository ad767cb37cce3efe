//! The connection to the application, which sees its client's own address, or is told of it.
//!
//! In: an [`Admitted`], by reference: without one there is nothing to call this with. Out: a connected socket, on which the
//! PROXY header of an application tunnel has been written. Never: a header that the client had a word in: addresses
//! are those of the connection, the identity that of its certificate.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket},
};

use decision::inbound::{Admitted, ProxyHeader};
use net::socket::{self, ConnectError};
use tokio::{io::AsyncWriteExt as _, net::TcpStream};
use wire::proxy_protocol::{self, Addresses, TLV_IDENTITY, TlvsTooLong};

use super::error::Error;
use crate::{pod::Pod, proxy::Proxy};

/// Where a route is asked for. Source: RFC 863.
const PORT_DISCARD: u16 = 9;

/// Connects to the application that a connection was admitted to.
pub(super) async fn connect(
    proxy: &Proxy,
    pod: &Pod,
    admitted: &Admitted,
) -> Result<TcpStream, Error> {
    let options = &proxy.sockets.socket;
    let destination = admitted.reached_at(proxy.sockets.localhost_app_tunnel);
    let client = admitted.client();
    let mut upstream = if calls_itself(pod, admitted, destination) {
        socket::connect(&pod.netns, Some(client.ip()), destination, options).await?
    } else {
        socket::connect_as(&pod.netns, client, destination, &pod.ports, options).await?
    };
    if let Some(header) = admitted.proxy_header() {
        announce(&mut upstream, header).await?;
    }
    Ok(upstream)
}

/// Whether a pod with several addresses calls itself from another of them. Its address is not a borrowed one then: the answers take
/// the kernel's way within the pod, and not that of what is borrowed.
fn calls_itself(pod: &Pod, admitted: &Admitted, destination: SocketAddr) -> bool {
    let client = admitted.client().ip();
    let may_be = client != destination.ip()
        && client.is_ipv4() == destination.is_ipv4()
        && !destination.ip().is_loopback()
        && admitted.identity() == Some(&admitted.workload().identity());
    may_be && pod.netns.run(|| is_local(client)).unwrap_or(false)
}

/// Whether an address is one of the namespace's own: packets to it leave from itself. Nothing is sent.
fn is_local(ip: IpAddr) -> bool {
    let any = match ip {
        IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let source = UdpSocket::bind(SocketAddr::new(any, 0)).and_then(|socket| {
        socket.connect(SocketAddr::new(ip, PORT_DISCARD))?;
        socket.local_addr()
    });
    source.is_ok_and(|source| source.ip() == ip)
}

/// Writes the header that an application tunnel begins with.
async fn announce(upstream: &mut TcpStream, header: &ProxyHeader) -> Result<(), ConnectError> {
    let bytes = bytes(header).map_err(io::Error::other)?;
    Ok(upstream.write_all(&bytes).await?)
}

/// Source: PROXY protocol version 2; TLV 0xD0 of Istio's ztunnel: the client's SPIFFE ID.
fn bytes(header: &ProxyHeader) -> Result<bytes::Bytes, TlvsTooLong> {
    let addresses = Addresses {
        source: header.source,
        destination: header.destination,
    };
    let identity = header.identity.as_ref().map(ToString::to_string);
    let tlvs = identity
        .as_ref()
        .map(|identity| (TLV_IDENTITY, identity.as_bytes()));
    proxy_protocol::v2(&addresses, tlvs.as_slice())
}

#[cfg(test)]
mod tests;
