//! Why a document is refused: every error says where, what was found and what was expected.

use std::{borrow::Cow, fmt};

use crate::node::{Malformed, Position};

/// Why a document is refused.
///
/// **Shape** of its text: `file:line:column: field: what was found, what was expected`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// It is not YAML.
    #[error("{file}:{}:{}: found malformed YAML: {message}", position.line, position.column)]
    Yaml {
        /// The file.
        file: String,
        /// Where the parser gave up.
        position: Position,
        /// What the YAML parser said.
        message: String,
    },
    /// It is YAML, but one of its fields is not what it must be.
    #[error("{file}:{}:{}: {field}: {problem}", position.line, position.column)]
    Field {
        /// The file.
        file: String,
        /// Where the value stands, or where the mapping begins that lacks it.
        position: Position,
        /// Its path, for example `workloads[3].workloadIps[0]`.
        field: String,
        /// What is wrong with it.
        problem: Box<Problem>,
    },
}

/// What is wrong with a field.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// Its value is none of those that it may have.
    #[error("found {found}, expected {expected}")]
    Unexpected {
        /// The value, cut to a length that is fit for a log line.
        found: String,
        /// What it should have been.
        expected: Cow<'static, str>,
    },
    /// It has to be there.
    #[error("missing, expected {expected}")]
    Missing {
        /// What it should hold.
        expected: Cow<'static, str>,
    },
    /// Nothing of that name exists here.
    #[error("unknown field{}, expected one of {}", Nearest(*nearest), known.join(", "))]
    Unknown {
        /// The name that it may be a misspelling of.
        nearest: Option<&'static str>,
        /// The names that exist.
        known: &'static [&'static str],
    },
    /// Something that must be unique was given twice.
    #[error("found {found}, which line {first} has already, expected {expected}")]
    Duplicate {
        /// What came twice.
        found: String,
        /// The line where it came first.
        first: u64,
        /// What must be unique.
        expected: Cow<'static, str>,
    },
}

struct Nearest(Option<&'static str>);

impl fmt::Display for Nearest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0
            .map_or(Ok(()), |name| write!(f, " (did you mean {name}?)"))
    }
}

impl Error {
    /// The error that a text of `file` is not YAML.
    #[must_use]
    pub fn malformed(file: &str, malformed: Malformed) -> Self {
        Self::Yaml {
            file: file.to_owned(),
            position: malformed.position,
            message: malformed.message,
        }
    }

    /// The file's name, as it was given.
    #[must_use]
    pub fn file(&self) -> &str {
        match self {
            Self::Yaml { file, .. } | Self::Field { file, .. } => file,
        }
    }

    /// Where it is wrong.
    #[must_use]
    pub fn position(&self) -> Position {
        match self {
            Self::Yaml { position, .. } | Self::Field { position, .. } => *position,
        }
    }

    /// The path of the field that is wrong, where one can be named.
    #[must_use]
    pub fn field(&self) -> Option<&str> {
        match self {
            Self::Yaml { .. } => None,
            Self::Field { field, .. } => Some(field),
        }
    }
}

/// Something that is accepted but cannot have been meant: it has no effect.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {text}")]
pub struct Warning {
    /// Where it stands.
    pub position: Position,
    /// Its path, for example `policies[2].rules[0][0][0]`.
    pub field: String,
    /// What it comes to.
    pub text: Cow<'static, str>,
}
