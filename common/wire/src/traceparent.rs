//! `traceparent`: the trace a connection belongs to.
//!
//! In: a `traceparent` header, or random numbers of the caller's.
//! Out: a [`Traceparent`], or the header value for one.
//! Never: a refusal (what cannot be read is absent), randomness of its own.
//!
//! Source: W3C Trace Context level 1, §3.2.

use std::{
    fmt,
    num::{NonZeroU64, NonZeroU128},
};

use http::{HeaderMap, HeaderName, HeaderValue};

use crate::header;

/// The header's name. Source: W3C Trace Context §3.2.1.
pub const NAME: HeaderName = HeaderName::from_static("traceparent");

/// The flag that says the caller may have recorded the trace. Source: W3C Trace Context §3.2.2.5.1.
pub const SAMPLED: u8 = 0x01;

/// The length of version 00: `00-<32 hex>-<16 hex>-<2 hex>`.
const VERSION_00_BYTES: usize = 55;

/// The longest header of a later version that is read. They have no limit of their own.
const MAX_BYTES: usize = 512;

/// A position in a trace. Shown as its header value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Traceparent {
    /// The trace.
    pub trace_id: NonZeroU128,
    /// The span that the header's receiver is a child of.
    pub parent_id: NonZeroU64,
    /// The trace flags; bit 0 is [`SAMPLED`].
    pub flags: u8,
}

impl Traceparent {
    /// The start of a trace. The ids are the caller's random numbers; zero, which is no valid id, is
    /// taken as one.
    #[must_use]
    pub fn root(random_trace: u128, random_span: u64, flags: u8) -> Self {
        let trace_id = NonZeroU128::new(random_trace).unwrap_or(NonZeroU128::MIN);
        Self {
            trace_id,
            parent_id: span_id(random_span),
            flags,
        }
    }

    /// What is sent on: the same trace and flags, below a span of our own whose id is the caller's
    /// random number (zero is taken as one).
    #[must_use]
    pub fn child(self, random_span: u64) -> Self {
        Self {
            parent_id: span_id(random_span),
            ..self
        }
    }

    /// Whether the caller may have recorded the trace.
    #[must_use]
    pub fn sampled(self) -> bool {
        self.flags & SAMPLED != 0
    }

    /// Reads the header of a request: `None` if there is none, more than one (W3C Trace Context
    /// §3.2.1 allows one) or it is malformed.
    #[must_use]
    pub fn from_headers(headers: &HeaderMap) -> Option<Self> {
        let mut values = headers.get_all(NAME).iter();
        let value = values.next()?;
        if values.next().is_some() {
            return None;
        }
        Self::parse(value.as_bytes())
    }

    /// Reads one header value. Of a version after 00 the known fields are read, and of its flags only
    /// [`SAMPLED`] is kept (§3.2.4).
    #[must_use]
    pub fn parse(value: &[u8]) -> Option<Self> {
        if value.len() > MAX_BYTES {
            return None;
        }
        let (known, later) = value.split_at_checked(VERSION_00_BYTES)?;
        let version = hex(known.get(0..2)?)?;
        let separated = [2, 35, 52]
            .into_iter()
            .all(|at| known.get(at) == Some(&b'-'));
        let mask = match version {
            0 if later.is_empty() => u8::MAX,
            1..=0xfe if later.is_empty() || later.starts_with(b"-") => SAMPLED,
            _ => return None,
        };
        if !separated {
            return None;
        }
        Some(Self {
            trace_id: NonZeroU128::new(hex(known.get(3..35)?)?)?,
            parent_id: NonZeroU64::new(u64::try_from(hex(known.get(36..52)?)?).ok()?)?,
            flags: u8::try_from(hex(known.get(53..55)?)?).ok()? & mask,
        })
    }

    /// The header value, in one allocation.
    #[must_use]
    pub fn header_value(self) -> HeaderValue {
        use std::fmt::Write as _;

        let mut text = String::with_capacity(VERSION_00_BYTES);
        let written = write!(text, "{self}");
        debug_assert!(written.is_ok(), "writing into a String has no way to fail");
        header::value(text)
    }
}

impl fmt::Display for Traceparent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "00-{:032x}-{:016x}-{:02x}",
            self.trace_id, self.parent_id, self.flags
        )
    }
}

fn span_id(random: u64) -> NonZeroU64 {
    NonZeroU64::new(random).unwrap_or(NonZeroU64::MIN)
}

/// Lower-case hexadecimal digits, at most 32: capitals are not valid here (§3.2.2).
fn hex(digits: &[u8]) -> Option<u128> {
    digits.iter().try_fold(0, |number, digit| {
        let value = match digit {
            b'0'..=b'9' => digit - b'0',
            b'a'..=b'f' => digit - b'a' + 10,
            _ => return None,
        };
        Some(number << 4 | u128::from(value))
    })
}

#[cfg(test)]
mod tests;
