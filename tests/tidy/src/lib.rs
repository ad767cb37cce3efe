//! Rules of the repository that no compiler checks, as functions from text to complaints.
//!
//! In: the tree of files. Out: complaints, each with its file and line. Never: changes a file.
//!
//! Reading order: [`tree`] (which files there are), then the rules: [`sources`], [`texts`], [`crates`], [`lock`],
//! [`features`], [`documents`]. The tests apply each rule to the whole tree.

#![forbid(unsafe_code)]

pub mod crates;
pub mod documents;
pub mod features;
pub mod lock;
pub mod sources;
pub mod texts;
pub mod tree;

/// Something that a rule found.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Complaint {
    /// The line, counted from 1; 0 is the file as a whole.
    pub line: usize,
    /// What is wrong and what was expected.
    pub text: String,
}

impl Complaint {
    /// About the file as a whole.
    #[must_use]
    pub fn whole(text: impl Into<String>) -> Self {
        Self {
            line: 0,
            text: text.into(),
        }
    }

    /// About one line.
    #[must_use]
    pub fn line(line: usize, text: impl Into<String>) -> Self {
        Self {
            line,
            text: text.into(),
        }
    }
}

/// Applies a rule to files and renders what it found, `path:line: text`; an empty list is a clean tree.
pub fn apply<'a>(
    files: impl IntoIterator<Item = &'a tree::File>,
    rule: impl Fn(&tree::File) -> Vec<Complaint>,
) -> Vec<String> {
    let mut found = Vec::new();
    for file in files {
        for complaint in rule(file) {
            found.push(format!(
                "{}:{}: {}",
                file.path, complaint.line, complaint.text
            ));
        }
    }
    found
}
