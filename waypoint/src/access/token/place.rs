//! Where tokens are in a request, and how they are taken out.
//!
//! In: the places that rules name, a head. Out: every token that stands at one of them, however often; the head without it. Never: misses one
//! that an application would find: names are compared as an application reads them, and all values of a name are looked at. Parameters are what `&` separates, as
//! in HTML forms; applications that split at `;`, too, are not followed.
//!
//! **Against Envoy:** it looks at the first parameter and the first cookie of a name, knows the case of `Bearer` and one space behind it, leaves cookies
//! in the request, and lets `x_token` by where rules look in `x-token`.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Uri, header::COOKIE, uri::PathAndQuery};
use jwt::Refusal;
use mesh::Name;

use super::{MAX_TOKENS, compiled::Rule};
use crate::{access::form::decoded, body::Body, filter::envoy, request::head};

/// Where a token may be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// In a header, behind a prefix.
    Header {
        /// Its name.
        name: HeaderName,
        /// May be empty.
        prefix: Name,
    },
    /// In a parameter of the query.
    Parameter(Name),
    /// In a cookie.
    Cookie(Name),
}

/// One thing in a request that somebody looks at for a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Spot<'r> {
    /// A value of a header, by its number.
    Header(&'r HeaderName, usize),
    /// A parameter of a name, by its number.
    Parameter(&'r Name, usize),
    /// A cookie of a name, by its number.
    Cookie(&'r Name, usize),
}

/// A token that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Candidate<'r> {
    /// Where.
    pub(super) spot: Spot<'r>,
    /// What, as rules with different prefixes read it. **Shape:** at least one.
    pub(super) readings: Vec<Reading<'r>>,
}

/// A token as some rules read it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Reading<'r> {
    place: &'r Place,
    /// The token.
    pub(super) text: String,
    /// The rules that read it so, by their places.
    pub(super) rules: Vec<usize>,
}

/// All tokens of a request, in the order of the rules that look for them.
pub(super) fn find<'r>(
    rules: &[&'r Rule],
    uri: &Uri,
    headers: &HeaderMap,
) -> Result<Vec<Candidate<'r>>, Refusal> {
    let mut found: Vec<Candidate<'r>> = Vec::new();
    let mut seen: Vec<&Place> = Vec::new();
    for (index, rule) in rules.iter().enumerate() {
        for place in &rule.places {
            if seen.contains(&place) {
                let readings = found.iter_mut().flat_map(|one| &mut one.readings);
                for reading in readings.filter(|reading| reading.place == place) {
                    if !reading.rules.contains(&index) {
                        reading.rules.push(index);
                    }
                }
                continue;
            }
            seen.push(place);
            for (spot, text) in place.texts(uri, headers) {
                let reading = Reading {
                    place,
                    text,
                    rules: vec![index],
                };
                if let Some(candidate) = found.iter_mut().find(|one| one.spot == spot) {
                    candidate.readings.push(reading);
                    continue;
                }
                if found.len() == MAX_TOKENS {
                    return Err(Refusal::Multiple);
                }
                found.push(Candidate {
                    spot,
                    readings: vec![reading],
                });
            }
        }
    }
    Ok(found)
}

impl Place {
    /// The tokens that stand there; one more than a request may have is enough.
    fn texts(&self, uri: &Uri, headers: &HeaderMap) -> Vec<(Spot<'_>, String)> {
        const ENOUGH: usize = MAX_TOKENS + 1;
        match self {
            Self::Header { name, prefix } => headers
                .get_all(name)
                .iter()
                .enumerate()
                .filter_map(|(at, value)| {
                    let found = behind(value.as_bytes(), prefix.as_bytes())?;
                    Some((Spot::Header(name, at), text(found)))
                })
                .take(ENOUGH)
                .collect(),
            Self::Parameter(name) => pairs(uri.query().unwrap_or_default())
                .filter(|(found, _)| decoded(found) == name.as_bytes())
                .take(ENOUGH)
                .enumerate()
                .map(|(at, (_, value))| (Spot::Parameter(name, at), text(&decoded(value))))
                .collect(),
            Self::Cookie(name) => headers
                .get_all(COOKIE)
                .iter()
                .flat_map(|value| cookies(value.as_bytes()))
                .filter(|(found, _)| *found == name.as_bytes())
                .take(ENOUGH)
                .enumerate()
                .map(|(at, (_, value))| (Spot::Cookie(name, at), text(value)))
                .collect(),
        }
    }
}

