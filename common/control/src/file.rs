//! The local configuration file: `LOCAL_XDS_PATH`, or the text itself in `LOCAL_XDS`.
//!
//! In: YAML with the lists `workloads`, `services` and `policies`.
//! Out: one minimal [`mesh::delta::Delta`] per accepted version of the file.
//! Never: publishes a part of a file, or anything of a file that has a mistake in it.
//!
//! The format is in this crate's README. A file is accepted whole or refused whole; refused, it leaves the
//! configuration that was in force, logs the [`FileError`] and shows it in the [`FileStatus`].
//!
//! Reading order: [`FileError`], crate [`yaml`] (YAML with positions), `scalar`, `workload`, `service`, `policy`,
//! [`Resources`], `read` (bytes), `watch` and `follow` (the task).

use std::{borrow::Cow, path::PathBuf};

mod defaults;
mod error;
mod follow;
mod policy;
mod read;
mod resources;
mod scalar;
mod service;
mod status;
mod watch;
mod workload;

pub use defaults::Defaults;
pub use error::FileError;
pub use follow::run;
pub use resources::Resources;
pub use status::{FileState, FileStatus, RefusedFile};
pub use yaml::{Position, Problem, Warning};

/// The largest file that is read: room for some 50,000 workloads. A whole file is held in memory while it is
/// read, and larger meshes change too often to be delivered whole.
pub const MAX_FILE_BYTES: usize = 32 << 20;

/// Where the configuration comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// A file that is read again whenever it changes.
    Path(PathBuf),
    /// The text itself, which never changes.
    Text(String),
}

impl Source {
    /// What errors call it.
    #[must_use]
    pub fn name(&self) -> Cow<'_, str> {
        match self {
            Self::Path(path) => path.to_string_lossy(),
            Self::Text(_) => Cow::Borrowed("LOCAL_XDS"),
        }
    }
}

/// Reads and validates `source` once: for a start that depends on it.
///
/// Blocks for as long as reading the file takes.
///
/// # Errors
/// The file cannot be read, or is not what the format demands.
pub fn load_once(source: &Source) -> Result<Resources, FileError> {
    let name = source.name();
    match source {
        Source::Path(path) => parse(&read::text(path, &name)?, &name),
        Source::Text(text) => parse(text, &name),
    }
}

/// Reads and validates the text of a file; `name` is what errors call it.
///
/// # Errors
/// The text is not what the format demands: [`FileError::Yaml`], [`FileError::Field`] or [`FileError::TooLarge`].
pub fn parse(text: &str, name: &str) -> Result<Resources, FileError> {
    parse_with(text, name, &Defaults::default())
}

/// As [`parse`], with what stands in for fields that a workload leaves out.
///
/// # Errors
/// As [`parse`].
pub fn parse_with(text: &str, name: &str, defaults: &Defaults) -> Result<Resources, FileError> {
    if text.len() > MAX_FILE_BYTES {
        return Err(FileError::TooLarge {
            file: name.to_owned(),
        });
    }
    Resources::parse(text, name, defaults)
}

#[cfg(test)]
mod tests;
