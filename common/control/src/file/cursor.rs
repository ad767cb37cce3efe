//! A node together with the path that leads to it, so that every error can name both.

use std::{borrow::Cow, cell::RefCell, collections::HashMap, fmt};

use super::{
    Defaults,
    error::{FileError, Problem, Warning},
    node::{Key, Node, Position, Value},
};

/// Warnings kept of one file; more of them say nothing new.
const MAX_WARNINGS: usize = 100;

/// What all cursors of one file share.
#[derive(Debug)]
pub(crate) struct Document<'a> {
    pub(crate) file: &'a str,
    pub(crate) defaults: &'a Defaults,
    pub(crate) warnings: RefCell<Vec<Warning>>,
}

impl<'a> Document<'a> {
    pub(crate) fn new(file: &'a str, defaults: &'a Defaults) -> Self {
        Self {
            file,
            defaults,
            warnings: RefCell::new(Vec::new()),
        }
    }
}

/// The way from the top of the file to a node. Built on the stack, worded only when something is wrong.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Path<'a> {
    Top,
    Field(&'a Self, &'a str),
    Item(&'a Self, usize),
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Top => Ok(()),
            Self::Field(parent, name) => {
                let plain =
                    !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
                match (parent, plain) {
                    (Self::Top, true) => f.write_str(name),
                    (_, true) => write!(f, "{parent}.{name}"),
                    (_, false) => write!(f, "{parent}[{}]", quoted(name)),
                }
            }
            Self::Item(parent, index) => write!(f, "{parent}[{index}]"),
        }
    }
}

/// A node, where it stands and how it is reached.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cursor<'a> {
    pub(crate) document: &'a Document<'a>,
    pub(crate) node: &'a Node,
    pub(crate) path: &'a Path<'a>,
}

impl<'a> Cursor<'a> {
    pub(crate) fn position(&self) -> Position {
        self.node.position
    }

    fn error(&self, position: Position, path: &Path<'_>, problem: Problem) -> FileError {
        let file = self.document.file.to_owned();
        // The top itself has no name.
        let field = if matches!(path, Path::Top) {
            "top level".to_owned()
        } else {
            path.to_string()
        };
        FileError::Field {
            file,
            position,
            field,
            problem: Box::new(problem),
        }
    }

    /// The error that this node is not what it must be.
    pub(crate) fn unexpected(&self, expected: impl Into<Cow<'static, str>>) -> FileError {
        let problem = Problem::Unexpected {
            found: describe(self.node),
            expected: expected.into(),
        };
        self.error(self.position(), self.path, problem)
    }

    /// The error that `found` was given before, at `first`.
    pub(crate) fn duplicate(
        &self,
        found: &str,
        first: Position,
        expected: &'static str,
    ) -> FileError {
        let problem = Problem::Duplicate {
            found: quoted(found),
            first: first.line,
            expected: expected.into(),
        };
        self.error(self.position(), self.path, problem)
    }

    fn repeated(&self, key: &Key, first: Position, path: &Path<'_>) -> FileError {
        let (found, expected) = (quoted(&key.text), "each key once".into());
        self.error(
            key.position,
            path,
            Problem::Duplicate {
                found,
                first: first.line,
                expected,
            },
        )
    }

    /// Notes that this node is accepted without having an effect.
    pub(crate) fn warn(&self, text: &'static str) {
        let mut warnings = self.document.warnings.borrow_mut();
        if warnings.len() < MAX_WARNINGS {
            warnings.push(Warning {
                position: self.position(),
                field: self.path.to_string(),
                text,
            });
        }
    }

