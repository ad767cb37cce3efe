//! One chunked body: where it ends, and whether every reader would find the same end.
//!
//! In: bytes as they come. Out: how many of them are good. Never: takes a chunk's bytes for anything but bytes.
//!
//! Source: RFC 9112 §7.1.

use super::{
    Refusal,
    head::{Block, Scan, check_trailers},
};

/// Digits of a chunk's size: more would not fit.
const MAX_SIZE_DIGITS: u8 = 15;
/// Chunk extensions of one body, which nobody uses and everybody must read (RFC 9112 §7.1.1). Units: bytes.
const MAX_EXTENSION_BYTES: usize = 8 * 1024;
/// What the engine takes as trailers. Units: bytes.
const MAX_TRAILER_BYTES: usize = 15 * 1024;

/// How far a body has come.
#[derive(Debug, Default)]
pub(super) struct Chunked {
    state: State,
    /// What is left of the chunk, or its size as far as it was read.
    left: u64,
    digits: u8,
    extension_bytes: usize,
}

#[derive(Debug, Default)]
enum State {
    #[default]
    Size,
    Extension,
    SizeLf,
    Data,
    DataCr,
    DataLf,
    /// After the last chunk. All of it is held back until its end is there.
    Trailers(Scan),
    Done,
}

impl Chunked {
    /// Goes over `bytes`, and answers how many of them, from the start, may pass.
    ///
    /// # Errors
    /// When the byte after those that passed is wrong. What is returned before that stays good.
    pub(super) fn advance(&mut self, bytes: &[u8]) -> Result<usize, Refusal> {
        let mut at = 0;
        while let Some(rest) = bytes.get(at..).filter(|rest| !rest.is_empty()) {
            match self.step(rest) {
                Ok(0) => break,
                Ok(passed) => at += passed,
                // It comes again, as the first byte.
                Err(_) if at > 0 => break,
                Err(refusal) => return Err(refusal),
            }
        }
        Ok(at)
    }

    pub(super) fn is_done(&self) -> bool {
        matches!(self.state, State::Done)
    }

    /// Takes some of `bytes`, which are not empty. 0: it needs more of them at once, or none.
    fn step(&mut self, bytes: &[u8]) -> Result<usize, Refusal> {
        let first = bytes.first().copied().unwrap_or_default();
        match &mut self.state {
            State::Size => self.size(first)?,
            State::Extension => match first {
                b'\r' => self.state = State::SizeLf,
                b'\n' => return Err(Refusal::BareLf),
                b'\t' | b' '..=b'~' | 0x80..=0xff => {
                    if self.extension_bytes >= MAX_EXTENSION_BYTES {
                        return Err(Refusal::Chunk);
                    }
                    self.extension_bytes += 1;
                }
                0..=0x1f | 0x7f => return Err(Refusal::Chunk),
            },
            State::SizeLf => {
                if first != b'\n' {
                    return Err(Refusal::BareCr);
                }
                self.digits = 0;
                self.state = match self.left {
                    0 => State::Trailers(Scan::default()),
                    _ => State::Data,
                };
            }
            State::Data => {
                let here =
                    usize::try_from(self.left).map_or(bytes.len(), |left| left.min(bytes.len()));
                self.left -= here as u64;
                if self.left == 0 {
                    self.state = State::DataCr;
                }
                return Ok(here);
            }
            State::DataCr => {
                if first != b'\r' {
                    return Err(Refusal::Chunk);
                }
                self.state = State::DataLf;
            }
            State::DataLf => {
                if first != b'\n' {
                    return Err(Refusal::Chunk);
                }
                self.state = State::Size;
            }
            State::Trailers(scan) => {
                let scan = *scan;
                return self.trailers(scan, bytes);
            }
            State::Done => return Ok(0),
        }
        Ok(1)
    }

    fn size(&mut self, byte: u8) -> Result<(), Refusal> {
        let digit = match byte {
            b'0'..=b'9' => byte - b'0',
            b'a'..=b'f' => byte - b'a' + 10,
            b'A'..=b'F' => byte - b'A' + 10,
            b';' if self.digits > 0 => {
                self.state = State::Extension;
                return Ok(());
            }
            b'\r' if self.digits > 0 => {
                self.state = State::SizeLf;
                return Ok(());
            }
            b'\n' => return Err(Refusal::BareLf),
            _ => return Err(Refusal::Chunk),
        };
        if self.digits >= MAX_SIZE_DIGITS {
            return Err(Refusal::Chunk);
        }
        self.digits += 1;
        self.left = self.left * 16 + u64::from(digit);
        Ok(())
    }

    fn trailers(&mut self, mut scan: Scan, bytes: &[u8]) -> Result<usize, Refusal> {
        match scan.advance(bytes, Block::Trailers)? {
            Some(end) => {
                if end > MAX_TRAILER_BYTES {
                    return Err(Refusal::TooLarge);
                }
                check_trailers(bytes.get(..end).unwrap_or_default())?;
                self.state = State::Done;
                Ok(end)
            }
            None if bytes.len() > MAX_TRAILER_BYTES => Err(Refusal::TooLarge),
            None => {
                self.state = State::Trailers(scan);
                Ok(0)
            }
        }
    }
}

#[cfg(test)]
mod tests;
