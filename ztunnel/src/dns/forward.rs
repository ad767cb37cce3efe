//! Asking the upstream servers, from the pod's own namespace.
//!
//! In: a query as the client wrote it. Out: the answer as the server wrote it, with the client's id.
//! Never: trusts a datagram for its address alone.

use std::{io, net::SocketAddr, num::NonZeroU32, sync::Arc, time::Duration};

use net::Netns;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpSocket, TcpStream, UdpSocket},
    time::{Instant, timeout_at},
};

use super::{
    MAX_TCP_BYTES,
    message::{Request, Verdict, fresh_id, set_id},
    resolv_conf::ResolvConf,
};

/// How long a query may take in all: clients give up at about the same time. Source: resolv.conf(5), `timeout`.
const TIMEOUT: Duration = Duration::from_secs(5);
/// How much of that the first server gets if there is another try.
const TIMEOUT_FIRST: Duration = Duration::from_secs(2);

/// Where and how queries are forwarded.
#[derive(Clone, Debug)]
pub struct Upstream {
    /// The pod's namespace; `None` asks from that of the calling thread.
    pub netns: Option<Arc<Netns>>,
    /// The mark that keeps our own queries from being captured (`PACKET_MARK`).
    pub mark: Option<NonZeroU32>,
    /// The servers.
    pub servers: Arc<ResolvConf>,
}

/// Why no server answered.
#[derive(Debug, thiserror::Error)]
pub enum ForwardError {
    /// `resolv.conf` names none that a pod can reach.
    #[error("no upstream server is known")]
    NoServer,
    /// The last one that was asked could not be, or broke off.
    #[error("no answer from {server}")]
    Io {
        /// Whom.
        server: SocketAddr,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The last one that was asked is silent.
    #[error("no answer from {server} in time")]
    TimedOut {
        /// Whom.
        server: SocketAddr,
    },
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Transport {
    Udp,
    Tcp,
}

impl Upstream {
    /// Asks the first server and, if it does not answer, the next one (or the same again, over UDP).
    pub(super) async fn forward(
        &self,
        request: &Request,
        query: &[u8],
        transport: Transport,
    ) -> Result<Vec<u8>, ForwardError> {
        let servers = self.servers.servers(net::clock::now());
        let first = *servers.first().ok_or(ForwardError::NoServer)?;
        let second = servers
            .get(1)
            .copied()
            .or((transport == Transport::Udp).then_some(first));
        let start = Instant::now();
        let deadline = if second.is_some() {
            start + TIMEOUT_FIRST
        } else {
            start + TIMEOUT
        };
        let asked = self.ask(first, request, query, transport, deadline).await;
        let Some(second) = second else {
            return asked.map(|(answer, _)| answer);
        };
        let kept = match asked {
            Ok((answer, Verdict::Answered)) => return Ok(answer),
            // One server's failure is as good as the other's, but another asked anew would only repeat it.
            Ok((answer, Verdict::Failed)) if second == first => return Ok(answer),
            Ok((answer, Verdict::Failed)) => Some(answer),
            Err(_unanswered) => None,
        };
        match (
            self.ask(second, request, query, transport, start + TIMEOUT)
                .await,
            kept,
        ) {
            (Ok((answer, _)), _) | (Err(_), Some(answer)) => Ok(answer),
            (Err(error), None) => Err(error),
        }
    }

    async fn ask(
        &self,
        server: SocketAddr,
        request: &Request,
        query: &[u8],
        transport: Transport,
        deadline: Instant,
    ) -> Result<(Vec<u8>, Verdict), ForwardError> {
        // A new id and a new port each time: a late or forged answer to one does not fit the other.
        let id = fresh_id();
        let mut query = query.to_vec();
        set_id(&mut query, id);
        let asked = async {
            match transport {
                Transport::Udp => self.ask_udp(server, request, &query, id).await,
                Transport::Tcp => self.ask_tcp(server, request, &query, id).await,
            }
        };
        match timeout_at(deadline, asked).await {
            Ok(Ok((mut answer, verdict))) => {
                set_id(&mut answer, request.id());
                Ok((answer, verdict))
            }
            Ok(Err(source)) => Err(ForwardError::Io { server, source }),
            Err(_elapsed) => Err(ForwardError::TimedOut { server }),
        }
    }

    async fn ask_udp(
        &self,
        server: SocketAddr,
        request: &Request,
        query: &[u8],
        id: u16,
    ) -> io::Result<(Vec<u8>, Verdict)> {
        let socket = self.open(server, Type::DGRAM, Protocol::UDP)?;
        // Connected: the kernel drops what comes from elsewhere, and tells of a closed port.
        socket.connect(&server.into())?;
        let socket = UdpSocket::from_std(socket.into())?;
        socket.send(query).await?;
        let max_bytes = request.max_udp_bytes();
        // One byte more than may come, to see what is longer.
        let mut answer = vec![0; max_bytes + 1];
        loop {
            let length = socket.recv(&mut answer).await?;
            let Some(verdict) = request.verdict(&answer[..length], id) else {
                continue;
            };
            if length > max_bytes {
                let truncated = request.truncated().ok_or(io::ErrorKind::InvalidData)?;
                return Ok((truncated, Verdict::Answered));
            }
            answer.truncate(length);
            return Ok((answer, verdict));
        }
    }

    async fn ask_tcp(
        &self,
        server: SocketAddr,
        request: &Request,
        query: &[u8],
        id: u16,
    ) -> io::Result<(Vec<u8>, Verdict)> {
        let socket = self.open(server, Type::STREAM, Protocol::TCP)?;
        let mut stream = TcpSocket::from_std_stream(socket.into())
            .connect(server)
            .await?;
        write_message(&mut stream, query).await?;
        let answer = read_message(&mut stream)
            .await?
            .ok_or(io::ErrorKind::UnexpectedEof)?;
        let verdict = request
            .verdict(&answer, id)
            .ok_or(io::ErrorKind::InvalidData)?;
        Ok((answer, verdict))
    }

    fn open(&self, server: SocketAddr, kind: Type, protocol: Protocol) -> io::Result<Socket> {
        let make = || {
            Socket::new(
                Domain::for_address(server),
                kind.nonblocking(),
                Some(protocol),
            )
        };
        let socket = match &self.netns {
            Some(netns) => netns.run(make)??,
            None => make()?,
        };
        if let Some(mark) = self.mark {
            socket.set_mark(mark.get())?;
        }
        Ok(socket)
    }
}

/// Reads one message behind its length; `None` at an orderly end. Source: RFC 1035 section 4.2.2.
pub(super) async fn read_message(stream: &mut TcpStream) -> io::Result<Option<Vec<u8>>> {
    let mut length = [0; 2];
    if stream.read(&mut length[..1]).await? == 0 {
        return Ok(None);
    }
    stream.read_exact(&mut length[1..]).await?;
    let mut message = vec![0; u16::from_be_bytes(length).into()];
    stream.read_exact(&mut message).await?;
    Ok(Some(message))
}

/// Writes one message behind its length, in one piece: some servers read only once.
pub(super) async fn write_message(stream: &mut TcpStream, message: &[u8]) -> io::Result<()> {
    debug_assert!(
        message.len() <= MAX_TCP_BYTES,
        "a message over TCP has a length of two bytes"
    );
    let length = u16::try_from(message.len()).map_err(|_too_long| io::ErrorKind::InvalidInput)?;
    let mut bytes = Vec::with_capacity(message.len() + 2);
    bytes.extend_from_slice(&length.to_be_bytes());
    bytes.extend_from_slice(message);
    stream.write_all(&bytes).await
}
