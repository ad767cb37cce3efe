//! `%START_TIME%`: moments in UTC.
//!
//! **Source:** Envoy's `START_TIME`, which takes the specifiers of `strftime` in the C locale, and `%s`, `%f`, `%3f`.

use std::{fmt, time::SystemTime};

use jiff::{Timestamp, fmt::temporal::DateTimePrinter};

/// RFC 3339 with milliseconds.
const MILLISECONDS: DateTimePrinter = DateTimePrinter::new().precision(Some(3));

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
