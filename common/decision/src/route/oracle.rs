//! Rules tried one after the other, as they are written down: what the index is compared with.
//!
//! It shares nothing with the index, nor with how conditions are judged there; only expressions are matched by the same
//! engine.

use mesh::route::{ClaimMatch, HeaderMatch, HostMatch, HttpMatch, HttpRule, PathKind, StringMatch};

/// A request in its simplest form.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plain {
    /// As sent.
    pub method: String,
    /// As sent.
    pub scheme: String,
    /// As sent.
    pub authority: String,
    /// Without query.
    pub path: String,
    /// Without question mark.
    pub query: Option<String>,
    /// As sent, names in lower case.
    pub headers: Vec<(String, String)>,
    /// Of the verified token: the way into each, joined by a slash, and one of its texts.
    pub claims: Vec<(String, String)>,
}

/// The place of the first rule that matches.
pub fn first_match<'a>(
    rules: impl IntoIterator<Item = &'a HttpRule>,
    request: &Plain,
) -> Option<usize> {
    rules.into_iter().position(|rule| {
        rule.matches.is_empty() || rule.matches.iter().any(|one| holds(one, request))
    })
}

fn holds(one: &HttpMatch, request: &Plain) -> bool {
    let authority = request.authority.to_lowercase();
    if let Some(path) = &one.path {
        let asked = if path.ignores_case() {
            request.path.to_lowercase()
        } else {
            request.path.clone()
        };
        let held = match path.kind() {
            PathKind::Exact(text) => asked == **text,
            PathKind::Prefix(text) => asked.starts_with(&**text),
            PathKind::Segments(text) => asked == **text || asked.starts_with(&format!("{text}/")),
            PathKind::Regex(pattern) => pattern.matches(asked.as_bytes()),
        };
        if !held {
            return false;
        }
    }
    let pseudo = [
        (&one.method, &request.method),
        (&one.scheme, &request.scheme),
        (&one.authority, &authority),
    ];
    for (wanted, text) in pseudo {
        if let Some(wanted) = wanted
            && !is(wanted, text)
        {
            return false;
        }
    }
    if !one.hostnames.is_empty() {
        let end = authority.rfind(']').unwrap_or(0);
        let host = match authority[end..].find(':') {
            Some(colon) => &authority[..end + colon],
            None => &authority,
        };
        let meant = |wanted: &HostMatch| match wanted {
            HostMatch::Exact(name) => host == &**name,
            HostMatch::Suffix(suffix) => host
                .strip_suffix(&**suffix)
                .is_some_and(|it| !it.is_empty()),
            HostMatch::Any => true,
        };
        if !one.hostnames.iter().any(meant) {
            return false;
        }
    }
    one.claims.iter().all(|wanted| claim(wanted, request))
        && one.headers.iter().all(|wanted| header(wanted, request))
        && one.query.iter().all(|wanted| {
            let parameters = request.query.as_deref().unwrap_or_default().split('&');
            let mut values = parameters.filter(|text| !text.is_empty()).map(|text| {
                let mut parts = text.splitn(2, '=');
                (
                    parts.next().unwrap_or_default(),
                    parts.next().unwrap_or_default(),
                )
            });
            let first = values.find(|(name, _)| decoded(name) == *wanted.name);
            match (first, &wanted.value) {
                (None, _) => false,
                (Some(_), None) => true,
                (Some((_, value)), Some(wanted)) => is(wanted, &decoded(value)),
            }
        })
}

fn claim(wanted: &ClaimMatch, request: &Plain) -> bool {
    let names: Vec<&str> = wanted.claim.iter().map(|name| name.as_str()).collect();
    let way = names.join("/");
    let mut held = false;
    for (found, text) in &request.claims {
        held |= *found == way && wanted.value.as_ref().is_none_or(|value| is(value, text));
    }
    if wanted.invert { !held } else { held }
}

fn header(wanted: &HeaderMatch, request: &Plain) -> bool {
    let values = request
        .headers
        .iter()
        .filter(|(name, _)| **name == *wanted.name);
    let values: Vec<&str> = values.map(|(_, value)| value.as_str()).collect();
    let held = match &wanted.value {
        _ if values.is_empty() => false,
        None => true,
        Some(wanted) => is(wanted, &values.join(",")),
    };
    if wanted.invert { !held } else { held }
}

fn is(wanted: &StringMatch, text: &str) -> bool {
    match wanted {
        StringMatch::Exact(wanted) => text == &**wanted,
        StringMatch::Prefix(wanted) => text.starts_with(&**wanted),
        StringMatch::Suffix(wanted) => text.ends_with(&**wanted),
        StringMatch::Regex(pattern) => pattern.matches(text.as_bytes()),
    }
}

/// Only what is text after decoding.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut at = 0;
    while let Some(byte) = text.as_bytes().get(at) {
        let code = text
            .get(at + 1..at + 3)
            .filter(|code| *byte == b'%' && code.chars().all(|c| c.is_ascii_hexdigit()));
        match code.and_then(|code| u8::from_str_radix(code, 16).ok()) {
            Some(code) => {
                bytes.push(code);
                at += 3;
            }
            None => {
                bytes.push(*byte);
                at += 1;
            }
        }
    }
    String::from_utf8(bytes).unwrap_or_default()
}
