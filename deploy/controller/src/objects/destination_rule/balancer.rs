//! `loadBalancer`, and `localityLbSetting` of the mesh.

use std::{collections::BTreeMap, time::Duration};

use super::super::Share;

/// How one of the endpoints is chosen.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LoadBalancer {
    /// `simple` or `consistentHash`; `None` (also for `UNSPECIFIED`) is the default, `LEAST_REQUEST`.
    pub algorithm: Option<Algorithm>,
    /// `localityLbSetting`; `None` is the mesh's.
    pub locality: Option<LocalityBalancing>,
    /// `warmup`, or `warmupDurationSecs`, its older form.
    pub warmup: Option<Warmup>,
}

/// `simple` or `consistentHash`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// `LEAST_REQUEST`, and `LEAST_CONN`, its older name.
    LeastRequest,
    /// `ROUND_ROBIN`.
    RoundRobin,
    /// `RANDOM`.
    Random,
    /// `PASSTHROUGH`: the address that the client chose.
    Passthrough,
    /// `consistentHash`.
    ConsistentHash(ConsistentHash),
}

/// `consistentHash`: equal keys go to the same endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsistentHash {
    /// What is hashed.
    pub key: HashKey,
    /// How an endpoint is found.
    pub table: HashTable,
}

/// What is hashed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HashKey {
    /// `httpHeaderName`, in lower case.
    Header(String),
    /// `httpCookie`.
    Cookie(Cookie),
    /// `useSourceIp`.
    SourceIp,
    /// `httpQueryParameterName`.
    QueryParameter(String),
}

/// `httpCookie`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cookie {
    /// `name`.
    pub name: String,
    /// `path`; may be empty.
    pub path: String,
    /// `ttl`: a client without the cookie is given one that lives so long, with zero as long as its session. `None`
    /// gives none.
    pub ttl: Option<Duration>,
    /// `attributes`: names, and values that may be empty.
    pub attributes: Vec<(String, String)>,
}

/// How an endpoint is found by a hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HashTable {
    /// `ringHash`, also where there is neither.
    Ring {
        /// `minimumRingSize`: 1,024 where it is absent; at most 8,388,608.
        minimum_size: u32,
    },
    /// `maglev`.
    Maglev {
        /// `tableSize`: a prime, 65,537 where it is absent; at most 5,000,011.
        table_size: u32,
    },
}

/// `localityLbSetting`. `distribute` excludes the other two.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LocalityBalancing {
    /// `enabled`; `None` is as if it were true.
    pub enabled: Option<bool>,
    /// `distribute`.
    pub distribute: Vec<Distribute>,
    /// `failover`.
    pub failover: Vec<Failover>,
    /// `failoverPriority`: names of labels, or a name, `=` and a value.
    pub failover_priority: Vec<String>,
}

/// One of `distribute`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Distribute {
    /// `from`: a locality such as `region/zone/*`.
    pub from: String,
    /// `to`: localities and their percentages, which are 100 together.
    pub to: BTreeMap<String, u32>,
}

/// One of `failover`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failover {
    /// `from`: a region.
    pub from: String,
    /// `to`: another region.
    pub to: String,
}

/// `warmup`: an endpoint that is new gets its share little by little.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Warmup {
    /// `duration`; more than zero.
    pub duration: Duration,
    /// `minimumPercent` of its share, which it begins with: 10 % where it is absent.
    pub minimum: Share,
    /// `aggression`: at least 1.0, which is also what it is where it is absent; finite.
    pub aggression: f64,
}
