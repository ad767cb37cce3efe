//! HTTP/2 frames and header blocks, byte by byte.
//!
//! In: fields, right or wrong. Out: bytes; and frames and status codes from bytes. Source: RFC 9113, RFC 7541.

/// What a client sends first. Source: RFC 9113 §3.4.
pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Frame types. Source: RFC 9113 §6.
pub mod kind {
    /// DATA
    pub const DATA: u8 = 0;
    /// HEADERS
    pub const HEADERS: u8 = 1;
    /// PRIORITY
    pub const PRIORITY: u8 = 2;
    /// `RST_STREAM`
    pub const RST_STREAM: u8 = 3;
    /// SETTINGS
    pub const SETTINGS: u8 = 4;
    /// `PUSH_PROMISE`
    pub const PUSH_PROMISE: u8 = 5;
    /// PING
    pub const PING: u8 = 6;
    /// GOAWAY
    pub const GOAWAY: u8 = 7;
    /// `WINDOW_UPDATE`
    pub const WINDOW_UPDATE: u8 = 8;
    /// CONTINUATION
    pub const CONTINUATION: u8 = 9;
}

/// Frame flags.
pub mod flag {
    /// `END_STREAM`, and ACK of SETTINGS and PING.
    pub const END_STREAM: u8 = 1;
    /// `END_HEADERS`
    pub const END_HEADERS: u8 = 4;
    /// PADDED
    pub const PADDED: u8 = 8;
}

/// Error codes. Source: RFC 9113 §7.
pub mod code {
    /// `NO_ERROR`
    pub const NO_ERROR: u32 = 0;
    /// `PROTOCOL_ERROR`
    pub const PROTOCOL_ERROR: u32 = 1;
    /// `FLOW_CONTROL_ERROR`
    pub const FLOW_CONTROL_ERROR: u32 = 3;
    /// `STREAM_CLOSED`
    pub const STREAM_CLOSED: u32 = 5;
    /// `FRAME_SIZE_ERROR`
    pub const FRAME_SIZE_ERROR: u32 = 6;
    /// `REFUSED_STREAM`
    pub const REFUSED_STREAM: u32 = 7;
    /// CANCEL
    pub const CANCEL: u32 = 8;
    /// `COMPRESSION_ERROR`
    pub const COMPRESSION_ERROR: u32 = 9;
    /// `CONNECT_ERROR`
    pub const CONNECT_ERROR: u32 = 10;
    /// `ENHANCE_YOUR_CALM`
    pub const ENHANCE_YOUR_CALM: u32 = 11;
}

/// The length of a frame's head.
pub const HEAD_BYTES: usize = 9;

/// One frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Its type, see [`kind`].
    pub kind: u8,
    /// Its flags, see [`flag`].
    pub flags: u8,
    /// Its stream; 0 is the connection.
    pub stream: u32,
    /// What follows the head.
    pub payload: Vec<u8>,
}

impl Frame {
    /// Takes one frame off the front of `bytes`, if it is all there.
    pub fn take(bytes: &mut Vec<u8>) -> Option<Self> {
        let head: [u8; HEAD_BYTES] = bytes.get(..HEAD_BYTES)?.try_into().ok()?;
        let [a, b, c, kind, flags, d, e, f, g] = head;
        let end = HEAD_BYTES + u32::from_be_bytes([0, a, b, c]) as usize;
        let payload = bytes.get(HEAD_BYTES..end)?.to_vec();
        bytes.drain(..end);
        let stream = u32::from_be_bytes([d, e, f, g]) & (u32::MAX >> 1);
        Some(Self {
            kind,
            flags,
            stream,
            payload,
        })
    }

    /// The error code of a `RST_STREAM` (at 0) or a GOAWAY (at 4).
    pub fn code(&self) -> Option<u32> {
        let at = if self.kind == kind::GOAWAY { 4 } else { 0 };
        Some(u32::from_be_bytes(
            self.payload.get(at..at + 4)?.try_into().ok()?,
        ))
    }

    /// Whether a flag is set.
    pub fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }
}

/// A frame with any type, flags and stream.
pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    frame_claiming(payload.len(), kind, flags, stream, payload)
}

/// A frame whose head claims another length than the payload has.
pub fn frame_claiming(length: usize, kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let [_, a, b, c] = u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes();
    let mut bytes = vec![a, b, c, kind, flags];
    bytes.extend_from_slice(&stream.to_be_bytes());
    bytes.extend_from_slice(payload);
    bytes
}

