//! The files of the repository that a person writes.
//!
//! In: the working tree. Out: their paths, relative to its root with `/`, and their text.
//! Never: what is built (`target`), fetched, or not text.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

/// Folders that hold nothing written by hand.
const SKIPPED: [&str; 4] = ["target", ".git", "node_modules", "artifacts"];

/// One text file.
#[derive(Clone, Debug)]
pub struct File {
    /// Its path below the root.
    pub path: String,
    /// Its text.
    pub text: String,
}

impl File {
    /// Whether its name ends so.
    #[must_use]
    pub fn ends_with(&self, end: &str) -> bool {
        self.path.ends_with(end)
    }
}

/// The root of the repository.
#[must_use]
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Every text file, by path.
///
/// # Errors
/// When a folder or a file cannot be read.
pub fn files() -> io::Result<Vec<File>> {
    let mut files = Vec::new();
    walk(&root(), "", &mut files)?;
    files.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(files)
}

/// The Rust files.
///
/// # Errors
/// As [`files`].
pub fn rust_files() -> io::Result<Vec<File>> {
    Ok(files()?
        .into_iter()
        .filter(|file| file.ends_with(".rs"))
        .collect())
}

/// The Markdown files.
///
/// # Errors
/// As [`files`].
pub fn documents() -> io::Result<Vec<File>> {
    Ok(files()?
        .into_iter()
        .filter(|file| file.ends_with(".md"))
        .collect())
}

fn walk(folder: &Path, prefix: &str, files: &mut Vec<File>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let path = format!("{prefix}{name}");
        let kind = entry.file_type()?;
        // A corpus is bytes of hostile peers, not text of ours.
        if kind.is_dir() && !SKIPPED.contains(&name.as_str()) && name != "corpus" {
            walk(&entry.path(), &format!("{path}/"), files)?;
        } else if kind.is_file()
            && let Ok(text) = String::from_utf8(fs::read(entry.path())?)
        {
            files.push(File { path, text });
        }
    }
    Ok(())
}
