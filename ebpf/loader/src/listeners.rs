//! The sockets that the steering program gives connections to.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};

use ebpf_abi::steer::Listener;
use net::{
    Netns,
    socket::{self, Options, Peers, canonical},
};

use crate::Error;

/// Binds one listener per direction and family, on free ports of loopback: only steered connections are meant to come.
pub(crate) fn open(
    netns: &Netns,
    ipv6: bool,
    options: &Options,
) -> Result<Vec<(Listener, TcpListener)>, Error> {
    let wanted = Listener::ALL
        .into_iter()
        .filter(|place| ipv6 || !is_v6(*place));
    wanted
        .map(|place| {
            let address = if is_v6(place) {
                SocketAddr::new(Ipv6Addr::LOCALHOST.into(), 0)
            } else {
                SocketAddr::new(Ipv4Addr::LOCALHOST.into(), 0)
            };
            let peers = if is_outbound(place) {
                Peers::InPodUnchanged
            } else {
                Peers::Anywhere
            };
            let listener = socket::listen(netns, address, peers, options)
                .map_err(|source| Error::Listen { address, source })?;
            Ok((place, listener))
        })
        .collect()
}

/// Whether what comes to a listener is what the pod sends.
#[must_use]
pub fn is_outbound(place: Listener) -> bool {
    match place {
        Listener::OutV4 | Listener::OutV6 => true,
        Listener::InV4 | Listener::InV6 => false,
    }
}

fn is_v6(place: Listener) -> bool {
    match place {
        Listener::OutV6 | Listener::InV6 => true,
        Listener::OutV4 | Listener::InV4 => false,
    }
}

/// Whether an accepted socket with this `local_addr` was steered. A process of the pod that connects to the
/// listener's own port on loopback was not, and must be turned away: nobody may ask the proxy for loopback.
#[must_use]
pub fn is_steered(local: SocketAddr) -> bool {
    !canonical(local).ip().is_loopback()
}
