//! Templates of paths.
//!
//! In: text with `{*}` (one segment) and `{**}` (any number of segments). Out: whether a path is one of those that it means.
//! Never: decodes: `%2F` is three letters of one segment, as whoever made the path plain left it.
//!
//! Source: Istio AuthorizationPolicy `paths`; Envoy's URI template. What stands for a segment is not empty; what stands for
//! any number may be.

/// A template, taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    pieces: Vec<Piece>,
    /// Behind `{**}`: what the path ends with. `None`: there is no `{**}`.
    tail: Option<Box<[u8]>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Literal(Box<[u8]>),
    Segment,
}

const SEGMENT: &str = "{*}";
const ANY: &str = "{**}";

impl Template {
    /// Takes a template apart. **Shape:** one that is not valid ([`Template::is_valid`]) means something less than was thought.
    #[must_use]
    pub fn new(text: &str) -> Self {
        let (head, tail) = match text.split_once(ANY) {
            Some((head, tail)) => (head, Some(tail.as_bytes().into())),
            None => (text, None),
        };
        let mut pieces = Vec::new();
        for (number, literal) in head.split(SEGMENT).enumerate() {
            if number > 0 {
                pieces.push(Piece::Segment);
            }
            if !literal.is_empty() {
                pieces.push(Piece::Literal(literal.as_bytes().into()));
            }
        }
        Self { pieces, tail }
    }

    /// Whether a text is a template: it begins with `/`, each `{*}` and `{**}` is a segment of its own, `{**}` is the last of
    /// them, and braces and stars stand nowhere else. Source: Istio, validation of `paths`.
    #[must_use]
    pub fn is_valid(text: &str) -> bool {
        let Some(rest) = text.strip_prefix('/') else {
            return false;
        };
        let mut any = false;
        rest.split('/').all(|segment| match segment {
            SEGMENT => !any,
            ANY => !std::mem::replace(&mut any, true),
            literal => !literal.contains(['{', '}', '*']),
        })
    }

    /// What every path begins with that it means.
    #[must_use]
    pub fn literal_prefix(&self) -> &[u8] {
        match self.pieces.first() {
            Some(Piece::Literal(literal)) => literal,
            Some(Piece::Segment) | None => &[],
        }
    }

    /// What every path ends with that it means, if it has `{**}`; otherwise nothing.
    #[must_use]
    pub fn tail(&self) -> &[u8] {
        self.tail.as_deref().unwrap_or_default()
    }

    /// The whole segments that every path has that `text` means: their places, counted from 0, and what they are.
    pub fn literal_segments(text: &str) -> impl Iterator<Item = (usize, &str)> {
        // Behind `{**}` no place is known.
        segments(text)
            .take_while(|segment| *segment != ANY)
            .enumerate()
            .filter(|(_, segment)| *segment != SEGMENT && !segment.is_empty())
    }

    /// Whether it means a path. **Cost:** the path's length.
    #[must_use]
    pub fn matches(&self, path: &[u8]) -> bool {
        let mut rest = path;
        for piece in &self.pieces {
            rest = match piece {
                Piece::Literal(literal) => match rest.strip_prefix(&**literal) {
                    Some(rest) => rest,
                    None => return false,
                },
                Piece::Segment => {
                    let end = rest.iter().position(|byte| *byte == b'/');
                    match rest.split_at(end.unwrap_or(rest.len())) {
                        ([], _) => return false,
                        (_, rest) => rest,
                    }
                }
            };
        }
        match &self.tail {
            None => rest.is_empty(),
            Some(tail) => rest.ends_with(tail),
        }
    }
}

/// The segments of a path or template, the first behind its first slash.
pub(super) fn segments(path: &str) -> impl Iterator<Item = &str> {
    let behind = path.strip_prefix('/');
    behind.into_iter().flat_map(|path| path.split('/'))
}

#[cfg(test)]
mod tests;
