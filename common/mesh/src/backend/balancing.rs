//! Which endpoint a request is given to.

use std::time::Duration;

use crate::name::Name;

/// How an endpoint is chosen. Source: DestinationRule `trafficPolicy.loadBalancer`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LoadBalancer {
    /// Where the request has no say; not looked at where there is a `hash`.
    pub simple: Simple,
    /// By a key of the request, so that equal keys meet the same endpoint; in the place of `simple`.
    pub hash: Option<ConsistentHash>,
    /// How an endpoint that has just come is given its full share; `None`: at once.
    pub warmup: Option<Warmup>,
}

/// How an endpoint is chosen where the request has no say. Source: DestinationRule `loadBalancer.simple`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Simple {
    /// Of two that are drawn, the one with fewer requests.
    #[default]
    LeastRequest,
    /// Each in turn, by weight.
    RoundRobin,
    /// Drawn by weight.
    Random,
    /// The original destination as long as it is an endpoint, otherwise as [`Self::LeastRequest`].
    Passthrough,
}

/// How a key leads to an endpoint. Source: DestinationRule `loadBalancer.consistentHash`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsistentHash {
    /// What of a request is the key. A request that lacks it is given to any endpoint.
    pub key: HashKey,
    /// How keys are dealt out.
    pub table: HashTable,
}

/// What of a request is the key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HashKey {
    /// The values of a header, whose name is in lower case.
    Header(Name),
    /// The value of a cookie.
    Cookie(HashCookie),
    /// The client's address, without its port.
    SourceIp,
    /// The first value of a parameter of the query.
    QueryParameter(Name),
}

/// A cookie that is the key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HashCookie {
    /// Its name.
    pub name: Name,
    /// Its path, where it is made here; empty for none.
    pub path: Name,
    /// How long it holds where it is made here. `None`: a missing one is not made. Zero: a session cookie is made.
    pub ttl: Option<Duration>,
    /// Further attributes of one that is made here, written as they are. An empty value: the name alone.
    pub attributes: Vec<(Name, Name)>,
}

/// How keys are dealt out to endpoints; both as Envoy does, so that keys stay where they are when it is replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum HashTable {
    /// Every endpoint has places on a ring, and a key belongs to the next one.
    Ring {
        /// How many places there are at least, together. From 1 to [`MAX_RING_SIZE`].
        minimum_size: u64,
    },
    /// Every endpoint fills places of a table by a permutation of its own (Eisenbud et al., 2016).
    Maglev {
        /// How many places there are: a prime, at most [`MAX_MAGLEV_SIZE`].
        table_size: u64,
    },
}

impl Default for HashTable {
    /// The table of a policy that names none.
    fn default() -> Self {
        Self::Ring {
            minimum_size: DEFAULT_RING_SIZE,
        }
    }
}

/// Source: DestinationRule `ringHash.minimumRingSize`.
pub const DEFAULT_RING_SIZE: u64 = 1024;
/// Source: Envoy's `ring_hash_lb_config.maximum_ring_size`, 8 Mi places, which bounds both sizes.
pub const MAX_RING_SIZE: u64 = 8 * 1024 * 1024;
/// Source: DestinationRule `maglev.tableSize`.
pub const DEFAULT_MAGLEV_SIZE: u64 = 65_537;
/// Source: Envoy's `maglev_lb_config.table_size`.
pub const MAX_MAGLEV_SIZE: u64 = 5_000_011;

/// Whether a table of Maglev may have this size: a prime that is not too large. Source: Envoy refuses others, too.
#[must_use]
pub fn is_maglev_size(size: u64) -> bool {
    if size == 2 {
        return true;
    }
    if !(3..=MAX_MAGLEV_SIZE).contains(&size) || size.is_multiple_of(2) {
        return false;
    }
    let mut divisors = (3_u64..).step_by(2);
    let mut small = divisors.by_ref().take_while(|by| by * by <= size);
    small.all(|by| !size.is_multiple_of(by))
}

/// How the share of an endpoint that has just come grows. Source: DestinationRule `loadBalancer.warmup`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Warmup {
    /// Until it has its full share.
    pub duration: Duration,
    /// The share that it begins with. Units: parts per million of its weight.
    pub minimum_ppm: u32,
    /// How the share bends. Units: thousandths; 1000 is linear, more begins faster.
    pub aggression_milli: u32,
}
