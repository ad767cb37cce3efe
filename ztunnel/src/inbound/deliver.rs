//! The connection to the application, which sees its client's own address.
//!
//! In: an [`Admitted`], by reference: without one there is nothing to call this with. Out: a connected socket.

use decision::inbound::Admitted;
use net::socket;
use tokio::net::TcpStream;

use super::error::Error;
use crate::{pod::Pod, proxy::Proxy};

/// Connects to the application that a connection was admitted to.
pub(super) async fn connect(
    proxy: &Proxy,
    pod: &Pod,
    admitted: &Admitted,
) -> Result<TcpStream, Error> {
    if admitted.proxy_header().is_some() {
        return Err(Error::ProxyProtocol);
    }
    let options = &proxy.sockets.socket;
    let destination = admitted.destination();
    Ok(socket::connect_as(
        &pod.netns,
        admitted.client(),
        destination,
        &pod.ports,
        options,
    )
    .await?)
}
