//! The bearer token that says who we are.
//!
//! In: a file that the kubelet rewrites. Out: a header value, read anew for every request.
//! Never: a token in a log line.

use std::{io, path::Path, path::PathBuf};

use http::HeaderValue;

use crate::file;

/// The most bytes of a token: a service account's has about 1 KiB, and a header list ends at 16 KiB or more.
const MAX_TOKEN_BYTES: u64 = 16 << 10;

/// Why there is no token.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// The file cannot be read.
    #[error("token file {} cannot be read", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// The file holds something else.
    #[error("token file {} {problem}, expected one bearer token", path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// What it holds.
        problem: &'static str,
    },
}

/// Reads the value of an `authorization` header. Space around the token is no part of it.
pub(crate) async fn read(path: &Path) -> Result<HeaderValue, TokenError> {
    let content = |problem| TokenError::Content {
        path: path.to_owned(),
        problem,
    };
    let bytes = file::read(path, MAX_TOKEN_BYTES)
        .await
        .map_err(|source| TokenError::Read {
            path: path.to_owned(),
            source,
        })?;
    let token = bytes.trim_ascii();
    if token.is_empty() {
        return Err(content("is empty"));
    }
    if !token.iter().all(u8::is_ascii_graphic) {
        return Err(content("holds spaces or bytes that are not ASCII text"));
    }
    let mut value = HeaderValue::from_bytes(&[b"Bearer ", token].concat())
        .map_err(|_| content("holds no header text"))?;
    value.set_sensitive(true);
    Ok(value)
}
