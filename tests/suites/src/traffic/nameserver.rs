//! A DNS server of the test's own: what is forwarded ends here, and is remembered.
//!
//! In: queries over UDP and TCP, IPv4 and IPv6. Out: the same few answers for every name that was not given addresses
//! of its own, and who asked. Names below [`NOWHERE`] do not exist.
//!
//! Threads: one for datagrams, one that serves connections one after another. They end with the server.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Context as _, Result};
use lab::{Addresses, Machine};
use std::sync::Mutex;

/// The port of DNS.
const PORT: u16 = 53;
/// What every name has as its IPv4 address.
pub const IPV4: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 53);
/// What every name has as its IPv6 address.
pub const IPV6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0x53);
/// What every name has as its text.
pub const TEXT: &str = "the answer from outside";
/// The domain in which nothing exists.
pub const NOWHERE: &str = "nowhere.test";
/// How often the threads look whether they are to end.
const TURN: Duration = Duration::from_millis(20);
/// How long a TCP client may be silent.
const TIMEOUT: Duration = Duration::from_secs(10);

/// How a query came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// As a datagram.
    Udp,
    /// On a connection.
    Tcp,
}

/// One query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// The name, lower case, without the dot at the end.
    pub name: String,
    /// The record type's number.
    pub query_type: u16,
    /// Who asked.
    pub from: IpAddr,
    /// How.
    pub transport: Transport,
}

/// A running server. Dropping it ends it.
#[derive(Debug)]
pub struct Nameserver {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Shared {
    asked: Mutex<Vec<Asked>>,
    addresses: Mutex<BTreeMap<String, Addresses>>,
    ending: AtomicBool,
}

impl Nameserver {
    /// Starts on port 53 of a machine.
    ///
    /// # Errors
    ///
    /// When the port is taken.
    pub fn start(on: &Machine) -> Result<Self> {
        let any = SocketAddr::new(Ipv6Addr::UNSPECIFIED.into(), PORT);
        let (udp, tcp) = on.run(|| (UdpSocket::bind(any), TcpListener::bind(any)))?;
        let (udp, tcp) = (udp.context("port 53, UDP")?, tcp.context("port 53, TCP")?);
        udp.set_read_timeout(Some(TURN))?;
        tcp.set_nonblocking(true)?;
        let shared = Arc::new(Shared::default());
        let (one, two) = (Arc::clone(&shared), Arc::clone(&shared));
        let threads = vec![
            thread::spawn(move || one.serve_datagrams(&udp)),
            thread::spawn(move || two.serve_connections(&tcp)),
        ];
        Ok(Self { shared, threads })
    }

    /// Gives a name addresses of its own. The name is lower case, without the dot at the end.
    pub fn set(&self, name: &str, addresses: Addresses) {
        if let Ok(mut all) = self.shared.addresses.lock() {
            all.insert(name.to_owned(), addresses);
        }
    }

    /// The queries for a name so far.
    pub fn asked(&self, name: &str) -> Vec<Asked> {
        let asked = self.shared.asked.lock();
        let asked = asked.map(|asked| asked.clone()).unwrap_or_default();
        asked
            .into_iter()
            .filter(|asked| asked.name == name)
            .collect()
    }
}

impl Drop for Nameserver {
    fn drop(&mut self) {
        self.shared.ending.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            // A panic of the thread has been printed already.
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn serve_datagrams(&self, socket: &UdpSocket) {
        let mut query = [0; 1500];
        while !self.ending.load(Ordering::Relaxed) {
            let Ok((length, from)) = socket.recv_from(&mut query) else {
                continue;
            };
            let query = query.get(..length).unwrap_or_default();
            if let Some(answer) = self.answer(query, from.ip(), Transport::Udp) {
                // A client that is gone asks again or does not care.
                let _ = socket.send_to(&answer, from);
            }
        }
    }

    fn serve_connections(&self, listener: &TcpListener) {
        while !self.ending.load(Ordering::Relaxed) {
            match listener.accept() {
                // What a broken client does is the client's.
                Ok((stream, from)) => drop(self.serve_connection(stream, from.ip())),
                Err(_) => thread::sleep(TURN),
            }
        }
    }

    fn serve_connection(&self, mut stream: TcpStream, from: IpAddr) -> Result<()> {
        stream.set_nonblocking(false)?;
        stream.set_read_timeout(Some(TIMEOUT))?;
        let mut length = [0; 2];
        while stream.read_exact(&mut length).is_ok() {
            let mut query = vec![0; u16::from_be_bytes(length).into()];
            stream.read_exact(&mut query)?;
            let answer = self.answer(&query, from, Transport::Tcp).context("query")?;
            let length = u16::try_from(answer.len())?.to_be_bytes();
            stream.write_all(&[length.as_slice(), &answer].concat())?;
        }
        Ok(())
    }

    fn answer(&self, query: &[u8], from: IpAddr, transport: Transport) -> Option<Vec<u8>> {
        let (name, end) = question(query)?;
        let query_type = u16::from_be_bytes(query.get(end..end + 2)?.try_into().ok()?);
        let asked = Asked {
            name: name.clone(),
            query_type,
            from: from.to_canonical(),
            transport,
        };
        self.asked.lock().ok()?.push(asked);
        let own = self.addresses.lock().ok()?.get(&name).copied();
        let (ip4, ip6) = own.map_or((IPV4, IPV6), |own| (own.ip4, own.ip6));
        let exists = name != NOWHERE && !name.ends_with(&format!(".{NOWHERE}"));
        let data = match query_type {
            1 if exists => Some(ip4.octets().to_vec()),
            28 if exists => Some(ip6.octets().to_vec()),
            16 if exists => {
                let length = u8::try_from(TEXT.len()).ok()?;
                Some([&[length], TEXT.as_bytes()].concat())
            }
            _ => None,
        };
        let mut answer = query.get(..2)?.to_vec();
        // A response, recursion asked for and available, and whether the name exists. Source: RFC 1035, 4.1.1.
        answer.extend([0x81, if exists { 0x80 } else { 0x83 }]);
        answer.extend([0, 1, 0, u8::from(data.is_some()), 0, 0, 0, 0]);
        answer.extend(query.get(12..end + 4)?);
        if let Some(data) = data {
            // The name of the question, its type, class IN, 60 seconds.
            answer.extend([0xc0, 12]);
            answer.extend(query_type.to_be_bytes());
            answer.extend([0, 1, 0, 0, 0, 60]);
            answer.extend(u16::try_from(data.len()).ok()?.to_be_bytes());
            answer.extend(data);
        }
        Some(answer)
    }
}

/// The name in question, and where it ends.
fn question(query: &[u8]) -> Option<(String, usize)> {
    let mut labels = Vec::new();
    let mut at = 12;
    loop {
        let length = usize::from(*query.get(at)?);
        at += 1;
        if length == 0 {
            return Some((labels.join(".").to_ascii_lowercase(), at));
        }
        let label = query.get(at..at + length)?;
        labels.push(String::from_utf8_lossy(label).into_owned());
        at += length;
    }
}
