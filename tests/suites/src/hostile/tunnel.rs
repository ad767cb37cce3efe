//! A client of port 15008 that sends whatever it is told to.
//!
//! In: a TLS connection, frames. Out: the server's frames, and how the tunnel ended.

use std::collections::BTreeMap;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use rustls_pki_types::CertificateDer;

use super::DEADLINE;
use super::frames::{self, Frame, PREFACE, code, flag, kind};
use super::tls::Tls;

/// What is read at a time.
const READ_BYTES: usize = 64 << 10;

/// A tunnel with a valid handshake behind it.
#[derive(Debug)]
pub struct Tunnel {
    tls: Tls,
    unread: Vec<u8>,
    /// Frames of streams that nobody has asked for yet.
    waiting: BTreeMap<u32, Vec<Frame>>,
    goaway: Option<Frame>,
    next_stream: u32,
}

/// What became of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// A status, and whether the stream ended with it.
    Status(u16, bool),
    /// `RST_STREAM` with this code.
    Reset(u32),
}

/// How a tunnel ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct End {
    /// The code of the GOAWAY, if one came.
    pub code: Option<u32>,
    /// How the socket ended: `end`, or an error.
    pub how: String,
}

impl Tunnel {
    /// Sends the preface and SETTINGS that forbid a table for headers, so that answers can be read one by one.
    ///
    /// # Errors
    /// When the server does not take it.
    pub fn open(tls: Tls) -> Result<Self> {
        let mut tunnel = Self::silent(tls);
        tunnel.send(PREFACE)?;
        tunnel.send(&frames::settings(&[(1, 0), (4, 1 << 20)]))?;
        Ok(tunnel)
    }

    /// Sends nothing yet.
    pub fn silent(tls: Tls) -> Self {
        Self {
            tls,
            unread: Vec::new(),
            waiting: BTreeMap::new(),
            goaway: None,
            next_stream: 1,
        }
    }

    /// Sends bytes.
    ///
    /// # Errors
    /// When the server has closed or does not take them in time.
    pub fn send(&mut self, bytes: &[u8]) -> Result<()> {
        self.tls.write_all(bytes).context("write")?;
        self.tls.flush().context("write")
    }

    /// Our end of the connection, as the server's log names it.
    ///
    /// # Errors
    /// When the socket has none.
    pub fn local_addr(&self) -> Result<SocketAddr> {
        Ok(self.tls.sock.local_addr()?)
    }

    /// The number of the next stream of ours.
    pub fn stream(&mut self) -> u32 {
        self.next_stream += 2;
        self.next_stream - 2
    }

    /// Sends a CONNECT for `authority` and answers its stream.
    ///
    /// # Errors
    /// As [`Tunnel::send`].
    pub fn connect(&mut self, authority: &str) -> Result<u32> {
        self.request(&connect_block(authority))
    }

    /// Sends a request with this header block and answers its stream.
    ///
    /// # Errors
    /// As [`Tunnel::send`].
    pub fn request(&mut self, block: &[u8]) -> Result<u32> {
        let stream = self.stream();
        self.send(&frames::headers(stream, block))?;
        Ok(stream)
    }

    /// Waits for the answer to a request.
    ///
    /// # Errors
    /// When the tunnel ends or is silent.
    pub fn answer(&mut self, stream: u32) -> Result<Answer> {
        loop {
            let frame = self.of(stream)?;
            match frame.kind {
                kind::HEADERS => {
                    let status = frames::status(&frame.payload).with_context(|| {
                        format!("no status in the header block {:02x?}", frame.payload)
                    })?;
                    return Ok(Answer::Status(status, frame.has(flag::END_STREAM)));
                }
                kind::RST_STREAM => return Ok(Answer::Reset(frame.code().context("no code")?)),
                // Of the window it has given for a stream that it then refuses.
                kind::WINDOW_UPDATE => {}
                other => bail!("frame of type {other} before the answer"),
            }
        }
    }

    /// The next frame of a stream.
    ///
    /// # Errors
    /// When the tunnel ends or is silent.
    pub fn of(&mut self, stream: u32) -> Result<Frame> {
        loop {
            if let Some(frames) = self.waiting.get_mut(&stream)
                && !frames.is_empty()
            {
                return Ok(frames.remove(0));
            }
            let frame = self
                .next(DEADLINE)?
                .with_context(|| format!("the tunnel ended ({:?})", self.goaway))?;
            if frame.stream != 0 {
                self.waiting.entry(frame.stream).or_default().push(frame);
            }
        }
    }

