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
            DnsListen::Address(address) => sockets.add(netns, address, options)?,
            DnsListen::Localhost { port } => {
                sockets.add(
                    netns,
                    SocketAddr::new(Ipv4Addr::LOCALHOST.into(), port),
                    options,
                )?;
                if ipv6 {
                    let v6 = sockets.add(
                        netns,
                        SocketAddr::new(Ipv6Addr::LOCALHOST.into(), port),
                        options,
                    );
                    if let Err(error) = v6 {
                        // Pods without IPv6 are usual; anything else is a fault.
                        let absent = error.kind() == io::ErrorKind::AddrNotAvailable
                            || error.raw_os_error() == Some(libc::EAFNOSUPPORT);
                        if !absent {
                            return Err(error);
                        }
                    }
                }
            }
        }
        Ok(sockets)
    }

    fn add(&mut self, netns: &Netns, address: SocketAddr, options: &Options) -> io::Result<()> {
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
        let tcp = socket::listen(netns, address, Peers::InPod, options)?;
        self.udp.push(udp.into());
        self.tcp.push(tcp);
        Ok(())
    }
}
