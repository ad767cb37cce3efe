//! The text of a file: all of it, of one version, and not more than is allowed.

use std::{
    fs::OpenOptions,
    io::{self, Read},
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

use super::walk::{Stamp, refused};
use crate::status::Finding;

/// The largest file that is read: room for some 50,000 objects. A whole file is held in memory while it is read.
pub(super) const MAX_FILE_BYTES: u64 = 32 << 20;

/// Why there is no text.
#[derive(Debug)]
pub(super) enum Unread {
    /// It is not there any more.
    Gone,
    /// It is being written.
    Changing,
    /// It cannot be read, or is no text.
    Refused(Finding),
}

/// Reads the whole file at `path`.
pub(super) fn read(path: &Path) -> Result<(String, Stamp), Unread> {
    let failed = |error: io::Error| {
        if error.kind() == io::ErrorKind::NotFound {
            return Unread::Gone;
        }
        let text = format!("cannot be read, expected a readable file: {error}");
        Unread::Refused(refused(path, &text))
    };
    // What was a file a moment ago may be a pipe now, whose writer nobody may have to wait for.
    let mut file = OpenOptions::new()
        .read(true)
        .custom_flags(nix::fcntl::OFlag::O_NONBLOCK.bits())
        .open(path)
        .map_err(failed)?;
    let metadata = file.metadata().map_err(failed)?;
    if !metadata.is_file() {
        return Err(Unread::Refused(refused(path, "expected a regular file")));
    }
    let before = Stamp::of(&metadata);
    if before.bytes > MAX_FILE_BYTES {
        let text = format!("more than {MAX_FILE_BYTES} bytes, expected several smaller files");
        return Err(Unread::Refused(refused(path, &text)));
    }
    let mut bytes = Vec::with_capacity(usize::try_from(before.bytes).unwrap_or_default());
    // One byte more than there were tells a file that grew.
    Read::by_ref(&mut file)
        .take(before.bytes.saturating_add(1))
        .read_to_end(&mut bytes)
        .map_err(failed)?;
    let after = Stamp::of(&file.metadata().map_err(failed)?);
    if before != after || u64::try_from(bytes.len()).ok() != Some(after.bytes) {
        return Err(Unread::Changing);
    }
    match String::from_utf8(bytes) {
        Ok(text) => Ok((text, after)),
        Err(error) => {
            let valid = error.utf8_error().valid_up_to();
            let bytes = error.as_bytes().get(..valid).unwrap_or_default();
            let line = bytes.iter().filter(|byte| **byte == b'\n').count() + 1;
            let text = "found a byte that is not UTF-8, expected UTF-8 text";
            Err(Unread::Refused(Finding {
                object: None,
                refused: true,
                text: format!("{}:{line}: {text}", path.display()),
            }))
        }
    }
}
