//! Parameters of a query, changed by an authorizer.
//!
//! In: a query as it was sent, names and values. Out: the query with those, and the others as they were, in their order. Never:
//! leaves a parameter that is to go because it is spelled otherwise: who reads the query decodes it.

use std::fmt::Write as _;

use crate::access::form::decoded;

/// Changes a query. A parameter that is set takes the place of the first of its name, the others of it go. `None`: there is none.
pub(super) fn edit(
    query: Option<&str>,
    set: &[(String, String)],
    remove: &[String],
) -> Option<String> {
    if set.is_empty() && remove.is_empty() {
        return query.map(str::to_owned);
    }
    let mut parts: Vec<String> = Vec::new();
    let mut is_written = vec![false; set.len()];
    for part in query.unwrap_or_default().split('&') {
        if part.is_empty() {
            continue;
        }
        let name = part.split_once('=').map_or(part, |(name, _)| name);
        let is_it = |other: &str| name == other || *decoded(name) == *other.as_bytes();
        if remove.iter().any(|other| is_it(other)) {
            continue;
        }
        // The last value that is set for a name counts.
        match set.iter().rposition(|(other, _)| is_it(other)) {
            Some(at) => {
                if let (Some((name, value)), Some(done)) = (set.get(at), is_written.get_mut(at))
                    && !std::mem::replace(done, true)
                {
                    parts.push(parameter(name, value));
                }
            }
            None => parts.push(part.to_owned()),
        }
    }
    for (at, (name, value)) in set.iter().enumerate() {
        let is_last = set.iter().rposition(|(other, _)| other == name) == Some(at);
        let is_done = is_written.get(at).copied().unwrap_or_default();
        if is_last && !is_done && !remove.contains(name) {
            parts.push(parameter(name, value));
        }
    }
    Some(parts.join("&"))
}

fn parameter(name: &str, value: &str) -> String {
    let mut text = String::with_capacity(name.len() + value.len() + 1);
    write(&mut text, name, true);
    text.push('=');
    write(&mut text, value, false);
    text
}

/// Escapes what would end the parameter, or is none of a query's characters. Escapes that are there stay.
fn write(out: &mut String, text: &str, is_name: bool) {
    for byte in text.bytes() {
        let is_plain = byte.is_ascii_graphic()
            && !matches!(byte, b'&' | b'#' | b'"' | b'<' | b'>')
            && !(is_name && byte == b'=');
        if is_plain {
            out.push(char::from(byte));
        } else {
            // A text takes everything.
            let _ = write!(out, "%{byte:02X}");
        }
    }
}

#[cfg(test)]
mod tests;
