//! A verdict on the first bytes of a connection.
//!
//! In: bytes, as many as there are. Out: what they are the beginning of. Never: a verdict that more bytes could change.

/// What RFC 9113 §3.4 lets every HTTP/2 connection begin with.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// The longest method that is taken for one. The longest that is registered has 17 letters (UPDATEREDIRECTREF).
const MAX_METHOD_BYTES: usize = 32;

/// What bytes are the beginning of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Sniffed {
    /// A request line of HTTP/1, well-formed or not.
    Http1,
    /// HTTP/2.
    Http2,
    /// A TLS handshake.
    Tls,
    /// None of these.
    Other,
    /// More bytes are needed.
    More,
}

/// Whether bytes begin with HTTP/2's preface; `None` if that is not yet certain.
#[must_use]
pub fn preface(bytes: &[u8]) -> Option<bool> {
    match bytes.get(..PREFACE.len()) {
        Some(whole) => Some(whole == PREFACE),
        None => (!PREFACE.starts_with(bytes)).then_some(false),
    }
}

/// What `bytes` are the beginning of.
///
/// Whatever a lenient server could take for a request of HTTP/1 is one: a method in lower case, several spaces, empty lines
/// before it. It is then refused with a reason, and does not pass as TCP by rules that are about requests.
#[must_use]
pub fn sniff(bytes: &[u8]) -> Sniffed {
    match preface(bytes) {
        Some(true) => return Sniffed::Http2,
        None => return Sniffed::More,
        Some(false) => {}
    }
    if bytes.first() == Some(&0x16) {
        return tls(bytes);
    }
    let line = match bytes.iter().position(|byte| !matches!(byte, b'\r' | b'\n')) {
        Some(start) => bytes.get(start..).unwrap_or_default(),
        // A few empty lines are no request yet.
        None => return Sniffed::More,
    };
    request_line(line)
}

/// RFC 8446 §5.1: a record of type handshake, of a version 3.x, whose first message is a ClientHello.
fn tls(bytes: &[u8]) -> Sniffed {
    match bytes {
        [0x16, 0x03, 0..=4, _, _, 0x01, ..] => Sniffed::Tls,
        [0x16]
        | [0x16, 0x03]
        | [0x16, 0x03, 0..=4]
        | [0x16, 0x03, 0..=4, _]
        | [0x16, 0x03, 0..=4, _, _] => Sniffed::More,
        _ => Sniffed::Other,
    }
}

fn request_line(line: &[u8]) -> Sniffed {
    let is_space = |byte: &u8| matches!(byte, b' ' | b'\t');
    let method_len = line
        .iter()
        .position(|byte| !(byte.is_ascii_alphanumeric() || b"-_.!~*'".contains(byte)))
        .unwrap_or(line.len());
    if method_len > MAX_METHOD_BYTES || (method_len == 0 && !line.is_empty()) {
        return Sniffed::Other;
    }
    let (method, rest) = line.split_at_checked(method_len).unwrap_or((line, &[]));
    let Some(first) = rest.first() else {
        return Sniffed::More;
    };
    if !is_space(first) {
        return Sniffed::Other;
    }
    let Some(target) = rest.iter().position(|byte| !is_space(byte)) else {
        return Sniffed::More;
    };
    let target = rest.get(target..).unwrap_or_default();
    let upper = method.iter().all(u8::is_ascii_uppercase);
    if upper && target.first() == Some(&b'/') {
        return Sniffed::Http1;
    }
    // Other protocols have lines, too; only the version at the end tells.
    match target.iter().position(|byte| matches!(byte, b'\n' | 0)) {
        Some(end) => match target.split_at_checked(end) {
            Some((line, [b'\n', ..])) if names_http(line) => Sniffed::Http1,
            Some(_) | None => Sniffed::Other,
        },
        None => Sniffed::More,
    }
}

/// Whether a line ends with something like `HTTP/1.1`.
fn names_http(line: &[u8]) -> bool {
    let line = line.trim_ascii_end();
    let word = line
        .rsplit(|byte| matches!(byte, b' ' | b'\t'))
        .next()
        .unwrap_or_default();
    word.len() < line.len()
        && word
            .get(..5)
            .is_some_and(|name| name.eq_ignore_ascii_case(b"HTTP/"))
}

#[cfg(test)]
mod tests;
