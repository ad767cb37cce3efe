//! Which match of routes of the Gateway API is tried first (RT-14).
//!
//! In: the matches of all routes of one parent. Out: their order. Never: depends on the order in which they came.
//!
//! Source: Gateway API, `HTTPRoute.spec.rules[].matches`: an exact path; the longest prefix; a method; most headers; most query
//! parameters; the oldest route; the first by `<namespace>/<name>`; the first rule of a route, and the first match of
//! a rule. Where regular expressions stand is left open: here after exact paths and before prefixes, longer ones first, so
//! that a rule for `/` does not hide them. A GRPCRoute takes part with the path that it comes to (RT-15).

use std::cmp::Reverse;

use wire::proto::waypoint::{HttpMatch, path_match::Kind};

use crate::objects::Meta;

/// Where a match stands: the smallest first.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Rank {
    hostname: Reverse<(bool, usize)>,
    path: (Form, Reverse<usize>),
    method: Reverse<bool>,
    headers: Reverse<usize>,
    query: Reverse<usize>,
    created: i64,
    name: String,
    kind: &'static str,
    rule: usize,
    index: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Form {
    Exact,
    Regex,
    Prefix,
}

/// Where a match was written.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place<'a> {
    /// The route's metadata.
    pub(super) meta: &'a Meta,
    /// The route's kind.
    pub(super) kind: &'static str,
    /// The rule, from 0.
    pub(super) rule: usize,
    /// The match within its rule, from 0.
    pub(super) index: usize,
}

/// Where a match stands.
pub(super) fn rank(it: &HttpMatch, place: Place<'_>) -> Rank {
    let path = match it.path.as_ref().and_then(|path| path.kind.as_ref()) {
        Some(Kind::Exact(text)) => (Form::Exact, text.chars().count()),
        Some(Kind::Regex(text)) => (Form::Regex, text.chars().count()),
        Some(Kind::Prefix(text) | Kind::Segments(text)) => (Form::Prefix, text.chars().count()),
        None => (Form::Prefix, 0),
    };
    let hostname = it.hostnames.iter().map(|it| super::scope::specificity(it));
    let (created, name) = super::scope::by_age(place.meta);
    Rank {
        hostname: Reverse(hostname.max().unwrap_or_default()),
        path: (path.0, Reverse(path.1)),
        method: Reverse(it.method.is_some()),
        headers: Reverse(it.headers.len()),
        query: Reverse(it.query.len()),
        created,
        name,
        kind: place.kind,
        rule: place.rule,
        index: place.index,
    }
}
