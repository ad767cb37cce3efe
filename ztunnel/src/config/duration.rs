//! Durations as Go writes them (`1h30m`, `1.5h`, `100ms`), because that is how manifests of the mesh hold them.

use std::time::Duration;

/// Digits after the point that are read; more would be parts of a nanosecond even of an hour, and are refused.
const MAX_FRACTION_DIGITS: usize = 18;

/// Parses a duration that is not negative. **Units:** each number carries its own: `ns`, `us`, `µs`, `ms`, `s`,
/// `m` or `h`; only `0` may go without. Parts of a nanosecond are cut off.
///
/// `None` when the text is not one or is longer than Go's longest (2^63 - 1 ns, about 292 years).
/// **Source:** Go's `time.ParseDuration`.
#[must_use]
pub fn parse(text: &str) -> Option<Duration> {
    let mut rest = text.strip_prefix('+').unwrap_or(text);
    if rest == "0" {
        return Some(Duration::ZERO);
    }
    if rest.is_empty() {
        return None;
    }
    let mut nanoseconds: u64 = 0;
    while !rest.is_empty() {
        let (whole, after) = split_digits(rest);
        let (fraction, after) = after.strip_prefix('.').map_or(("", after), split_digits);
        if whole.is_empty() && fraction.is_empty() {
            return None;
        }
        let end = after
            .find(|c: char| c.is_ascii_digit() || c == '.')
            .unwrap_or(after.len());
        let (unit, after) = after.split_at(end);
        nanoseconds = nanoseconds.checked_add(scale(whole, fraction, nanoseconds_of(unit)?)?)?;
        rest = after;
    }
    i64::try_from(nanoseconds)
        .ok()
        .map(|_in_range| Duration::from_nanos(nanoseconds))
}

fn split_digits(text: &str) -> (&str, &str) {
    text.split_at(
        text.find(|c: char| !c.is_ascii_digit())
            .unwrap_or(text.len()),
    )
}

fn nanoseconds_of(unit: &str) -> Option<u64> {
    match unit {
        "ns" => Some(1),
        // Both the micro sign and the Greek letter, as Go has it.
        "us" | "\u{b5}s" | "\u{3bc}s" => Some(1_000),
        "ms" => Some(1_000_000),
        "s" => Some(1_000_000_000),
        "m" => Some(60_000_000_000),
        "h" => Some(3_600_000_000_000),
        _ => None,
    }
}

/// `whole.fraction` times `unit`, in integers: a float would turn `0.3s` into 299,999,999 ns.
fn scale(whole: &str, fraction: &str, unit: u64) -> Option<u64> {
    let whole: u64 = if whole.is_empty() {
        0
    } else {
        whole.parse().ok()?
    };
    let mut total = whole.checked_mul(unit)?;
    if !fraction.is_empty() {
        if fraction.len() > MAX_FRACTION_DIGITS {
            return None;
        }
        let digits: u128 = fraction.parse().ok()?;
        let divisor = 10_u128.pow(u32::try_from(fraction.len()).ok()?);
        total = total.checked_add(u64::try_from(digits * u128::from(unit) / divisor).ok()?)?;
    }
    Some(total)
}

#[cfg(test)]
mod tests;