    /// Reads DATA of a stream until `length` bytes have come, and gives their window back.
    ///
    /// # Errors
    /// When the stream or the tunnel ends before.
    pub fn read(&mut self, stream: u32, length: usize) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        while bytes.len() < length {
            let frame = self.of(stream)?;
            match frame.kind {
                kind::DATA => {
                    let count = u32::try_from(frame.payload.len())?;
                    bytes.extend_from_slice(&frame.payload);
                    if count > 0 {
                        let updates = [0, stream].map(|id| frames::window_update(id, count));
                        self.send(&updates.concat())?;
                    }
                    if frame.has(flag::END_STREAM) && bytes.len() < length {
                        bail!("the stream ended after {} of {length} bytes", bytes.len());
                    }
                }
                kind::RST_STREAM => bail!("the stream was reset with code {:?}", frame.code()),
                _ => {}
            }
        }
        Ok(bytes)
    }

    /// Waits until the server has answered everything that was sent before: a PING comes back.
    ///
    /// # Errors
    /// When the tunnel ends or is silent.
    pub fn settle(&mut self) -> Result<()> {
        let mark = *b"settled?";
        self.send(&frames::frame(kind::PING, 0, 0, &mark))?;
        loop {
            let frame = self
                .next(DEADLINE)?
                .with_context(|| format!("the tunnel ended ({:?})", self.goaway))?;
            if frame.kind == kind::PING && frame.has(flag::END_STREAM) && frame.payload == mark {
                return Ok(());
            }
            if frame.stream != 0 {
                self.waiting.entry(frame.stream).or_default().push(frame);
            }
        }
    }

    /// The next frame, or `None` at the end. SETTINGS and PING are answered, GOAWAY is kept.
    ///
    /// # Errors
    /// When nothing comes in time, or the connection fails.
    pub fn next(&mut self, deadline: Duration) -> Result<Option<Frame>> {
        let end = Instant::now() + deadline;
        loop {
            if let Some(frame) = Frame::take(&mut self.unread) {
                let answered = frame.has(flag::END_STREAM);
                match frame.kind {
                    // A peer that has ended does not want it any more.
                    kind::SETTINGS if !answered => {
                        drop(self.send(&frames::frame(kind::SETTINGS, 1, 0, &[])));
                    }
                    kind::PING if !answered => {
                        drop(self.send(&frames::frame(kind::PING, 1, 0, &frame.payload)));
                    }
                    kind::GOAWAY => self.goaway = Some(frame.clone()),
                    _ => {}
                }
                return Ok(Some(frame));
            }
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                bail!("no frame within {deadline:?}");
            }
            self.tls.sock.set_read_timeout(Some(left))?;
            let mut buffer = [0; READ_BYTES];
            match self.tls.read(&mut buffer) {
                Ok(0) => return Ok(None),
                Ok(count) => self
                    .unread
                    .extend_from_slice(buffer.get(..count).unwrap_or_default()),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    bail!("no frame within {deadline:?}")
                }
                Err(error) => return Err(error).context("read"),
            }
        }
    }

    /// The code of the GOAWAY that has come.
    pub fn goaway(&self) -> Option<u32> {
        self.goaway.as_ref().and_then(Frame::code)
    }

    /// Reads until the server ends the tunnel.
    ///
    /// # Errors
    /// When it does not.
    pub fn end(&mut self) -> Result<End> {
        let start = Instant::now();
        loop {
            match self.next(DEADLINE) {
                Ok(Some(_)) if start.elapsed() < DEADLINE => {}
                Ok(Some(_)) => bail!("the tunnel lives on"),
                Ok(None) => return Ok(self.ended("end".to_owned())),
                Err(error) => {
                    let io = error.downcast_ref::<std::io::Error>();
                    match io {
                        Some(io) if io.kind() != ErrorKind::WouldBlock => {
                            return Ok(self.ended(io.to_string()));
                        }
                        _ => return Err(error).context("the tunnel lives on"),
                    }
                }
            }
        }
    }

    fn ended(&self, how: String) -> End {
        End {
            code: self.goaway(),
            how,
        }
    }

    /// The certificate that the server has shown.
    ///
    /// # Errors
    /// When there is none.
    pub fn server_certificate(&self) -> Result<CertificateDer<'static>> {
        let shown = self
            .tls
            .conn
            .peer_certificates()
            .and_then(|chain| chain.first());
        Ok(shown
            .context("the server has shown no certificate")?
            .clone()
            .into_owned())
    }

    /// Ends the TCP connection without a word.
    ///
    /// # Errors
    /// When it has ended already.
    pub fn hang_up(self) -> Result<()> {
        Ok(self.tls.sock.shutdown(Shutdown::Both)?)
    }

    /// Ends it so that the server sees a reset.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn break_off(self) -> Result<()> {
        socket2::SockRef::from(&self.tls.sock).set_linger(Some(Duration::ZERO))?;
        Ok(())
    }

    /// Sends until the server refuses to take more or has ended the tunnel, at most `times` times.
    /// Answers how often it was taken.
    pub fn flood(&mut self, times: usize, bytes: &[u8]) -> usize {
        (0..times).take_while(|_| self.send(bytes).is_ok()).count()
    }

    /// How long a write may wait from now on.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn patience(&mut self, patience: Duration) -> Result<()> {
        Ok(self.tls.sock.set_write_timeout(Some(patience))?)
    }

    /// Resets a stream.
    ///
    /// # Errors
    /// As [`Tunnel::send`].
    pub fn reset(&mut self, stream: u32) -> Result<()> {
        self.send(&frames::reset(stream, code::CANCEL))
    }
}

/// The header block of a CONNECT.
pub fn connect_block(authority: &str) -> Vec<u8> {
    frames::block(&[(":method", "CONNECT"), (":authority", authority)])
}
