//! `loadBalancer`, and `localityLbSetting` of the mesh.

use std::collections::BTreeMap;

use yaml::{
    Cursor, Error, Object,
    scalar::{boolean, checked, word},
};

use crate::{
    objects::{
        Share,
        destination_rule::{
            Algorithm, ConsistentHash, Cookie, Distribute, Failover, HashKey, HashTable,
            LoadBalancer, LocalityBalancing, Warmup,
        },
    },
    read::{duration, field, header, line, name, number as numbers},
};

const FIELDS: &[&str] = &[
    "consistentHash",
    "localityLbSetting",
    "simple",
    "warmup",
    "warmupDurationSecs",
];
const HASH_FIELDS: &[&str] = &[
    "httpCookie",
    "httpHeaderName",
    "httpQueryParameterName",
    "maglev",
    "minimumRingSize",
    "ringHash",
    "useSourceIp",
];
const LOCALITY_FIELDS: &[&str] = &["distribute", "enabled", "failover", "failoverPriority"];

/// Source: Envoy, `RingHashLbConfig`.
const MAX_RING: u32 = 8 * 1024 * 1024;
const DEFAULT_RING: u32 = 1024;
/// Source: Envoy, `MaglevLbConfig`.
const MAX_MAGLEV: u32 = 5_000_011;
const DEFAULT_MAGLEV: u32 = 65_537;
/// As many as a mesh has localities, and far more.
const MAX_LOCALITIES: usize = 1000;
/// Each label makes one more priority.
const MAX_PRIORITIES: usize = 64;
/// Source: RFC 6265 knows a handful.
const MAX_ATTRIBUTES: usize = 16;
/// What an endpoint begins with that gets its share little by little. Source: Istio, `warmup.minimumPercent`.
const WARM_UP: Share = Share::of_million(100_000);
/// Beyond, an endpoint would get its share at once or never.
const MAX_AGGRESSION: f64 = 1000.0;

const KEY: &str = "one of httpHeaderName, httpCookie, useSourceIp: true and httpQueryParameterName";
const LOCALITY: &str = "a locality such as region/zone/subzone, region/* or *";

pub(super) fn load_balancer(at: &Cursor<'_>) -> Result<LoadBalancer, Error> {
    let object = at.object("a mapping with simple or consistentHash", FIELDS)?;
    let simple = object.nullable("simple", |at| {
        let least = Algorithm::LeastRequest;
        let words = [
            ("UNSPECIFIED", None),
            ("LEAST_REQUEST", Some(&least)),
            ("LEAST_CONN", Some(&least)),
            ("ROUND_ROBIN", Some(&Algorithm::RoundRobin)),
            ("RANDOM", Some(&Algorithm::Random)),
            ("PASSTHROUGH", Some(&Algorithm::Passthrough)),
        ];
        word(at, &words).map(Option::<&Algorithm>::cloned)
    })?;
    let hash = object.nullable("consistentHash", consistent_hash)?;
    if hash.is_some() && simple.is_some() {
        return field::refuse(&object, "simple", "either this or consistentHash");
    }
    let algorithm = hash.map(Algorithm::ConsistentHash).or(simple.flatten());
    Ok(LoadBalancer {
        locality: object.nullable("localityLbSetting", locality)?,
        warmup: warm_up(&object, algorithm.as_ref())?,
        algorithm,
    })
}

fn consistent_hash(at: &Cursor<'_>) -> Result<ConsistentHash, Error> {
    let object = at.object(KEY, HASH_FIELDS)?;
    let parameter = "the name of a parameter: a text that is not empty";
    let keys = [
        object
            .nullable("httpHeaderName", header::name)?
            .map(HashKey::Header),
        object.nullable("httpCookie", cookie)?.map(HashKey::Cookie),
        field::switch(&object, "useSourceIp")?.then_some(HashKey::SourceIp),
        object
            .nullable("httpQueryParameterName", |at| {
                checked(at, parameter, |text| !text.is_empty())?;
                line::text(at)
            })?
            .map(HashKey::QueryParameter),
    ];
    let mut keys = keys.into_iter().flatten();
    match (keys.next(), keys.next()) {
        (Some(key), None) => Ok(ConsistentHash {
            key,
            table: hash_table(&object)?,
        }),
        (_, Some(_)) | (None, None) => Err(at.unexpected(KEY)),
    }
}

