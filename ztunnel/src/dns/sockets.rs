//! The sockets that a pod's DNS comes in on.

use std::{
    io,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, UdpSocket},
};

use net::{
    Netns,
    socket::{self, Options, Peers},
};
use socket2::{Domain, Protocol, Socket, Type};

use crate::config::DnsListen;

/// Bound, non-blocking sockets of one pod. **Shape:** one of each kind per address.
#[derive(Debug, Default)]
pub struct Sockets {
    /// For datagrams.
    pub udp: Vec<UdpSocket>,
    /// For connections.
    pub tcp: Vec<TcpListener>,
}

/// How often another free port is asked for, where the one that was found is taken for the other protocol or family.
const MAX_TRIES: usize = 16;

impl Sockets {
    /// Binds what the configuration asks for, in the pod's namespace. `localhost` is 127.0.0.1 and, with `ipv6` and
    /// where the pod has it, ::1.
    ///
    /// # Errors
    /// When an address other than ::1 cannot be bound.
    pub fn bind(
        netns: &Netns,
        listen: DnsListen,
        ipv6: bool,
        options: &Options,
    ) -> io::Result<Self> {
        let mut sockets = Self::default();
        match listen {
            DnsListen::Address(address) => {
                sockets.add(netns, address, options)?;
            }
            DnsListen::Localhost { port } => {
                sockets.localhost(netns, port, ipv6, options)?;
            }
        }
        Ok(sockets)
    }

    /// Binds `localhost` on a port that is free in the pod, which is the second that is returned.
    ///
    /// # Errors
    /// As [`Self::bind`]; where the pod has no port left.
    pub fn bind_free(netns: &Netns, ipv6: bool, options: &Options) -> io::Result<(Self, u16)> {
        let mut tries = 0;
        loop {
            tries += 1;
            let mut sockets = Self::default();
            match sockets.localhost(netns, 0, ipv6, options) {
                Ok(port) => return Ok((sockets, port)),
                Err(error) if error.kind() == io::ErrorKind::AddrInUse && tries < MAX_TRIES => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Binds both families, and returns the port; zero is any.
    fn localhost(
        &mut self,
        netns: &Netns,
        port: u16,
        ipv6: bool,
        options: &Options,
    ) -> io::Result<u16> {
        let v4 = SocketAddr::new(Ipv4Addr::LOCALHOST.into(), port);
        let port = self.add(netns, v4, options)?;
        if ipv6 {
            let v6 = SocketAddr::new(Ipv6Addr::LOCALHOST.into(), port);
            if let Err(error) = self.add(netns, v6, options) {
                // Pods without IPv6 are usual; anything else is a fault.
                let absent = error.kind() == io::ErrorKind::AddrNotAvailable
                    || error.raw_os_error() == Some(libc::EAFNOSUPPORT);
                if !absent {
                    return Err(error);
                }
            }
        }
        Ok(port)
    }

    /// Binds one address for both protocols, and returns its port.
    fn add(&mut self, netns: &Netns, address: SocketAddr, options: &Options) -> io::Result<u16> {
        let udp = netns.run(|| {
            Socket::new(
                Domain::for_address(address),
                Type::DGRAM,
                Some(Protocol::UDP),
            )
        })??;
        if address.is_ipv6() {
            udp.set_only_v6(true)?;
        }
        udp.set_nonblocking(true)?;
        udp.bind(&address.into())?;
        let udp = UdpSocket::from(udp);
        let address = udp.local_addr()?;
        let tcp = socket::listen(netns, address, Peers::InPod, options)?;
        self.udp.push(udp);
        self.tcp.push(tcp);
        Ok(address.port())
    }
}

#[cfg(test)]
mod tests;
