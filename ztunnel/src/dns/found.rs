//! What an answer of a server says of a name.
//!
//! In: the bytes of an answer that fits its question. Out: addresses and how long they hold.
//! Never: asks, or believes a record of a name that the question does not lead to.

use std::{net::IpAddr, time::Duration};

use decision::outbound::Family;
use hickory_proto::{
    op::{Message, Query, ResponseCode},
    rr::{Name, RData, Record},
};

/// Aliases that are followed in one answer. Longer chains are mistakes, or circles.
const MAX_ALIASES: usize = 16;
/// Addresses that are kept of one answer.
const MAX_ADDRESSES: usize = 256;
/// How long addresses are kept at most, whatever the answer says: a wrong one is not to stay for days.
const MAX_TTL: Duration = Duration::from_secs(3600);
/// How long it is kept at most that there are none. Source: RFC 2308 section 5, where a limit is left to us.
const MAX_TTL_NOTHING: Duration = Duration::from_secs(30);

/// The addresses of one family that a name has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Found {
    /// Those, none where the name has none or does not exist.
    pub(super) addresses: Vec<IpAddr>,
    /// How long that holds.
    pub(super) ttl: Duration,
}

/// Why an answer says nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Useless {
    /// It cannot be read.
    Malformed,
    /// It is cut off, and must be asked for over TCP.
    Truncated,
    /// The server could not or would not.
    Failed(ResponseCode),
}

/// Reads the answer to a question.
pub(super) fn found(bytes: &[u8], question: &Query, family: Family) -> Result<Found, Useless> {
    let Ok(message) = Message::from_vec(bytes) else {
        return Err(Useless::Malformed);
    };
    if message.metadata.truncation {
        return Err(Useless::Truncated);
    }
    let code = message.metadata.response_code;
    if code != ResponseCode::NoError && code != ResponseCode::NXDomain {
        return Err(Useless::Failed(code));
    }
    let mut name = &question.name;
    let mut ttl = MAX_TTL;
    for _ in 0..=MAX_ALIASES {
        let records = || message.answers.iter().filter(|record| record.name == *name);
        let addresses: Vec<IpAddr> = records()
            .filter_map(|record| {
                let ip = address(record, family)?;
                ttl = ttl.min(seconds(record.ttl));
                Some(ip)
            })
            .take(MAX_ADDRESSES)
            .collect();
        if !addresses.is_empty() {
            return Ok(Found { addresses, ttl });
        }
        let Some((record, next)) = records().find_map(|record| Some((record, alias(record)?)))
        else {
            break;
        };
        ttl = ttl.min(seconds(record.ttl));
        name = next;
    }
    // Source: RFC 2308 section 5: that there is nothing holds as long as the zone says, and not at all if it says nothing.
    let nothing = message.authorities.iter().find_map(|record| {
        if let RData::SOA(soa) = &record.data {
            Some(seconds(record.ttl.min(soa.minimum)))
        } else {
            None
        }
    });
    Ok(Found {
        addresses: Vec::new(),
        ttl: nothing.unwrap_or_default().min(MAX_TTL_NOTHING).min(ttl),
    })
}

fn address(record: &Record, family: Family) -> Option<IpAddr> {
    match family {
        Family::Ipv4 => {
            if let RData::A(ip) = &record.data {
                return Some(ip.0.into());
            }
        }
        Family::Ipv6 => {
            if let RData::AAAA(ip) = &record.data {
                return Some(ip.0.into());
            }
        }
    }
    None
}

fn alias(record: &Record) -> Option<&Name> {
    if let RData::CNAME(canonical) = &record.data {
        Some(&canonical.0)
    } else {
        None
    }
}

/// Source: RFC 2181 section 8: a TTL with the highest bit set is 0.
fn seconds(ttl: u32) -> Duration {
    Duration::from_secs(u64::from(if ttl > i32::MAX.unsigned_abs() {
        0
    } else {
        ttl
    }))
}

#[cfg(test)]
mod tests;
