//! One message after the other: which bytes of a connection may pass.
//!
//! ```text
//!   Head ──whole and good──▶ Length | Chunked ──end──▶ Head
//!     │                              └──end, may switch──▶ Awaiting ──no──▶ Head
//!     └──may switch, no body──────────────────────────────▶ Awaiting ──yes─▶ Raw
//! ```
//! In: bytes, in any pieces. Out: how many of them may pass. Never: a byte of a message whose end is uncertain.

use super::{
    Refusal,
    chunked::Chunked,
    head::{self, Block, Framing, Scan},
};

/// Where a connection stands.
#[derive(Debug)]
enum State {
    Head(Scan),
    /// So many bytes are left, never 0.
    Length(u64),
    Chunked(Chunked),
    /// The request asked for another protocol; what follows means nothing before it is answered.
    Awaiting,
    /// It is no HTTP any more.
    Raw,
}

/// Why bytes may not pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stop {
    /// A head is wrong: it can be answered.
    Head(Refusal),
    /// A body is wrong, whose head has passed.
    Body(Refusal),
}

/// Frames the messages of one connection.
#[derive(Debug)]
pub(super) struct Framer {
    state: State,
    /// Whether the message may switch to another protocol.
    may_switch: bool,
    /// Heads that have passed.
    heads: u64,
}

impl Framer {
    pub(super) fn new() -> Self {
        Self {
            state: State::Head(Scan::default()),
            may_switch: false,
            heads: 0,
        }
    }

    /// How many of `bytes`, from the start, may pass. `bytes` begins with the first that has not passed, and what
    /// did not pass comes again with more behind it.
    ///
    /// # Errors
    /// When not even the first may, ever.
    pub(super) fn advance(&mut self, bytes: &[u8]) -> Result<usize, Stop> {
        let mut at = 0;
        loop {
            let rest = bytes.get(at..).unwrap_or_default();
            let step = match &mut self.state {
                State::Head(_) if rest.is_empty() => return Ok(at),
                State::Head(_) => self.head(rest).map_err(Stop::Head),
                State::Length(left) => {
                    let here =
                        usize::try_from(*left).map_or(rest.len(), |left| left.min(rest.len()));
                    *left -= here as u64;
                    if *left == 0 {
                        self.end_message();
                    }
                    Ok(here)
                }
                State::Chunked(chunked) => {
                    let step = chunked.advance(rest).map_err(Stop::Body);
                    if chunked.is_done() {
                        self.end_message();
                    }
                    step
                }
                State::Awaiting => return Ok(at),
                State::Raw => return Ok(bytes.len()),
            };
            match step {
                Ok(0) => return Ok(at),
                Ok(passed) => at += passed,
                // What is good goes first; the rest comes again.
                Err(_) if at > 0 => return Ok(at),
                Err(stop) => return Err(stop),
            }
        }
    }

    fn head(&mut self, bytes: &[u8]) -> Result<usize, Refusal> {
        let mut scan = match &self.state {
            State::Head(scan) => *scan,
            State::Length(_) | State::Chunked(_) | State::Awaiting | State::Raw => Scan::default(),
        };
        // Where this or the check refuses, the state is as before, so that the refusal comes again.
        let Some(end) = scan.advance(bytes, Block::Request)? else {
            self.state = State::Head(scan);
            return Ok(0);
        };
        let head = head::check(bytes.get(..end).unwrap_or_default())?;
        self.heads += 1;
        self.may_switch = head.may_switch;
        match head.framing {
            Framing::None => self.end_message(),
            Framing::Length(length) => self.state = State::Length(length),
            Framing::Chunked => self.state = State::Chunked(Chunked::default()),
        }
        Ok(end)
    }

    fn end_message(&mut self) {
        self.state = match self.may_switch {
            true => State::Awaiting,
            false => State::Head(Scan::default()),
        };
    }

    /// Heads that have passed: the number of the next request, from 0.
    pub(super) fn heads(&self) -> u64 {
        self.heads
    }

    /// Whether it waits for the answer to its last request, which may switch to another protocol.
    pub(super) fn is_awaiting(&self) -> bool {
        matches!(self.state, State::Awaiting)
    }

    /// Whether bytes pass as they come.
    pub(super) fn is_raw(&self) -> bool {
        matches!(self.state, State::Raw)
    }

    /// Whether a head has begun and not ended.
    pub(super) fn is_mid_head(&self) -> bool {
        matches!(&self.state, State::Head(scan) if scan.has_begun())
    }

    /// The answer came: whether it switched.
    pub(super) fn answered(&mut self, switched: bool) {
        self.state = match switched {
            true => State::Raw,
            false => State::Head(Scan::default()),
        };
    }
}

#[cfg(test)]
mod tests;
