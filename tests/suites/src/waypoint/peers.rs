//! Programs that others wrote, which scripts of `scripts/` fetch; where one is not there, it is said and the test skipped.

use std::path::{Path, PathBuf};

/// The program `target/peers/PLACE/PROGRAM`, or `None` and a line that names the script.
#[expect(clippy::print_stderr, reason = "a skipped test must say so")]
pub fn peer(place: &str, program: &str) -> Option<PathBuf> {
    if !lab::possible() {
        return None;
    }
    let path = format!("../../target/peers/{place}/{program}");
    let found = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    // The place itself and not what a link leads to: programs may find their libraries by it.
    let found = found.parent().and_then(|it| it.canonicalize().ok());
    let found = found.map(|it| it.join(program)).filter(|it| it.exists());
    if found.is_none() {
        eprintln!("skipped: {place}/{program} is not there (scripts/peer-{place} fetches it)");
    }
    found
}
