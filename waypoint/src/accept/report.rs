//! What is told of a tunnel or a CONNECT that was refused.

use telemetry::{Connection, Direction, HboneAddress, Security};
use wire::{authority::Authority, connect::ConnectHead};

use crate::accept::{Addresses, error::Error, tunnel::Tunnel};

/// Tells of a connection of which nothing but addresses is known.
pub(super) fn early(proxy: &crate::proxy::Proxy, addresses: Addresses, error: &Error) {
    let report = Connection::between(Direction::Through, addresses.peer, addresses.local);
    tell(proxy, &report, error);
}

/// Tells of a CONNECT; `head`, if it could be read.
pub(super) fn refused(tunnel: &Tunnel, head: Option<&ConnectHead>, error: &Error) {
    let addresses = tunnel.addresses();
    let mut report = Connection::between(Direction::Through, addresses.peer, addresses.local);
    report.source_identity = Some(tunnel.certificate().id.clone());
    report.security = Security::MutualTls;
    report.hbone_addr = head.map(|head| match &head.authority {
        Authority::Address(address) => (*address).into(),
        Authority::Hostname { hostname, port } => {
            HboneAddress::Hostname(hostname.as_str().into(), *port)
        }
    });
    tell(tunnel.proxy(), &report, error);
}

fn tell(proxy: &crate::proxy::Proxy, report: &Connection, error: &Error) {
    let text = error.to_string();
    proxy
        .telemetry
        .refused(report, error.reason(), &text, net::clock::now());
}
