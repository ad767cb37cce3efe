//! Making, binding and connecting TCP sockets inside a pod's namespace.
//!
//! In: a namespace, addresses, options. Out: non-blocking sockets, the original destination of captured ones.
//! Never: decides where to connect to.

use std::{
    future::poll_fn,
    io,
    net::{
        IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener as StdListener, TcpStream as StdStream,
    },
    num::NonZeroU32,
    pin::pin,
    task::Poll,
    time::Duration,
};

use socket2::{Domain, Protocol, Socket, TcpKeepalive, Type};
use tokio::{
    net::{TcpSocket, TcpStream},
    task::yield_now,
    time::{error::Elapsed, timeout},
};

use crate::netns::Netns;

mod spoofed;

pub use spoofed::{Answers, LivePeer, SpoofedPorts};

/// The loopback interface.
const LO: &[u8] = b"lo";

/// Ports that [`connect_as`] tries before giving up: each try costs one failed system call.
const MAX_SPOOFED_TRIES: usize = 128;

/// How long a handshake over `lo` may go unanswered before another port is tried. Without something in its way it is over in
/// microseconds; a retransmission, which a full queue of the application calls for, comes after a second.
const PAUSE_UNANSWERED: Duration = Duration::from_millis(150);

/// Handshakes that are given up so early; the one after them may take all of the time that is left. What does not answer is then the
/// application.
const MAX_UNANSWERED: usize = 8;

/// Waiting connections per listener. The kernel's default of 128 drops SYNs in bursts.
const BACKLOG: i32 = 4096;

/// What the kernel holds of a connection beyond what is in flight. More would wait in memory instead of in a cache,
/// and, in a tunnel, in front of other streams. Units: bytes.
const MAX_UNSENT_BYTES: u32 = 1024 * 1024;

/// Options of the sockets that carry connections.
#[derive(Clone, Debug)]
pub struct Options {
    /// The mark of our packets: `PACKET_MARK`, which exempts them from capture; of answers to what eBPF steers from a pod, that pod's.
    pub mark: NonZeroU32,
    /// TCP keep-alive, or none. Source: `KEEPALIVE_*`.
    pub keepalive: Option<Keepalive>,
    /// Whether unacknowledged data ends a connection after the keep-alive's total time (`USER_TIMEOUT_ENABLED`).
    pub user_timeout: bool,
    /// Longest wait for a TCP handshake.
    pub timeout_connect: Duration,
}

/// TCP keep-alive.
#[derive(Clone, Copy, Debug)]
pub struct Keepalive {
    /// Idle time before the first probe.
    pub time: Duration,
    /// Time between probes.
    pub interval: Duration,
    /// Probes without answer that end the connection.
    pub retries: u32,
}

impl Options {
    /// Applies what every connection gets: no delay, a short send queue, keep-alive, user timeout.
    fn apply_to(&self, socket: &Socket) -> io::Result<()> {
        socket.set_tcp_nodelay(true)?;
        socket.set_tcp_notsent_lowat(MAX_UNSENT_BYTES)?;
        if let Some(keepalive) = self.keepalive {
            socket.set_tcp_keepalive(
                &TcpKeepalive::new()
                    .with_time(keepalive.time)
                    .with_interval(keepalive.interval)
                    .with_retries(keepalive.retries),
            )?;
            if self.user_timeout {
                let probes = keepalive.interval.saturating_mul(keepalive.retries);
                socket.set_tcp_user_timeout(Some(keepalive.time.saturating_add(probes)))?;
            }
        }
        Ok(())
    }
}

/// Who is at the other end of a listener's connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peers {
    /// Anyone.
    Anywhere,
    /// Only processes of the pod itself, because packets are redirected to it inside the pod.
    InPod,
    /// The same, but the packets still name the destination that the process asked for: `local_addr` of what is
    /// accepted tells it, and answers leave with that foreign address (`IP_TRANSPARENT`).
    InPodUnchanged,
}

