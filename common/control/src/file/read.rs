//! The bytes of a file: all of them, of one version, and not more than are allowed.

use std::{
    fs::{self, File, Metadata},
    io::{self, Read},
    path::Path,
    time::SystemTime,
};

use super::{FileError, MAX_FILE_BYTES};

/// Reads the whole file at `path`; `name` is what errors call it.
pub(super) fn text(path: &Path, name: &str) -> Result<String, FileError> {
    let file = || name.to_owned();
    let failed = |source| FileError::Read {
        file: file(),
        source,
    };
    // Before it is opened: opening a pipe would wait for its writer.
    if !fs::metadata(path).map_err(failed)?.is_file() {
        return Err(FileError::NotAFile { file: file() });
    }
    let mut opened = File::open(path).map_err(failed)?;
    let before = version(&opened.metadata().map_err(failed)?).map_err(failed)?;
    let mut bytes = Vec::new();
    // One byte more than is allowed tells a file of just that size from a larger one.
    let limit = u64::try_from(MAX_FILE_BYTES)
        .unwrap_or(u64::MAX)
        .saturating_add(1);
    Read::by_ref(&mut opened)
        .take(limit)
        .read_to_end(&mut bytes)
        .map_err(failed)?;
    if bytes.len() > MAX_FILE_BYTES {
        return Err(FileError::TooLarge { file: file() });
    }
    let after = version(&opened.metadata().map_err(failed)?).map_err(failed)?;
    if before != after || u64::try_from(bytes.len()).ok() != Some(after.0) {
        return Err(FileError::Changing { file: file() });
    }
    String::from_utf8(bytes).map_err(|error| {
        let valid = error
            .as_bytes()
            .get(..error.utf8_error().valid_up_to())
            .unwrap_or_default();
        let breaks = valid.iter().filter(|byte| **byte == b'\n').count();
        FileError::NotUtf8 {
            file: file(),
            line: u64::try_from(breaks).unwrap_or(u64::MAX).saturating_add(1),
        }
    })
}

/// What differs between two versions of a file: its length and when it was written.
fn version(metadata: &Metadata) -> io::Result<(u64, SystemTime)> {
    Ok((metadata.len(), metadata.modified()?))
}
