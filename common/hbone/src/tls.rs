//! TLS records between rustls and a socket, with socket buffers of our own.
//!
//! In: a TCP connection and a TLS configuration. Out: a byte stream for the HTTP/2 engine.
//! Never: looks at the bytes; verifies peers (the configuration does).
//!
//! Two things make it more than an adapter. Reads take as much as the socket has in one system call, where
//! rustls alone would ask for 4 KiB. And writes are only encrypted at first: [`TlsIo::poll_drain`] sends what
//! has gathered, once per turn of the tunnel's task, so that frames of many streams share a `writev`, and small ones a record.

use std::{
    cell::Cell,
    io::{self, BufRead as _, IoSlice, Write as _},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::{Buf as _, Bytes};
use identity::PeerRefusal;
use net::{chunk, worker};
use parking_lot::Mutex;
use rustls::{
    ClientConfig, ClientConnection, Connection, InvalidMessage, ServerConfig, ServerConnection,
    pki_types::ServerName,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};

/// Encrypted bytes that wait for the socket before the engine is told to wait. Units: bytes.
const MAX_UNSENT_BYTES: usize = 256 * 1024;
/// Writes up to this size gather until they fill a record: a copy costs less than a record of one's own. Units: bytes.
const MAX_SMALL_BYTES: usize = 4 * 1024;
/// What a record holds. Units: bytes.
const RECORD_BYTES: usize = 16 * 1024;
/// What one system call reads. Units: bytes.
const READ_BYTES: usize = 128 * 1024;

/// What the engine is given in one turn of its tunnel, so that the streams get theirs, and other tunnels. It bounds
/// the small frames that gather in the engine meanwhile, which it would end the tunnel for. Units: bytes.
const MAX_TURN_BYTES: usize = 256 * 1024;

thread_local! {
    /// What small writes gather in, between two turns.
    static SPARE: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// Why a TLS connection could not be made.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The peer, its certificate or its protocol was refused, here or there.
    #[error("tls error: {0}")]
    Tls(rustls::Error),
    /// The socket failed.
    #[error("tls handshake error: {0}")]
    Io(io::Error),
    /// The peer went before it had said anything, as one does that only asks whether somebody listens.
    #[error("peer closed the connection before it said anything")]
    Silent,
    /// The handshake did not end in time.
    #[error("tls handshake timed out")]
    TimedOut,
    /// The peer speaks something else than HTTP/2.
    #[error("tls error: {0}")]
    NoH2(#[from] identity::AlpnMissing),
    /// The handshake ended without a usable certificate of the peer.
    #[error("tls error: {0}")]
    Peer(#[from] PeerRefusal),
}

impl From<rustls::Error> for TlsError {
    fn from(error: rustls::Error) -> Self {
        // Our own refusals travel inside rustls's error, and are worded better than it.
        PeerRefusal::from_tls(&error).map_or(Self::Tls(error), Self::Peer)
    }
}

/// A TLS connection. Clones are the same connection: one is the engine's, one drains it.
#[derive(Clone, Debug)]
pub(crate) struct TlsIo(Arc<Mutex<Inner>>);

#[derive(Debug)]
struct Inner {
    tcp: TcpStream,
    tls: Connection,
    /// Ciphertext that was read and not yet decrypted.
    arrived: Bytes,
    /// Whether anything has.
    heard: bool,
    /// The socket has said that no more will come.
    ended: bool,
    /// Small writes of this turn, which are not encrypted yet. It has room only while there are some.
    small: Vec<u8>,
    /// Plaintext that was taken since the socket last took everything. Units: bytes.
    unsent: usize,
    /// Plaintext that was read in this turn of the tunnel. Units: bytes.
    turn: usize,
}

/// Ends a client's handshake.
///
/// # Errors
/// See [`TlsError`].
pub(crate) async fn connect(tcp: TcpStream, config: Arc<ClientConfig>) -> Result<TlsIo, TlsError> {
    // No name is sent (the configuration turns SNI off) and none is verified: the URI SAN is.
    let name = ServerName::IpAddress(std::net::Ipv4Addr::UNSPECIFIED.into());
    TlsIo::handshake(tcp, ClientConnection::new(config, name)?.into()).await
}

/// Ends a server's handshake.
///
/// # Errors
/// See [`TlsError`].
pub(crate) async fn accept(tcp: TcpStream, config: Arc<ServerConfig>) -> Result<TlsIo, TlsError> {
    TlsIo::handshake(tcp, ServerConnection::new(config)?.into()).await
}

impl TlsIo {
    async fn handshake(tcp: TcpStream, mut tls: Connection) -> Result<Self, TlsError> {
        tls.set_buffer_limit(None);
        let mut inner = Inner {
            tcp,
            tls,
            arrived: Bytes::new(),
            heard: false,
            ended: false,
            small: Vec::new(),
            unsent: 0,
            turn: 0,
        };
        std::future::poll_fn(|cx| inner.poll_handshake(cx)).await?;
        identity::check_alpn(&inner.tls)?;
        Ok(Self(Arc::new(Mutex::new(inner))))
    }

    /// The certificates of the peer, leaf first.
    pub(crate) fn peer(&self) -> Result<identity::PeerCertificate, TlsError> {
        Ok(identity::peer_identity(
            self.0.lock().tls.peer_certificates().unwrap_or_default(),
        )?)
    }

    /// Ends a turn of the tunnel: sends what was encrypted. Ready when nothing is left.
    pub(crate) fn poll_drain(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut inner = self.0.lock();
        inner.turn = 0;
        inner.poll_drain(cx)
    }
}

impl Inner {
    fn poll_handshake(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), TlsError>> {
        // The side that accepts hears first.
        let silent = |tls: &Connection, heard: bool, error| match tls {
            Connection::Server(_) if !heard => TlsError::Silent,
            Connection::Server(_) | Connection::Client(_) => TlsError::Io(error),
        };
        loop {
            // Also sends the alert that tells the peer why it was refused.
            let drained = self.poll_drain(cx);
            if !self.tls.is_handshaking() {
                // The last flight may wait: the first frames will carry it.
                return Poll::Ready(Ok(()));
            }
            if let Poll::Ready(Err(error)) = drained {
                return Poll::Ready(Err(TlsError::Io(error)));
            }
            let filled = match ready!(self.poll_fill(cx)) {
                Ok(0) => Err(io::ErrorKind::UnexpectedEof.into()),
                filled => filled,
            };
            filled.map_err(|error| silent(&self.tls, self.heard, error))?;
            self.heard = true;
            if let Err(error) = self.decrypt() {
                // One try to let the peer know; it is refused either way.
                let _alert: Poll<io::Result<()>> = self.poll_drain(cx);
                return Poll::Ready(Err(error.into()));
            }
        }
    }

    /// Reads ciphertext if none is waiting. Answers how much waits; 0 at the end of the stream.
    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        if self.arrived.is_empty() && !self.ended {
            self.arrived = ready!(chunk::poll_read(&mut self.tcp, cx, READ_BYTES))?;
            self.ended = self.arrived.is_empty();
        }
        Poll::Ready(Ok(self.arrived.len()))
    }

    /// Gives rustls what has arrived, until it has plaintext to take or needs more.
    fn decrypt(&mut self) -> Result<(), rustls::Error> {
        let given = self.give();
        if self.arrived.is_empty() {
            // Even an empty rest keeps the buffer.
            self.arrived = Bytes::new();
        }
        given
    }

    fn give(&mut self) -> Result<(), rustls::Error> {
        while !self.arrived.is_empty() {
            let mut reader = (&mut self.arrived).reader();
            match self.tls.read_tls(&mut reader) {
                Ok(0) => break,
                Ok(_) => {}
                // It has no room: plaintext was not taken yet, or a message is longer than any may be. Only the first
                // passes by being read.
                Err(_full) if self.tls.process_new_packets()?.plaintext_bytes_to_read() > 0 => {
                    break;
                }
                Err(_full) => return Err(InvalidMessage::HandshakePayloadTooLarge.into()),
            }
            let state = self.tls.process_new_packets()?;
            if state.plaintext_bytes_to_read() > 0 {
                break;
            }
        }
        if self.ended {
            // Tells rustls of the end, so that one without close_notify reads as an error.
            let _end: io::Result<usize> = self.tls.read_tls(&mut io::empty());
        }
        Ok(())
    }

    fn poll_read(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.turn >= MAX_TURN_BYTES {
            worker::give_way(cx);
            return Poll::Pending;
        }
        loop {
            let before = buf.filled().len();
            while buf.remaining() > 0 {
                let mut reader = self.tls.reader();
                match reader.fill_buf() {
                    Ok([]) => return Poll::Ready(Ok(())),
                    Ok(plaintext) => {
                        let taken = plaintext.len().min(buf.remaining());
                        buf.put_slice(&plaintext[..taken]);
                        reader.consume(taken);
                    }
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                    Err(error) if buf.filled().len() == before => {
                        return Poll::Ready(Err(ended(error)));
                    }
                    Err(_later) => break,
                }
            }
            if buf.filled().len() > before {
                self.turn += buf.filled().len() - before;
                return Poll::Ready(Ok(()));
            }
            ready!(self.poll_fill(cx))?;
            if let Err(error) = self.decrypt() {
                let _alert: Poll<io::Result<()>> = self.poll_drain(cx);
                return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, error)));
            }
        }
    }

    fn poll_drain(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.seal()?;
        while self.tls.wants_write() {
            match self.tls.write_tls(&mut NonBlocking(&self.tcp)) {
                Ok(0) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    ready!(self.tcp.poll_write_ready(cx))?;
                }
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
        self.unsent = 0;
        Poll::Ready(Ok(()))
    }

    fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.unsent >= MAX_UNSENT_BYTES {
            ready!(self.poll_drain(cx))?;
        }
        let length: usize = slices.iter().map(|slice| slice.len()).sum();
        if self.small.len() + length > RECORD_BYTES || length > MAX_SMALL_BYTES {
            self.seal()?;
        }
        let written = if length > MAX_SMALL_BYTES {
            self.tls.writer().write_vectored(slices)?
        } else {
            if self.small.capacity() == 0 {
                self.small = SPARE.take();
                self.small.reserve(RECORD_BYTES);
            }
            for slice in slices {
                self.small.extend_from_slice(slice);
            }
            length
        };
        self.unsent += written;
        Poll::Ready(Ok(written))
    }

    /// Makes a record of what has gathered.
    fn seal(&mut self) -> io::Result<()> {
        if self.small.is_empty() {
            return Ok(());
        }
        let mut small = std::mem::take(&mut self.small);
        let sealed = self.tls.writer().write_all(&small);
        small.clear();
        SPARE.set(small);
        sealed
    }
}

