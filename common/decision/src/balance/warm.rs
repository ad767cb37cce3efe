//! The share of an endpoint that has just come, so that a cold one is not given its full load at once.

use std::time::Duration;

use mesh::backend::Warmup;

/// Which part of its weight an endpoint is given that has been well for `age`: from more than 0 to 1.
///
/// As Envoy's `slow_start_config`: the part of the time that has passed, to the power of `1 / aggression`, and not less
/// than the minimum.
#[must_use]
pub fn share(warmup: &Warmup, age: Duration) -> f64 {
    if age >= warmup.duration {
        return 1.0;
    }
    let passed = age.max(Duration::from_millis(1)).as_secs_f64() / warmup.duration.as_secs_f64();
    let aggression = f64::from(warmup.aggression_milli) / 1000.0;
    let bent = if aggression > 0.0 {
        passed.powf(1.0 / aggression)
    } else {
        passed
    };
    let minimum = f64::from(warmup.minimum_ppm) / 1_000_000.0;
    // Never 0: an endpoint that nobody ever tries could not get warm.
    bent.max(minimum).clamp(f64::MIN_POSITIVE, 1.0)
}
