//! Why a configuration file is refused: every error says where, what was found and what was expected.

use std::io;

use yaml::{Position, Problem};

use super::MAX_FILE_BYTES;

/// Why a file is refused, whole.
///
/// **Shape** of its text: `file:line:column: field: what was found, what was expected`.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// It cannot be opened or read; the cause is the source.
    #[error("{file}: cannot be read, expected a readable file")]
    Read {
        /// The file.
        file: String,
        /// What the system said.
        source: io::Error,
    },
    /// It is a directory, a pipe or a device.
    #[error("{file}: expected a regular file")]
    NotAFile {
        /// The file.
        file: String,
    },
    /// It is larger than is read.
    #[error("{file}: more than {MAX_FILE_BYTES} bytes, expected a smaller file or delivery by xDS")]
    TooLarge {
        /// The file.
        file: String,
    },
    /// It is being written: it changed while it was read, every time that it was tried.
    #[error(
        "{file}: keeps changing while it is read, expected it to be replaced by renaming a complete file over it"
    )]
    Changing {
        /// The file.
        file: String,
    },
    /// It is not text.
    #[error("{file}:{line}: found a byte that is not UTF-8, expected UTF-8 text")]
    NotUtf8 {
        /// The file.
        file: String,
        /// The line of the first such byte. Units: from 1.
        line: u64,
    },
    /// It is not YAML.
    #[error("{file}:{}:{}: found malformed YAML, expected one document: {message}", position.line, position.column)]
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

impl From<yaml::Error> for FileError {
    fn from(error: yaml::Error) -> Self {
        match error {
            yaml::Error::Yaml {
                file,
                position,
                message,
            } => Self::Yaml {
                file,
                position,
                message,
            },
            yaml::Error::Field {
                file,
                position,
                field,
                problem,
            } => Self::Field {
                file,
                position,
                field,
                problem,
            },
        }
    }
}

impl FileError {
    /// The file's name, as it was given.
    #[must_use]
    pub fn file(&self) -> &str {
        match self {
            Self::Read { file, .. }
            | Self::NotAFile { file }
            | Self::TooLarge { file }
            | Self::Changing { file }
            | Self::NotUtf8 { file, .. }
            | Self::Yaml { file, .. }
            | Self::Field { file, .. } => file,
        }
    }

    /// The line that is wrong, where one can be named. Units: from 1.
    #[must_use]
    pub fn line(&self) -> Option<u64> {
        match self {
            Self::Read { .. }
            | Self::NotAFile { .. }
            | Self::TooLarge { .. }
            | Self::Changing { .. } => None,
            Self::NotUtf8 { line, .. } => Some(*line),
            Self::Yaml { position, .. } | Self::Field { position, .. } => Some(position.line),
        }
    }

    /// The column that is wrong, where one can be named. Units: characters, from 1.
    #[must_use]
    pub fn column(&self) -> Option<u64> {
        match self {
            Self::Read { .. }
            | Self::NotAFile { .. }
            | Self::TooLarge { .. }
            | Self::Changing { .. }
            | Self::NotUtf8 { .. } => None,
            Self::Yaml { position, .. } | Self::Field { position, .. } => Some(position.column),
        }
    }

    /// The path of the field that is wrong, where one can be named.
    #[must_use]
    pub fn field(&self) -> Option<&str> {
        match self {
            Self::Read { .. }
            | Self::NotAFile { .. }
            | Self::TooLarge { .. }
            | Self::Changing { .. }
            | Self::NotUtf8 { .. }
            | Self::Yaml { .. } => None,
            Self::Field { field, .. } => Some(field),
        }
    }
}
