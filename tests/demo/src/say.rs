//! The demo's only way to speak. A closed pipe is no error: nobody listens any more.

use std::{
    io::Write as _,
    time::{Duration, Instant},
};

/// A line for the person.
pub(crate) fn line(text: &str) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{text}");
    let _ = out.flush();
}

/// What went wrong.
pub(crate) fn error(text: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}

/// Progress lines with the time that has passed.
#[derive(Debug)]
pub(crate) struct Progress(Instant);

impl Progress {
    pub(crate) fn begin() -> Self {
        Self(Instant::now())
    }

    pub(crate) fn line(&self, text: &str) {
        line(&format!(
            "[{:5.1} s] {text}",
            Duration::as_secs_f64(&self.0.elapsed())
        ));
    }

    pub(crate) fn seconds(&self) -> u64 {
        self.0.elapsed().as_secs()
    }
}
