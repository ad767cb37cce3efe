//! New connections, a closed loop: connect, request, answer, close, and again. The client closes first.

use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::time::Instant;

use socket2::{Domain, Socket, Type};

use super::server::PORT_ANSWER;
use super::{ANSWER, Gauge, LOOK, REQUEST, Samples, Watchdog};
use crate::epoll::{Epoll, Events, Interest};

/// More failures than this, in a row, and the block is given up.
const MAX_FAILURES: usize = 1000;

struct Slot {
    stream: TcpStream,
    begun: Instant,
    asked: bool,
    have: usize,
}

/// Connects until the gauge stops, then waits for those that are under way. A connection that fails is
/// counted and replaced.
///
/// # Errors
///
/// When a socket cannot be made, nothing passes any more or nothing but failures.
pub(crate) fn run(server: IpAddr, parallel: usize, gauge: &Gauge) -> io::Result<Samples> {
    let address = SocketAddr::new(server, PORT_ANSWER);
    let epoll = Epoll::new()?;
    let mut slots = Vec::with_capacity(parallel);
    for token in 0..parallel as u64 {
        slots.push(Some(begin(address, &epoll, token)?));
    }
    let request = [b'r'; REQUEST];
    let mut room = vec![0; ANSWER];
    let mut samples = Samples::new();
    let mut events = Events::new();
    gauge.set_ready();
    let mut left = parallel;
    let mut failures = 0;
    let mut watchdog = Watchdog::new();
    while left > 0 {
        epoll.wait(&mut events, LOOK)?;
        let mut any = false;
        for token in events.tokens() {
            let Some(place) = usize::try_from(token)
                .ok()
                .and_then(|token| slots.get_mut(token))
            else {
                continue;
            };
            let Some(slot) = place else { continue };
            any = true;
            match turn(slot, &epoll, token, &request, &mut room) {
                Ok(false) => continue,
                Ok(true) => {
                    failures = 0;
                    let begun = slot.begun;
                    // The close belongs to what is measured: before the clock is read.
                    *place = None;
                    gauge.count(1);
                    if gauge.is_measuring() {
                        samples.push(begun.elapsed());
                    }
                }
                Err(error) => {
                    *place = None;
                    gauge.fail();
                    failures += 1;
                    if failures > MAX_FAILURES {
                        return Err(error);
                    }
                }
            }
            if gauge.is_stopping() {
                left -= 1;
            } else {
                *place = Some(begin(address, &epoll, token)?);
            }
        }
        if any {
            watchdog.alive();
        } else {
            watchdog.check("new connections")?;
        }
    }
    Ok(samples)
}

fn begin(address: SocketAddr, epoll: &Epoll, token: u64) -> io::Result<Slot> {
    let begun = Instant::now();
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM.nonblocking(),
        None,
    )?;
    match socket.connect(&address.into()) {
        Err(error) if error.raw_os_error() != Some(libc::EINPROGRESS) => return Err(error),
        Ok(()) | Err(_) => {}
    }
    epoll.add(&socket, Interest::Write, token)?;
    Ok(Slot {
        stream: socket.into(),
        begun,
        asked: false,
        have: 0,
    })
}

/// One step; `true` when the answer is complete.
fn turn(
    slot: &mut Slot,
    epoll: &Epoll,
    token: u64,
    request: &[u8],
    room: &mut [u8],
) -> io::Result<bool> {
    if !slot.asked {
        // A connect that failed tells its error here.
        slot.stream.write_all(request)?;
        slot.asked = true;
        epoll.modify(&slot.stream, Interest::Read, token)?;
        return Ok(false);
    }
    match slot.stream.read(room) {
        Ok(0) => Err(ErrorKind::UnexpectedEof.into()),
        Ok(read) => {
            slot.have += read;
            Ok(slot.have >= ANSWER)
        }
        Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {
            Ok(false)
        }
        Err(error) => Err(error),
    }
}
