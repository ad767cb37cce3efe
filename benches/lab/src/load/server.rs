//! The server: answers requests, swallows bytes and pours them, on three ports of one machine.
//!
//! In: connections. Out: an answer per request; counters of the bytes swallowed and poured.
//! Never: more than [`MAX_CONNECTIONS`] connections or [`MAX_BULK`] streams; the rest is refused.

use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::{IpAddr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};

use anyhow::{Context as _, Result};
use lab::Machine;
use socket2::{Domain, Socket, Type};

use super::{ANSWER, CHUNK, LOOK, REQUEST, STALL};
use crate::epoll::{Epoll, Events, Interest};

/// Answers each request of [`REQUEST`] bytes with [`ANSWER`] bytes.
pub(crate) const PORT_ANSWER: u16 = 5001;
/// Reads to the end.
pub(crate) const PORT_SINK: u16 = 5002;
/// Writes while [`Served::pour`] says so.
pub(crate) const PORT_SOURCE: u16 = 5003;

/// The most connections of requests: idle ones included.
const MAX_CONNECTIONS: usize = 16_384;
/// The most bulk streams, a thread each.
const MAX_BULK: usize = 64;
/// Connections that wait to be accepted: more than any scenario has in flight.
const BACKLOG: i32 = 1024;

/// The tokens of the listeners; those of connections are below.
const TOKENS: [(u64, u16); 3] = [
    (u64::MAX, PORT_ANSWER),
    (u64::MAX - 1, PORT_SINK),
    (u64::MAX - 2, PORT_SOURCE),
];

/// What the server tells.
#[derive(Debug, Default)]
pub(crate) struct Served {
    stop: AtomicBool,
    pouring: AtomicBool,
    sunk: AtomicU64,
    poured: AtomicU64,
    active: AtomicUsize,
    failed: AtomicU64,
}

impl Served {
    /// Bytes that arrived at the sink, ever.
    pub(crate) fn sunk(&self) -> u64 {
        self.sunk.load(Ordering::Relaxed)
    }

    /// Bytes that left the source, ever.
    pub(crate) fn poured(&self) -> u64 {
        self.poured.load(Ordering::Relaxed)
    }

    /// Connections that are open, of all kinds.
    pub(crate) fn active(&self) -> usize {
        self.active.load(Ordering::Acquire)
    }

    /// Connections that ended with an error, ever.
    pub(crate) fn failed(&self) -> u64 {
        self.failed.load(Ordering::Relaxed)
    }

    /// Whether sources pour; when this becomes false they end their streams.
    pub(crate) fn pour(&self, pouring: bool) {
        self.pouring.store(pouring, Ordering::Relaxed);
    }
}

/// A running server; dropping it ends it.
#[derive(Debug)]
pub(crate) struct Server {
    served: Arc<Served>,
    thread: Option<JoinHandle<Result<io::Result<()>>>>,
}

impl Server {
    /// Listens on an address of a machine.
    ///
    /// # Errors
    ///
    /// When a port is taken.
    pub(crate) fn start(machine: &Machine, ip: IpAddr) -> Result<Self> {
        let listeners =
            machine.run(|| TOKENS.map(|(_, port)| listen(SocketAddr::new(ip, port))))?;
        let [answer, sink, source] = listeners;
        let listeners = [answer?, sink?, source?];
        let served = Arc::new(Served::default());
        let worker = Arc::clone(&served);
        let thread = machine
            .thread(move || serve(&listeners, &worker))
            .context("start the server")?;
        Ok(Self {
            served,
            thread: Some(thread),
        })
    }

    /// Its counters.
    pub(crate) fn served(&self) -> &Arc<Served> {
        &self.served
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.served.stop.store(true, Ordering::Relaxed);
        self.served.pour(false);
        if let Some(thread) = self.thread.take() {
            // What it says no longer matters.
            let _ = thread.join();
        }
    }
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    socket.set_nonblocking(true)?;
    Ok(socket.into())
}

/// One requesting connection.
struct Connection {
    stream: TcpStream,
    /// Bytes of the next request that are here already.
    have: usize,
}

