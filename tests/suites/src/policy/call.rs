//! One TCP connection of an unmodified client, and what became of it.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr, TcpStream};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use lab::Machine;
use socket2::{Domain, Socket, Type};

use super::PATIENCE;

/// What a client saw of its connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    /// The application answered.
    Answered,
    /// TCP was accepted and then closed or reset, without a byte.
    Closed,
}

/// A connection that stands.
#[derive(Debug)]
pub struct Call {
    stream: TcpStream,
    local: SocketAddr,
}

impl Call {
    /// Connects from a machine. A connection that is reset as soon as it is accepted stands, for a moment.
    ///
    /// # Errors
    ///
    /// When TCP is not accepted.
    pub fn open(from: &Machine, to: SocketAddr) -> Result<Self> {
        let connected = from.run(|| -> std::io::Result<TcpStream> {
            let socket = Socket::new(Domain::for_address(to), Type::STREAM, None)?;
            bind(&socket, to)?;
            match socket.connect_timeout(&to.into(), PATIENCE) {
                // Refusals have another name: this one was accepted first.
                Err(error) if error.kind() == ErrorKind::ConnectionReset => {}
                result => result?,
            }
            socket.set_nonblocking(false)?;
            Ok(socket.into())
        });
        let stream = connected?.with_context(|| format!("connect from {} to {to}", from.name()))?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        stream.set_nodelay(true)?;
        let local = stream.local_addr()?;
        let local = SocketAddr::new(local.ip().to_canonical(), local.port());
        Ok(Self { stream, local })
    }

    /// The client's own address.
    pub fn local(&self) -> SocketAddr {
        self.local
    }

    /// Sends a few bytes and waits for their echo.
    ///
    /// # Errors
    ///
    /// When neither the echo nor the end comes in time, or something else comes.
    pub fn ping(&mut self) -> Result<Seen> {
        self.exchange(b"ping")
    }

    /// Sends bytes and waits for their echo. Only as many as the buffers on the way hold: it writes first.
    ///
    /// # Errors
    ///
    /// As [`Call::ping`].
    pub fn exchange(&mut self, bytes: &[u8]) -> Result<Seen> {
        let mut echo = vec![0; bytes.len()];
        let exchanged = self
            .stream
            .write_all(bytes)
            .and_then(|()| self.stream.read_exact(&mut echo));
        match exchanged {
            Ok(()) if echo == bytes => Ok(Seen::Answered),
            Ok(()) => bail!("{}: the echo differs from what was sent", self.local),
            Err(error) if is_end(error.kind()) => Ok(Seen::Closed),
            Err(error) => {
                Err(error).with_context(|| format!("{}: neither echo nor end", self.local))
            }
        }
    }

    /// Waits until the other side has ended the connection, by FIN or RST.
    ///
    /// # Errors
    ///
    /// When it does not, or sends something first.
    pub fn wait_end(&mut self, deadline: Duration) -> Result<()> {
        self.stream.set_read_timeout(Some(deadline))?;
        let end = match self.stream.read(&mut [0; 1]) {
            Ok(0) => Ok(()),
            Ok(_) => bail!("{}: received a byte where the end was due", self.local),
            Err(error) if is_end(error.kind()) => Ok(()),
            Err(error) => {
                Err(error).with_context(|| format!("{}: still open after {deadline:?}", self.local))
            }
        };
        self.stream.set_read_timeout(Some(PATIENCE))?;
        end
    }

    /// Says that nothing more is sent, and returns all that still comes.
    ///
    /// # Errors
    ///
    /// When the end does not come.
    pub fn finish(mut self) -> Result<Vec<u8>> {
        self.stream.shutdown(Shutdown::Write)?;
        let mut rest = Vec::new();
        self.stream
            .read_to_end(&mut rest)
            .with_context(|| format!("{}: the end", self.local))?;
        Ok(rest)
    }
}

/// The first of the ports that calls come from; below are those that ztunnel shows to applications.
const FIRST_PORT: u16 = 33_000;
/// How many there are until the first is used again.
const PORTS: u16 = 27_000;

/// Binds to a port that no call of this process has come from lately. One that the kernel chooses may be that of a
/// finished call to somebody else, from which the REDIRECT to 15001 makes the same connection: the kernel then
/// changes the port, and the log shows another one than the client. It is also still known after a reset.
fn bind(socket: &Socket, to: SocketAddr) -> std::io::Result<()> {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let any: IpAddr = match to {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    loop {
        let port = FIRST_PORT + NEXT.fetch_add(1, Ordering::Relaxed) % PORTS;
        match socket.bind(&SocketAddr::new(any, port).into()) {
            Err(error) if error.kind() == ErrorKind::AddrInUse => {}
            result => return result,
        }
    }
}

fn is_end(kind: ErrorKind) -> bool {
    [
        ErrorKind::ConnectionReset,
        ErrorKind::ConnectionAborted,
        ErrorKind::BrokenPipe,
        ErrorKind::UnexpectedEof,
        ErrorKind::NotConnected,
    ]
    .contains(&kind)
}