    /// The text of a scalar.
    pub(crate) fn text(
        &self,
        expected: impl Into<Cow<'static, str>>,
    ) -> Result<&'a str, FileError> {
        match &self.node.value {
            Value::Scalar(text) if self.node.tag.is_none() => Ok(text),
            Value::Scalar(_) | Value::Null | Value::List(_) | Value::Mapping(_) => {
                Err(self.unexpected(expected))
            }
        }
    }

    /// Whether it is nothing, `null` or `~`.
    pub(crate) fn is_null(&self) -> bool {
        matches!(self.node.value, Value::Null) && self.node.tag.is_none()
    }

    /// Reads every item of a list.
    pub(crate) fn list<T>(
        &self,
        expected: &'static str,
        mut read: impl FnMut(&Cursor<'_>) -> Result<T, FileError>,
    ) -> Result<Vec<T>, FileError> {
        let (Value::List(items), None) = (&self.node.value, &self.node.tag) else {
            return Err(self.unexpected(if self.is_null() {
                Cow::Owned(format!("{expected}; [] is the empty list"))
            } else {
                Cow::Borrowed(expected)
            }));
        };
        items
            .iter()
            .enumerate()
            .map(|(index, node)| {
                read(&Cursor {
                    document: self.document,
                    node,
                    path: &Path::Item(self.path, index),
                })
            })
            .collect()
    }

    /// Visits every entry of a mapping whose keys are data; `read` gets the key as if it were a value.
    pub(crate) fn entries(
        &self,
        expected: &'static str,
        mut read: impl FnMut(&Cursor<'_>, &Cursor<'_>) -> Result<(), FileError>,
    ) -> Result<(), FileError> {
        let (Value::Mapping(entries), None) = (&self.node.value, &self.node.tag) else {
            return Err(self.unexpected(if self.is_null() {
                Cow::Owned(format!("{expected}; {{}} is the empty mapping"))
            } else {
                Cow::Borrowed(expected)
            }));
        };
        let mut first_by_key: HashMap<&str, Position> = HashMap::with_capacity(entries.len());
        for (key, node) in entries {
            let path = Path::Field(self.path, &key.text);
            if let Some(first) = first_by_key.insert(&key.text, key.position) {
                return Err(self.repeated(key, first, &path));
            }
            let name = Node {
                value: Value::Scalar(key.text.clone()),
                tag: None,
                position: key.position,
            };
            let name = Cursor {
                document: self.document,
                node: &name,
                path: &path,
            };
            read(
                &name,
                &Cursor {
                    document: self.document,
                    node,
                    path: &path,
                },
            )?;
        }
        Ok(())
    }

    /// The mapping as an object with `known` fields.
    ///
    /// # Errors
    /// It is no mapping, or has a field that is not known, or one twice.
    pub(crate) fn object(
        &self,
        expected: &'static str,
        known: &'static [&'static str],
    ) -> Result<Object<'a>, FileError> {
        let (Value::Mapping(entries), None) = (&self.node.value, &self.node.tag) else {
            return Err(self.unexpected(expected));
        };
        for (index, (key, _)) in entries.iter().enumerate() {
            let path = Path::Field(self.path, &key.text);
            if !known.contains(&key.text.as_str()) {
                let problem = Problem::Unknown {
                    nearest: super::nearest::nearest(&key.text, known),
                    known,
                };
                return Err(self.error(key.position, &path, problem));
            }
            // Quadratic, but in a number of entries that `known` bounds: an unknown or second one ends the loop.
            if let Some((first, _)) = entries
                .iter()
                .take(index)
                .find(|(earlier, _)| earlier.text == key.text)
            {
                return Err(self.repeated(key, first.position, &path));
            }
        }
        Ok(Object {
            cursor: *self,
            known,
        })
    }
}

/// A mapping whose keys are fields, all of them known and none given twice.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Object<'a> {
    cursor: Cursor<'a>,
    known: &'static [&'static str],
}

impl Object<'_> {
    /// Reads a field that may be missing.
    pub(crate) fn optional<T>(
        &self,
        name: &'static str,
        read: impl FnOnce(&Cursor<'_>) -> Result<T, FileError>,
    ) -> Result<Option<T>, FileError> {
        debug_assert!(
            self.known.contains(&name),
            "{name} is not among the known fields"
        );
        let Value::Mapping(entries) = &self.cursor.node.value else {
            return Ok(None);
        };
        entries
            .iter()
            .find(|(key, _)| key.text == name)
            .map(|(_, node)| {
                let path = Path::Field(self.cursor.path, name);
                read(&Cursor {
                    document: self.cursor.document,
                    node,
                    path: &path,
                })
            })
            .transpose()
    }

    /// Reads a field for which `null` is the same as its absence.
    pub(crate) fn nullable<T>(
        &self,
        name: &'static str,
        read: impl FnOnce(&Cursor<'_>) -> Result<T, FileError>,
    ) -> Result<Option<T>, FileError> {
        let value = self.optional(name, |at| {
            if at.is_null() {
                Ok(None)
            } else {
                read(at).map(Some)
            }
        })?;
        Ok(value.flatten())
    }

    /// Reads a field that must be there.
    pub(crate) fn required<T>(
        &self,
        name: &'static str,
        expected: &'static str,
        read: impl FnOnce(&Cursor<'_>) -> Result<T, FileError>,
    ) -> Result<T, FileError> {
        self.optional(name, read)?
            .ok_or_else(|| self.missing(name, expected))
    }

    /// The error that a field is not there.
    pub(crate) fn missing(&self, name: &'static str, expected: &'static str) -> FileError {
        let path = Path::Field(self.cursor.path, name);
        self.cursor.error(
            self.cursor.position(),
            &path,
            Problem::Missing {
                expected: expected.into(),
            },
        )
    }
}

/// The node as an error words it.
fn describe(node: &Node) -> String {
    let tag = node
        .tag
        .as_deref()
        .map_or(String::new(), |tag| format!("!{tag} "));
    match &node.value {
        Value::Null => format!("{tag}nothing"),
        Value::Scalar(text) => format!("{tag}{}", quoted(text)),
        Value::List(items) => format!("{tag}a list of {}", items.len()),
        Value::Mapping(entries) => format!("{tag}a mapping of {}", entries.len()),
    }
}

/// `text` in quotes, escaped and cut so that it fits a log line.
fn quoted(text: &str) -> String {
    const MAX_CHARS: usize = 80;
    let cut: String = text.chars().take(MAX_CHARS).collect();
    if cut.len() < text.len() {
        format!("{cut:?}...")
    } else {
        format!("{cut:?}")
    }
}