/// SETTINGS with these values.
pub fn settings(values: &[(u16, u32)]) -> Vec<u8> {
    let payload: Vec<u8> = values
        .iter()
        .flat_map(|(id, value)| [&id.to_be_bytes()[..], &value.to_be_bytes()].concat())
        .collect();
    frame(kind::SETTINGS, 0, 0, &payload)
}

/// `RST_STREAM`.
pub fn reset(stream: u32, code: u32) -> Vec<u8> {
    frame(kind::RST_STREAM, 0, stream, &code.to_be_bytes())
}

/// `WINDOW_UPDATE`.
pub fn window_update(stream: u32, increment: u32) -> Vec<u8> {
    frame(kind::WINDOW_UPDATE, 0, stream, &increment.to_be_bytes())
}

/// DATA.
pub fn data(stream: u32, bytes: &[u8]) -> Vec<u8> {
    frame(kind::DATA, 0, stream, bytes)
}

/// HEADERS that are whole, and leave the stream open.
pub fn headers(stream: u32, block: &[u8]) -> Vec<u8> {
    frame(kind::HEADERS, flag::END_HEADERS, stream, block)
}

/// A header block, every field a literal without indexing and without Huffman's code. Source: RFC 7541 §6.2.2.
pub fn block<N: AsRef<[u8]>, V: AsRef<[u8]>>(fields: &[(N, V)]) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in fields {
        block.push(0);
        for text in [name.as_ref(), value.as_ref()] {
            integer(&mut block, 0, 7, text.len());
            block.extend_from_slice(text);
        }
    }
    block
}

/// A field that is put into the dynamic table. Source: RFC 7541 §6.2.1.
pub fn indexed_literal(name: &str, value: &str) -> Vec<u8> {
    let mut block = vec![0x40];
    for text in [name, value] {
        integer(&mut block, 0, 7, text.len());
        block.extend_from_slice(text.as_bytes());
    }
    block
}

/// An integer with a prefix of `bits` bits. Source: RFC 7541 §5.1.
pub fn integer(out: &mut Vec<u8>, first: u8, bits: u32, mut value: usize) {
    let limit = (1usize << bits) - 1;
    let low = |value: usize| u8::try_from(value & 0xff).unwrap_or(u8::MAX);
    if value < limit {
        out.push(first | low(value));
        return;
    }
    out.push(first | low(limit));
    value -= limit;
    while value >= 128 {
        out.push(low(value % 128) | 128);
        value /= 128;
    }
    out.push(low(value));
}

/// The `:status` of a header block that begins with it, as every answer does. The tables of both sides must be
/// of size 0, so that nothing in it refers to an earlier block.
pub fn status(block: &[u8]) -> Option<u16> {
    /// Fields 8 to 14 of the static table. Source: RFC 7541 appendix A.
    const STATIC: [u16; 7] = [200, 204, 206, 304, 400, 404, 500];
    let mut rest = block;
    loop {
        let (first, after) = rest.split_first()?;
        match first {
            // A change of the table's size goes before the first field.
            0x20..=0x3f => rest = after,
            0x88..=0x8e => return STATIC.get(usize::from(first - 0x88)).copied(),
            // A literal with the name `:status`, indexed (6 bits), not indexed or never indexed (4 bits).
            0x48 | 0x08 | 0x18 => {
                let (length, text) = after.split_first()?;
                let text = text.get(..usize::from(length & 0x7f))?;
                return if length & 0x80 == 0 {
                    std::str::from_utf8(text).ok()?.parse().ok()
                } else {
                    digits(text)
                };
            }
            _ => return None,
        }
    }
}

/// Three digits in Huffman's code: 0, 1 and 2 are 00000 to 00010, 3 to 9 are 011001 to 011111.
/// Source: RFC 7541 appendix B.
fn digits(bytes: &[u8]) -> Option<u16> {
    let bits: Vec<u16> = bytes
        .iter()
        .flat_map(|byte| (0..8).rev().map(move |bit| u16::from(byte >> bit & 1)))
        .collect();
    let number = |bits: &[u16]| bits.iter().fold(0, |value, bit| value << 1 | bit);
    let mut rest = &bits[..];
    let mut value = 0;
    for _ in 0..3 {
        let short = number(rest.get(..5)?);
        if short <= 2 {
            value = value * 10 + short;
            rest = rest.get(5..)?;
        } else {
            let long = number(rest.get(..6)?);
            value = value * 10 + long.checked_sub(0b01_1001)? + 3;
            rest = rest.get(6..)?;
        }
    }
    Some(value)
}

#[cfg(test)]
mod tests;
