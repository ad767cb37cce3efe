//! What strangers say, in words that are fit for a log line or a page.

/// The most characters of a name or value that an error quotes.
const MAX_QUOTED: usize = 200;

/// A stranger's text, safe to show: not longer than `limit` characters, nothing that moves a cursor.
pub(crate) fn printable(text: &str, limit: usize) -> String {
    text.chars()
        .take(limit)
        .map(|c| if c.is_control() { '\u{fffd}' } else { c })
        .collect()
}

/// The same for what an error quotes.
pub(crate) fn quoted(text: &str) -> String {
    printable(text, MAX_QUOTED)
}
