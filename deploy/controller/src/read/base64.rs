//! Bytes in a text: `bytes` of protobuf's JSON.

/// The bytes of a text in either of base64's alphabets, padded or not. `None` for anything else. Source: RFC 4648 §4, §5.
pub(super) fn decode(text: &str) -> Option<Vec<u8>> {
    let digits = text.trim_end_matches('=');
    let padding = text.len().checked_sub(digits.len())?;
    let is_padded = padding == 0 || (padding <= 2 && text.len().is_multiple_of(4));
    if !is_padded || digits.len() % 4 == 1 {
        return None;
    }
    let mut bytes = Vec::with_capacity(digits.len());
    for group in digits.as_bytes().chunks(4) {
        let mut bits: u32 = 0;
        for digit in group {
            bits = bits << 6 | u32::from(sextet(*digit)?);
        }
        // Six bits a digit, the whole ones of which are bytes; the rest has to be zero.
        let (bits, whole) = match group.len() {
            4 => (bits, 3),
            3 => (bits << 6, 2),
            _ => (bits << 12, 1),
        };
        let all = bits.to_be_bytes();
        let (used, rest) = all.get(1..)?.split_at_checked(whole)?;
        if rest.iter().any(|byte| *byte != 0) {
            return None;
        }
        bytes.extend_from_slice(used);
    }
    Some(bytes)
}

fn sextet(digit: u8) -> Option<u8> {
    let value = match digit {
        b'A'..=b'Z' => digit - b'A',
        b'a'..=b'z' => digit - b'a' + 26,
        b'0'..=b'9' => digit - b'0' + 52,
        b'+' | b'-' => 62,
        b'/' | b'_' => 63,
        _ => return None,
    };
    Some(value)
}

#[cfg(test)]
mod tests;
