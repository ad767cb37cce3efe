//! YAML as a tree in which every node knows its line: what the readers of objects walk.
//!
//! In: the text of one document.
//! Out: a [`Node`], or the line and column of what is not YAML.
//! Never: knows what a field means.
//!
//! Scalars keep the text that was written: `canonicalRevision: 1.10` stays `1.10`, and `name: no` stays `no`.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{Error as _, MapAccess, SeqAccess, Visitor},
};
use serde_saphyr::{
    Spanned, Tagged,
    options::{DuplicateKeyPolicy, NonFiniteFloatPolicy},
};

use crate::stream::parts;

/// Mappings and lists within each other. Schemas within CRDs need some forty; the tree is built by recursion.
const MAX_DEPTH: usize = 96;
/// Scalars, lists and mappings of one document, which bounds the tree's memory (about 100 bytes each).
/// Enough for some 50,000 workloads or 80,000 policies of the local file; larger meshes are what xDS is for.
const MAX_NODES: usize = 2_000_000;
/// Parser events: a scalar makes one, a list or mapping two.
const MAX_EVENTS: usize = 2 * MAX_NODES + 2;
/// Events that aliases (`*name`) may repeat. A small file must not grow into a large tree.
const MAX_REPEATED_EVENTS: usize = 100_000;

/// Where something is written. **Units**: both count from 1; columns are characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// The line.
    pub line: u64,
    /// The column.
    pub column: u64,
}

/// One node of a document.
#[derive(Debug)]
pub struct Node {
    /// What it holds.
    pub value: Value,
    /// A tag as in `!Exact x`, without its exclamation marks; standard YAML tags are left out.
    pub tag: Option<String>,
    /// Where it begins.
    pub position: Position,
}

/// What a node holds.
#[derive(Debug)]
pub enum Value {
    /// Nothing at all, or `null` or `~`.
    Null,
    /// Text as it was written, without quotes.
    Scalar(String),
    /// A list, in the order of the file.
    List(Vec<Node>),
    /// A mapping, in the order of the file; a key may come twice, for the reader to refuse.
    Mapping(Vec<(Key, Node)>),
}

/// A key of a mapping.
#[derive(Debug)]
pub struct Key {
    /// As it was written, without quotes.
    pub text: String,
    /// Where it stands.
    pub position: Position,
}

/// Why a text is not YAML that can be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Malformed {
    /// Where the parser gave up.
    pub position: Position,
    /// What it said; one line.
    pub message: String,
}

impl Node {
    /// Reads one YAML document; positions are those of `text`.
    ///
    /// # Errors
    /// It is not YAML, more than one document, or larger than is read.
    pub fn parse(text: &str) -> Result<Self, Malformed> {
        Self::parse_from(text, 1)
    }

    /// Reads the documents of a text one by one, lazily: one that is malformed does not take others along.
    /// Positions are those of the whole text; anchors do not cross documents.
    pub fn parse_all(text: &str) -> impl Iterator<Item = Result<Self, Malformed>> {
        parts(text).map(|part| part.parse())
    }

    /// As [`Node::parse`], for a text whose first line is line `first` of a file.
    pub(crate) fn parse_from(text: &str, first: u64) -> Result<Self, Malformed> {
        let lines_before = first.saturating_sub(1);
        let options = serde_saphyr::options! {
            budget: serde_saphyr::budget! {
                max_depth: MAX_DEPTH,
                flow_nesting_limit: MAX_DEPTH,
                max_nodes: MAX_NODES,
                max_events: MAX_EVENTS,
                max_documents: 2,
            },
            alias_limits: serde_saphyr::alias_limits! {
                max_total_replayed_events: MAX_REPEATED_EVENTS,
                max_replay_stack_depth: MAX_DEPTH,
            },
            // Passed on, so that the error can name the path of the field.
            duplicate_keys: DuplicateKeyPolicy::PassThrough,
            // `.inf` may be a name; what it must not be, its reader says.
            non_finite_float_policy: NonFiniteFloatPolicy::PassThrough,
            with_snippet: false,
        };
        let located: Located = serde_saphyr::from_str_with_options(text, options)
            .map_err(|e| malformed(&e, lines_before))?;
        Ok(located.into_node(text, lines_before))
    }

    /// Whether it is nothing, `null` or `~`.
    #[must_use]
    pub fn is_null(&self) -> bool {
        matches!(self.value, Value::Null) && self.tag.is_none()
    }
}

/// A node as serde hands it over: a scalar that looked like a number has still to be read from the text.
struct Located {
    raw: Raw,
    tag: Option<String>,
    defined: serde_saphyr::Location,
}

