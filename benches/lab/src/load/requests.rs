//! Requests over standing connections, a closed loop: each connection asks again when it has its answer.

use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::time::Instant;

use super::server::PORT_ANSWER;
use super::{ANSWER, Gauge, LOOK, REQUEST, Samples, Watchdog, connect};
use crate::epoll::{Epoll, Events, Interest};

struct Asking {
    stream: TcpStream,
    asked: Instant,
    have: usize,
}

/// How long requests took, connection by connection.
#[derive(Debug)]
pub(crate) struct Asked {
    by_connection: Vec<Samples>,
}

impl Asked {
    /// The median of the connection that has the worst one; `None` when one had no answer at all within the window.
    ///
    /// In a closed loop who waits longer asks less often: percentiles over all hide a few that hardly get anything.
    pub(crate) fn slowest_median(&mut self) -> Option<u32> {
        let medians = self.by_connection.iter_mut().map(Samples::median);
        medians.collect::<Option<Vec<u32>>>()?.into_iter().max()
    }

    /// All samples.
    pub(crate) fn into_nanos(self) -> Vec<u32> {
        let samples = self.by_connection.into_iter();
        samples.flat_map(Samples::into_nanos).collect()
    }
}

/// Asks until the gauge stops, then waits for the answers that are under way. A connection that fails
/// is counted and left out.
///
/// # Errors
///
/// When the first connect fails, no connection is left, or nothing passes any more.
pub(crate) fn run(server: IpAddr, connections: usize, gauge: &Gauge) -> io::Result<Asked> {
    let epoll = Epoll::new()?;
    let mut all = Vec::with_capacity(connections);
    for token in 0..connections as u64 {
        let stream = connect(SocketAddr::new(server, PORT_ANSWER))?;
        stream.set_nonblocking(true)?;
        epoll.add(&stream, Interest::Read, token)?;
        all.push(Some(Asking {
            stream,
            asked: Instant::now(),
            have: 0,
        }));
    }
    let request = [b'r'; REQUEST];
    let mut room = vec![0; ANSWER];
    let mut asked = Asked {
        by_connection: (0..connections).map(|_| Samples::of_many()).collect(),
    };
    let mut events = Events::new();
    gauge.set_ready();
    for asking in all.iter_mut().flatten() {
        ask(asking, &request)?;
    }
    let mut left = connections;
    let mut watchdog = Watchdog::new();
    while left > 0 {
        epoll.wait(&mut events, LOOK)?;
        let mut any = false;
        for token in events.tokens() {
            let Some((place, samples)) = usize::try_from(token)
                .ok()
                .and_then(|token| all.get_mut(token).zip(asked.by_connection.get_mut(token)))
            else {
                continue;
            };
            let Some(asking) = place else { continue };
            any = true;
            match receive(asking, &mut room) {
                Ok(false) => continue,
                Ok(true) if gauge.is_stopping() => {}
                Ok(true) => {
                    let now = Instant::now();
                    gauge.count(1);
                    if gauge.is_measuring() {
                        samples.push(now - asking.asked);
                    }
                    if ask(asking, &request).is_ok() {
                        continue;
                    }
                    gauge.fail();
                }
                Err(_) => gauge.fail(),
            }
            *place = None;
            left -= 1;
        }
        if any {
            watchdog.alive();
        } else {
            watchdog.check("requests")?;
        }
    }
    if gauge.is_stopping() {
        return Ok(asked);
    }
    Err(io::Error::new(
        ErrorKind::ConnectionReset,
        "every requesting connection has failed",
    ))
}

fn ask(asking: &mut Asking, request: &[u8]) -> io::Result<()> {
    asking.have = 0;
    asking.asked = Instant::now();
    asking.stream.write_all(request)
}

/// Whether the answer is complete now.
fn receive(asking: &mut Asking, room: &mut [u8]) -> io::Result<bool> {
    match asking.stream.read(room) {
        Ok(0) => Err(ErrorKind::UnexpectedEof.into()),
        Ok(read) => {
            asking.have += read;
            Ok(asking.have >= ANSWER)
        }
        Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {
            Ok(false)
        }
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests;