/// Binds a TCP listener inside `netns`. A v6 wildcard address serves both families. What it accepts inherits the
/// mark, by which answers find the way that capture means for them, and every other option.
///
/// # Errors
/// When the port is taken or the namespace cannot be entered.
pub fn listen(
    netns: &Netns,
    address: SocketAddr,
    peers: Peers,
    options: &Options,
) -> io::Result<StdListener> {
    let socket = netns.run(|| {
        Socket::new(
            Domain::for_address(address),
            Type::STREAM.nonblocking(),
            Some(Protocol::TCP),
        )
    })??;
    if address.is_ipv6() {
        socket.set_only_v6(!address.ip().is_unspecified())?;
    }
    // A restarted proxy must not wait for its predecessor's connections in TIME_WAIT.
    socket.set_reuse_address(true)?;
    socket.set_mark(options.mark.get())?;
    options.apply_to(&socket)?;
    match peers {
        Peers::Anywhere => {}
        Peers::InPod => stays_in_pod(&socket),
        Peers::InPodUnchanged => {
            stays_in_pod(&socket);
            if address.is_ipv4() {
                socket.set_ip_transparent_v4(true)?;
            } else {
                socket.set_ip_transparent_v6(true)?;
            }
        }
    }
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// Why a connection could not be made.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The kernel or the peer refused.
    #[error("io error: {0}")]
    Io(#[from] io::Error),
    /// No answer in time.
    #[error("connection timed out")]
    TimedOut,
}

/// Connects from inside `netns`, from `source` if given (any free port of it), with the exempting mark.
///
/// # Errors
/// See [`ConnectError`].
pub async fn connect(
    netns: &Netns,
    source: Option<IpAddr>,
    destination: SocketAddr,
    options: &Options,
) -> Result<TcpStream, ConnectError> {
    let socket = open(netns, destination, options)?;
    if let Some(source) = source.filter(|source| source.is_ipv4() == destination.is_ipv4()) {
        // Without this the port would be chosen before the destination is known: 28,000 connections in all.
        nix::sys::socket::setsockopt(
            &socket,
            nix::sys::socket::sockopt::IpBindAddressNoPort,
            &true,
        )
        .map_err(io::Error::from)?;
        socket.bind(&SocketAddr::new(source, 0).into())?;
    }
    finish(socket, destination, options).await
}

/// Connects from inside `netns` with the address of somebody else, so that the application sees its client.
///
/// The client's own port is never used, nor any that `ports` knows to be in use by it. One that nobody knows of (of a connection
/// older than capture, on an excluded port, or half closed) does not answer; another is tried then.
///
/// # Errors
/// See [`ConnectError`]; `EADDRNOTAVAIL` when no port was free in [`MAX_SPOOFED_TRIES`] tries.
pub async fn connect_as(
    netns: &Netns,
    client: SocketAddr,
    destination: SocketAddr,
    ports: &SpoofedPorts,
    options: &Options,
) -> Result<TcpStream, ConnectError> {
    if client.is_ipv4() != destination.is_ipv4() || destination.ip().is_loopback() {
        // An application that listens in another family, or behind an application tunnel on loopback, cannot be
        // shown the client's address.
        let socket = open(netns, destination, options)?;
        stays_in_pod(&socket);
        return finish(socket, destination, options).await;
    }
    // Answers to the pod's own address take the kernel's way to it, which is not that of the mark.
    let by_route = match ports.answers() {
        Answers::ByRoute(mark) if client.ip() != destination.ip() => Some(mark),
        Answers::ByRoute(_) | Answers::ByConntrack => None,
    };
    let mut unanswered = 0;
    let tries = async {
        for _ in 0..MAX_SPOOFED_TRIES {
            let Some(port) = ports.next_for(client) else {
                break;
            };
            let source = SocketAddr::new(client.ip(), port);
            let Some(socket) = borrow(netns, source, destination, by_route, options)? else {
                continue;
            };
            let socket = TcpSocket::from_std_stream(socket.into());
            let handshake = socket.connect(destination);
            let connected = if unanswered < MAX_UNANSWERED {
                match within(PAUSE_UNANSWERED, handshake).await {
                    Ok(connected) => connected,
                    // It has met a connection of the client's own that nobody knew of.
                    Err(_elapsed) => {
                        unanswered += 1;
                        ports.skip();
                        continue;
                    }
                }
            } else {
                handshake.await
            };
            match connected {
                Err(error) if taken(&error) => {}
                connected => return Ok(connected?),
            }
        }
        Err(io::Error::from(io::ErrorKind::AddrNotAvailable).into())
    };
    within(options.timeout_connect, tries)
        .await
        .unwrap_or(Err(ConnectError::TimedOut))
}

/// [`timeout`], for what is mostly over at the next look at events, as a handshake within the node is: no timer is set until then. Setting
/// the only one of a worker costs it a system call to wake itself.
async fn within<F: Future>(limit: Duration, future: F) -> Result<F::Output, Elapsed> {
    let mut future = pin!(future);
    if let Poll::Ready(output) = poll_fn(|cx| Poll::Ready(future.as_mut().poll(cx))).await {
        return Ok(output);
    }
    yield_now().await;
    timeout(limit, future).await
}

/// A socket with somebody else's address; `None` where that is taken.
fn borrow(
    netns: &Netns,
    source: SocketAddr,
    destination: SocketAddr,
    by_route: Option<NonZeroU32>,
    options: &Options,
) -> io::Result<Option<Socket>> {
    let socket = open(netns, destination, options)?;
    // Many connections share a port, each to another destination or from another client.
    socket.set_reuse_address(true)?;
    if source.is_ipv4() {
        socket.set_ip_transparent_v4(true)?;
    } else {
        socket.set_ip_transparent_v6(true)?;
    }
    if let Some(mark) = by_route {
        socket.set_mark(mark.get())?;
        // Without this a packet to the pod's own address seems to come from the interface that has it, and not
        // from us.
        socket.bind_device(Some(LO))?;
    }
    match socket.bind(&source.into()) {
        Err(error) if taken(&error) => return Ok(None),
        bound => bound?,
    }
    stays_in_pod(&socket);
    Ok(Some(socket))
}

/// Tells the kernel that a connection's packets never leave the pod. A system-wide BBR would pace them by timers,
/// as if there were a wire to measure.
fn stays_in_pod(socket: &Socket) {
    // Every kernel has Reno; one that refuses keeps its default, which is correct too.
    drop(socket.set_tcp_congestion(b"reno"));
}

fn taken(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::AddrInUse | io::ErrorKind::AddrNotAvailable
    )
}