enum Raw {
    Null,
    Text(String),
    /// A number or boolean, reworded.
    Typed(String),
    List(Vec<Located>),
    Mapping(Vec<(Spanned<String>, Located)>),
}

impl Located {
    fn into_node(self, source: &str, lines_before: u64) -> Node {
        let value = match self.raw {
            Raw::Null => Value::Null,
            Raw::Text(text) => Value::Scalar(text),
            Raw::Typed(reworded) => Value::Scalar(
                // A tag is part of the span, so only an untagged scalar can be cut out of the text.
                if self.tag.is_none() {
                    as_written(source, self.defined)
                } else {
                    None
                }
                .unwrap_or(reworded),
            ),
            Raw::List(items) => Value::List(
                items
                    .into_iter()
                    .map(|item| item.into_node(source, lines_before))
                    .collect(),
            ),
            Raw::Mapping(entries) => Value::Mapping(
                entries
                    .into_iter()
                    .map(|(key, value)| {
                        let position = position(key.defined, lines_before);
                        (
                            Key {
                                text: key.value,
                                position,
                            },
                            value.into_node(source, lines_before),
                        )
                    })
                    .collect(),
            ),
        };
        let tag = self
            .tag
            .filter(|tag| !tag.starts_with("tag:yaml.org,2002:"))
            .map(|tag| tag.trim_start_matches('!').to_owned());
        Node {
            value,
            tag,
            position: position(self.defined, lines_before),
        }
    }
}

fn position(location: serde_saphyr::Location, lines_before: u64) -> Position {
    Position {
        line: lines_before.saturating_add(location.line().max(1)),
        column: location.column().max(1),
    }
}

fn as_written(source: &str, location: serde_saphyr::Location) -> Option<String> {
    let span = location.span();
    let start = usize::try_from(span.byte_offset()?).ok()?;
    let end = start.checked_add(usize::try_from(span.byte_len()?).ok()?)?;
    let text = source.get(start..end)?.trim();
    (!text.is_empty()).then(|| text.to_owned())
}

fn malformed(error: &serde_saphyr::Error, lines_before: u64) -> Malformed {
    /// Fit for a log line.
    const MAX_MESSAGE_CHARS: usize = 300;
    let error = error.without_snippet();
    let position = error.location().map_or(
        Position {
            line: lines_before.saturating_add(1),
            column: 1,
        },
        |location| position(location, lines_before),
    );
    let mut message: String =
        serde_saphyr::MessageFormatter::format_message(&serde_saphyr::UserMessageFormatter, error)
            .chars()
            .map(|c| if c.is_control() { ' ' } else { c })
            .take(MAX_MESSAGE_CHARS)
            .collect();
    // The parser words an alias without a name; one with a name but without an anchor is a variant of its own.
    if matches!(error, serde_saphyr::Error::UnknownAnchor { .. })
        || message.contains("anchor or alias")
    {
        message.push_str(r#" (text that begins with * has to be quoted, as in "*" or "*-suffix")"#);
    }
    Malformed { position, message }
}

impl<'de> Deserialize<'de> for Located {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Spanned {
            value: Tagged(raw, tag),
            defined,
            ..
        } = Spanned::<Tagged<Raw>>::deserialize(deserializer)?;
        Ok(Self { raw, tag, defined })
    }
}

impl<'de> Deserialize<'de> for Raw {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(RawVisitor)
    }
}

struct RawVisitor;

impl<'de> Visitor<'de> for RawVisitor {
    type Value = Raw;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a scalar, a list or a mapping")
    }

    fn visit_unit<E>(self) -> Result<Raw, E> {
        Ok(Raw::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Raw, E> {
        Ok(Raw::Typed(value.to_string()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Raw, E> {
        Ok(Raw::Typed(value.to_string()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Raw, E> {
        Ok(Raw::Typed(value.to_string()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Raw, E> {
        Ok(Raw::Typed(value.to_string()))
    }

    fn visit_str<E>(self, value: &str) -> Result<Raw, E> {
        Ok(Raw::Text(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Raw, E> {
        Ok(Raw::Text(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Raw, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = access.next_element()? {
            items.push(item);
        }
        Ok(Raw::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Raw, A::Error> {
        let mut entries = Vec::new();
        while let Some(key) = access.next_key()? {
            if entries.len() >= MAX_NODES {
                return Err(A::Error::custom("a mapping with too many keys"));
            }
            entries.push((key, access.next_value()?));
        }
        Ok(Raw::Mapping(entries))
    }
}

#[cfg(test)]
mod tests;
