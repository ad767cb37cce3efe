//! The sockets that the steering program gives connections to.

use std::{
    net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener},
    num::NonZeroU32,
};

use ebpf_abi::steer::Listener;
use net::{
    Netns,
    socket::{self, Options, Peers, canonical},
};

use crate::Error;

/// What comes to a listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Traffic {
    /// What the pod sends.
    Outbound,
    /// What comes to it in plain.
    Inbound,
    /// Tunnels to it.
    Hbone,
}

/// Binds one listener per traffic and family, on free ports of loopback: only steered connections are meant to come.
/// Those of `kept` places are there already.
///
/// What the pod sends is answered with `mark`, its own: the pod's kernel repeats the mark of a packet (`fwmark_reflect`) where it
/// answers one without a socket, for a connection in TIME_WAIT as for one that is gone, and only with this one such an answer stays
/// on `lo`.
pub(crate) fn open(
    netns: &Netns,
    ipv6: bool,
    kept: &[Listener],
    options: &Options,
    mark: NonZeroU32,
) -> Result<Vec<(Listener, TcpListener)>, Error> {
    let of_pod = Options {
        mark,
        ..options.clone()
    };
    let wanted = Listener::ALL
        .into_iter()
        .filter(|place| ipv6 || !is_v6(*place))
        .filter(|place| !kept.contains(place));
    wanted
        .map(|place| {
            let address = if is_v6(place) {
                SocketAddr::new(Ipv6Addr::LOCALHOST.into(), 0)
            } else {
                SocketAddr::new(Ipv4Addr::LOCALHOST.into(), 0)
            };
            let (peers, options) = match traffic(place) {
                Traffic::Outbound => (Peers::InPodUnchanged, &of_pod),
                Traffic::Inbound | Traffic::Hbone => (Peers::Anywhere, options),
            };
            let listener = socket::listen(netns, address, peers, options)
                .map_err(|source| Error::Listen { address, source })?;
            Ok((place, listener))
        })
        .collect()
}

/// What comes to the listener in a place.
#[must_use]
pub fn traffic(place: Listener) -> Traffic {
    match place {
        Listener::OutV4 | Listener::OutV6 => Traffic::Outbound,
        Listener::InV4 | Listener::InV6 => Traffic::Inbound,
        Listener::HboneV4 | Listener::HboneV6 => Traffic::Hbone,
    }
}

fn is_v6(place: Listener) -> bool {
    match place {
        Listener::OutV6 | Listener::InV6 | Listener::HboneV6 => true,
        Listener::OutV4 | Listener::InV4 | Listener::HboneV4 => false,
    }
}

/// Whether an accepted socket with this `local_addr` was steered. A process of the pod that connects to the
/// listener's own port on loopback was not, and must be turned away: nobody may ask the proxy for loopback.
#[must_use]
pub fn is_steered(local: SocketAddr) -> bool {
    !canonical(local).ip().is_loopback()
}
