//! Bytes sent as they are from a pod, and the bytes that come back.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddrV4, TcpStream};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use lab::Machine;

/// How long nothing may come until that is taken for the end of the answer.
const QUIET: Duration = Duration::from_millis(1500);
/// How long an answer may take.
const WHOLE: Duration = Duration::from_secs(20);
/// More than any answer here.
const MAX_ANSWER_BYTES: usize = 1 << 20;

/// What came back on a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exchange {
    /// All of it.
    pub bytes: Vec<u8>,
    /// The peer has closed or reset the connection.
    pub closed: bool,
}

impl Exchange {
    /// As text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes).into_owned()
    }

    /// The statuses of all HTTP/1.1 answers in it. Good enough where bodies hold no `HTTP/1.`.
    pub fn statuses(&self) -> Vec<u16> {
        let text = self.text();
        let heads = text.split("HTTP/1.").skip(1);
        heads
            .filter_map(|head| head.split(' ').nth(1)?.get(..3)?.parse().ok())
            .collect()
    }
}

/// Connects, writes all pieces (each in a packet of its own) and reads until the end, or until it is quiet after an answer.
///
/// # Errors
///
/// When there is no connection.
pub fn exchange(from: &Machine, to: (Ipv4Addr, u16), pieces: &[&[u8]]) -> Result<Exchange> {
    let to = SocketAddrV4::new(to.0, to.1);
    let mut stream = from
        .run(|| TcpStream::connect_timeout(&to.into(), WHOLE))?
        .with_context(|| format!("connect to {to}"))?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(QUIET))?;
    let mut exchange = Exchange {
        bytes: Vec::new(),
        closed: false,
    };
    for piece in pieces {
        if stream.write_all(piece).is_err() {
            exchange.closed = true;
        }
    }
    let begun = Instant::now();
    let mut buffer = vec![0; 64 * 1024];
    while begun.elapsed() < WHOLE && exchange.bytes.len() < MAX_ANSWER_BYTES {
        match stream.read(&mut buffer) {
            Ok(0) => {
                exchange.closed = true;
                break;
            }
            Ok(length) => exchange
                .bytes
                .extend_from_slice(buffer.get(..length).unwrap_or_default()),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                if !exchange.bytes.is_empty() {
                    break;
                }
            }
            Err(_) => {
                exchange.closed = true;
                break;
            }
        }
    }
    Ok(exchange)
}
