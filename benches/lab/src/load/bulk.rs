//! The client's side of a bulk stream: one blocking thread.

use std::io::{self, Read as _, Write as _};
use std::net::{IpAddr, Shutdown, SocketAddr};

use super::server::{PORT_SINK, PORT_SOURCE};
use super::{CHUNK, Gauge, connect};

/// Writes until the gauge stops, then waits until the server has read everything. Returns the bytes
/// that it wrote; they are counted at the server.
///
/// # Errors
///
/// When the connection fails or stands still.
pub(crate) fn up(server: IpAddr, gauge: &Gauge) -> io::Result<u64> {
    let mut stream = connect(SocketAddr::new(server, PORT_SINK))?;
    let chunk = vec![b'u'; CHUNK];
    gauge.set_ready();
    let mut total = 0;
    while !gauge.is_stopping() {
        total += stream.write(&chunk)? as u64;
    }
    stream.shutdown(Shutdown::Write)?;
    let mut room = [0; 1];
    while stream.read(&mut room)? > 0 {}
    Ok(total)
}

/// Reads to the end and counts; the server ends when it is told to. Returns the bytes that it read.
///
/// # Errors
///
/// When the connection fails or stands still.
pub(crate) fn down(server: IpAddr, gauge: &Gauge) -> io::Result<u64> {
    let mut stream = connect(SocketAddr::new(server, PORT_SOURCE))?;
    let mut room = vec![0; CHUNK];
    gauge.set_ready();
    let mut total = 0;
    loop {
        let read = stream.read(&mut room)?;
        if read == 0 {
            return Ok(total);
        }
        total += read as u64;
        gauge.count(read);
    }
}
