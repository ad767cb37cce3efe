//! A node together with the path that leads to it, so that every error can name both.

use std::{borrow::Cow, cell::RefCell, collections::HashMap, fmt};

use crate::{
    error::{Error, Problem, Warning},
    nearest::nearest,
    node::{Key, Node, Position, Value},
};

mod object;

pub use object::Object;

/// Warnings kept of one document; more of them say nothing new.
const MAX_WARNINGS: usize = 100;
/// Up to so many entries of a mapping, looking back costs less than remembering.
const FEW_ENTRIES: usize = 16;

/// What is done about a field that is not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unknown {
    /// It is an error.
    Refuse,
    /// It is a warning.
    Warn,
}

/// What all cursors of one document share: the file's name and what is to be told beside errors.
#[derive(Debug)]
pub struct Document<'a> {
    file: &'a str,
    unknown: Unknown,
    warnings: RefCell<Vec<Warning>>,
}

impl<'a> Document<'a> {
    /// A document of `file`, as errors call it.
    #[must_use]
    pub fn new(file: &'a str, unknown: Unknown) -> Self {
        Self {
            file,
            unknown,
            warnings: RefCell::new(Vec::new()),
        }
    }

    /// The cursor at the top of the document whose tree is `node`.
    #[must_use]
    pub fn top<'b>(&'b self, node: &'b Node) -> Cursor<'b> {
        Cursor {
            document: self,
            node,
            path: &Path::Top,
        }
    }

    /// What was warned of, in the order in which it was read.
    #[must_use]
    pub fn into_warnings(self) -> Vec<Warning> {
        self.warnings.into_inner()
    }

    /// As [`Document::into_warnings`], for a document that is read in several goes.
    #[must_use]
    pub fn take_warnings(&self) -> Vec<Warning> {
        self.warnings.take()
    }
}

/// The way from the top of the file to a node. Built on the stack, worded only when something is wrong.
#[derive(Clone, Copy, Debug)]
enum Path<'a> {
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
pub struct Cursor<'a> {
    document: &'a Document<'a>,
    node: &'a Node,
    path: &'a Path<'a>,
}

impl<'a> Cursor<'a> {
    /// Where the node begins.
    #[must_use]
    pub fn position(&self) -> Position {
        self.node.position
    }