impl AsyncRead for TlsIo {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.0.lock().poll_read(cx, buf)
    }
}

impl AsyncWrite for TlsIo {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.0.lock().poll_write(cx, &[IoSlice::new(buf)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.0.lock().poll_write(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut inner = self.0.lock();
        // The tunnel's task drains after each turn; only a full buffer cannot wait for that.
        if inner.unsent >= MAX_UNSENT_BYTES {
            inner.poll_drain(cx)
        } else {
            Poll::Ready(Ok(()))
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut inner = self.0.lock();
        inner.seal()?;
        inner.tls.send_close_notify();
        ready!(inner.poll_drain(cx))?;
        Pin::new(&mut inner.tcp).poll_shutdown(cx)
    }
}

/// The end of a peer that said nothing before, in our words: rustls's are advice to programmers.
fn ended(error: io::Error) -> io::Error {
    if error.kind() == io::ErrorKind::UnexpectedEof {
        return io::Error::new(
            error.kind(),
            "peer closed the tunnel without TLS close_notify",
        );
    }
    error
}

/// A socket as rustls writes to it: what it does not take now is `WouldBlock`.
struct NonBlocking<'a>(&'a TcpStream);

impl io::Write for NonBlocking<'_> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.0.try_write(buf)
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        self.0.try_write_vectored(slices)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests;
