//! A server on 15008 in a pod without ztunnel, with any certificate. It answers every CONNECT with 200 and every
//! byte with the same byte, and remembers what it was sent.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Ipv6Addr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use lab::{Issued, Machine, until};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use super::DEADLINE;
use super::frames::{self, Frame, PREFACE, flag, kind};
use super::tls;

/// How often a server looks whether it is to end.
const PAUSE: Duration = Duration::from_millis(50);

/// One tunnel that somebody made to an impostor.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// The certificate that was shown to us, DER.
    pub client: Option<Vec<u8>>,
    /// How the handshake ended; `None` while it goes on, empty when it went well.
    pub handshake: Option<String>,
    /// What came after the handshake, in bytes.
    pub plaintext: usize,
    /// The streams that were opened.
    pub streams: Vec<u32>,
    /// Whether it has ended.
    pub ended: bool,
}

/// A server that is not who it should be, unless it is.
#[derive(Debug)]
pub struct Impostor {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    config: Arc<ServerConfig>,
    stop: AtomicBool,
    seen: Mutex<Vec<Seen>>,
}

impl Impostor {
    /// Listens on 15008 of a machine, with this certificate.
    ///
    /// # Errors
    /// When the port is taken.
    pub fn start(at: &Machine, issued: &Issued) -> Result<Self> {
        let (chain, key) = tls::identity(issued);
        let mut config = ServerConfig::builder_with_provider(tls::provider())
            .with_safe_default_protocol_versions()?
            .with_client_cert_verifier(Arc::new(tls::Gullible))
            .with_single_cert(chain, key)?;
        config.alpn_protocols = vec![b"h2".to_vec()];
        config.send_tls13_tickets = 0;
        let listener = at
            .run(|| TcpListener::bind((Ipv6Addr::UNSPECIFIED, 15008)))?
            .with_context(|| format!("port 15008 of {}", at.name()))?;
        listener.set_nonblocking(true)?;
        let shared = Arc::new(Shared {
            config: Arc::new(config),
            stop: AtomicBool::new(false),
            seen: Mutex::default(),
        });
        let worker = Arc::clone(&shared);
        let thread = thread::Builder::new().spawn(move || worker.accept(&listener))?;
        Ok(Self {
            shared,
            thread: Some(thread),
        })
    }

    /// The tunnels so far.
    pub fn seen(&self) -> Vec<Seen> {
        self.shared.seen().clone()
    }

    /// Waits until `holds` of the tunnels so far.
    ///
    /// # Errors
    /// When it never does.
    pub fn wait(&self, what: &str, holds: impl Fn(&[Seen]) -> bool) -> Result<Vec<Seen>> {
        until(what, DEADLINE, || holds(&self.shared.seen()))
            .with_context(|| format!("seen: {:?}", self.seen()))?;
        Ok(self.seen())
    }
}

impl Drop for Impostor {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // A panic of it has been printed.
            drop(thread.join());
        }
    }
}

impl Shared {
    fn seen(&self) -> std::sync::MutexGuard<'_, Vec<Seen>> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn update(&self, tunnel: usize, change: impl FnOnce(&mut Seen)) {
        if let Some(seen) = self.seen().get_mut(tunnel) {
            change(seen);
        }
    }

    fn accept(self: Arc<Self>, listener: &TcpListener) {
        let mut tunnels = Vec::new();
        while !self.stop.load(Ordering::Relaxed) {
            match listener.accept() {
                Ok((socket, _)) => {
                    self.seen().push(Seen::default());
                    let (shared, tunnel) = (Arc::clone(&self), tunnels.len());
                    tunnels.push(thread::spawn(move || {
                        // What went wrong is in `seen`.
                        let _end = shared.serve(socket, tunnel);
                        shared.update(tunnel, |seen| seen.ended = true);
                    }));
                }
                Err(_none) => thread::sleep(PAUSE),
            }
        }
        for tunnel in tunnels {
            drop(tunnel.join());
        }
    }

    fn serve(&self, mut socket: TcpStream, tunnel: usize) -> Result<()> {
        socket.set_nonblocking(false)?;
        socket.set_read_timeout(Some(DEADLINE))?;
        socket.set_write_timeout(Some(DEADLINE))?;
        let mut tls = ServerConnection::new(Arc::clone(&self.config))?;
        while tls.is_handshaking() {
            if let Err(error) = tls.complete_io(&mut socket) {
                self.update(tunnel, |seen| seen.handshake = Some(error.to_string()));
                bail!(error);
            }
        }
        let client = tls.peer_certificates().and_then(|chain| chain.first());
        let client = client.map(|certificate| certificate.to_vec());
        self.update(tunnel, |seen| {
            seen.client = client;
            seen.handshake = Some(String::new());
        });
        socket.set_read_timeout(Some(PAUSE))?;
        let mut tls = StreamOwned::new(tls, socket);
        let mut unread = Vec::new();
        let mut greeted = false;
        let mut buffer = [0; 16 << 10];
        while !self.stop.load(Ordering::Relaxed) {
            match tls.read(&mut buffer) {
                Ok(0) => break,
                Ok(count) => {
                    self.update(tunnel, |seen| seen.plaintext += count);
                    unread.extend_from_slice(buffer.get(..count).unwrap_or_default());
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => continue,
                Err(error) => bail!(error),
            }
            if !greeted && unread.len() >= PREFACE.len() {
                unread.drain(..PREFACE.len());
                tls.write_all(&frames::settings(&[]))?;
                greeted = true;
            }
            while greeted && let Some(frame) = Frame::take(&mut unread) {
                if frame.kind == kind::HEADERS {
                    self.update(tunnel, |seen| seen.streams.push(frame.stream));
                }
                tls.write_all(&answer(&frame)?)?;
            }
            tls.flush()?;
        }
        Ok(())
    }
}

fn answer(frame: &Frame) -> Result<Vec<u8>> {
    let acknowledged = frame.has(flag::END_STREAM);
    Ok(match frame.kind {
        kind::SETTINGS if !acknowledged => frames::frame(kind::SETTINGS, 1, 0, &[]),
        kind::PING if !acknowledged => frames::frame(kind::PING, 1, 0, &frame.payload),
        // `:status: 200`, indexed.
        kind::HEADERS => frames::headers(frame.stream, &[0x88]),
        kind::DATA => {
            let mut answer = Vec::new();
            if !frame.payload.is_empty() {
                let length = u32::try_from(frame.payload.len())?;
                answer.extend(
                    [0, frame.stream]
                        .map(|id| frames::window_update(id, length))
                        .concat(),
                );
            }
            answer.extend(frames::frame(
                kind::DATA,
                frame.flags & flag::END_STREAM,
                frame.stream,
                &frame.payload,
            ));
            answer
        }
        _ => Vec::new(),
    })
}
