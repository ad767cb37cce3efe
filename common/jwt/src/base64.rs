//! base64url, whole.
//!
//! In: a text. Out: bytes. Never: lets two texts mean the same bytes, but for padding, which some issuers add: bits behind the last
//! byte are zero.
//!
//! Source: RFC 4648 §5, RFC 7515 §2.

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// The bytes; `None` for anything else than base64url.
pub(crate) fn decode(text: &str) -> Option<Vec<u8>> {
    let text = unpadded(text)?;
    let mut out = Vec::with_capacity(text.len() / 4 * 3 + 2);
    for group in text.as_bytes().chunks(4) {
        let mut bits = 0_u32;
        for character in group {
            bits = (bits << 6) | value(*character)?;
        }
        // One character is no byte.
        let (bytes, unused) = match group.len() {
            4 => (3, 0),
            3 => (2, 2),
            2 => (1, 4),
            _ => return None,
        };
        if bits & ((1 << unused) - 1) != 0 {
            return None;
        }
        let whole = (bits >> unused).to_be_bytes();
        out.extend(whole.iter().skip(4 - bytes));
    }
    Some(out)
}

/// The text without its padding; `None` where that is not the padding that it would have.
pub(crate) fn unpadded(text: &str) -> Option<&str> {
    let bare = text.trim_end_matches('=');
    let padding = text.len() - bare.len();
    let right = padding == 0 || (padding <= 2 && text.len().is_multiple_of(4));
    right.then_some(bare)
}

/// The text of bytes, without padding.
#[cfg(test)]
pub(crate) fn encode(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let mut whole = [0; 4];
        whole[1..=group.len()].copy_from_slice(group);
        let bits = u32::from_be_bytes(whole);
        for place in 0..=group.len() {
            let index = (bits >> (18 - 6 * place)) & 63;
            out.push(char::from(ALPHABET[usize::try_from(index).unwrap()]));
        }
    }
    out
}

fn value(character: u8) -> Option<u32> {
    let value = match character {
        b'A'..=b'Z' => character - b'A',
        b'a'..=b'z' => character - b'a' + 26,
        b'0'..=b'9' => character - b'0' + 52,
        b'-' => 62,
        b'_' => 63,
        _ => return None,
    };
    debug_assert_eq!(ALPHABET.get(usize::from(value)), Some(&character));
    Some(u32::from(value))
}
