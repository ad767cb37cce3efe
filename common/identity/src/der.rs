//! The outermost layer of DER: one element after another. Source: X.690 §8.1, §10.1.
//!
//! Never: interprets what an element holds.

/// `SEQUENCE`.
pub(crate) const SEQUENCE: u8 = 0x30;
/// `INTEGER`.
pub(crate) const INTEGER: u8 = 0x02;
/// `BIT STRING`.
pub(crate) const BIT_STRING: u8 = 0x03;
/// `UTCTime` and `GeneralizedTime`.
pub(crate) const TIMES: [u8; 2] = [0x17, 0x18];

/// One element.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Element<'a> {
    pub(crate) tag: u8,
    /// What it holds.
    pub(crate) content: &'a [u8],
    /// With tag and length.
    pub(crate) whole: &'a [u8],
}

/// The first element of `input` and what follows it; `None` if there is no whole one.
pub(crate) fn next(input: &[u8]) -> Option<(Element<'_>, &[u8])> {
    let (&tag, rest) = input.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (length, rest) = if first < 0x80 {
        (usize::from(first), rest)
    } else {
        let count = usize::from(first & 0x7f);
        // Four bytes say 4 GiB, which is more than any input here.
        let (digits, rest) = rest
            .split_at_checked(count)
            .filter(|_| (1..=4).contains(&count))?;
        let length = digits
            .iter()
            .fold(0usize, |length, digit| length << 8 | usize::from(*digit));
        (length, rest)
    };
    let (content, after) = rest.split_at_checked(length)?;
    let (whole, _) = input.split_at_checked(input.len() - after.len())?;
    Some((
        Element {
            tag,
            content,
            whole,
        },
        after,
    ))
}

/// The same if the first element has this tag.
pub(crate) fn expect(input: &[u8], tag: u8) -> Option<(Element<'_>, &[u8])> {
    next(input).filter(|(element, _)| element.tag == tag)
}