fn cookie(at: &Cursor<'_>) -> Result<Cookie, Error> {
    const NAME: &str = "the name of a cookie: a token";
    let object = at.object("a cookie with name", &["attributes", "name", "path", "ttl"])?;
    let part = |at: &Cursor<'_>| {
        let expected = "a text without semicolons and control characters";
        checked(at, expected, |text| !text.contains(';'))?;
        line::text(at)
    };
    let expected = "a list of attributes";
    Ok(Cookie {
        // Source: RFC 6265 §4.1.1, a token as names of headers are.
        name: object.required("name", NAME, |at| {
            checked(at, NAME, header::is_name).map(str::to_owned)
        })?,
        path: field::text(&object, "path", part)?.unwrap_or_default(),
        ttl: object.nullable("ttl", duration::any)?,
        attributes: field::list_up_to(&object, "attributes", expected, MAX_ATTRIBUTES, |at| {
            let attribute = at.object("an attribute with name and value", &["name", "value"])?;
            let name = attribute.required("name", "an attribute's name", |at| {
                checked(at, "an attribute's name", header::is_name).map(str::to_owned)
            })?;
            let value = field::text(&attribute, "value", part)?;
            Ok((name, value.unwrap_or_default()))
        })?,
    })
}

fn hash_table(object: &Object<'_>) -> Result<HashTable, Error> {
    let older = object.nullable("minimumRingSize", |at| {
        at.warn("deprecated, ringHash.minimumRingSize takes its place");
        ring_size(at)
    })?;
    let ring = object.nullable("ringHash", |at| {
        let object = at.object("a mapping with minimumRingSize", &["minimumRingSize"])?;
        object.nullable("minimumRingSize", ring_size)
    })?;
    let maglev = object.nullable("maglev", |at| {
        let object = at.object("a mapping with tableSize", &["tableSize"])?;
        object.nullable("tableSize", maglev_size)
    })?;
    if ring.is_some() && maglev.is_some() {
        return field::refuse(object, "maglev", "either this or ringHash");
    }
    Ok(match maglev {
        Some(size) => HashTable::Maglev {
            table_size: size.flatten().unwrap_or(DEFAULT_MAGLEV),
        },
        None => HashTable::Ring {
            minimum_size: ring
                .flatten()
                .flatten()
                .or(older.flatten())
                .unwrap_or(DEFAULT_RING),
        },
    })
}

/// `None` for zero, which is as if it were absent.
fn ring_size(at: &Cursor<'_>) -> Result<Option<u32>, Error> {
    let size = numbers::within(at, 0..=MAX_RING, "a whole number from 0 to 8388608")?;
    Ok(Some(size).filter(|size| *size != 0))
}

fn maglev_size(at: &Cursor<'_>) -> Result<Option<u32>, Error> {
    const SIZE: &str = "a prime number of at most 5000011";
    let size = numbers::within(at, 0..=MAX_MAGLEV, SIZE)?;
    if size == 0 {
        return Ok(None);
    }
    // The divisors end at 2236.
    let is_prime = size > 1
        && (2..)
            .take_while(|divisor: &u32| divisor.saturating_mul(*divisor) <= size)
            .all(|divisor| size % divisor != 0);
    if is_prime {
        Ok(Some(size))
    } else {
        Err(at.unexpected(SIZE))
    }
}

/// `localityLbSetting`.
pub(in crate::read) fn locality(at: &Cursor<'_>) -> Result<LocalityBalancing, Error> {
    let object = at.object("a mapping with distribute or failover", LOCALITY_FIELDS)?;
    let locality = LocalityBalancing {
        enabled: object.nullable("enabled", boolean)?,
        distribute: field::list_up_to(
            &object,
            "distribute",
            "a list of shares",
            MAX_LOCALITIES,
            distribute,
        )?,
        failover: field::list_up_to(
            &object,
            "failover",
            "a list of regions",
            MAX_LOCALITIES,
            failover,
        )?,
        failover_priority: field::list_up_to(
            &object,
            "failoverPriority",
            "a list of labels",
            MAX_PRIORITIES,
            priority,
        )?,
    };
    if !locality.distribute.is_empty() {
        for name in ["failover", "failoverPriority"] {
            let items = field::list(&object, name, "a list", |_| Ok(()))?;
            if !items.is_empty() {
                return field::refuse(&object, name, "either this or distribute");
            }
        }
    }
    Ok(locality)
}

