//! What a rule holds for.

use std::{error::Error as _, sync::Arc};

use mesh::{
    Name,
    route::{
        ClaimMatch, HeaderMatch, HostMatch, HttpMatch, PathKind, PathMatch, Pattern, PatternError,
        QueryMatch, StringMatch,
    },
};

use super::{optional, scalar};
use crate::{
    proto::waypoint as proto,
    xds::{
        error::{Fault, each, quoted},
        field,
    },
};

/// The most names of a way into a claim. Reason: no token is read that nests deeper.
const MAX_CLAIM_DEPTH: usize = 32;

const PSEUDO: &[&str] = &[":method", ":path", ":scheme", ":authority"];

pub(in crate::xds) fn http(read: &proto::HttpMatch) -> Result<HttpMatch, Fault> {
    Ok(HttpMatch {
        path: optional("path", read.path.as_ref(), path)?,
        headers: each("headers", &read.headers, header)?,
        query: each("query", &read.query, query)?,
        method: optional("method", read.method.as_ref(), string)?,
        scheme: optional("scheme", read.scheme.as_ref(), string)?,
        authority: optional("authority", read.authority.as_ref(), string)?.map(lower_case),
        hostnames: each("hostnames", &read.hostnames, |text| host(text))?,
        claims: each("claims", &read.claims, claim)?,
    })
}

fn claim(read: &proto::ClaimMatch) -> Result<ClaimMatch, Fault> {
    Ok(ClaimMatch {
        claim: way("claim", &read.claim)?,
        value: optional("value", read.value.as_ref(), string)?,
        invert: read.invert,
    })
}

/// The way into a claim.
fn way(field: &'static str, names: &[String]) -> Result<Vec<Name>, Fault> {
    if names.is_empty() || names.len() > MAX_CLAIM_DEPTH {
        let expected = "from 1 to 32 names";
        return Err(Fault::new(
            field,
            format!("{} names", names.len()),
            expected,
        ));
    }
    each(field, names, |name| {
        if name.is_empty() {
            return Err(Fault::missing("", "the name of a claim"));
        }
        scalar::text("", name).map(|text| Name::from(&*text))
    })
}

fn path(read: &proto::PathMatch) -> Result<PathMatch, Fault> {
    use proto::path_match::Kind;
    let kind = match &read.kind {
        Some(Kind::Exact(text)) => PathKind::Exact(scalar::text("exact", text)?),
        Some(Kind::Prefix(text)) => PathKind::Prefix(scalar::text("prefix", text)?),
        Some(Kind::Segments(text)) => PathKind::Segments(scalar::text("segments", text)?),
        Some(Kind::Regex(text)) => PathKind::Regex(pattern("regex", text)?),
        None => return Err(Fault::missing("", "exact, prefix, segments or regex")),
    };
    Ok(PathMatch::new(kind, read.ignore_case))
}

pub(super) fn string(read: &proto::StringMatch) -> Result<StringMatch, Fault> {
    use proto::string_match::Kind;
    match &read.kind {
        Some(Kind::Exact(text)) => scalar::text("exact", text).map(StringMatch::Exact),
        Some(Kind::Prefix(text)) => scalar::text("prefix", text).map(StringMatch::Prefix),
        Some(Kind::Suffix(text)) => scalar::text("suffix", text).map(StringMatch::Suffix),
        Some(Kind::Regex(text)) => pattern("regex", text).map(StringMatch::Regex),
        None => Err(Fault::missing("", "exact, prefix, suffix or regex")),
    }
}

pub(super) fn header(read: &proto::HeaderMatch) -> Result<HeaderMatch, Fault> {
    Ok(HeaderMatch {
        name: scalar::header("name", &read.name, PSEUDO)?,
        value: optional("value", read.value.as_ref(), string)?,
        invert: read.invert,
    })
}

fn query(read: &proto::QueryMatch) -> Result<QueryMatch, Fault> {
    Ok(QueryMatch {
        name: scalar::text("name", &read.name)?,
        value: optional("value", read.value.as_ref(), string)?,
    })
}

/// A hostname, `*.suffix`, or `*`.
pub(super) fn host(text: &str) -> Result<HostMatch, Fault> {
    if text == "*" {
        return Ok(HostMatch::Any);
    }
    field::hostname("", text).map(|text| HostMatch::new(&text))
}

/// Authorities are compared in lower case.
fn lower_case(read: StringMatch) -> StringMatch {
    let lower = |text: Arc<str>| -> Arc<str> { text.to_ascii_lowercase().into() };
    match read {
        StringMatch::Exact(text) => StringMatch::Exact(lower(text)),
        StringMatch::Prefix(text) => StringMatch::Prefix(lower(text)),
        StringMatch::Suffix(text) => StringMatch::Suffix(lower(text)),
        StringMatch::Regex(pattern) => StringMatch::Regex(pattern),
    }
}

fn pattern(field: &str, text: &str) -> Result<Pattern, Fault> {
    Pattern::new(text).map_err(|error| not_a_pattern(field, text, &error))
}

/// Expressions come from people, so the reason is told.
pub(super) fn not_a_pattern(field: &str, text: &str, error: &PatternError) -> Fault {
    let source = error.source().map(ToString::to_string);
    // The engine draws a picture of the place first; its reason is what comes last.
    let reason = match source.as_deref().and_then(|text| text.lines().last()) {
        Some(line) => line.trim_start_matches("error: ").to_owned(),
        None => error.to_string(),
    };
    let found = format!("{} ({reason})", quoted(text));
    Fault::new(field, found, "an expression in RE2 syntax")
}
