//! Connections that have worked once and then stand idle.
//!
//! Both ends of ten thousand are more files than a process may have open where limits are low, so that the client's
//! ends can be held by a process of their own: this program again, with [`Hold`] as its order.

use std::fmt;
use std::io::{self, Read as _, Write as _};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::str::FromStr;
use std::thread;

use anyhow::{Context as _, Error, Result};

use super::server::PORT_ANSWER;
use super::{ANSWER, REQUEST, connect};

/// What the process says when all stand.
pub(crate) const HOLDING: &str = "all connections stand";

/// The order to open connections and to hold them until the process is killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Hold {
    /// To whom.
    pub(crate) server: IpAddr,
    /// How many.
    pub(crate) count: usize,
}

impl Hold {
    /// Carries it out. Returns only when it cannot.
    ///
    /// # Errors
    ///
    /// When a connection fails.
    pub(crate) fn run(self) -> Result<()> {
        let _open = open(self.server, self.count)?;
        writeln!(io::stdout(), "{HOLDING}")?;
        loop {
            thread::park();
        }
    }
}

impl fmt::Display for Hold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{},{}", self.server, self.count)
    }
}

impl FromStr for Hold {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let (server, count) = text
            .split_once(',')
            .with_context(|| format!("{text:?}: expected ADDRESS,COUNT"))?;
        Ok(Self {
            server: server.parse()?,
            count: count.parse()?,
        })
    }
}

/// Opens connections one by one; each makes one request, so that its whole path stands. They stay open
/// until they are dropped.
///
/// # Errors
///
/// When one fails.
pub(crate) fn open(server: IpAddr, count: usize) -> io::Result<Vec<TcpStream>> {
    let mut room = vec![0; ANSWER];
    let mut open = Vec::with_capacity(count);
    for _ in 0..count {
        let mut stream = connect(SocketAddr::new(server, PORT_ANSWER))?;
        stream.write_all(&[b'r'; REQUEST])?;
        stream.read_exact(&mut room)?;
        open.push(stream);
    }
    Ok(open)
}

#[cfg(test)]
mod tests;
