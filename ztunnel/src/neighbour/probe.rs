//! One walk of a path: a TCP connection from the one pod's namespace to the other's port 15008, by the way that a tunnel would go.
//!
//! In: the two pods' ends. Out: that the neighbour's own listener has accepted it, or why not. Never: says a byte; leaves a socket behind.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    num::NonZeroU32,
    time::Duration,
};

use net::{Netns, socket};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::{
    net::TcpSocket,
    time::{Instant, timeout_at},
};

use super::expected::Expected;

/// How long a probe may take: two of the kernel's retransmissions.
const TIMEOUT_PROBE: Duration = Duration::from_secs(4);

/// Between whom.
#[derive(Debug)]
pub(super) struct Ends<'a> {
    /// The namespace that it leaves from.
    pub(super) netns: &'a Netns,
    /// The address that it leaves from.
    pub(super) client: IpAddr,
    /// The pod that it is to come to.
    pub(super) expected: &'a Expected,
    /// That pod's HBONE port.
    pub(super) peer: SocketAddr,
    /// `PACKET_MARK`.
    pub(super) mark: NonZeroU32,
}

/// Why a walk did not reach its end.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    /// The network says so, or says nothing.
    #[error("the network: {0}")]
    Apart(io::Error),
    /// Something has answered, and the neighbour's own listener has not.
    #[error("no confirmation by the neighbour's own listener")]
    Unconfirmed,
    /// It could not be made: the node lacks something, or the client's address is none of its pod's.
    #[error("no probe could be made: {0}")]
    Unmade(io::Error),
}

impl Failure {
    /// Of a connection that failed.
    fn of(error: io::Error) -> Self {
        // What comes as ICMP, as RST or by silence, and what rules of the network make of a packet. Source: Linux, `icmp_err_convert` and its like of IPv6.
        match error.raw_os_error() {
            Some(
                libc::ETIMEDOUT
                | libc::ECONNREFUSED
                | libc::ECONNRESET
                | libc::EHOSTUNREACH
                | libc::ENETUNREACH
                | libc::EHOSTDOWN
                | libc::ENETDOWN
                | libc::ENONET
                | libc::EPERM
                | libc::EACCES,
            ) => Self::Apart(error),
            Some(_) | None => Self::Unmade(error),
        }
    }
}

/// Walks.
pub(super) async fn walk(ends: Ends<'_>) -> Result<(), Failure> {
    let Ends {
        netns,
        client,
        expected,
        peer,
        mark,
    } = ends;
    let peer = socket::canonical(peer);
    let deadline = Instant::now() + TIMEOUT_PROBE;
    let (socket, own) = bound(netns, client, peer, mark).map_err(Failure::Unmade)?;
    let socket = TcpSocket::from_std_stream(socket.into());
    // In this order, because what was declared last goes first: its port is nobody else's until nobody waits for it any more.
    let stream;
    let mut connecting = std::pin::pin!(socket.connect(peer));
    let mut expecting = expected
        .expect(own, peer)
        .ok_or_else(|| Failure::Unmade(io::ErrorKind::QuotaExceeded.into()))?;
    stream = match timeout_at(deadline, &mut connecting).await {
        Ok(connected) => connected.map_err(Failure::of)?,
        Err(_elapsed) => return Err(Failure::of(io::Error::from_raw_os_error(libc::ETIMEDOUT))),
    };
    // Nothing is said; without this every probe would leave a socket behind for a minute.
    socket::reset_on_close(&stream);
    timeout_at(deadline, expecting.confirmed())
        .await
        .map_err(|_elapsed| Failure::Unconfirmed)
}

/// A socket with an address and a port, before it connects.
fn bound(
    netns: &Netns,
    client: IpAddr,
    peer: SocketAddr,
    mark: NonZeroU32,
) -> io::Result<(Socket, SocketAddr)> {
    let socket = netns.run(|| {
        Socket::new(
            Domain::for_address(peer),
            Type::STREAM.nonblocking(),
            Some(Protocol::TCP),
        )
    })??;
    socket.set_mark(mark.get())?;
    socket.bind(&SocketAddr::new(client.to_canonical(), 0).into())?;
    let own = socket.local_addr()?.as_socket();
    let own = own.ok_or(io::ErrorKind::AddrNotAvailable)?;
    Ok((socket, socket::canonical(own)))
}

#[cfg(test)]
mod tests;
