//! One spelling for every path, before a rule or a policy compares it.
//!
//! In: the path of a request, without its query, and what the mesh asks for. Out: the path as everything behind this
//! sees it, the backend included; a path that has two readings is refused. Never: touches the query.
//!
//! ```text
//!   DECODE_AND_MERGE_SLASHES:  %2F %5C -> / \      then
//!   all but NONE:              \ -> /, escapes of unreserved characters undone, . and .. resolved   then
//!   both of MERGE_SLASHES:     // -> /
//! ```
//! Source: MeshConfig `pathNormalization`; RFC 3986 §6.2.2; the order is Envoy's.

use std::borrow::Cow;

use mesh::settings::Normalization;

/// Why a path is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MalformedPath {
    /// `%00`: what stands behind it is lost on some backends and not on others.
    #[error("the path contains an escaped NUL")]
    Nul,
    /// `..%2F` and the like: a backend that decodes slashes would leave the path that was compared.
    #[error("the path hides `..` between escaped slashes")]
    HiddenParent,
    /// `/..;x/` and `/.;/`: a backend that takes parameters off its segments reads `..` or `.`, which stand for something else here.
    #[error("the path hides `.` or `..` behind parameters")]
    DotsWithParameters,
    /// It is neither `*` nor begins with a slash.
    #[error("the path does not begin with a slash")]
    Relative,
}

/// Brings `path` into its one spelling. Allocates only where that differs.
///
/// # Errors
/// When the path has more than one reading.
pub fn normalize(path: &str, mode: Normalization) -> Result<Cow<'_, str>, MalformedPath> {
    if mode == Normalization::None || path == "*" {
        return Ok(Cow::Borrowed(path));
    }
    let merge = match mode {
        Normalization::None | Normalization::Base => false,
        Normalization::MergeSlashes | Normalization::DecodeAndMergeSlashes => true,
    };
    if !path.starts_with(['/', '\\']) {
        return Err(MalformedPath::Relative);
    }
    if is_plain(path.as_bytes(), merge) {
        return Ok(Cow::Borrowed(path));
    }
    let mut writer = Writer::new(path.len());
    let decode_slashes = mode == Normalization::DecodeAndMergeSlashes;
    let bytes = path.as_bytes();
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        match (byte, escaped(bytes, at)) {
            (b'/' | b'\\', _) => {
                writer.slash()?;
                at += 1;
            }
            (b'%', Some(0)) => return Err(MalformedPath::Nul),
            (b'%', Some(b'/' | b'\\')) if decode_slashes => {
                writer.slash()?;
                at += 3;
            }
            (b'%', Some(value)) => {
                writer.escape(value, &bytes[at..at + 3]);
                at += 3;
            }
            (b'%', None) => {
                writer.stray_percent();
                at += 1;
            }
            (byte, _) => {
                writer.out.push(byte);
                at += 1;
            }
        }
    }
    writer.end_segment()?;
    let mut out = writer.out;
    if merge {
        out.dedup_by(|next, before| *next == b'/' && *before == b'/');
    }
    // Only ASCII was taken out or put in, so what was UTF-8 still is.
    match String::from_utf8(out) {
        Ok(normal) if normal == path => Ok(Cow::Borrowed(path)),
        Ok(normal) => Ok(Cow::Owned(normal)),
        Err(_) => Err(MalformedPath::Relative),
    }
}

/// Whether there is nothing to do, which is what nearly every path is.
fn is_plain(path: &[u8], merge: bool) -> bool {
    let mut before = 0;
    for &byte in path {
        match byte {
            b'%' | b'\\' => return false,
            b'.' if before == b'/' => return false,
            b'/' if before == b'/' && merge => return false,
            _ => before = byte,
        }
    }
    true
}

/// The byte that the escape at `at` stands for, where there is a whole one.
fn escaped(bytes: &[u8], at: usize) -> Option<u8> {
    let [b'%', high, low] = bytes.get(at..at + 3)? else {
        return None;
    };
    let digit = |byte: u8| char::from(byte).to_digit(16);
    u8::try_from(digit(*high)? * 16 + digit(*low)?).ok()
}

/// RFC 3986 §2.3.
fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

struct Writer {
    out: Vec<u8>,
    /// Where the current segment begins.
    segment: usize,
    /// The current segment holds an escaped slash.
    holds_slash: bool,
    /// Where a `%` without digits was written last: digits that are decoded behind it would make it an escape.
    stray: Option<usize>,
}

impl Writer {
    fn new(capacity: usize) -> Self {
        Self {
            out: Vec::with_capacity(capacity),
            segment: 0,
            holds_slash: false,
            stray: None,
        }
    }

    /// A slash, which ends the segment before it.
    fn slash(&mut self) -> Result<(), MalformedPath> {
        if !self.end_segment()? {
            self.out.push(b'/');
        }
        self.segment = self.out.len();
        self.holds_slash = false;
        Ok(())
    }

    fn escape(&mut self, value: u8, text: &[u8]) {
        let completes_stray = value.is_ascii_hexdigit()
            && self.stray.is_some_and(|stray| self.out.len() - stray <= 2);
        if is_unreserved(value) && !completes_stray {
            self.out.push(value);
        } else {
            self.holds_slash |= matches!(value, b'/' | b'\\');
            self.out.extend_from_slice(text);
        }
    }

    fn stray_percent(&mut self) {
        self.stray = Some(self.out.len());
        self.out.push(b'%');
    }

    /// Resolves the segment that ends here; says whether it left the slash that follows it. RFC 3986 §5.2.4.
    fn end_segment(&mut self) -> Result<bool, MalformedPath> {
        let segment = self.out.get(self.segment..).unwrap_or_default();
        if self.holds_slash && hides_parent(segment) {
            return Err(MalformedPath::HiddenParent);
        }
        let stem = stem(segment);
        if stem.len() < segment.len() && matches!(stem, b"." | b"..") {
            return Err(MalformedPath::DotsWithParameters);
        }
        match segment {
            b"." => self.out.truncate(self.segment),
            b".." => {
                let before = self.out.get(..self.segment.saturating_sub(1));
                let parent = before.unwrap_or_default().iter().rposition(|b| *b == b'/');
                self.out.truncate(parent.map_or(1, |slash| slash + 1));
            }
            _ => return Ok(false),
        }
        // What it resolved to may have made a stray sign the end of the path.
        self.stray = None;
        Ok(true)
    }
}

/// A segment without its parameters, which a semicolon begins, escaped or not. RFC 3986 §3.3.
fn stem(segment: &[u8]) -> &[u8] {
    let is_semicolon = |at: &usize| segment[*at] == b';' || escaped(segment, *at) == Some(b';');
    let end = (0..segment.len()).find(is_semicolon);
    &segment[..end.unwrap_or(segment.len())]
}

/// Whether there is a `..` between escaped slashes of `segment`.
fn hides_parent(segment: &[u8]) -> bool {
    let mut rest = segment;
    loop {
        let slash = (0..rest.len()).find(|at| matches!(escaped(rest, *at), Some(b'/' | b'\\')));
        let (part, next) = match slash {
            Some(at) => rest.split_at(at),
            None => (rest, &[][..]),
        };
        if stem(part) == b".." {
            return true;
        }
        match next.get(3..) {
            Some(after) => rest = after,
            None => return false,
        }
    }
}

#[cfg(test)]
mod tests;