fn serve(listeners: &[TcpListener; 3], served: &Arc<Served>) -> io::Result<()> {
    let epoll = Epoll::new()?;
    for (listener, (token, _)) in listeners.iter().zip(TOKENS) {
        epoll.add(listener, Interest::Read, token)?;
    }
    let mut slots: Vec<Option<Connection>> = Vec::new();
    let mut free: Vec<usize> = Vec::new();
    let mut events = Events::new();
    let mut room = vec![0; 4 * REQUEST];
    let answer = vec![b'a'; ANSWER];
    while !served.stop.load(Ordering::Relaxed) {
        epoll.wait(&mut events, LOOK)?;
        for token in events.tokens() {
            let listener = TOKENS
                .iter()
                .zip(listeners)
                .find(|((of, _), _)| *of == token);
            if let Some(((_, port), listener)) = listener {
                // Level-triggered: one each time keeps answers prompt, the others come at the next wait.
                let Ok((stream, _)) = listener.accept() else {
                    continue;
                };
                if *port != PORT_ANSWER {
                    start_bulk(stream, *port, served);
                } else if served.active() < MAX_CONNECTIONS {
                    let slot = free.pop().unwrap_or(slots.len());
                    stream.set_nonblocking(true)?;
                    stream.set_nodelay(true)?;
                    epoll.add(&stream, Interest::Read, slot as u64)?;
                    let connection = Some(Connection { stream, have: 0 });
                    match slots.get_mut(slot) {
                        Some(place) => *place = connection,
                        None => slots.push(connection),
                    }
                    served.active.fetch_add(1, Ordering::Release);
                }
                continue;
            }
            let Some((slot, place)) = usize::try_from(token)
                .ok()
                .and_then(|slot| Some((slot, slots.get_mut(slot)?)))
            else {
                continue;
            };
            let Some(connection) = place else { continue };
            let ended = match turn(connection, &mut room, &answer) {
                Ok(open) => !open,
                Err(_) => {
                    served.failed.fetch_add(1, Ordering::Relaxed);
                    true
                }
            };
            if ended {
                *place = None;
                free.push(slot);
                served.active.fetch_sub(1, Ordering::Release);
            }
        }
    }
    Ok(())
}

/// Reads once and answers what is complete; `false` at the end.
fn turn(connection: &mut Connection, room: &mut [u8], answer: &[u8]) -> io::Result<bool> {
    let read = match connection.stream.read(room) {
        Ok(0) => return Ok(false),
        Ok(read) => read,
        Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {
            return Ok(true);
        }
        Err(error) => return Err(error),
    };
    connection.have += read;
    while connection.have >= REQUEST {
        connection.have -= REQUEST;
        // The client waits for this answer before it asks again: there is room, or it does not behave.
        connection.stream.write_all(answer)?;
    }
    Ok(true)
}

/// One connection less, whatever ends its thread.
struct Leave(Arc<Served>);

impl Drop for Leave {
    fn drop(&mut self) {
        self.0.active.fetch_sub(1, Ordering::Release);
    }
}

fn start_bulk(stream: TcpStream, port: u16, served: &Arc<Served>) {
    if served.active() >= MAX_BULK {
        return;
    }
    served.active.fetch_add(1, Ordering::Release);
    let leave = Leave(Arc::clone(served));
    let work = move || {
        let served = &leave.0;
        let result = if port == PORT_SINK {
            sink(stream, served)
        } else {
            source(stream, served)
        };
        if result.is_err() {
            served.failed.fetch_add(1, Ordering::Relaxed);
        }
    };
    // A thread that cannot be started drops the stream: the client's error.
    let _ = thread::Builder::new()
        .name("bench-bulk".to_owned())
        .spawn(work);
}

fn prepare(stream: &TcpStream) -> io::Result<()> {
    stream.set_nonblocking(false)?;
    stream.set_read_timeout(Some(STALL))?;
    stream.set_write_timeout(Some(STALL))
}

fn sink(mut stream: TcpStream, served: &Served) -> io::Result<()> {
    prepare(&stream)?;
    let mut room = vec![0; CHUNK];
    loop {
        let read = stream.read(&mut room)?;
        if read == 0 {
            return Ok(());
        }
        served.sunk.fetch_add(read as u64, Ordering::Relaxed);
    }
}

fn source(mut stream: TcpStream, served: &Served) -> io::Result<()> {
    prepare(&stream)?;
    let chunk = vec![b's'; CHUNK];
    while served.pouring.load(Ordering::Relaxed) {
        let written = stream.write(&chunk)?;
        served.poured.fetch_add(written as u64, Ordering::Relaxed);
    }
    stream.shutdown(Shutdown::Write)?;
    // The client ends last, when it has everything.
    let mut room = [0; 1];
    while stream.read(&mut room)? > 0 {}
    Ok(())
}
