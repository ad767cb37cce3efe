//! Base64 of a stream that is cut anywhere.
//!
//! In: chunks. Out: chunks. Never: holds more than three characters or two bytes between them.
//!
//! Source: RFC 4648 §4; gRPC-Web lets a stream consist of several texts, each with its own padding.

/// A character outside of the alphabet, or padding where there can be none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the body is not base64")]
pub(crate) struct NotBase64;

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// Decodes a stream.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Decoder {
    bits: u32,
    /// Characters of the current group of four, padding included.
    characters: u8,
    padding: u8,
}

impl Decoder {
    /// Decodes the next chunk and appends the result to `out`.
    pub(crate) fn push(&mut self, chunk: &[u8], out: &mut Vec<u8>) -> Result<(), NotBase64> {
        for &character in chunk {
            if character == b'=' {
                if self.characters < 2 {
                    return Err(NotBase64);
                }
                self.padding += 1;
                self.bits <<= 6;
            } else {
                if self.padding > 0 {
                    return Err(NotBase64);
                }
                self.bits = (self.bits << 6) | value(character).ok_or(NotBase64)?;
            }
            self.characters += 1;
            if self.characters == 4 {
                let bytes = self.bits.to_be_bytes();
                let whole = 3_usize.saturating_sub(usize::from(self.padding));
                out.extend(bytes.iter().skip(1).take(whole));
                *self = Self::default();
            }
        }
        Ok(())
    }

    /// Whether the stream may end here.
    pub(crate) fn is_complete(&self) -> bool {
        self.characters == 0
    }
}

fn value(character: u8) -> Option<u32> {
    let value = match character {
        b'A'..=b'Z' => character - b'A',
        b'a'..=b'z' => character - b'a' + 26,
        b'0'..=b'9' => character - b'0' + 52,
        b'+' => 62,
        b'/' => 63,
        _ => return None,
    };
    Some(u32::from(value))
}

/// Encodes a stream.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Encoder {
    /// Bytes that are no group of three yet.
    rest: [u8; 2],
    count: usize,
}

impl Encoder {
    /// Encodes the next chunk and appends the result to `out`. Up to two bytes wait for the next one.
    pub(crate) fn push(&mut self, chunk: &[u8], out: &mut Vec<u8>) {
        for &byte in chunk {
            if let [first, second] = self.rest
                && self.count == 2
            {
                group([first, second, byte], 3, out);
                self.count = 0;
            } else if let Some(place) = self.rest.get_mut(self.count) {
                *place = byte;
                self.count += 1;
            }
        }
    }

    /// Writes what waits, with padding: a message that is over is seen at once.
    pub(crate) fn flush(&mut self, out: &mut Vec<u8>) {
        let [first, second] = self.rest;
        match self.count {
            0 => {}
            1 => group([first, 0, 0], 1, out),
            _ => group([first, second, 0], 2, out),
        }
        self.count = 0;
    }
}

/// Writes four characters for `count` of three bytes.
fn group(bytes: [u8; 3], count: usize, out: &mut Vec<u8>) {
    let [first, second, third] = bytes.map(u32::from);
    let bits = (first << 16) | (second << 8) | third;
    for place in 0..4 {
        let index = usize::try_from((bits >> (18 - 6 * place)) & 63).unwrap_or_default();
        let character = if place > count {
            b'='
        } else {
            ALPHABET.get(index).copied().unwrap_or(b'=')
        };
        out.push(character);
    }
}

#[cfg(test)]
mod tests;
