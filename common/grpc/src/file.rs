//! Small files that others rewrite while we run: mounted secrets and tokens.

use std::{fs::File, io, io::Read as _, path::Path};

/// Reads a whole file, off the threads that serve connections; one of more than `limit` bytes is an error.
pub(crate) async fn read(path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    let path = path.to_owned();
    tokio::task::spawn_blocking(move || {
        let mut bytes = Vec::new();
        File::open(path)?.take(limit + 1).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > limit {
            return Err(io::Error::new(
                io::ErrorKind::FileTooLarge,
                format!("more than {limit} bytes"),
            ));
        }
        Ok(bytes)
    })
    .await
    .map_err(io::Error::other)?
}