    /// The node itself.
    #[must_use]
    pub fn node(&self) -> &'a Node {
        self.node
    }

    /// The path that leads to it; empty at the top.
    #[must_use]
    pub fn path(&self) -> String {
        self.path.to_string()
    }

    fn error(&self, position: Position, path: &Path<'_>, problem: Problem) -> Error {
        let file = self.document.file.to_owned();
        // The top itself has no name.
        let field = if matches!(path, Path::Top) {
            "top level".to_owned()
        } else {
            path.to_string()
        };
        Error::Field {
            file,
            position,
            field,
            problem: Box::new(problem),
        }
    }

    /// The error that this node is not what it must be.
    #[must_use]
    pub fn unexpected(&self, expected: impl Into<Cow<'static, str>>) -> Error {
        let problem = Problem::Unexpected {
            found: describe(self.node),
            expected: expected.into(),
        };
        self.error(self.position(), self.path, problem)
    }

    /// The error that `found` was given before, at `first`.
    #[must_use]
    pub fn duplicate(&self, found: &str, first: Position, expected: &'static str) -> Error {
        let problem = Problem::Duplicate {
            found: quoted(found),
            first: first.line,
            expected: expected.into(),
        };
        self.error(self.position(), self.path, problem)
    }

    fn repeated(&self, key: &Key, first: Position, path: &Path<'_>) -> Error {
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

    /// The error that this mapping lacks a field.
    #[must_use]
    pub fn missing(&self, name: &str, expected: impl Into<Cow<'static, str>>) -> Error {
        let expected = expected.into();
        let path = Path::Field(self.path, name);
        self.error(self.position(), &path, Problem::Missing { expected })
    }

    /// Notes that this node is accepted without having an effect.
    pub fn warn(&self, text: impl Into<Cow<'static, str>>) {
        self.warn_of(self.position(), self.path, text.into());
    }

    fn warn_of(&self, position: Position, path: &Path<'_>, text: Cow<'static, str>) {
        let mut warnings = self.document.warnings.borrow_mut();
        if warnings.len() < MAX_WARNINGS {
            warnings.push(Warning {
                position,
                field: path.to_string(),
                text,
            });
        }
    }

    /// The text of a scalar.
    ///
    /// # Errors
    /// It is nothing, a list or a mapping, or has a tag.
    pub fn text(&self, expected: impl Into<Cow<'static, str>>) -> Result<&'a str, Error> {
        match &self.node.value {
            Value::Scalar(text) if self.node.tag.is_none() => Ok(text),
            Value::Scalar(_) | Value::Null | Value::List(_) | Value::Mapping(_) => {
                Err(self.unexpected(expected))
            }
        }
    }

    /// Whether it is nothing, `null` or `~`.
    #[must_use]
    pub fn is_null(&self) -> bool {
        self.node.is_null()
    }

    /// Reads every item of a list.
    ///
    /// # Errors
    /// It is no list, or `read` fails on one of its items.
    pub fn list<T>(
        &self,
        expected: &'static str,
        mut read: impl FnMut(&Cursor<'_>) -> Result<T, Error>,
    ) -> Result<Vec<T>, Error> {
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
    ///
    /// # Errors
    /// It is no mapping, has a key twice, or `read` fails on one of its entries.
    pub fn entries(
        &self,
        expected: &'static str,
        mut read: impl FnMut(&Cursor<'_>, &Cursor<'_>) -> Result<(), Error>,
    ) -> Result<(), Error> {
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
    /// It is no mapping, has a field twice, or one that is not known where that is refused.
    pub fn object(
        &self,
        expected: &'static str,
        known: &'static [&'static str],
    ) -> Result<Object<'a>, Error> {
        self.object_with(expected, known, self.document.unknown)
    }

    /// The same where a field that is not known is an error in every document: one that was left out would change what
    /// the others mean, as a condition among conditions does.
    ///
    /// # Errors
    /// It is no mapping, or has a field twice or one that is not known.
    pub fn exact_object(
        &self,
        expected: &'static str,
        known: &'static [&'static str],
    ) -> Result<Object<'a>, Error> {
        self.object_with(expected, known, Unknown::Refuse)
    }

    fn object_with(
        &self,
        expected: &'static str,
        known: &'static [&'static str],
        unknown: Unknown,
    ) -> Result<Object<'a>, Error> {
        let (Value::Mapping(entries), None) = (&self.node.value, &self.node.tag) else {
            return Err(self.unexpected(expected));
        };
        for (key, _) in entries {
            if known.contains(&key.text.as_str()) {
                continue;
            }
            let path = Path::Field(self.path, &key.text);
            let nearest = nearest(&key.text, known);
            match unknown {
                Unknown::Refuse => {
                    let problem = Problem::Unknown { nearest, known };
                    return Err(self.error(key.position, &path, problem));
                }
                Unknown::Warn => {
                    let text = nearest.map_or(Cow::Borrowed("unknown field, ignored"), |name| {
                        Cow::Owned(format!("unknown field, ignored (did you mean {name}?)"))
                    });
                    self.warn_of(key.position, &path, text);
                }
            }
        }
        self.each_key_once(entries)?;
        Ok(Object {
            cursor: *self,
            known,
        })
    }

    fn each_key_once(&self, entries: &[(Key, Node)]) -> Result<(), Error> {
        let repeated =
            |key: &Key, first| Err(self.repeated(key, first, &Path::Field(self.path, &key.text)));
        if entries.len() <= FEW_ENTRIES {
            for (index, (key, _)) in entries.iter().enumerate() {
                let mut earlier = entries.iter().take(index);
                if let Some((first, _)) = earlier.find(|(earlier, _)| earlier.text == key.text) {
                    return repeated(key, first.position);
                }
            }
            return Ok(());
        }
        let mut first_by_key: HashMap<&str, Position> = HashMap::with_capacity(entries.len());
        for (key, _) in entries {
            if let Some(first) = first_by_key.insert(&key.text, key.position) {
                return repeated(key, first);
            }
        }
        Ok(())
    }

    /// Checks everything below: also what no reader looks into must not have a key twice.
    ///
    /// # Errors
    /// The first key that comes twice.
    pub fn keys_once(&self) -> Result<(), Error> {
        match &self.node.value {
            Value::Null | Value::Scalar(_) => Ok(()),
            Value::List(items) => items.iter().enumerate().try_for_each(|(index, node)| {
                Cursor {
                    document: self.document,
                    node,
                    path: &Path::Item(self.path, index),
                }
                .keys_once()
            }),
            Value::Mapping(entries) => {
                self.each_key_once(entries)?;
                entries.iter().try_for_each(|(key, node)| {
                    Cursor {
                        document: self.document,
                        node,
                        path: &Path::Field(self.path, &key.text),
                    }
                    .keys_once()
                })
            }
        }
    }

    /// Reads one field of a mapping, whatever else the mapping holds; `None` where it is absent or `null`, or
    /// where this is no mapping.
    ///
    /// # Errors
    /// `read` fails.
    pub fn field<T>(
        &self,
        name: &str,
        read: impl FnOnce(&Cursor<'_>) -> Result<T, Error>,
    ) -> Result<Option<T>, Error> {
        let Value::Mapping(entries) = &self.node.value else {
            return Ok(None);
        };
        entries
            .iter()
            .find(|(key, node)| key.text == name && !node.is_null())
            .map(|(_, node)| {
                read(&Cursor {
                    document: self.document,
                    node,
                    path: &Path::Field(self.path, name),
                })
            })
            .transpose()
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

#[cfg(test)]
mod tests;
