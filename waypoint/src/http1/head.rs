//! One request head: where it ends, and whether it has exactly one meaning.
//!
//! In: bytes. Out: the length of the head, how its body is framed. Never: a copy.
//!
//! Source: RFC 9112 §2.2, §3, §5, §6; RFC 9110 §5.

use super::{MAX_FIELDS, MAX_HEAD_BYTES, Refusal};

mod syntax;

pub use syntax::is_authority;
use syntax::{coding, is_target, is_token, length, trim};

/// How the bytes after a head are framed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Framing {
    /// There is no body.
    None,
    /// So many bytes; never 0.
    Length(u64),
    /// In chunks.
    Chunked,
}

/// What a head says of the bytes after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) framing: Framing,
    /// What follows the message is no HTTP, if the answer says so.
    pub(super) may_switch: bool,
}

/// Finds the end of a block of lines, in as many pieces as it comes: a head, or the trailers of a body.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Scan {
    /// Bytes that were looked at.
    seen: usize,
    /// Where the current line begins.
    line: usize,
    /// Lines that have something in them.
    lines: usize,
}

/// What a block of lines is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Block {
    /// Empty lines before it are skipped (RFC 9112 §2.2), and its first line is a request line.
    Request,
    /// It may be empty.
    Trailers,
}

impl Scan {
    /// Looks at what is new in `block`, which begins where it always did. The length of the whole block once it is
    /// there, with its empty line.
    ///
    /// # Errors
    /// A line that does not end with CR LF, a request line that is wrong, or too many bytes or lines.
    pub(super) fn advance(&mut self, block: &[u8], kind: Block) -> Result<Option<usize>, Refusal> {
        while let Some(found) = block
            .get(self.seen..)
            .and_then(|rest| rest.iter().position(|byte| *byte == b'\n'))
        {
            let end = self.seen + found;
            let line = block.get(self.line..end).unwrap_or_default();
            let Some((b'\r', line)) = line.split_last() else {
                return Err(Refusal::BareLf);
            };
            if end >= MAX_HEAD_BYTES {
                return Err(Refusal::TooLarge);
            }
            self.seen = end + 1;
            self.line = end + 1;
            if line.is_empty() {
                if kind == Block::Trailers || self.lines > 0 {
                    return Ok(Some(end + 1));
                }
                continue;
            }
            self.lines += 1;
            if kind == Block::Request && self.lines == 1 {
                // At once: who speaks an older version may wait for an answer now.
                RequestLine::parse(line)?;
            }
            if self.lines > MAX_FIELDS + usize::from(kind == Block::Request) {
                return Err(Refusal::TooMany);
            }
        }
        self.seen = block.len();
        if block.len() >= MAX_HEAD_BYTES {
            return Err(Refusal::TooLarge);
        }
        Ok(None)
    }

    /// Whether anything of the block but empty lines has come.
    pub(super) fn has_begun(&self) -> bool {
        self.lines > 0 || self.seen > self.line
    }
}

/// Lines of a block whose every line ends with CR LF.
fn lines(block: &[u8]) -> impl Iterator<Item = &[u8]> {
    block
        .split(|byte| *byte == b'\n')
        .map(|line| line.strip_suffix(b"\r").unwrap_or(line))
        .filter(|line| !line.is_empty())
}

/// Judges a head that is whole, as [`Scan`] found it.
///
/// # Errors
/// What makes it ambiguous or wrong.
pub(super) fn check(head: &[u8]) -> Result<Head, Refusal> {
    let mut lines = lines(head);
    let request = RequestLine::parse(lines.next().ok_or(Refusal::RequestLine)?)?;
    let mut seen = Seen::default();
    for (count, line) in lines.enumerate() {
        if count >= MAX_FIELDS {
            return Err(Refusal::TooMany);
        }
        let (name, value) = field(line)?;
        seen.add(name, value)?;
    }
    seen.judge(request.method)
}

/// What of a head decides how it is framed.
#[derive(Default)]
struct Seen {
    hosts: usize,
    length: Option<u64>,
    chunked: bool,
    may_switch: bool,
}