/// What is no text is no token either, and is refused as one.
fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// What stands in a header behind a prefix, which may itself stand anywhere; `None` where it is not there. Source: Envoy, with
/// upper and lower case alike (RFC 9110 §11.1).
///
/// A prefix that ends in white space is a word: applications split at any white space, or cut off the word and trim. So whatever stands behind it is meant as a token, also
/// behind a tab or nothing, and the word alone is one that is missing. Within a value it must end as a word does: letters of somebody's password are none.
fn behind<'v>(value: &'v [u8], prefix: &[u8]) -> Option<&'v [u8]> {
    let word = prefix.trim_ascii_end();
    let value = value.trim_ascii();
    if word.is_empty() {
        return Some(value);
    }
    let is_word = word.len() < prefix.len();
    let letter = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    let in_word = |byte: &u8| letter(byte) || matches!(byte, b'~' | b'+' | b'/' | b'=');
    let mut rests = value
        .windows(word.len())
        .enumerate()
        .filter_map(|(at, window)| {
            let rest = value.get(at + word.len()..)?;
            let ends = !is_word || at == 0 || !rest.first().is_some_and(in_word);
            (ends && window.eq_ignore_ascii_case(word)).then_some(rest)
        });
    let rest = rests.next()?;
    match rest.iter().position(letter) {
        Some(start) => rest.get(start..),
        // Whatever that is, it is meant as a token.
        None => Some(value),
    }
}

/// Takes out headers that an application cannot tell from those in which rules look (`_` for `-`): what stands in them nobody has verified.
pub(super) fn clear_alike(rules: &[&Rule], headers: &mut HeaderMap) {
    let places = rules.iter().flat_map(|rule| &rule.places);
    let names = places.filter_map(|place| match place {
        Place::Header { name, .. } => Some(name),
        Place::Parameter(_) | Place::Cookie(_) => None,
    });
    let names: Vec<&HeaderName> = names.collect();
    envoy::remove(headers, |found| {
        !names.contains(&found) && names.iter().any(|name| envoy::is_alike(found, name))
    });
}

/// The parameters of a query, as they were sent.
fn pairs(query: &str) -> impl Iterator<Item = (&str, &str)> {
    query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
}

/// The cookies of a header: names, and values without the quotes around them. Source: RFC 6265 §4.2.1.
fn cookies(header: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    header.split(|byte| *byte == b';').filter_map(|pair| {
        let pair = pair.trim_ascii();
        let at = pair.iter().position(|byte| *byte == b'=')?;
        let (name, value) = (
            pair.get(..at)?.trim_ascii(),
            pair.get(at + 1..)?.trim_ascii(),
        );
        let bare = value
            .strip_prefix(b"\"")
            .and_then(|value| value.strip_suffix(b"\""));
        Some((name, bare.unwrap_or(value)))
    })
}

/// Takes a token out of a request, and with it all that has its name.
pub(super) fn take_out(spot: Spot<'_>, request: &mut Request<Body>) {
    match spot {
        Spot::Header(name, _) => {
            envoy::remove(request.headers_mut(), |found| envoy::is_alike(found, name));
        }
        Spot::Parameter(name, _) => {
            if let Some(path) = without_parameter(request.uri(), name.as_bytes()) {
                head::set_path(request.uri_mut(), path);
            }
        }
        Spot::Cookie(name, _) => without_cookie(request.headers_mut(), name.as_bytes()),
    }
}

/// Other parameters stay as they were sent.
fn without_parameter(uri: &Uri, name: &[u8]) -> Option<PathAndQuery> {
    let query = uri.query()?;
    let kept: Vec<&str> = query
        .split('&')
        .filter(|pair| decoded(pair.split_once('=').map_or(*pair, |(name, _)| name)) != name)
        .collect();
    let path = if kept.is_empty() {
        uri.path().to_owned()
    } else {
        format!("{}?{}", uri.path(), kept.join("&"))
    };
    PathAndQuery::from_maybe_shared(Bytes::from(path)).ok()
}

/// Other cookies stay as they were sent.
fn without_cookie(headers: &mut HeaderMap, name: &[u8]) {
    let lines: Vec<HeaderValue> = headers.get_all(COOKIE).iter().cloned().collect();
    headers.remove(COOKIE);
    for line in lines {
        let kept: Vec<&[u8]> = line
            .as_bytes()
            .split(|byte| *byte == b';')
            .map(<[u8]>::trim_ascii)
            .filter(|pair| !pair.is_empty() && cookies(pair).all(|(found, _)| found != name))
            .collect();
        if kept.is_empty() {
            continue;
        }
        // Parts of a value are as valid as it was.
        if let Ok(line) = HeaderValue::from_bytes(&kept.join(&b"; "[..])) {
            headers.append(COOKIE, line);
        }
    }
}

#[cfg(test)]
mod tests;