fn open(netns: &Netns, destination: SocketAddr, options: &Options) -> io::Result<Socket> {
    let socket = netns.run(|| {
        Socket::new(
            Domain::for_address(destination),
            Type::STREAM.nonblocking(),
            Some(Protocol::TCP),
        )
    })??;
    socket.set_mark(options.mark.get())?;
    options.apply_to(&socket)?;
    Ok(socket)
}

async fn finish(
    socket: Socket,
    destination: SocketAddr,
    options: &Options,
) -> Result<TcpStream, ConnectError> {
    let socket = TcpSocket::from_std_stream(socket.into());
    match within(options.timeout_connect, socket.connect(destination)).await {
        Ok(result) => Ok(result?),
        Err(_elapsed) => Err(ConnectError::TimedOut),
    }
}

/// Where a captured connection was going before netfilter redirected it, or the address that it really came to.
///
/// # Errors
/// When the socket has no address any more.
pub fn original_destination(stream: &StdStream) -> io::Result<SocketAddr> {
    let local = canonical(stream.local_addr()?);
    let socket = socket2::SockRef::from(stream);
    // A v4 connection on a v6 listener is still a v4 connection to netfilter.
    let original = if local.is_ipv4() {
        socket.original_dst_v4()
    } else {
        socket.original_dst_v6()
    };
    match original {
        Ok(address) => Ok(address.as_socket().map_or(local, canonical)),
        // ENOENT and ENOPROTOOPT: nothing redirected it.
        Err(_untracked) => Ok(local),
    }
}

/// The address with a v4-mapped v6 address as the v4 address that it is.
#[must_use]
pub fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

/// The wildcard address that serves both families, or v4 only.
#[must_use]
pub fn wildcard(port: u16, ipv6: bool) -> SocketAddr {
    if ipv6 {
        SocketAddr::new(Ipv6Addr::UNSPECIFIED.into(), port)
    } else {
        SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), port)
    }
}

/// Makes closing the socket send RST instead of FIN, so that the peer learns of the failure.
pub fn reset_on_close(stream: &TcpStream) {
    // The socket is closed right after; a kernel that refuses sends a FIN, which is the most that is left to do.
    drop(socket2::SockRef::from(stream).set_linger(Some(Duration::ZERO)));
}

#[cfg(test)]
mod tests;
