//! Numbers of the APIs: counts, weights, status codes, percentages.

use std::ops::RangeInclusive;

use yaml::{
    Cursor, Error, Object,
    scalar::{number, parse_number},
};

use crate::objects::Share;

/// An `int32` that is not negative. Source: protobuf's `int32`, which Istio's API counts with.
const COUNT: &str = "a whole number from 0 to 2147483647";
const STATUS: &str = "a status code from 200 to 599";
const PERCENT: &str = "a percentage from 0 to 100, such as 0.5";

/// A count.
pub(super) fn count(at: &Cursor<'_>) -> Result<u32, Error> {
    within(at, 0..=i32::MAX.unsigned_abs(), COUNT)
}

/// A count that may be missing; zero is as if it were.
pub(super) fn optional_count(
    object: &Object<'_>,
    name: &'static str,
) -> Result<Option<u32>, Error> {
    let count = object.nullable(name, count)?;
    Ok(count.filter(|count| *count != 0))
}

/// A number in a range, of which `expected` speaks.
pub(super) fn within(
    at: &Cursor<'_>,
    range: RangeInclusive<u32>,
    expected: &'static str,
) -> Result<u32, Error> {
    let number = number(at, expected)?;
    if range.contains(&number) {
        Ok(number)
    } else {
        Err(at.unexpected(expected))
    }
}

/// The status code of a final answer.
pub(super) fn status(at: &Cursor<'_>) -> Result<u16, Error> {
    let status = number(at, STATUS)?;
    if (200..=599).contains(&status) {
        Ok(status)
    } else {
        Err(at.unexpected(STATUS))
    }
}

/// `{value}`: a percentage; without a value it is 0. Source: `istio.networking.v1.Percent`.
pub(super) fn percent_object(at: &Cursor<'_>) -> Result<Share, Error> {
    let object = at.object("a mapping with value", &["value"])?;
    let value = object.nullable("value", percent)?;
    Ok(value.unwrap_or_default())
}

/// A percentage, of which four decimals count.
pub(super) fn percent(at: &Cursor<'_>) -> Result<Share, Error> {
    const DECIMALS: usize = 4;
    let refused = || at.unexpected(PERCENT);
    let text = at.text(PERCENT)?;
    let (whole, decimals) = text.split_once('.').unwrap_or((text, "0"));
    if decimals.is_empty() || !decimals.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(refused());
    }
    let whole: u32 = parse_number(whole)
        .filter(|whole| *whole <= 100)
        .ok_or_else(refused)?;
    let (counted, rest) = decimals
        .split_at_checked(DECIMALS)
        .unwrap_or((decimals, ""));
    // Four digits at most.
    let counted: u32 = format!("{counted:0<DECIMALS$}")
        .parse()
        .map_err(|_| refused())?;
    let parts = whole.saturating_mul(10_000).saturating_add(counted);
    if parts > Share::ALL.parts_per_million() {
        return Err(refused());
    }
    if rest.bytes().any(|digit| digit != b'0') {
        at.warn("of a percentage only four decimals count");
    }
    Ok(Share::of_million(parts))
}

#[cfg(test)]
mod tests;
