//! The only place that reads a clock; everyone else is given the time or asks here by name.

use std::time::{Instant, SystemTime};

/// The monotonic time.
#[must_use]
#[expect(
    clippy::disallowed_methods,
    reason = "this is the function that the ban points to"
)]
pub fn now() -> Instant {
    Instant::now()
}

/// The wall time, for certificates and log lines.
#[must_use]
#[expect(
    clippy::disallowed_methods,
    reason = "this is the function that the ban points to"
)]
pub fn wall() -> SystemTime {
    SystemTime::now()
}