impl Seen {
    fn add(&mut self, name: &[u8], value: &[u8]) -> Result<(), Refusal> {
        if name.eq_ignore_ascii_case(b"host") {
            self.hosts += 1;
            if self.hosts > 1 {
                return Err(Refusal::SeveralHosts);
            }
            if value.is_empty() {
                return Err(Refusal::MissingHost);
            }
            if !is_authority(value) {
                return Err(Refusal::Host);
            }
        } else if name.eq_ignore_ascii_case(b"content-length") {
            if self.length.is_some() || value.contains(&b',') {
                return Err(Refusal::SeveralLengths);
            }
            self.length = Some(length(value).ok_or(Refusal::Length)?);
        } else if name.eq_ignore_ascii_case(b"transfer-encoding") {
            if self.chunked {
                return Err(Refusal::Coding);
            }
            coding(value)?;
            self.chunked = true;
        } else if name.eq_ignore_ascii_case(b"upgrade") {
            self.may_switch = true;
        }
        Ok(())
    }

    fn judge(self, method: &[u8]) -> Result<Head, Refusal> {
        if self.hosts == 0 {
            return Err(Refusal::MissingHost);
        }
        let framing = match (self.chunked, self.length) {
            (true, Some(_)) => return Err(Refusal::LengthAndCoding),
            (true, None) => Framing::Chunked,
            (false, None | Some(0)) => Framing::None,
            (false, Some(length)) => Framing::Length(length),
        };
        let connect = method == b"CONNECT";
        if connect && framing != Framing::None {
            return Err(Refusal::ConnectBody);
        }
        Ok(Head {
            framing,
            may_switch: self.may_switch || connect,
        })
    }
}

struct RequestLine<'a> {
    method: &'a [u8],
}

impl<'a> RequestLine<'a> {
    fn parse(line: &'a [u8]) -> Result<Self, Refusal> {
        if line.contains(&b'\r') {
            return Err(Refusal::BareCr);
        }
        let mut parts = line.split(|byte| *byte == b' ');
        let method = parts.next().unwrap_or_default();
        if !is_token(method) {
            return Err(Refusal::Method);
        }
        let target = parts.next().ok_or(Refusal::RequestLine)?;
        // `GET /` alone is HTTP/0.9.
        let version = parts.next().ok_or(Refusal::RequestLine)?;
        if parts.next().is_some() || target.is_empty() {
            return Err(Refusal::RequestLine);
        }
        match version {
            b"HTTP/1.1" => {}
            b"HTTP/1.0" => return Err(Refusal::LowVersion),
            _ => return Err(Refusal::Version),
        }
        if !is_target(method, target) {
            return Err(Refusal::Target);
        }
        Ok(Self { method })
    }
}

/// One field line.
fn field(line: &[u8]) -> Result<(&[u8], &[u8]), Refusal> {
    if matches!(line.first(), Some(b' ' | b'\t')) {
        return Err(Refusal::Fold);
    }
    let colon = line
        .iter()
        .position(|byte| *byte == b':')
        .ok_or(Refusal::FieldName)?;
    let (name, value) = line.split_at(colon);
    if matches!(name.last(), Some(b' ' | b'\t')) {
        return Err(Refusal::SpaceBeforeColon);
    }
    if !is_token(name) {
        return Err(Refusal::FieldName);
    }
    let value = value.get(1..).unwrap_or_default();
    for byte in value {
        match byte {
            b'\r' => return Err(Refusal::BareCr),
            b'\t' | b' '..=b'~' | 0x80..=0xff => {}
            0..=0x1f | 0x7f => return Err(Refusal::FieldValue),
        }
    }
    Ok((name, trim(value)))
}

/// Judges the trailers of a body, with the empty line at their end.
///
/// # Errors
/// A line that is no field, or a field that says how the message is framed or where it goes.
pub(super) fn check_trailers(block: &[u8]) -> Result<(), Refusal> {
    const FORBIDDEN: [&[u8]; 9] = [
        b"transfer-encoding",
        b"content-length",
        b"host",
        b"connection",
        b"keep-alive",
        b"proxy-connection",
        b"upgrade",
        b"te",
        b"trailer",
    ];
    for line in lines(block) {
        let (name, _) = field(line)?;
        if FORBIDDEN.iter().any(|bad| name.eq_ignore_ascii_case(bad)) {
            return Err(Refusal::Trailer);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
