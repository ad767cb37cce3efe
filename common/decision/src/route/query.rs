//! The parameters of a query.

use std::borrow::Cow;

/// A name or a value.
type Decoded<'a> = Cow<'a, [u8]>;

/// Parameters by name, decoded.
#[derive(Debug, Default)]
pub(super) struct Parameters<'a> {
    /// By name, those of one name in the order in which they were sent.
    sorted: Vec<(Decoded<'a>, Decoded<'a>)>,
}

impl<'a> Parameters<'a> {
    /// Reads a query, without its question mark. A parameter without `=` has an empty value; nothing between two `&` is no
    /// parameter. `+` is itself, as in Envoy.
    pub(super) fn read(query: &'a str) -> Self {
        let parameters = query.split('&').filter(|text| !text.is_empty());
        let mut sorted: Vec<_> = parameters
            .map(|text| {
                let (name, value) = text.split_once('=').unwrap_or((text, ""));
                (decode(name), decode(value))
            })
            .collect();
        // Stable: the first one of a name stays the first.
        sorted.sort_by(|(a, _), (b, _)| a.cmp(b));
        Self { sorted }
    }

    /// The first value of a name.
    pub(super) fn first(&self, name: &[u8]) -> Option<&[u8]> {
        let place = self
            .sorted
            .partition_point(|(present, _)| **present < *name);
        let (present, value) = self.sorted.get(place)?;
        (**present == *name).then_some(&**value)
    }
}

/// Percent-decodes a text. What is no code stays as it is. Source: RFC 3986 §2.1.
fn decode(text: &str) -> Decoded<'_> {
    if !text.contains('%') {
        return Cow::Borrowed(text.as_bytes());
    }
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((byte, after)) = rest.split_first() {
        rest = after;
        if *byte == b'%'
            && let [high, low, after @ ..] = after
            && let (Some(high), Some(low)) = (digit(*high), digit(*low))
        {
            out.push(high << 4 | low);
            rest = after;
        } else {
            out.push(*byte);
        }
    }
    Cow::Owned(out)
}

fn digit(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        b'A'..=b'F' => Some(byte - b'A' + 10),
        _ => None,
    }
}
