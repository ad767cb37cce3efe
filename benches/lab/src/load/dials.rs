//! New connections one at a time, blocking: how long `connect` takes by itself, and how long until the answer is there.

use std::io::{self, Read as _, Write as _};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use socket2::{Domain, Socket, Type};

use super::server::PORT_ANSWER;
use super::{ANSWER, Gauge, REQUEST, STALL, Samples};

/// More failures than this, in a row, and the block is given up.
const MAX_FAILURES: usize = 100;

/// What was timed, connection by connection.
#[derive(Debug)]
pub(crate) struct Dialled {
    /// From before `connect` to its return.
    pub(crate) connects: Samples,
    /// From before `connect` to the complete answer.
    pub(crate) wholes: Samples,
}

/// Connects, asks, reads, closes, until the gauge stops. A connection that fails is counted and left out.
///
/// # Errors
///
/// When the first one fails, or nothing but failures.
pub(crate) fn run(server: IpAddr, gauge: &Gauge) -> io::Result<Dialled> {
    let address = SocketAddr::new(server, PORT_ANSWER);
    let request = [b'r'; REQUEST];
    let mut room = vec![0; ANSWER];
    let mut dialled = Dialled {
        connects: Samples::new(),
        wholes: Samples::new(),
    };
    dial(address, &request, &mut room)?;
    gauge.set_ready();
    let mut failures = 0;
    while !gauge.is_stopping() {
        match dial(address, &request, &mut room) {
            Ok((connect, whole)) => {
                failures = 0;
                gauge.count(1);
                if gauge.is_measuring() {
                    dialled.connects.push(connect);
                    dialled.wholes.push(whole);
                }
            }
            Err(error) => {
                gauge.fail();
                failures += 1;
                if failures > MAX_FAILURES {
                    return Err(error);
                }
            }
        }
    }
    Ok(dialled)
}

fn dial(address: SocketAddr, request: &[u8], room: &mut [u8]) -> io::Result<(Duration, Duration)> {
    let begun = Instant::now();
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    // Of a blocking socket it bounds `connect`, too.
    socket.set_write_timeout(Some(STALL))?;
    socket.set_read_timeout(Some(STALL))?;
    socket.set_tcp_nodelay(true)?;
    let made = begun.elapsed();
    socket.connect(&address.into())?;
    let connect = begun.elapsed() - made;
    let mut stream = TcpStream::from(socket);
    stream.write_all(request)?;
    stream.read_exact(room)?;
    let whole = begun.elapsed() - made;
    Ok((connect, whole))
}
