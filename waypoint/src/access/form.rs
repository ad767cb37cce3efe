//! Texts of queries, as applications read them.
//!
//! In: a name or a value as it was sent. Out: its bytes. Never: what routes compare, where `+` is itself, as in Envoy: see
//! `decision::route`.

use std::borrow::Cow;

/// Percent-decoded, and `+` is a space, as applications read forms. What is no code stays.
pub(super) fn decoded(text: &str) -> Cow<'_, [u8]> {
    if !text.bytes().any(|byte| matches!(byte, b'%' | b'+')) {
        return Cow::Borrowed(text.as_bytes());
    }
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, behind)) = rest.split_first() {
        rest = behind;
        match first {
            b'+' => out.push(b' '),
            b'%' => match behind {
                [high, low, after @ ..] if let Some(byte) = hex(*high, *low) => {
                    out.push(byte);
                    rest = after;
                }
                _no_code => out.push(b'%'),
            },
            byte => out.push(*byte),
        }
    }
    Cow::Owned(out)
}

fn hex(high: u8, low: u8) -> Option<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    u8::try_from(digit(high)? * 16 + digit(low)?).ok()
}
