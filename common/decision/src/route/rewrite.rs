//! The new path of a request.

use std::borrow::Cow;

use mesh::route::{PathKind, PathMatch, PathRewrite};

/// A path grew too long, or became no text, by a regular expression.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the path cannot be rewritten: more than 64 KiB, or not UTF-8")]
pub struct Unwritable;

/// The path and query that a request goes on with. `matched` is the condition that its path met
/// ([`mesh::route::Found::path`]), and `path` the one that met it.
///
/// What was written as a whole path may bring its own query, in the place of the request's.
///
/// # Errors
/// When what a regular expression makes of it cannot be sent.
pub fn path_and_query(
    rewrite: &PathRewrite,
    matched: Option<&PathMatch>,
    path: &str,
    query: Option<&str>,
) -> Result<String, Unwritable> {
    let path = match rewrite {
        PathRewrite::Full(path) => Cow::Borrowed(&**path),
        PathRewrite::Prefix(replacement) => replace_prefix(replacement, matched, path),
        PathRewrite::Regex(rewrite) => rewrite.apply(path).ok_or(Unwritable)?,
    };
    Ok(join("", &path, query))
}

/// A path with another prefix.
///
/// A prefix of segments is replaced as the Gateway API says, with one `/` before what is left; any other prefix letter by
/// letter, as Envoy does it. Where the path was not matched by a prefix, all of it is replaced.
pub(super) fn replace_prefix<'t>(
    replacement: &'t str,
    matched: Option<&PathMatch>,
    path: &str,
) -> Cow<'t, str> {
    let after = |prefix: &str| path.get(prefix.len()..).unwrap_or_default();
    match matched.map(PathMatch::kind) {
        Some(PathKind::Prefix(prefix)) => match after(prefix) {
            "" => Cow::Borrowed(replacement),
            rest => Cow::Owned([replacement, rest].concat()),
        },
        Some(PathKind::Segments(prefix)) => {
            let replacement = replacement.trim_end_matches('/');
            match after(prefix) {
                "" => Cow::Borrowed(replacement),
                rest => Cow::Owned([replacement, rest].concat()),
            }
        }
        Some(PathKind::Exact(_) | PathKind::Regex(_)) | None => Cow::Borrowed(replacement),
    }
}

/// `before`, an absolute path, and its query. A path that brings a query keeps it.
pub(super) fn join(before: &str, path: &str, query: Option<&str>) -> String {
    let slash = if path.starts_with('/') { "" } else { "/" };
    match query.filter(|_| !path.contains('?')) {
        None => [before, slash, path].concat(),
        Some(query) => [before, slash, path, "?", query].concat(),
    }
}
