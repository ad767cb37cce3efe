//! What came of the file last, for `/config_dump` and readiness.

use std::sync::{Arc, Mutex, PoisonError};

use serde::Serialize;

use super::{FileError, Resources};

/// A shared view of the file's fate. **Shape**: cheap to clone; all clones show the same.
#[derive(Clone, Debug, Default)]
pub struct FileStatus {
    state: Arc<Mutex<FileState>>,
}

/// What came of the file so far.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct FileState {
    /// The file, or `LOCAL_XDS`.
    pub source: String,
    /// How many versions of it were accepted. 0: nothing of it is in force yet.
    pub accepted: u64,
    /// How many were refused.
    pub refused: u64,
    /// The snapshot version that the last accepted one made or left.
    pub snapshot_version: u64,
    /// What is in force: workloads.
    pub workloads: usize,
    /// What is in force: services.
    pub services: usize,
    /// What is in force: policies.
    pub policies: usize,
    /// What is in force but has no effect, worded with line and field.
    pub warnings: Vec<String>,
    /// Why the file as it is now is refused; absent when it is in force.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_error: Option<RefusedFile>,
}

/// Why the file as it is now is refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RefusedFile {
    /// The whole error, causes included.
    pub error: String,
    /// The line, where one can be named. Units: from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<u64>,
    /// The path of the field, where one can be named.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
}

impl FileStatus {
    /// A status of nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// What came of the file so far.
    #[must_use]
    pub fn state(&self) -> FileState {
        self.state
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn update(&self, change: impl FnOnce(&mut FileState)) {
        change(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner));
    }

    pub(super) fn follows(&self, source: &str) {
        self.update(|state| source.clone_into(&mut state.source));
    }

    pub(super) fn accept(&self, resources: &Resources, snapshot_version: u64) {
        let warning =
            |warning: &super::Warning| format!("line {}: {warning}", warning.position.line);
        self.update(|state| {
            state.accepted += 1;
            state.snapshot_version = snapshot_version;
            state.workloads = resources.workloads.len();
            state.services = resources.services.len();
            state.policies = resources.policies.len();
            state.warnings = resources.warnings.iter().map(warning).collect();
            state.last_error = None;
        });
    }

    /// Notes a refusal; returns whether it is news.
    pub(super) fn refuse(&self, error: &FileError) -> bool {
        let refused = RefusedFile {
            error: worded(error),
            line: error.line(),
            field: error.field().map(str::to_owned),
        };
        let mut news = false;
        self.update(|state| {
            news = state.last_error.as_ref() != Some(&refused);
            if news {
                state.refused += 1;
                state.last_error = Some(refused);
            }
        });
        news
    }
}

/// The error with its causes.
fn worded(error: &FileError) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
