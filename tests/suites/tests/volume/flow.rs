//! Many connections that carry bytes one way, all of them served by one thread, as far as they let it.
//!
//! In: pairs of sockets. Out: what was taken, what arrived, how each ended. Never: waits without a deadline; keeps what has arrived.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Shutdown, TcpStream};
use std::os::fd::AsFd as _;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use suites::traffic;

/// What is written and read at a time.
const BLOCK_BYTES: usize = 256 * 1024;
/// After how many bytes a flow repeats itself.
const POOL_BYTES: usize = 1 << 20;
/// How far apart flows begin in what they say; coprime to [`POOL_BYTES`].
const STRIDE: usize = 77_773;
/// So long nobody takes anything, and then all are blocked.
const QUIET_MILLIS: u16 = 1000;
/// How long all of it may take on a busy machine.
const DEADLINE: Duration = Duration::from_secs(120);

/// What flows say: each something else, at every position something else.
pub(super) struct Saying(Vec<u8>);

impl Saying {
    pub(super) fn new() -> Self {
        let mut random = vec![0; POOL_BYTES];
        fastrand::Rng::with_seed(7).fill(&mut random);
        // A block that begins at the end goes on at the beginning.
        random.extend_from_within(..BLOCK_BYTES);
        Self(random)
    }

    fn at(&self, number: usize, position: usize) -> &[u8] {
        let start = (number * STRIDE + position) % POOL_BYTES;
        &self.0[start..start + BLOCK_BYTES]
    }
}

/// How a flow ended for its reader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ended {
    NotYet,
    /// In order, with all that was sent.
    Whole,
    /// By a reset.
    Reset,
}

/// One connection.
pub(super) struct Flow {
    from: TcpStream,
    to: TcpStream,
    number: usize,
    /// Units of both: bytes.
    pub(super) sent: usize,
    received: usize,
    finished: bool,
    pub(super) ended: Ended,
}

impl Flow {
    /// From one socket to the other.
    pub(super) fn new(number: usize, from: TcpStream, to: TcpStream) -> Result<Self> {
        from.set_nonblocking(true)?;
        to.set_nonblocking(true)?;
        Ok(Self {
            from,
            to,
            number,
            sent: 0,
            received: 0,
            finished: false,
            ended: Ended::NotYet,
        })
    }

    /// Resets it from the sender's side. Answers the reader's end, which nobody has read.
    pub(super) fn reset(self) -> Result<TcpStream> {
        traffic::reset(self.from)?;
        Ok(self.to)
    }

    /// Writes as much as is taken, up to `each` bytes in all.
    fn push(&mut self, saying: &Saying, each: usize) -> Result<()> {
        while self.sent < each && !self.finished {
            let left = (each - self.sent).min(BLOCK_BYTES);
            let bytes = &saying.at(self.number, self.sent)[..left];
            match (&self.from).write(bytes) {
                Ok(written) => self.sent += written,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if is_reset(&error) => self.finished = true,
                Err(error) => return Err(error).context("write"),
            }
        }
        Ok(())
    }

    /// Reads all that has come, and compares it.
    fn pull(&mut self, saying: &Saying, buffer: &mut [u8]) -> Result<()> {
        while self.ended == Ended::NotYet {
            match (&self.to).read(buffer) {
                Ok(0) => {
                    let (received, sent) = (self.received, self.sent);
                    ensure!(received == sent, "{received} of {sent} bytes came");
                    self.ended = Ended::Whole;
                }
                Ok(read) => {
                    let expected = saying.at(self.number, self.received);
                    let at = self.received;
                    ensure!(buffer[..read] == expected[..read], "wrong bytes after {at}");
                    self.received += read;
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if is_reset(&error) => self.ended = Ended::Reset,
                Err(error) => return Err(error).context("read"),
            }
        }
        Ok(())
    }
}

fn is_reset(error: &std::io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::ConnectionReset | ErrorKind::BrokenPipe
    )
}

/// Writes into all of them, up to `each` bytes, until none takes any more. Nothing is read.
pub(super) fn push(flows: &mut [Flow], saying: &Saying, each: usize) -> Result<()> {
    let begin = Instant::now();
    loop {
        for flow in flows.iter_mut() {
            flow.push(saying, each)
                .with_context(|| format!("flow {}", flow.number))?;
        }
        let mut waiting: Vec<PollFd<'_>> = flows
            .iter()
            .filter(|flow| flow.sent < each && !flow.finished)
            .map(|flow| PollFd::new(flow.from.as_fd(), PollFlags::POLLOUT))
            .collect();
        if waiting.is_empty() || poll(&mut waiting, PollTimeout::from(QUIET_MILLIS))? == 0 {
            return Ok(());
        }
        ensure!(begin.elapsed() < DEADLINE, "they are never blocked");
    }
}

/// Reads all of them to their ends, after they have sent `each` bytes, or what they had sent when they were reset.
pub(super) fn drain(flows: &mut [Flow], saying: &Saying, each: usize) -> Result<()> {
    let begin = Instant::now();
    let mut buffer = vec![0; BLOCK_BYTES];
    loop {
        for flow in flows.iter_mut() {
            let number = flow.number;
            flow.push(saying, each)
                .with_context(|| format!("flow {number}"))?;
            if flow.sent == each && !flow.finished {
                flow.finished = true;
                match flow.from.shutdown(Shutdown::Write) {
                    Err(error) if error.kind() != ErrorKind::NotConnected => bail!(error),
                    Ok(()) | Err(_) => {}
                }
            }
            flow.pull(saying, &mut buffer)
                .with_context(|| format!("flow {number}"))?;
        }
        let mut waiting = Vec::new();
        for flow in flows.iter().filter(|flow| flow.ended == Ended::NotYet) {
            waiting.push(PollFd::new(flow.to.as_fd(), PollFlags::POLLIN));
            if !flow.finished {
                waiting.push(PollFd::new(flow.from.as_fd(), PollFlags::POLLOUT));
            }
        }
        if waiting.is_empty() {
            return Ok(());
        }
        poll(&mut waiting, PollTimeout::from(QUIET_MILLIS))?;
        ensure!(
            begin.elapsed() < DEADLINE,
            "{} have not ended",
            waiting.len()
        );
    }
}
