//! `%START_TIME%`: moments in UTC.
//!
//! **Source:** Envoy's `START_TIME`, which takes the specifiers of `strftime` in the C locale, and `%s`, `%f`, `%3f`.

use std::{cell::Cell, fmt, time::SystemTime};

use jiff::{Timestamp, fmt::temporal::DateTimePrinter};

use super::plain;

/// RFC 3339 with milliseconds.
const MILLISECONDS: DateTimePrinter = DateTimePrinter::new().precision(Some(3));

/// What goes before the milliseconds, such as `2024-11-21T15:33:44.`. Units: bytes.
const HEAD_BYTES: usize = 20;

thread_local! {
    /// The last second that this thread has written: most lines are of the same one as the line before.
    static SECOND: Cell<Option<(i64, [u8; HEAD_BYTES])>> = const { Cell::new(None) };
}

/// Specifiers that mean the same to the printer as to `strftime` in the C locale.
const ALIKE: &str = "YyCGgmdejHIklMSspPaAbBhFTRuwUVW";

/// How a moment is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum TimeFormat {
    /// RFC 3339 with milliseconds: `2024-11-21T15:33:44.464Z`.
    Milliseconds,
    /// In the printer's specifiers.
    Custom(Box<str>),
}

impl TimeFormat {
    /// Reads a format, or nothing where a specifier is not known or it holds a control character.
    pub(super) fn read(text: &str) -> Option<Self> {
        let mut out = String::with_capacity(text.len());
        let mut chars = text.chars();
        while let Some(c) = chars.next() {
            if c.is_control() {
                return None;
            }
            if c != '%' {
                out.push(c);
                continue;
            }
            match chars.next()? {
                '%' => out.push_str("%%"),
                // Nanoseconds, unless told otherwise.
                'f' => out.push_str("%9f"),
                digits @ '1'..='9' => {
                    if chars.next()? != 'f' {
                        return None;
                    }
                    out.extend(['%', digits, 'f']);
                }
                'E' => seconds(&mut chars, &mut out)?,
                'c' => out.push_str("%a %b %e %H:%M:%S %Y"),
                'D' | 'x' => out.push_str("%m/%d/%y"),
                'X' => out.push_str("%H:%M:%S"),
                'r' => out.push_str("%I:%M:%S %p"),
                'z' => out.push_str("+0000"),
                'Z' => out.push_str("UTC"),
                specifier if ALIKE.contains(specifier) => out.extend(['%', specifier]),
                _ => return None,
            }
        }
        Some(Self::Custom(out.into()))
    }

    /// The moment, ready to be written.
    pub(crate) fn at(&self, wall: SystemTime) -> Moment<'_> {
        // A clock outside of the years that can be written shows the epoch rather than no line.
        let timestamp = Timestamp::try_from(wall).unwrap_or(Timestamp::UNIX_EPOCH);
        Moment {
            format: self,
            timestamp,
        }
    }
}

/// Seconds with a fraction: `%E3S`, `%E*S`.
fn seconds(chars: &mut std::str::Chars<'_>, out: &mut String) -> Option<()> {
    match chars.next()? {
        '*' => out.push_str("%S%.f"),
        '0' => out.push_str("%S"),
        digits @ '1'..='9' => out.extend(['%', 'S', '.', '%', digits, 'f']),
        _ => return None,
    }
    (chars.next()? == 'S').then_some(())
}

/// A moment and how it is written.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moment<'a> {
    format: &'a TimeFormat,
    timestamp: Timestamp,
}

impl Moment<'_> {
    /// Whether its format may hold what JSON escapes.
    pub(crate) fn may_hold_quotes(&self) -> bool {
        match self.format {
            TimeFormat::Milliseconds => false,
            TimeFormat::Custom(_) => true,
        }
    }

    /// Appends it.
    pub(crate) fn write(&self, out: &mut String) {
        match self.format {
            TimeFormat::Milliseconds => milliseconds(self.timestamp, out),
            // Writing to a string does not fail; a time that cannot be written is left out.
            TimeFormat::Custom(_) => drop(fmt::Write::write_fmt(out, format_args!("{self}"))),
        }
    }
}

fn milliseconds(timestamp: Timestamp, out: &mut String) {
    let second = timestamp.as_second();
    if let Some((last, head)) = SECOND.get()
        && last == second
        && let Ok(head) = std::str::from_utf8(&head)
        && let Ok(part @ 0..1000) = u64::try_from(timestamp.subsec_millisecond())
    {
        out.push_str(head);
        plain::padded(out, part, 3);
        out.push('Z');
        return;
    }
    let start = out.len();
    drop(MILLISECONDS.print_timestamp(&timestamp, &mut *out));
    let written = out.as_bytes().get(start..).unwrap_or_default();
    // Years of more digits, and moments before 1970, whose parts count backwards, are written anew each time. The first second of 1970 has some of both.
    if second > 0 && written.len() == HEAD_BYTES + "000Z".len() {
        SECOND.set(written.first_chunk().map(|head| (second, *head)));
    }
}

impl fmt::Display for Moment<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.format {
            TimeFormat::Milliseconds => {
                let mut out = jiff::fmt::StdFmtWrite(f);
                MILLISECONDS
                    .print_timestamp(&self.timestamp, &mut out)
                    .map_err(|_| fmt::Error)
            }
            TimeFormat::Custom(format) => write!(f, "{}", self.timestamp.strftime(&**format)),
        }
    }
}

#[cfg(test)]
mod tests;
