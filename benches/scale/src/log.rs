//! The controller's log: when it had read manifests, when it had published what came of them.
//!
//! In: its lines, as JSON. Out: [`Entry`]s. Lines of other kinds are left out.

use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use serde::Deserialize;

/// One line.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Entry {
    /// When it was written.
    pub(crate) at: SystemTime,
    /// What it tells.
    pub(crate) what: What,
}

/// What a line tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum What {
    /// It began.
    Started,
    /// The folder was read.
    Read,
    /// A snapshot was published; this long it took to compile and publish.
    Published(Duration),
    /// Something was refused or failed.
    Trouble,
}

#[derive(Deserialize)]
struct Line {
    level: String,
    time: String,
    message: String,
    took: Option<String>,
}

/// Reads a log.
pub(crate) fn entries(text: &str) -> Vec<Entry> {
    text.lines().filter_map(entry).collect()
}

fn entry(text: &str) -> Option<Entry> {
    let line: Line = serde_json::from_str(text).ok()?;
    let what = match (line.message.as_str(), line.took) {
        ("controller started", _) => What::Started,
        ("manifests read", _) => What::Read,
        ("configuration published", Some(took)) => What::Published(duration(&took)?),
        _ if line.level == "warn" || line.level == "error" => What::Trouble,
        _ => return None,
    };
    let at = SystemTime::from(line.time.parse::<Timestamp>().ok()?);
    Some(Entry { at, what })
}

/// `1.5ms`, as `Duration` shows itself.
fn duration(text: &str) -> Option<Duration> {
    let digits = text.trim_end_matches(|c: char| c != '.' && !c.is_ascii_digit());
    let scale = match text.get(digits.len()..)? {
        "s" => 1.0,
        "ms" => 1e-3,
        "µs" => 1e-6,
        "ns" => 1e-9,
        _ => return None,
    };
    Duration::try_from_secs_f64(digits.parse::<f64>().ok()? * scale).ok()
}

#[cfg(test)]
mod tests;