fn distribute(at: &Cursor<'_>) -> Result<Distribute, Error> {
    const TO: &str = "a mapping of localities to percentages that are 100 together";
    let object = at.object("a mapping with from and to", &["from", "to"])?;
    let from = object.required("from", LOCALITY, locality_pattern)?;
    let to = object.required("to", TO, |at| {
        let mut to = BTreeMap::new();
        field::entries_up_to(at, TO, MAX_LOCALITIES, |key, value| {
            let share = numbers::within(value, 1..=100, "a whole number from 1 to 100")?;
            to.insert(locality_pattern(key)?, share);
            Ok(())
        })?;
        if to.values().sum::<u32>() != 100 {
            return Err(at.unexpected(TO));
        }
        Ok(to)
    })?;
    Ok(Distribute { from, to })
}

/// `region`, `region/zone` or `region/zone/subzone`, the last of which may be `*`.
fn locality_pattern(at: &Cursor<'_>) -> Result<String, Error> {
    checked(at, LOCALITY, |text| {
        let mut parts = text.split('/');
        let last = parts.next_back().unwrap_or_default();
        let is_part = |part: &str| !part.is_empty() && !part.contains(['*', ' ']);
        text.matches('/').count() < 3 && (last == "*" || is_part(last)) && parts.all(is_part)
    })?;
    line::text(at)
}

fn failover(at: &Cursor<'_>) -> Result<Failover, Error> {
    const REGION: &str = "a region";
    let object = at.object("a mapping with from and to", &["from", "to"])?;
    let region = |at: &Cursor<'_>| {
        checked(at, REGION, |text| {
            !text.is_empty() && !text.contains(['*', '/', ' '])
        })?;
        line::text(at)
    };
    let failover = Failover {
        from: object.required("from", REGION, region)?,
        to: object.required("to", REGION, region)?,
    };
    if failover.from == failover.to {
        return field::refuse(&object, "to", "another region than `from`");
    }
    Ok(failover)
}

fn priority(at: &Cursor<'_>) -> Result<String, Error> {
    let expected = "the name of a label, or a name, = and a value";
    checked(at, expected, |text| {
        let (name, value) = text.split_once('=').unwrap_or((text, ""));
        name::is_qualified_name(name) && name::is_label_value(value)
    })
    .map(str::to_owned)
}

fn warm_up(object: &Object<'_>, algorithm: Option<&Algorithm>) -> Result<Option<Warmup>, Error> {
    let warmup = object.nullable("warmup", warmup)?;
    let older = object.nullable("warmupDurationSecs", |at| {
        at.warn("deprecated, warmup takes its place");
        let duration = duration::or_none(at)?;
        Ok(duration.map(|duration| Warmup {
            duration,
            minimum: WARM_UP,
            aggression: 1.0,
        }))
    })?;
    let warmup = warmup.or(older.flatten());
    let has_effect = match algorithm {
        None | Some(Algorithm::LeastRequest | Algorithm::RoundRobin) => true,
        Some(Algorithm::Random | Algorithm::Passthrough | Algorithm::ConsistentHash(_)) => false,
    };
    if warmup.is_some() && !has_effect {
        let text = "warm-up has no effect without LEAST_REQUEST or ROUND_ROBIN";
        object.cursor().warn(text);
    }
    Ok(warmup)
}

fn warmup(at: &Cursor<'_>) -> Result<Warmup, Error> {
    const AGGRESSION: &str = "a number from 1 to 1000, such as 1.5";
    let object = at.object(
        "a mapping with duration",
        &["aggression", "duration", "minimumPercent"],
    )?;
    let aggression = object.nullable("aggression", |at| {
        let aggression: f64 = number_with_fraction(at, AGGRESSION)?;
        if (1.0..=MAX_AGGRESSION).contains(&aggression) {
            Ok(aggression)
        } else {
            Err(at.unexpected(AGGRESSION))
        }
    })?;
    Ok(Warmup {
        duration: object.required("duration", "a duration such as 30s", duration::positive)?,
        minimum: object
            .nullable("minimumPercent", numbers::percent)?
            .unwrap_or(WARM_UP),
        aggression: aggression.unwrap_or(1.0),
    })
}

/// Digits, perhaps with a point among them.
fn number_with_fraction(at: &Cursor<'_>, expected: &'static str) -> Result<f64, Error> {
    let text = checked(at, expected, |text| {
        text.bytes()
            .all(|byte| byte.is_ascii_digit() || byte == b'.')
    })?;
    text.parse().map_err(|_| at.unexpected(expected))
}
