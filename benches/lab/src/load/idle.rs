//! Connections that have worked once and then stand idle.

use std::io::{self, Read as _, Write as _};
use std::net::{IpAddr, SocketAddr, TcpStream};

use super::server::PORT_ANSWER;
use super::{ANSWER, REQUEST, connect};

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
