//! Chores of the repository that need more than a shell: `cargo xtask protos`.

use std::{env, path::Path};

use anyhow::{Context as _, Result, bail};

/// Runs one chore.
fn main() -> Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"))
        .ancestors()
        .nth(2)
        .context("deploy/xtask has lost its workspace")?;
    match env::args().nth(1).as_deref() {
        Some("protos") => xtask::write(root),
        Some(_) | None => bail!("usage: cargo xtask protos"),
    }
}
