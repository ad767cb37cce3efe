//! Durations: those of Istio's API, written as Go writes them, and those of Gateway API.
//!
//! Never: a negative one, and none so long that sums with it overflow.

use std::time::Duration;

use yaml::{Cursor, Error};

/// No timeout, interval or lifetime is meant to be longer: one hundred years. Twice of it still fits everywhere.
const MAX: Duration = Duration::from_hours(100 * 365 * 24);

const DURATION: &str = "a duration such as 1.5s, 10ms or 1h30m, at most 876000h";
const WHOLE: &str = "a duration of whole milliseconds, at least 1ms, such as 1.5s, 10ms or 1h30m";
const GATEWAY: &str =
    "a duration of Gateway API: up to four whole numbers with h, m, s or ms, such as 1h30m";

/// A duration, perhaps zero. Source: Go's `time.ParseDuration`, as Istio's API has it, without signs.
pub(super) fn any(at: &Cursor<'_>) -> Result<Duration, Error> {
    parse(at.text(DURATION)?).ok_or_else(|| at.unexpected(DURATION))
}

/// A duration of at least 1 ms, in whole milliseconds. Source: Istio, `ValidateDuration`.
pub(super) fn positive(at: &Cursor<'_>) -> Result<Duration, Error> {
    parse(at.text(WHOLE)?)
        .filter(|it| !it.is_zero() && it.subsec_nanos().is_multiple_of(1_000_000))
        .ok_or_else(|| at.unexpected(WHOLE))
}

/// The same where zero is allowed, and stands for none.
pub(super) fn or_none(at: &Cursor<'_>) -> Result<Option<Duration>, Error> {
    if parse(at.text(WHOLE)?).is_some_and(|it| it.is_zero()) {
        return Ok(None);
    }
    positive(at).map(Some)
}

/// A duration of Gateway API. Source: GEP-2257.
pub(super) fn gateway(at: &Cursor<'_>) -> Result<Duration, Error> {
    parse_gateway(at.text(GATEWAY)?).ok_or_else(|| at.unexpected(GATEWAY))
}

fn parse_gateway(text: &str) -> Option<Duration> {
    const MAX_PARTS: usize = 4;
    const MAX_DIGITS: usize = 5;
    let mut rest = text;
    let mut parts = 0;
    while !rest.is_empty() {
        let (digits, after) = split_digits(rest);
        let letters = after
            .find(|c: char| c.is_ascii_digit())
            .unwrap_or(after.len());
        let (unit, after) = after.split_at_checked(letters)?;
        let is_part =
            (1..=MAX_DIGITS).contains(&digits.len()) && matches!(unit, "h" | "m" | "s" | "ms");
        parts += 1;
        if !is_part || parts > MAX_PARTS {
            return None;
        }
        rest = after;
    }
    parse(text)
}

/// Numbers with units, one after another, or `0`.
fn parse(text: &str) -> Option<Duration> {
    if text == "0" {
        return Some(Duration::ZERO);
    }
    if text.is_empty() {
        return None;
    }
    let mut rest = text;
    let mut nanos: u128 = 0;
    while !rest.is_empty() {
        let (whole, after) = split_digits(rest);
        let (fraction, after) = match after.strip_prefix('.') {
            Some(after) => split_digits(after),
            None => ("", after),
        };
        if whole.is_empty() && fraction.is_empty() {
            return None;
        }
        let letters = after
            .find(|c: char| c.is_ascii_digit() || c == '.')
            .unwrap_or(after.len());
        let (unit, after) = after.split_at_checked(letters)?;
        let unit = nanoseconds(unit)?;
        nanos = nanos.checked_add(times(whole, fraction, unit)?)?;
        if nanos > MAX.as_nanos() {
            return None;
        }
        rest = after;
    }
    u64::try_from(nanos).ok().map(Duration::from_nanos)
}

fn split_digits(text: &str) -> (&str, &str) {
    let end = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    text.split_at_checked(end).unwrap_or((text, ""))
}

fn nanoseconds(unit: &str) -> Option<u64> {
    Some(match unit {
        "ns" => 1,
        // The micro sign and the Greek letter.
        "us" | "\u{b5}s" | "\u{3bc}s" => 1_000,
        "ms" => 1_000_000,
        "s" => 1_000_000_000,
        "m" => 60 * 1_000_000_000,
        "h" => 3_600 * 1_000_000_000,
        _ => return None,
    })
}

/// `whole.fraction` times the unit, as a whole number of nanoseconds: what is less than one is cut, as Go cuts it.
fn times(whole: &str, fraction: &str, unit: u64) -> Option<u128> {
    /// More digits cannot be of a duration that is allowed, or are less than a nanosecond of any unit.
    const MAX_DIGITS: usize = 20;
    let whole: u128 = match whole.trim_start_matches('0') {
        "" => 0,
        digits if digits.len() > MAX_DIGITS => return None,
        digits => digits.parse().ok()?,
    };
    let fraction = fraction.get(..MAX_DIGITS).unwrap_or(fraction);
    let (mut numerator, mut denominator) = (0_u128, 1_u128);
    for digit in fraction.bytes() {
        numerator = numerator
            .checked_mul(10)?
            .checked_add(u128::from(digit.saturating_sub(b'0')))?;
        denominator = denominator.checked_mul(10)?;
    }
    let unit = u128::from(unit);
    // At most 10^20 times 3.6 * 10^12, each.
    let part = numerator.checked_mul(unit)?.checked_div(denominator)?;
    whole.checked_mul(unit)?.checked_add(part)
}

#[cfg(test)]
mod tests;
