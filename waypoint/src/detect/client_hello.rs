//! The server name in a TLS ClientHello.
//!
//! In: the first bytes of a connection. Out: the name, in lower case. Never: believes a length; ends TLS.
//!
//! Source: RFC 8446 §4.1.2 and §5.1, RFC 6066 §3.

use super::MAX_PEEKED_BYTES;

/// What a ClientHello says of the server's name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Hello {
    /// This, in lower case.
    Named(String),
    /// Nothing.
    Unnamed,
    /// It is none, or one that is not well-formed.
    Invalid,
    /// So many more bytes are needed, and maybe more than these; at least one.
    More(usize),
}

/// Record type, version and length.
const RECORD_HEAD_BYTES: usize = 5;
/// Message type and length.
const MESSAGE_HEAD_BYTES: usize = 4;
/// RFC 8446 §5.1: what a record of plain text may hold. Units: bytes.
const MAX_RECORD_BYTES: usize = 1 << 14;
const HANDSHAKE: u8 = 22;
const CLIENT_HELLO: u8 = 1;
const SERVER_NAME: u16 = 0;
const HOST_NAME: u8 = 0;
/// RFC 1035 §2.3.4.
const MAX_NAME_BYTES: usize = 253;

/// Reads the name.
#[must_use]
pub fn server_name(bytes: &[u8]) -> Hello {
    // The message may be spread over records; it is gathered only then.
    let mut gathered = Vec::new();
    let mut rest = Reader(bytes);
    let mut missing = MESSAGE_HEAD_BYTES;
    loop {
        let head = rest.0.len();
        let Some(kind) = rest.u8() else {
            return more(&gathered, missing);
        };
        let (Some(version), Some(length)) = (rest.u16(), rest.u16()) else {
            return if kind == HANDSHAKE {
                Hello::More(RECORD_HEAD_BYTES.saturating_sub(head) + missing)
            } else {
                Hello::Invalid
            };
        };
        let length = usize::from(length);
        if kind != HANDSHAKE || version >> 8 != 3 || length == 0 || length > MAX_RECORD_BYTES {
            return Hello::Invalid;
        }
        let available = rest.0.len().min(length);
        let Some(fragment) = rest.bytes(available) else {
            return Hello::More(missing);
        };
        if gathered.is_empty() {
            match message(fragment) {
                Message::Whole(body) => return client_hello(body),
                Message::Invalid => return Hello::Invalid,
                Message::Part(_) => {}
            }
        }
        gathered.extend_from_slice(fragment);
        match message(&gathered) {
            Message::Whole(body) => return client_hello(body),
            Message::Invalid => return Hello::Invalid,
            Message::Part(more) if available < length => return Hello::More(more),
            Message::Part(more) => missing = more,
        }
    }
}

fn more(gathered: &[u8], missing: usize) -> Hello {
    match gathered.len() + RECORD_HEAD_BYTES > MAX_PEEKED_BYTES {
        true => Hello::Invalid,
        // They come in a record of their own.
        false => Hello::More(RECORD_HEAD_BYTES + missing),
    }
}

enum Message<'a> {
    Whole(&'a [u8]),
    /// So many bytes are missing, at least.
    Part(usize),
    Invalid,
}

/// The handshake message at the start of `bytes`.
fn message(bytes: &[u8]) -> Message<'_> {
    let mut reader = Reader(bytes);
    match reader.u8() {
        Some(CLIENT_HELLO) => {}
        Some(_) => return Message::Invalid,
        None => return Message::Part(MESSAGE_HEAD_BYTES),
    }
    let (Some(high), Some(low)) = (reader.u8(), reader.u16()) else {
        return Message::Part(MESSAGE_HEAD_BYTES.saturating_sub(bytes.len()));
    };
    let length = usize::from(high) << 16 | usize::from(low);
    if length > MAX_PEEKED_BYTES {
        return Message::Invalid;
    }
    match reader.bytes(length) {
        Some(body) => Message::Whole(body),
        None => Message::Part(length - reader.0.len().min(length)),
    }
}

fn client_hello(body: &[u8]) -> Hello {
    match find_name(body) {
        Some(Some(name)) => Hello::Named(name),
        Some(None) => Hello::Unnamed,
        None => Hello::Invalid,
    }
}

/// `None`: it is not well-formed.
fn find_name(body: &[u8]) -> Option<Option<String>> {
    const RANDOM_BYTES: usize = 32;
    let mut hello = Reader(body);
    hello.u16()?;
    hello.bytes(RANDOM_BYTES)?;
    hello.vector8()?;
    hello.vector16()?;
    hello.vector8()?;
    if hello.0.is_empty() {
        return Some(None);
    }
    let mut extensions = Reader(hello.vector16()?);
    let mut name = None;
    while !extensions.0.is_empty() {
        let kind = extensions.u16()?;
        let data = extensions.vector16()?;
        if kind == SERVER_NAME {
            // RFC 8446 §4.2: at most once.
            if name.is_some() {
                return None;
            }
            name = Some(host_name(data)?);
        }
    }
    Some(name)
}

fn host_name(data: &[u8]) -> Option<String> {
    let mut names = Reader(Reader(data).vector16()?);
    if names.u8()? != HOST_NAME {
        return None;
    }
    let name = names.vector16()?;
    let is_name = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
    // RFC 6066 §3: no dot at the end; some clients send one.
    let name = name.strip_suffix(b".").unwrap_or(name);
    if name.is_empty() || name.len() > MAX_NAME_BYTES || !name.iter().all(is_name) {
        return None;
    }
    Some(String::from_utf8_lossy(name).to_ascii_lowercase())
}

/// Takes numbers and vectors off the front; `None` where there is not enough.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn bytes(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn u8(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    fn u16(&mut self) -> Option<u16> {
        let (taken, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(u16::from_be_bytes(*taken))
    }

    fn vector8(&mut self) -> Option<&'a [u8]> {
        let length = self.u8()?;
        self.bytes(usize::from(length))
    }

    fn vector16(&mut self) -> Option<&'a [u8]> {
        let length = self.u16()?;
        self.bytes(usize::from(length))
    }
}

#[cfg(test)]
mod tests;
