//! The connection to the application, which sees its client's own address, or is told of it.
//!
//! In: an [`Admitted`], by reference: without one there is nothing to call this with. Out: a connected socket, on which the
//! PROXY header of an application tunnel has been written. Never: a header that the client had a word in: addresses
//! are those of the connection, the identity that of its certificate.

use std::io;

use decision::inbound::{Admitted, ProxyHeader};
use net::socket::{self, ConnectError};
use tokio::{io::AsyncWriteExt as _, net::TcpStream};
use wire::proxy_protocol::{self, Addresses, TLV_IDENTITY, TlvsTooLong};

use super::error::Error;
use crate::{pod::Pod, proxy::Proxy};

/// Connects to the application that a connection was admitted to.
pub(super) async fn connect(
    proxy: &Proxy,
    pod: &Pod,
    admitted: &Admitted,
) -> Result<TcpStream, Error> {
    let options = &proxy.sockets.socket;
    let destination = admitted.reached_at(proxy.sockets.localhost_app_tunnel);
    let client = admitted.client();
    let mut upstream =
        socket::connect_as(&pod.netns, client, destination, &pod.ports, options).await?;
    if let Some(header) = admitted.proxy_header() {
        announce(&mut upstream, header).await?;
    }
    Ok(upstream)
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
