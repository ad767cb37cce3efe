//! `ambit.waypoint.v1.LoadBalancer`.

use std::time::Duration;

use mesh::backend::{
    ConsistentHash, HashCookie, HashKey, HashTable, LoadBalancer, Simple, Warmup,
    balancing::{DEFAULT_MAGLEV_SIZE, DEFAULT_RING_SIZE, MAX_RING_SIZE, is_maglev_size},
};

use super::{duration, optional, share};
use crate::{
    proto::waypoint as proto,
    xds::{
        error::{Fault, each},
        field,
    },
};

/// Source: DestinationRule `warmup.minimumPercent`.
const DEFAULT_WARMUP_PPM: u32 = 100_000;
/// Linear. Source: DestinationRule `warmup.aggression`.
const DEFAULT_AGGRESSION_MILLI: u32 = 1000;

pub(super) fn read(read: &proto::LoadBalancer) -> Result<LoadBalancer, Fault> {
    use proto::load_balancer::Kind;
    let (simple, hash) = match &read.kind {
        None => (Simple::default(), None),
        Some(Kind::Simple(number)) => (simple(*number), None),
        Some(Kind::Hash(read)) => {
            let hash = consistent_hash(read).map_err(|fault| fault.within("hash"))?;
            (Simple::default(), Some(hash))
        }
    };
    Ok(LoadBalancer {
        simple,
        hash,
        warmup: optional("warmup", read.warmup.as_ref(), warmup)?.flatten(),
    })
}

/// What a later version added is balanced as by default: every request still meets an endpoint.
fn simple(number: i32) -> Simple {
    match proto::Simple::try_from(number) {
        Ok(proto::Simple::LeastRequest) | Err(_) => Simple::LeastRequest,
        Ok(proto::Simple::RoundRobin) => Simple::RoundRobin,
        Ok(proto::Simple::Random) => Simple::Random,
        Ok(proto::Simple::Passthrough) => Simple::Passthrough,
    }
}

fn consistent_hash(read: &proto::ConsistentHash) -> Result<ConsistentHash, Fault> {
    use proto::consistent_hash::{Key, Table};
    let key = match &read.key {
        Some(Key::Header(name)) => {
            HashKey::Header(field::name("header", name)?.to_ascii_lowercase().into())
        }
        Some(Key::Cookie(read)) => {
            HashKey::Cookie(cookie(read).map_err(|fault| fault.within("cookie"))?)
        }
        Some(Key::SourceIp(true)) => HashKey::SourceIp,
        Some(Key::QueryParameter(name)) => {
            HashKey::QueryParameter(field::name("query_parameter", name)?.into())
        }
        Some(Key::SourceIp(false)) | None => {
            let expected = "header, cookie, source_ip or query_parameter";
            return Err(Fault::missing("key", expected));
        }
    };
    let table = match &read.table {
        None => HashTable::default(),
        Some(Table::Ring(proto::RingHash { minimum_size: 0 })) => HashTable::Ring {
            minimum_size: DEFAULT_RING_SIZE,
        },
        Some(Table::Ring(ring)) if ring.minimum_size <= MAX_RING_SIZE => HashTable::Ring {
            minimum_size: ring.minimum_size,
        },
        Some(Table::Ring(ring)) => {
            let found = ring.minimum_size.to_string();
            return Err(Fault::new("ring.minimum_size", found, "at most 8388608"));
        }
        Some(Table::Maglev(proto::Maglev { table_size: 0 })) => HashTable::Maglev {
            table_size: DEFAULT_MAGLEV_SIZE,
        },
        Some(Table::Maglev(maglev)) if is_maglev_size(maglev.table_size) => HashTable::Maglev {
            table_size: maglev.table_size,
        },
        Some(Table::Maglev(maglev)) => {
            let expected = "a prime of at most 5000011";
            let found = maglev.table_size.to_string();
            return Err(Fault::new("maglev.table_size", found, expected));
        }
    };
    Ok(ConsistentHash { key, table })
}

/// A cookie. Its parts go into a header as they are, so what would end them early is no part of them.
fn cookie(read: &proto::HashCookie) -> Result<HashCookie, Fault> {
    Ok(HashCookie {
        name: cookie_name("name", &read.name)?.into(),
        path: cookie_value("path", &read.path)?.into(),
        ttl: read.ttl_us.map(Duration::from_micros),
        attributes: each("attributes", &read.attributes, |attribute| {
            Ok((
                cookie_name("name", &attribute.name)?.into(),
                cookie_value("value", &attribute.value)?.into(),
            ))
        })?,
    })
}

/// Source: RFC 6265 §4.1.1, `cookie-name`, which is a token of HTTP.
fn cookie_name<'t>(field: &str, text: &'t str) -> Result<&'t str, Fault> {
    let letter = |byte: u8| byte.is_ascii_graphic() && !b"()<>@,;:\\\"/[]?={}".contains(&byte);
    let text = field::name(field, text)?;
    if text.bytes().all(letter) {
        Ok(text)
    } else {
        Err(Fault::text(field, text, "a token (RFC 9110 section 5.6.2)"))
    }
}

/// Source: RFC 6265 §4.1.1, `path-value` and `extension-av`.
fn cookie_value<'t>(field: &str, text: &'t str) -> Result<&'t str, Fault> {
    let letter = |byte: u8| (b' '..=b'~').contains(&byte) && byte != b';';
    let text = field::label(field, text)?;
    if text.bytes().all(letter) {
        Ok(text)
    } else {
        let expected = "printable ASCII without semicolons";
        Err(Fault::text(field, text, expected))
    }
}

/// No time is no warm-up.
fn warmup(read: &proto::Warmup) -> Result<Option<Warmup>, Fault> {
    let minimum_ppm = match share("minimum_ppm", read.minimum_ppm)? {
        0 => DEFAULT_WARMUP_PPM,
        given => given,
    };
    let aggression_milli = match read.aggression_milli {
        0 => DEFAULT_AGGRESSION_MILLI,
        given => given,
    };
    Ok(duration(read.duration_us).map(|duration| Warmup {
        duration,
        minimum_ppm,
        aggression_milli,
    }))
}
